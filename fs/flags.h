/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_FLAGS_H
#define NACRE_FS_FLAGS_H

/* Inode flags that keep a file from being changed, and birth times. */

#include "fs/internal.h"

enum { NO_BIRTH = -1 }; /* in tv_nsec: the time is not known */

/* What a file has beside the attributes that stat(2) knows. */
struct node_extra {
	struct timespec birth;
	unsigned protection; /* FS_IMMUTABLE_FL, FS_APPEND_FL */
};
/** node_extra() - of any node. No lock is held but a directory's. */
int node_extra(struct fs *fs, struct node *node, struct node_extra *ret);
/** extra_copy() - give the copy @name in @dirfd the protection of what it was copied from. */
int extra_copy(struct fs *fs, const struct node_extra *extra, int dirfd, const char *name);
/**
 * node_may_change(), node_may_grow() - -EPERM: it is immutable or, for the first, append-only
 *
 * A directory grows by a new name, a file by data at its end; anything else is a change.  names_lock is not held.
 */
int node_may_change(struct fs *fs, struct node *node);
int node_may_grow(struct fs *fs, struct node *node);
bool node_is_append_only(struct fs *fs, struct node *node);
/** append_check() - -EPERM: writing @data there would change what file @fd has. */
int append_check(int fd, const void *data, size_t bytes, off_t offset);

#endif
