/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_TREEDIFF_H
#define NACRE_TOOLS_TREEDIFF_H

/* What two merged trees of one store differ in. */

#include "store/view.h"

enum tree_change_what {
	TREE_TYPE = 1 << 0, /* it is another kind of file */
	TREE_CONTENT = 1 << 1,
	TREE_TARGET = 1 << 2, /* of a symlink, or the number of a device */
	TREE_MODE = 1 << 3,
	TREE_OWNER = 1 << 4,
	TREE_TIME = 1 << 5,
	TREE_XATTRS = 1 << 6,
	/* What a reader of the file notices; the rest is metadata. */
	TREE_DATA = TREE_TYPE | TREE_CONTENT | TREE_TARGET,
};

struct tree_change {
	const char *path;		     /* from the root, with a leading '/'; borrowed for the call */
	const struct layer_entry *old, *new; /* NULL: there is none; both: it was changed */
	unsigned what;			     /* enum tree_change_what, where both are there */
	uint64_t old_bytes, new_bytes;	     /* of a regular file; of a deleted directory, of all in it */
};

/** Return 0 to go on, another value to stop: it is passed on. */
typedef int (*tree_change_fn)(const struct tree_change *change, void *arg);

/**
 * tree_compare() - what two entries differ in, in themselves: not what is in them
 * @ret: enum tree_change_what; 0: nothing
 *
 * Two contents of one size that the store keeps apart are read.  Return: 0; -errno of the store.
 */
int tree_compare(struct store *store, struct view *old, const struct view_node *old_node, struct view *new,
		 const struct view_node *new_node, unsigned *ret);

/**
 * tree_diff() - each path that is not the same, in the order of a walk
 * @old: NULL: an empty tree; both views are of @store
 *
 * What is in an added directory is told too, what was in a deleted one is not.  A directory that is made
 * of the same layers in both is not entered.  Return: 0; what @fn returned; -errno of the store.
 */
int tree_diff(struct store *store, struct view *old, struct view *new, tree_change_fn fn, void *arg);

#endif
