// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_model.h"

/*
 * The two merged trees that the nodes stand on (browse_tree.h) are views
 * (store/view.h), and four of them are kept: whoever goes from layer to layer
 * meets those of the step before again, and the old ones stay until the new ones
 * are read.
 */

#include "store/base/auto.h"
#include "tools/browse_pattern.h"
#include "tools/ui.h"

#include <string.h>

enum { VIEWS_KEPT = 4 };

struct kept_view {
	struct view *view; /* owned; NULL: free */
	size_t layers;
	unsigned long used;
};

struct browse_model {
	struct browse_tree tree;
	const struct image_info *image; /* borrowed */
	struct kept_view views[VIEWS_KEPT];
	unsigned long clock;
	size_t layer;
	enum browse_compare compare;
	struct browse_node *root;  /* owned; of @tree */
	struct browse_node **rows; /* owned */
	size_t row_count, row_room;
	size_t cursor;
	bool hidden[BROWSE_MARKS];
	struct browse_pattern filter;
};

/* --- nodes --- */

bool browse_is_open(const struct browse_model *model, const struct browse_node *node)
{
	return browse_is_dir(node) && (model->filter.text ? !node->folded : node->open);
}

static void root_freep(struct browse_node **root)
{
	if (*root)
		browse_children_release(*root);
	free(*root);
}

static bool is_shown(const struct browse_model *model, const struct browse_node *node)
{
	const bool *hidden = model->hidden;

	if (model->filter.text && !node->match)
		return false;
	if (!browse_is_merged(node))
		return !hidden[node->mark == BROWSE_METADATA ? BROWSE_CHANGED : node->mark];
	/* A directory of both trees is the way to what is in it. */
	if (node->mark == BROWSE_METADATA)
		return !hidden[BROWSE_CHANGED] || !hidden[BROWSE_SAME];
	if (node->mark == BROWSE_CHANGED)
		return !hidden[BROWSE_CHANGED] || !hidden[BROWSE_SAME] || !hidden[BROWSE_ADDED] ||
		       !hidden[BROWSE_REMOVED];
	return !hidden[BROWSE_SAME];
}

/* Itself, and all that is open below it and can have rows. */
static int load_open(struct browse_model *model, struct browse_node *node)
{
	int r = node->open ? browse_tree_load(&model->tree, node) : 0;

	for (size_t i = 0; r == 0 && node->open && i < node->child_count; i++)
		if (is_shown(model, &node->children[i]))
			r = load_open(model, &node->children[i]);
	return r;
}

/* --- the filter --- */

static int match_below(struct browse_model *model, struct browse_node *node, struct buf *path)
{
	size_t len = path->len;
	int r = browse_tree_load(&model->tree, node);

	for (size_t i = 0; r == 0 && i < node->child_count; i++) {
		struct browse_node *child = &node->children[i];

		buf_adds(path, "/");
		buf_adds(path, browse_entry(child)->name);
		child->folded = false;
		child->match = browse_pattern_match(&model->filter, buf_str(path));
		r = match_below(model, child, path);
		node->match |= child->match;
		if (buf_error(path) < 0)
			return -ENOMEM;
		path->len = len;
		path->data[len] = '\0';
	}
	return r;
}

static int match_all(struct browse_model *model, struct browse_node *root)
{
	AUTO(buf_release) struct buf path = { 0 };
	int r;

	if (!model->filter.text)
		return 0;
	root->match = root->folded = false;
	r = match_below(model, root, &path);
	return r;
}

/* --- rows --- */

static void add_row(struct browse_model *model, struct browse_node *node)
{
	if (model->row_count == model->row_room) {
		model->row_room = model->row_room ? 2 * model->row_room : 256;
		model->rows = ui_need(realloc(model->rows, model->row_room * sizeof(struct browse_node *)));
	}
	node->row = model->row_count;
	model->rows[model->row_count++] = node;
}

static void add_rows(struct browse_model *model, struct browse_node *dir)
{
	struct browse_node *last = NULL;

	for (size_t i = 0; i < dir->child_count; i++) {
		struct browse_node *child = &dir->children[i];

		child->last = false;
		if (!is_shown(model, child))
			continue;
		add_row(model, child);
		last = child;
		if (browse_is_open(model, child))
			add_rows(model, child);
	}
	if (last)
		last->last = true;
}

static bool has_row(const struct browse_model *model, const struct browse_node *node)
{
	return node->row < model->row_count && model->rows[node->row] == node;
}

/* @at: a node of the tree; NULL: the cursor's own. */
static void make_rows(struct browse_model *model, struct browse_node *at)
{
	size_t cursor = model->cursor;

	if (!at && cursor < model->row_count)
		at = model->rows[cursor];
	model->row_count = 0;
	add_rows(model, model->root);
	while (at && !has_row(model, at))
		at = at->parent;
	browse_model_move(model, at ? at->row : 0);
}

struct browse_node *const *browse_model_rows(const struct browse_model *model, size_t *ret_count)
{
	*ret_count = model->row_count;
	return model->rows;
}

size_t browse_model_cursor(const struct browse_model *model)
{
	return model->cursor;
}

void browse_model_move(struct browse_model *model, size_t row)
{
	model->cursor = row < model->row_count ? row : model->row_count > 0 ? model->row_count - 1 : 0;
}

/* --- layers --- */

static int get_view(struct browse_model *model, size_t layers, struct diag *diag, struct view **ret)
{
	struct kept_view *place = &model->views[0];
	struct view *view = NULL;

	for (size_t i = 0; i < VIEWS_KEPT; i++) {
		struct kept_view *kept = &model->views[i];

		if (kept->view && kept->layers == layers) {
			kept->used = ++model->clock;
			*ret = kept->view;
			return 0;
		}
		if (kept->used < place->used)
			place = kept;
	}
	int r = view_open(model->tree.store, model->image->id, layers, diag, &view);
	if (r < 0)
		return r;
	view_close(place->view);
	*place = (struct kept_view){ view, layers, ++model->clock };
	*ret = view;
	return 0;
}

static struct browse_node *find_child(struct browse_node *node, const char *name)
{
	for (size_t i = 0; i < node->child_count; i++)
		if (strcmp(browse_entry(&node->children[i])->name, name) == 0)
			return &node->children[i];
	return NULL;
}

/* The node of @path, or the nearest above it that is loaded. */
static struct browse_node *find_nearest(struct browse_node *root, char *path)
{
	struct browse_node *node = root, *child;
	char *name;

	while ((name = strsep(&path, "/")) && (child = find_child(node, name)))
		node = child;
	return node;
}

/* The least recently used view makes room for another one: not those two. */
static void use_again(struct browse_model *model)
{
	for (size_t i = 0; i < VIEWS_KEPT; i++)
		if (model->views[i].view &&
		    (model->views[i].view == model->tree.new || model->views[i].view == model->tree.old))
			model->views[i].used = ++model->clock;
}

static int read_tree(struct browse_model *model, size_t layer, enum browse_compare compare, struct browse_node *root,
		     struct diag *diag)
{
	size_t below = layer == 0 ? 0 : compare == BROWSE_AGGREGATE ? 1 : layer;
	int r = 0;

	model->tree.old = NULL;
	if (below > 0)
		r = get_view(model, below, diag, &model->tree.old);
	if (r == 0)
		r = get_view(model, layer + 1, diag, &model->tree.new);
	if (r < 0)
		return r;
	*root = (struct browse_node){ .new = view_root(model->tree.new), .open = true };
	root->old = model->tree.old ? view_root(model->tree.old) : NULL;
	r = browse_tree_mark(&model->tree, root);
	if (r == 0)
		r = match_all(model, root);
	return r == 0 ? load_open(model, root) : r;
}

int browse_model_show(struct browse_model *model, size_t layer, enum browse_compare compare, struct diag *diag)
{
	AUTO(freep) char *path = model->row_count > 0 ? browse_path(model->rows[model->cursor]) : NULL;
	AUTO(root_freep) struct browse_node *root = ui_need(calloc(1, sizeof(*root)));
	struct view *new = model->tree.new, *old = model->tree.old;
	int r = read_tree(model, layer, compare, root, diag);

	if (r < 0) {
		model->tree.new = new;
		model->tree.old = old;
		use_again(model);
		return diag_errno(diag, r, "cannot read the tree at layer %zu", layer + 1);
	}
	model->layer = layer;
	model->compare = compare;
	root_freep(&model->root);
	model->root = TAKE(root);
	model->row_count = 0;
	make_rows(model, path ? find_nearest(model->root, path) : NULL);
	return 0;
}

size_t browse_model_layer(const struct browse_model *model)
{
	return model->layer;
}

enum browse_compare browse_model_compare(const struct browse_model *model)
{
	return model->compare;
}

int browse_model_new(struct store *store, const struct image_info *image, struct diag *diag, struct browse_model **ret)
{
	AUTO(browse_model_freep) struct browse_model *model = ui_need(calloc(1, sizeof(*model)));

	model->tree.store = store;
	model->image = image;
	int r = browse_model_show(model, 0, BROWSE_LAYER, diag);
	if (r == 0)
		*ret = TAKE(model);
	return r;
}

void browse_model_free(struct browse_model *model)
{
	if (!model)
		return;
	root_freep(&model->root);
	for (size_t i = 0; i < VIEWS_KEPT; i++)
		view_close(model->views[i].view);
	browse_tree_open_all(&model->tree, false);
	browse_pattern_release(&model->filter);
	free(model->rows);
	free(model);
}

void browse_model_freep(struct browse_model **model)
{
	int saved = errno;

	browse_model_free(*model);
	errno = saved;
}

/* --- what the user does --- */

int browse_model_open(struct browse_model *model, struct browse_node *node, bool open)
{
	int r = 0;

	if (!browse_is_dir(node))
		return 0;
	if (open)
		r = browse_tree_load(&model->tree, node);
	if (r < 0)
		return r;
	if (model->filter.text)
		node->folded = !open;
	else
		browse_tree_set_open(&model->tree, node, open);
	r = load_open(model, node);
	make_rows(model, NULL);
	return r;
}

static void set_all(struct browse_node *node, bool open)
{
	for (size_t i = 0; i < node->child_count; i++) {
		struct browse_node *child = &node->children[i];

		child->open = open && browse_is_dir(child);
		child->folded = !open;
		set_all(child, open);
	}
}

int browse_model_open_all(struct browse_model *model, bool open)
{
	browse_tree_open_all(&model->tree, open);
	set_all(model->root, open);
	int r = load_open(model, model->root);
	make_rows(model, NULL);
	return r;
}

bool browse_model_all_open(const struct browse_model *model)
{
	return model->tree.open_by_default;
}

int browse_model_hide(struct browse_model *model, enum browse_mark mark, bool hide)
{
	model->hidden[mark] = hide;
	int r = load_open(model, model->root);
	make_rows(model, NULL);
	return r;
}

bool browse_model_hides(const struct browse_model *model, enum browse_mark mark)
{
	return model->hidden[mark];
}

int browse_model_filter(struct browse_model *model, const char *pattern)
{
	browse_pattern_release(&model->filter);
	browse_pattern_init(&model->filter, pattern, false);
	int r = match_all(model, model->root);
	if (r == 0)
		r = load_open(model, model->root);
	make_rows(model, NULL);
	return r;
}

const char *browse_model_pattern(const struct browse_model *model)
{
	return model->filter.text ? model->filter.text : "";
}

/* --- search: the whole tree in its order, whether it is open or not --- */

/* The next child of @dir that could be a row, from @from on. */
static struct browse_node *shown_child(struct browse_model *model, struct browse_node *dir, size_t from, bool backwards)
{
	for (size_t i = from; i < dir->child_count; i += backwards ? (size_t)-1 : 1)
		if (is_shown(model, &dir->children[i]))
			return &dir->children[i];
	return NULL;
}

static size_t index_of(const struct browse_node *node)
{
	return (size_t)(node - node->parent->children);
}

/* The one after @node; after the last the root. */
static int step_on(struct browse_model *model, struct browse_node *node, struct browse_node **ret)
{
	int r = browse_tree_load(&model->tree, node);
	struct browse_node *next = shown_child(model, node, 0, false);

	for (; !next && node->parent; node = node->parent)
		next = shown_child(model, node->parent, index_of(node) + 1, false);
	*ret = next ? next : model->root;
	return r;
}

/* The last one below @node, or itself. */
static int step_down(struct browse_model *model, struct browse_node *node, struct browse_node **ret)
{
	for (;;) {
		struct browse_node *child;
		int r = browse_tree_load(&model->tree, node);

		*ret = node;
		if (r < 0)
			return r;
		child = shown_child(model, node, node->child_count - 1, true);
		if (!child)
			return 0;
		node = child;
	}
}

/* The one before @node; before the first the root, before the root the last. */
static int step_back(struct browse_model *model, struct browse_node *node, struct browse_node **ret)
{
	struct browse_node *before = NULL;

	if (!node->parent)
		return step_down(model, node, ret);
	before = shown_child(model, node->parent, index_of(node) - 1, true);
	if (before)
		return step_down(model, before, ret);
	*ret = node->parent;
	return 0;
}

static void reveal(struct browse_model *model, struct browse_node *node)
{
	for (struct browse_node *dir = node->parent; dir && dir->parent; dir = dir->parent) {
		dir->folded = false;
		if (!dir->open)
			browse_tree_set_open(&model->tree, dir, true);
	}
	make_rows(model, node);
}

int browse_model_search(struct browse_model *model, const char *text, bool backwards, bool from_here, bool *ret_found)
{
	struct browse_node *start = model->row_count > 0 ? model->rows[model->cursor] : model->root, *node = start;
	struct browse_pattern pattern;
	int r = 0;

	browse_pattern_init(&pattern, text, true);
	*ret_found = from_here && node->parent && browse_pattern_match(&pattern, browse_entry(node)->name);
	while (r == 0 && !*ret_found) {
		r = backwards ? step_back(model, node, &node) : step_on(model, node, &node);
		*ret_found = r == 0 && node->parent && browse_pattern_match(&pattern, browse_entry(node)->name);
		if (node == start)
			break;
	}
	browse_pattern_release(&pattern);
	if (*ret_found)
		reveal(model, node);
	return r;
}
