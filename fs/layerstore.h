/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LAYERSTORE_H
#define NACRE_FS_LAYERSTORE_H

/* A store's layers in the form of an additional layer store of containers/storage, and its images: layerstore.c. */

#include "fs/ops.h"

struct layerstore;

/**
 * layerstore_new() - of the store in folder @dir
 * @mount: borrowed; has trees
 *
 * Return: 0; an error of store_open(), with diag.
 */
int layerstore_new(const char *dir, struct mount *mount, struct diag *diag, struct layerstore **ret);
void layerstore_free(struct layerstore *ls);

/** layerstore_stop() - before the session is unmounted, while requests are served, or nobody can send any. */
void layerstore_stop(struct layerstore *ls);

/** layerstore_ops() - the handlers of such a mount, whose struct mount has a layerstore. */
void layerstore_ops(struct fuse_lowlevel_ops *ret);

#endif
