/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_TREE_H
#define NACRE_TOOLS_BROWSE_TREE_H

/*
 * Two merged trees of one image as one: each node is a name in one or both of
 * them, the one that is shown (new) and the one it is compared with (old).
 *
 * Functions that return int give 0 or -errno of the store.
 */

#include "store/view.h"

#include <stdbool.h>

enum browse_mark {
	BROWSE_SAME,
	BROWSE_ADDED,
	BROWSE_CHANGED,	 /* in what a reader notices; of a directory: something in it has a mark */
	BROWSE_METADATA, /* in mode, owner, time or extended attributes only */
	BROWSE_REMOVED,	 /* shown as it was before */
	BROWSE_MARKS,
};

struct browse_node {
	/* Either may be NULL, never both; borrowed from the tree's views. */
	const struct view_node *new, *old;
	struct browse_node *parent;   /* NULL: the root */
	struct browse_node *children; /* owned; in byte order of names */
	size_t child_count;
	size_t row; /* where it is in browse_model.rows, if it is shown */
	unsigned depth;
	unsigned what; /* enum tree_change_what, of what is on both sides */
	enum browse_mark mark;
	bool loaded; /* children are read */
	bool open;   /* of a directory, as the user has it */
	bool folded; /* of a directory, while there is a filter: the user shut it */
	bool match;  /* while there is a filter: it or something in it is what was asked for */
	bool last;   /* no row of the same folder follows */
};

/*
 * Which folders are open is kept by path, since nodes go with their layer: as a default and the exceptions from it,
 * so that to open all is cheap.
 */
struct browse_tree {
	struct store *store;	/* borrowed */
	struct view *new, *old; /* borrowed; @old NULL: an empty tree */
	bool open_by_default;
	void *exceptions; /* owned: a tsearch(3) tree of owned paths; browse_tree_open_all() gives it back */
};

/** browse_tree_mark() - set the node's mark and what is different */
int browse_tree_mark(struct browse_tree *tree, struct browse_node *node);
/** browse_tree_load() - read a directory's children, with their marks; nothing to do where that is done */
int browse_tree_load(struct browse_tree *tree, struct browse_node *node);
void browse_children_release(struct browse_node *node);

void browse_tree_set_open(struct browse_tree *tree, struct browse_node *node, bool open);
/** browse_tree_open_all() - the default from now on, without exceptions; nodes that are there stay as they are. */
void browse_tree_open_all(struct browse_tree *tree, bool open);

/** browse_entry() - what is shown of it: the new entry, or the old one of what was removed. */
const struct layer_entry *browse_entry(const struct browse_node *node);
bool browse_is_dir(const struct browse_node *node);
/** browse_node_layer() - the layer that its entry is in; 0 is the lowest. */
size_t browse_node_layer(const struct browse_node *node);
/** browse_path() - from the root, without a leading '/'; a string to free(). */
char *browse_path(const struct browse_node *node);

/** browse_is_merged() - is it a directory on both sides? */
bool browse_is_merged(const struct browse_node *node);

#endif
