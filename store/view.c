/* SPDX-License-Identifier: Apache-2.0 */
#include "store/view.h"

#include "store/base/auto.h"
#include "store/image.h"
#include "store/store_priv.h"

#include <string.h>

/*
 * A merged directory is a list of parts: the directories of single layers,
 * highest first, whose children it shows.  The list ends at an opaque part, at
 * a whiteout and at anything that is no directory.  A child is looked for in
 * the parts only, so that of 500 layers those without the directory cost
 * nothing.
 *
 * Nodes are made on first use and stay until view_close(), or until the mark
 * that was set before is gone back to: children found by name are kept in the
 * same sorted array that view_children() completes.  Everything lives in one
 * arena, because what is given back is always what was made last.
 */

enum { ARENA_CHUNK_BYTES = 64 * 1024 };

struct chunk {
	struct chunk *next;
	size_t used, room;
	max_align_t data[];
};

struct part {
	uint32_t layer; /* index into view->layers */
	uint32_t dir;	/* number of the directory there */
};

struct view_node {
	struct layer_entry entry; /* strings in the arena */
	size_t layer;
	struct part *parts; /* in the arena; of a directory */
	size_t part_count;
	struct view_node **children; /* owned; sorted by name; some, or with @complete all */
	size_t child_count, child_room;
	bool complete;
	bool going;		  /* only within view_go_back(): it goes, */
	bool loses;		  /* or it stays and loses children */
	struct view_node *parent; /* NULL: the root */
	struct view_node *next;	  /* that was made before it */
};

struct view {
	struct store *store;	 /* borrowed */
	struct layer_id *layers; /* owned; lowest first */
	size_t layer_count;
	struct view_node *root;
	struct view_node *nodes;
	struct chunk *chunks;
	struct db_loan reading; /* in a transaction; without a connection there is none */
};

/* One name's merge under way: fed with the entries of one name, highest layer first. */
struct merge {
	struct view *view;
	struct layer_entry entry; /* strings in the arena */
	size_t layer;
	bool found;
	bool wants_attributes; /* the entry is of an implicit directory */
	bool parts_done;       /* what is below shows no more children */
	bool done;
	struct part *parts; /* owned */
	size_t part_count, part_room;
};

static void *arena_alloc(struct view *view, size_t bytes)
{
	struct chunk *chunk = view->chunks;
	void *p;

	bytes = (bytes + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (!chunk || chunk->room - chunk->used < bytes) {
		size_t room = bytes > ARENA_CHUNK_BYTES ? bytes : ARENA_CHUNK_BYTES;

		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->used = 0;
		chunk->room = room;
		chunk->next = view->chunks;
		view->chunks = chunk;
	}
	p = (char *)chunk->data + chunk->used;
	chunk->used += bytes;
	return p;
}

static const char *arena_text(struct view *view, const char *text, size_t len)
{
	char *copy = arena_alloc(view, len + 1);

	if (copy) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

/* @dst is a copy of @src that outlives the callback @src was lent to. */
static int copy_entry(struct view *view, const struct layer_entry *src, struct layer_entry *dst)
{
	*dst = *src;
	dst->name = arena_text(view, src->name, src->name_len);
	if (!dst->name)
		return -ENOMEM;
	if (src->target) {
		dst->target = arena_text(view, src->target, strlen(src->target));
		if (!dst->target)
			return -ENOMEM;
	}
	return 0;
}

static int merge_add_part(struct merge *merge, size_t layer, uint32_t dir)
{
	if (merge->part_count == merge->part_room) {
		size_t room = merge->part_room ? 2 * merge->part_room : 4;
		struct part *parts = realloc(merge->parts, room * sizeof(*parts));

		if (!parts)
			return -ENOMEM;
		merge->parts = parts;
		merge->part_room = room;
	}
	merge->parts[merge->part_count++] = (struct part){ (uint32_t)layer, dir };
	return 0;
}

/*
 * One more entry of the name, of the highest layer that was not asked yet.
 * @entry's strings are in the arena.
 */
static int merge_add(struct merge *merge, size_t layer, const struct layer_entry *entry)
{
	bool is_dir = !(entry->flags & LAYER_WHITEOUT) && S_ISDIR(entry->mode);
	int r = 0;

	if (!is_dir) {
		merge->done = true;
		if (merge->found || entry->flags & LAYER_WHITEOUT)
			return 0; /* it hides what is below, or a directory hides it */
		merge->entry = *entry;
		merge->layer = layer;
		merge->found = true;
		return 0;
	}
	if (!merge->found || (merge->wants_attributes && !(entry->flags & LAYER_IMPLICIT))) {
		merge->entry = *entry;
		merge->layer = layer;
		merge->wants_attributes = entry->flags & LAYER_IMPLICIT;
		merge->found = true;
	}
	if (!merge->parts_done)
		r = merge_add_part(merge, layer, entry->no);
	/* An opaque mark hides the children below; the directory itself goes on being the one below it. */
	if (entry->flags & LAYER_OPAQUE)
		merge->parts_done = true;
	merge->done = merge->parts_done && !merge->wants_attributes;
	return r;
}

static void merge_release(struct merge *merge)
{
	free(merge->parts);
}

/* A node of what @merge found in @parent; NULL: no memory. */
static struct view_node *merge_node(struct merge *merge, struct view_node *parent)
{
	struct view *view = merge->view;
	struct view_node *node = arena_alloc(view, sizeof(*node));

	if (!node)
		return NULL;
	*node = (struct view_node){ .entry = merge->entry, .layer = merge->layer, .parent = parent };
	if (merge->part_count > 0) {
		size_t bytes = merge->part_count * sizeof(*node->parts);

		node->parts = arena_alloc(view, bytes);
		if (!node->parts)
			return NULL;
		memcpy(node->parts, merge->parts, bytes);
		node->part_count = merge->part_count;
	}
	node->next = view->nodes;
	view->nodes = node;
	return node;
}

/* Where @name is among the children, or where it belongs. */
static size_t child_index(const struct view_node *dir, const char *name, bool *ret_found)
{
	size_t low = 0, high = dir->child_count;

	*ret_found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(dir->children[mid]->entry.name, name);

		if (order == 0) {
			*ret_found = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int child_insert(struct view_node *dir, size_t at, struct view_node *child)
{
	if (dir->child_count == dir->child_room) {
		size_t room = dir->child_room ? 2 * dir->child_room : 8;
		struct view_node **children = realloc(dir->children, room * sizeof(struct view_node *));

		if (!children)
			return -ENOMEM;
		dir->children = children;
		dir->child_room = room;
	}
	memmove(dir->children + at + 1, dir->children + at, (dir->child_count - at) * sizeof(struct view_node *));
	dir->children[at] = child;
	dir->child_count++;
	return 0;
}

struct merge_one {
	struct merge *merge;
	size_t layer;
};

static int feed_merge(const struct layer_entry *entry, void *arg)
{
	struct merge_one *one = arg;
	struct layer_entry copy;
	int r = copy_entry(one->merge->view, entry, &copy);

	return r < 0 ? r : merge_add(one->merge, one->layer, &copy);
}

static int lookup_in_parts(struct view *view, const struct view_node *dir, const char *name, struct merge *merge)
{
	for (size_t i = 0; i < dir->part_count && !merge->done; i++) {
		const struct part *part = &dir->parts[i];
		struct merge_one one = { merge, part->layer };
		struct layer_id layer = view->layers[part->layer];
		struct db *db = view->reading.db;
		int r = db ? layer_lookup_by(db, layer, part->dir, name, feed_merge, &one)
			   : layer_lookup(view->store, layer, part->dir, name, feed_merge, &one);

		if (r < 0 && r != -ENOENT)
			return r;
	}
	return merge->found ? 0 : -ENOENT;
}

static int lookup_child(struct view *view, struct view_node *dir, const char *name, struct view_node **ret)
{
	AUTO(merge_release) struct merge merge = { .view = view };
	bool found;
	size_t at = child_index(dir, name, &found);
	int r;

	if (found) {
		*ret = dir->children[at];
		return 0;
	}
	if (dir->complete)
		return -ENOENT;
	r = lookup_in_parts(view, dir, name, &merge);
	if (r < 0)
		return r;
	*ret = merge_node(&merge, dir);
	return *ret ? child_insert(dir, at, *ret) : -ENOMEM;
}

/* An entry of one part, while a directory is merged. */
struct raw {
	struct layer_entry entry; /* strings in the arena */
	size_t layer;
};

struct raw_list {
	struct view *view;
	struct raw *items; /* owned */
	size_t count, room;
	size_t layer; /* that is being scanned */
};

static void raw_list_release(struct raw_list *list)
{
	free(list->items);
}

static int collect_raw(const struct layer_entry *entry, void *arg)
{
	struct raw_list *list = arg;
	struct raw *raw;

	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 32;
		struct raw *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	raw = &list->items[list->count];
	raw->layer = list->layer;
	if (copy_entry(list->view, entry, &raw->entry) < 0)
		return -ENOMEM;
	list->count++;
	return 0;
}

static int raw_order(const void *a, const void *b)
{
	const struct raw *x = a, *y = b;
	int order = strcmp(x->entry.name, y->entry.name);

	if (order != 0)
		return order;
	return x->layer > y->layer ? -1 : x->layer < y->layer; /* the highest layer first */
}

/* The node of the name that @raw[0 .. count) share: the one that is known already, or a new one. NULL: hidden. */
static int node_of_group(struct view *view, struct view_node *dir, const struct raw *raw, size_t count,
			 struct view_node **ret)
{
	AUTO(merge_release) struct merge merge = { .view = view };
	bool found;
	size_t at = child_index(dir, raw[0].entry.name, &found);
	int r = 0;

	*ret = NULL;
	if (found) {
		*ret = dir->children[at];
		return 0;
	}
	for (size_t i = 0; i < count && !merge.done && r == 0; i++)
		r = merge_add(&merge, raw[i].layer, &raw[i].entry);
	if (r < 0 || !merge.found)
		return r;
	*ret = merge_node(&merge, dir);
	return *ret ? 0 : -ENOMEM;
}

static int merge_groups(struct view *view, struct view_node *dir, const struct raw_list *list)
{
	AUTO(freep) struct view_node **children = malloc((list->count + 1) * sizeof(struct view_node *));
	size_t count = 0;

	if (!children)
		return -ENOMEM;
	for (size_t i = 0, end; i < list->count; i = end) {
		struct view_node *node;
		int r;

		for (end = i + 1; end < list->count; end++)
			if (strcmp(list->items[i].entry.name, list->items[end].entry.name) != 0)
				break;
		r = node_of_group(view, dir, list->items + i, end - i, &node);
		if (r < 0)
			return r;
		if (node)
			children[count++] = node;
	}
	free(dir->children);
	dir->children = TAKE(children);
	dir->child_count = count;
	dir->child_room = list->count + 1;
	dir->complete = true;
	return 0;
}

static int complete_children(struct view *view, struct view_node *dir)
{
	AUTO(raw_list_release) struct raw_list list = { .view = view };

	if (dir->complete)
		return 0;
	for (size_t i = 0; i < dir->part_count; i++) {
		const struct part *part = &dir->parts[i];
		int r;

		list.layer = part->layer;
		r = layer_scan(view->store, view->layers[part->layer], part->dir, collect_raw, &list);
		if (r < 0)
			return r;
	}
	if (list.count > 0)
		qsort(list.items, list.count, sizeof(*list.items), raw_order);
	return merge_groups(view, dir, &list);
}

static int merge_root(struct view *view)
{
	AUTO(merge_release) struct merge merge = { .view = view };

	for (size_t i = view->layer_count; i > 0 && !merge.done; i--) {
		struct merge_one one = { &merge, i - 1 };
		int r = layer_root(view->store, view->layers[i - 1], feed_merge, &one);

		if (r < 0)
			return r;
	}
	if (!merge.found || !S_ISDIR(merge.entry.mode))
		return -EIO;
	view->root = merge_node(&merge, NULL);
	return view->root ? 0 : -ENOMEM;
}

static void image_info_releasep(struct image_info *info)
{
	image_info_release(info);
}

static int load_layers(struct view *view, struct image_id image, size_t layers, struct diag *diag)
{
	AUTO(image_info_releasep) struct image_info info = { 0 };
	int r = image_info(view->store, image, diag, &info);

	if (r < 0)
		return r;
	if (layers > info.layer_count)
		return diag_set(diag, -EINVAL, "the image has %zu layers, not %zu", info.layer_count, layers);
	if (info.layer_count == 0)
		return diag_set(diag, -EINVAL, "the image has no layers");
	view->layers = TAKE(info.layers);
	view->layer_count = layers ? layers : info.layer_count;
	return 0;
}

int view_open(struct store *store, struct image_id image, size_t layers, struct diag *diag, struct view **ret)
{
	AUTO(view_closep) struct view *view = calloc(1, sizeof(*view));
	int r;

	if (!view)
		return -ENOMEM;
	view->store = view->reading.store = store;
	r = load_layers(view, image, layers, diag);
	if (r < 0)
		return r;
	r = merge_root(view);
	if (r < 0)
		return diag_errno(diag, r, "cannot read the root directory of the image");
	*ret = TAKE(view);
	return 0;
}

void view_close(struct view *view)
{
	if (!view)
		return;
	for (struct view_node *node = view->nodes; node; node = node->next)
		free(node->children); /* the node itself is the arena's */
	while (view->chunks) {
		struct chunk *next = view->chunks->next;

		free(view->chunks);
		view->chunks = next;
	}
	free(view->layers);
	free(view);
}

void view_closep(struct view **view)
{
	int saved = errno;

	view_close(*view);
	errno = saved;
}

int view_read_begin(struct view *view)
{
	int r = view->store->shared ? 0 : db_loan_begin(&view->reading);

	if (view->reading.db && r == 0)
		r = db_exec(view->reading.db, "BEGIN");
	if (r < 0)
		db_loan_end(&view->reading);
	return r;
}

void view_read_end(struct view *view)
{
	if (view->reading.db)
		(void)db_exec(view->reading.db, "COMMIT");
	db_loan_end(&view->reading);
}

void view_mark(const struct view *view, struct view_mark *ret)
{
	*ret = (struct view_mark){ view->nodes, view->chunks, view->chunks ? view->chunks->used : 0 };
}

static void forget_children(struct view_node *dir)
{
	size_t kept = 0;

	for (size_t i = 0; i < dir->child_count; i++)
		if (!dir->children[i]->going)
			dir->children[kept++] = dir->children[i];
	dir->child_count = kept;
	dir->complete = false;
	dir->loses = false;
}

void view_go_back(struct view *view, const struct view_mark *mark)
{
	for (struct view_node *node = view->nodes; node != mark->node; node = node->next)
		node->going = true;
	for (struct view_node *node = view->nodes; node != mark->node; node = node->next)
		node->parent->loses = true;
	for (struct view_node *node = view->nodes; node != mark->node; node = node->next) {
		if (!node->parent->going && node->parent->loses)
			forget_children(node->parent);
		free(node->children);
	}
	view->nodes = mark->node;
	while (view->chunks != mark->chunk) {
		struct chunk *next = view->chunks->next;

		free(view->chunks);
		view->chunks = next;
	}
	if (view->chunks)
		view->chunks->used = mark->used;
}

const struct view_node *view_root(struct view *view)
{
	return view->root;
}

int view_child(struct view *view, const struct view_node *dir, const char *name, const struct view_node **ret)
{
	struct view_node *child;
	int r;

	if (!S_ISDIR(dir->entry.mode))
		return -ENOTDIR;
	/* const towards the caller, who sees the same tree whether its children are in memory or not */
	r = lookup_child(view, (struct view_node *)dir, name, &child);
	if (r == 0)
		*ret = child;
	return r;
}

int view_lookup(struct view *view, const char *path, const struct view_node **ret)
{
	const struct view_node *node = view->root;
	AUTO(freep) char *copy = strdup(path);
	char *rest = copy, *name;

	if (!copy)
		return -ENOMEM;
	while ((name = strsep(&rest, "/"))) {
		int r = *name ? view_child(view, node, name, &node) : 0;

		if (r < 0)
			return r;
	}
	*ret = node;
	return 0;
}

const struct layer_entry *view_entry(const struct view_node *node)
{
	return &node->entry;
}

size_t view_layer(const struct view_node *node)
{
	return node->layer;
}

struct layer_id view_layer_id(const struct view *view, size_t layer)
{
	return view->layers[layer];
}

bool view_same_tree(const struct view *a, const struct view_node *x, const struct view *b, const struct view_node *y)
{
	if (x->part_count == 0 || x->part_count != y->part_count ||
	    a->layers[x->layer].value != b->layers[y->layer].value || x->entry.no != y->entry.no)
		return false;
	for (size_t i = 0; i < x->part_count; i++)
		if (a->layers[x->parts[i].layer].value != b->layers[y->parts[i].layer].value ||
		    x->parts[i].dir != y->parts[i].dir)
			return false;
	return true;
}

int view_children(struct view *view, const struct view_node *dir, view_fn fn, void *arg)
{
	int r;

	if (!S_ISDIR(dir->entry.mode))
		return -ENOTDIR;
	r = complete_children(view, (struct view_node *)dir);
	for (size_t i = 0; r == 0 && i < dir->child_count; i++)
		r = fn(dir->children[i], arg);
	return r;
}
