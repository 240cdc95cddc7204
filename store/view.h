/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_VIEW_H
#define NACRE_STORE_VIEW_H

/*
 * The merged tree of an image, read from the index without a mount.  What the
 * driver shows and what a view shows is the same tree.
 */

#include "store/layer.h"

struct view;	  /* borrows the store; one thread at a time */
struct view_node; /* one merged inode; owned by its view, valid until view_close() or view_go_back() */

/** view_open() - of the first @layers layers of an image; 0: all. */
int view_open(struct store *store, struct image_id image, size_t layers, struct diag *diag, struct view **ret);
void view_close(struct view *view);
void view_closep(struct view **view);

/** view_root(), view_lookup() - @path is relative to the root, "" is the root; symlinks are not
 * followed. -ENOENT, -ENOTDIR. */
const struct view_node *view_root(struct view *view);
int view_lookup(struct view *view, const char *path, const struct view_node **ret);

/** view_child() - one child of a directory, by its name. -ENOENT, -ENOTDIR. */
int view_child(struct view *view, const struct view_node *dir, const char *name, const struct view_node **ret);

/**
 * view_read_begin(), view_read_end() - many children are looked up by name between them: in one transaction, since one
 * for each lookup costs as much as the lookup
 *
 * They do not nest.  For a while, and with nothing in it that waits: so long the index may not be checkpointed.
 */
int view_read_begin(struct view *view);
void view_read_end(struct view *view);

/** The entry that is seen, and the layer it comes from (0 is the lowest). */
const struct layer_entry *view_entry(const struct view_node *node);
size_t view_layer(const struct view_node *node);
struct layer_id view_layer_id(const struct view *view, size_t layer);

/**
 * view_same_tree() - are both directories made of the same layers' directories, so that all in them is the same?
 *
 * Of two views of one store.  False says nothing.
 */
bool view_same_tree(const struct view *a, const struct view_node *x, const struct view *b, const struct view_node *y);

/** view_children() - merged children in byte order of names. */
typedef int (*view_fn)(const struct view_node *child, void *arg);
int view_children(struct view *view, const struct view_node *dir, view_fn fn, void *arg);

/**
 * view_mark(), view_go_back() - forget every node that was made since the mark, and give its memory back
 *
 * For walks: with a mark before each directory and the way back after it, a walk over a tree of any size needs
 * memory for the directories above it only.  Marks are gone back to in the opposite order; each once.
 */
struct view_mark {
	struct view_node *node;
	struct chunk *chunk;
	size_t used;
};
void view_mark(const struct view *view, struct view_mark *ret);
void view_go_back(struct view *view, const struct view_mark *mark);

#endif
