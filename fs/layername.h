/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LAYERNAME_H
#define NACRE_FS_LAYERNAME_H

#include "fs/internal.h"

/* Answered, not stored: what a file on disk has by this name neither shows nor is copied up. */
#define LAYER_XATTR "user.nacre.layer"

bool is_layer_xattr(const char *name);

/**
 * layer_xattr_get() - the topmost layer that has @node: "upper", a store layer's diff ID, a lower's path as it was given
 *
 * names_lock is held.  Return: bytes; -ERANGE; -ENODATA: it has no place in any (it was removed).
 */
ssize_t layer_xattr_get(const struct fs *fs, struct node *node, void *value, size_t bytes);

#endif
