/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LAYERSTORE_H
#define NACRE_FS_LAYERSTORE_H

/* A store's layers in the form of an additional layer store of containers/storage, and its images: layerstore.c. */

#include "fs/ops.h"
#include "store/layer.h"

struct layerstore;

/**
 * layerstore_new() - of the store in folder @dir
 * @mount: borrowed; has trees
 *
 * Return: 0; an error of store_open(), with diag.
 */
int layerstore_new(const char *dir, struct mount *mount, struct diag *diag, struct layerstore **ret);
void layerstore_free(struct layerstore *ls);

/* A layer that is shown by itself; zero but for @info at first. */
struct shown_layer {
	struct layer_info info;
	unsigned tree; /* 0: not made yet */
	char image[DIGEST_TEXT_BYTES];
	struct fs_options options;
};
/**
 * layerstore_enter() - the root of the tree of @layer, which stays as long as @ls
 *
 * Any thread. An image that has the layer is leased from then on.
 * Return: 0, a lookup is counted; -ENOENT: it went; -ENFILE: there are too many trees; ... .
 */
int layerstore_enter(struct layerstore *ls, struct shown_layer *layer, struct fuse_entry_param *ret);

/** layerstore_ops() - the handlers of such a mount, whose struct mount has a layerstore. */
void layerstore_ops(struct fuse_lowlevel_ops *ret);

#endif
