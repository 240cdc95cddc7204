/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LAYERTREES_H
#define NACRE_FS_LAYERTREES_H

/* The trees of layers that are each shown by itself, in a mount of the layer store: layertrees.c. */

#include "fs/ops.h"
#include "store/layer.h"

struct layertrees;

/**
 * layertrees_new() - of the store in folder @dir
 * @mount: borrowed; has trees
 *
 * In the end: layertrees_stop() while requests are served, or nobody can send any; trees_free(); layertrees_free().
 *
 * Return: 0; an error of store_open(), with diag.
 */
int layertrees_new(const char *dir, struct mount *mount, struct diag *diag, struct layertrees **ret);
void layertrees_stop(struct layertrees *lt);
void layertrees_free(struct layertrees *lt);

/** layertrees_store() - borrowed. */
struct store *layertrees_store(const struct layertrees *lt);

enum { PLACE_MAX = 96 };

/* Where a tree is shown, as "diff". */
struct shown_layer {
	struct layer_info info;
	fuse_ino_t parent;     /* never another's */
	char place[PLACE_MAX]; /* its name below the mount's root; only if it is not for good */
	bool for_good;	       /* its lease is for as long as the mount */
	unsigned tree;	       /* a hint; 0 at first; guarded by the lock of the trees */
};

/**
 * layertrees_enter() - the root of the tree of @layer
 *
 * Any thread, within the gate.
 * Return: 0, a lookup is counted; -ENOENT: it went; -ENFILE: there are too many trees; ... .
 */
int layertrees_enter(struct layertrees *lt, struct shown_layer *layer, struct fuse_entry_param *ret);

/** layertrees_forget() - so many lookups of a node of a tree. */
void layertrees_forget(struct layertrees *lt, fuse_ino_t ino, uint64_t lookups);

#endif
