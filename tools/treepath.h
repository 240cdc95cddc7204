/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_TREEPATH_H
#define NACRE_TOOLS_TREEPATH_H

/* Paths within an image, without a mount: symlinks are followed as a process whose root it is would. */

#include "store/view.h"

/**
 * tree_resolve() - what @path names; absolute or not, it starts at the image's root
 * @follow: also a symlink at the very end
 * @ret_path: the path without symlinks and without a leading '/'; a string to free()
 *
 * Return: 0; -ENOENT; -ENOTDIR; -ELOOP.
 */
int tree_resolve(struct view *view, const char *path, bool follow, const struct view_node **ret, char **ret_path);

/* A folder's children, all at once: a view serves one walk over a folder at a time. */
struct tree_children {
	const struct view_node **nodes; /* owned; each borrowed from the view, in byte order of names */
	size_t count, room;
};

/** tree_children() - Return: 0; -ENOTDIR; -errno of the store. */
int tree_children(struct view *view, const struct view_node *dir, struct tree_children *ret);
void tree_children_release(struct tree_children *children);

#endif
