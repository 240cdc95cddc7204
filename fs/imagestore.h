/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_IMAGESTORE_H
#define NACRE_FS_IMAGESTORE_H

/* A store's images in the form of an additional image store of containers/storage, a part of a layer store's mount: imagestore.c. */

#include "fs/layertrees.h"

#include <sys/stat.h>

struct store;
struct imagestore;

/** imagestore_new() - @layers, @store: borrowed. Return: 0; an error of the index. */
int imagestore_new(struct layertrees *layers, struct store *store, struct imagestore **ret);
void imagestore_free(struct imagestore *is);

/** imagestore_has() - is this one of its nodes? They are below 2^48, and no address is as low. */
bool imagestore_has(fuse_ino_t ino);

/* All of these: any thread; may block on disk; 0 or -errno. @ino: a node of it. */

/** imagestore_lookup() - @parent: a node of it, or the mount's root. -ENOENT. A lookup is counted: imagestore_forget(). */
int imagestore_lookup(struct imagestore *is, fuse_ino_t parent, const char *name, struct fuse_entry_param *ret);
void imagestore_forget(struct imagestore *is, fuse_ino_t ino, uint64_t lookups);
int imagestore_stat(struct imagestore *is, fuse_ino_t ino, struct stat *ret);
/** imagestore_read() - of a file. Return: how many bytes; 0: the end. */
ssize_t imagestore_read(struct imagestore *is, fuse_ino_t ino, char *buf, size_t size, off_t offset);
/** imagestore_link() - where a symlink leads; to free(): who has read it may let the kernel forget the node. */
int imagestore_link(struct imagestore *is, fuse_ino_t ino, char **ret);
/** imagestore_names() - of a folder: NUL-terminated, one after the other, without "." and ".."; to free() */
int imagestore_names(struct imagestore *is, fuse_ino_t ino, char **ret, size_t *ret_bytes);

#endif
