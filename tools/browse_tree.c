// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_tree.h"

#include "store/base/auto.h"
#include "tools/treediff.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <search.h>
#include <string.h>

const struct layer_entry *browse_entry(const struct browse_node *node)
{
	return view_entry(node->new ? node->new : node->old);
}

bool browse_is_dir(const struct browse_node *node)
{
	return S_ISDIR(browse_entry(node)->mode);
}

size_t browse_node_layer(const struct browse_node *node)
{
	return view_layer(node->new ? node->new : node->old);
}

static void add_path(struct buf *path, const struct browse_node *node)
{
	if (!node->parent)
		return;
	add_path(path, node->parent);
	if (path->len > 0)
		buf_adds(path, "/");
	buf_adds(path, browse_entry(node)->name);
}

char *browse_path(const struct browse_node *node)
{
	struct buf path = { 0 };

	add_path(&path, node);
	return path.data ? ui_need(buf_take(&path)) : ui_need(strdup(""));
}

void browse_children_release(struct browse_node *node)
{
	for (size_t i = 0; i < node->child_count; i++)
		browse_children_release(&node->children[i]);
	free(node->children);
}

/* --- what is open --- */

static int path_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool open_by_path(const struct browse_tree *tree, const struct browse_node *node)
{
	if (!tree->exceptions)
		return tree->open_by_default;
	AUTO(freep) char *path = browse_path(node);
	return tree->open_by_default != (tfind(path, &tree->exceptions, path_order) != NULL);
}

void browse_tree_set_open(struct browse_tree *tree, struct browse_node *node, bool open)
{
	char *path = browse_path(node);
	void *found = tfind(path, &tree->exceptions, path_order);

	node->open = open;
	if (open != tree->open_by_default && !found) {
		ui_need(tsearch(path, &tree->exceptions, path_order));
		return;
	}
	if (open == tree->open_by_default && found) {
		char *kept = *(char **)found;

		tdelete(path, &tree->exceptions, path_order);
		free(kept);
	}
	free(path);
}

/* --- marks --- */

static bool is_dir(const struct view_node *node)
{
	return node && S_ISDIR(view_entry(node)->mode);
}

static int differs(struct browse_tree *tree, const struct view_node *old, const struct view_node *new, bool *ret);

/* Is there a difference in what is in both of two directories? */
static int differs_within(struct browse_tree *tree, const struct view_node *old, const struct view_node *new, bool *ret)
{
	AUTO(tree_children_release) struct tree_children before = { 0 }, after = { 0 };
	int r;

	*ret = false;
	if (view_same_tree(tree->old, old, tree->new, new))
		return 0;
	r = tree_children(tree->old, old, &before);
	if (r == 0)
		r = tree_children(tree->new, new, &after);
	if (r < 0)
		return r;
	*ret = before.count != after.count;
	for (size_t i = 0; !*ret && i < after.count; i++)
		*ret = strcmp(view_entry(before.nodes[i])->name, view_entry(after.nodes[i])->name) != 0;
	for (size_t i = 0; r == 0 && !*ret && i < after.count; i++)
		r = differs(tree, before.nodes[i], after.nodes[i], ret);
	return r;
}

static int differs(struct browse_tree *tree, const struct view_node *old, const struct view_node *new, bool *ret)
{
	unsigned what;
	int r = tree_compare(tree->store, tree->old, old, tree->new, new, &what);

	*ret = what != 0;
	if (r < 0 || *ret || !is_dir(old))
		return r;
	return differs_within(tree, old, new, ret);
}

bool browse_is_merged(const struct browse_node *node)
{
	return is_dir(node->new) && is_dir(node->old);
}

int browse_tree_mark(struct browse_tree *tree, struct browse_node *node)
{
	bool within = false;
	int r;

	if (!node->old || !node->new) {
		node->mark = node->new ? BROWSE_ADDED : BROWSE_REMOVED;
		return 0;
	}
	if (browse_is_merged(node) && view_same_tree(tree->old, node->old, tree->new, node->new)) {
		node->mark = BROWSE_SAME;
		return 0;
	}
	r = tree_compare(tree->store, tree->old, node->old, tree->new, node->new, &node->what);
	if (r == 0 && browse_is_merged(node))
		r = differs_within(tree, node->old, node->new, &within);
	node->mark = within || node->what & TREE_DATA ? BROWSE_CHANGED : node->what ? BROWSE_METADATA : BROWSE_SAME;
	return r;
}

/* --- children --- */

static int children_of(struct view *view, const struct view_node *node, struct tree_children *ret)
{
	return is_dir(node) ? tree_children(view, node, ret) : 0;
}

/* Whose turn it is in a walk over both lists, which are in byte order of their names. < 0: the old's, 0: both. */
static int side(const struct tree_children *old, size_t i, const struct tree_children *new, size_t j)
{
	if (i == old->count)
		return 1;
	if (j == new->count)
		return -1;
	return strcmp(view_entry(old->nodes[i])->name, view_entry(new->nodes[j])->name);
}

static size_t merged_count(const struct tree_children *old, const struct tree_children *new)
{
	size_t i = 0, j = 0, count = 0;

	for (; i < old->count || j < new->count; count++) {
		int order = side(old, i, new, j);

		i += order <= 0;
		j += order >= 0;
	}
	return count;
}

static void pair_children(struct browse_node *node, const struct tree_children *old, const struct tree_children *new)
{
	size_t i = 0, j = 0;

	for (size_t n = 0; n < node->child_count; n++) {
		struct browse_node *child = &node->children[n];
		int order = side(old, i, new, j);

		*child = (struct browse_node){ .parent = node, .depth = node->depth + 1 };
		if (order <= 0)
			child->old = old->nodes[i++];
		if (order >= 0)
			child->new = new->nodes[j++];
	}
}

int browse_tree_load(struct browse_tree *tree, struct browse_node *node)
{
	AUTO(tree_children_release) struct tree_children old = { 0 }, new = { 0 };
	int r = 0;

	if (node->loaded || !browse_is_dir(node))
		return 0;
	/* What is the same in both, with all in it, is not read twice. */
	bool same = node->old && node->new &&
		    (node->old == node->new || view_same_tree(tree->old, node->old, tree->new, node->new));
	r = children_of(tree->new, node->new, &new);
	if (r == 0 && !same)
		r = children_of(tree->old, node->old, &old);
	if (r < 0)
		return r;
	node->child_count = merged_count(&old, &new);
	node->children = ui_need(calloc(node->child_count + 1, sizeof(*node->children)));
	pair_children(node, &old, &new);
	for (size_t i = 0; r == 0 && i < node->child_count; i++) {
		struct browse_node *child = &node->children[i];

		if (same)
			child->old = child->new;
		else
			r = browse_tree_mark(tree, child);
		child->open = browse_is_dir(child) && open_by_path(tree, child);
	}
	node->loaded = r == 0;
	if (r < 0) {
		free(TAKE(node->children));
		node->child_count = 0;
	}
	return r;
}

void browse_tree_open_all(struct browse_tree *tree, bool open)
{
	tdestroy(TAKE(tree->exceptions), free);
	tree->open_by_default = open;
}
