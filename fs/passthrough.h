/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_PASSTHROUGH_H
#define NACRE_FS_PASSTHROUGH_H

/* io=passthrough: what is open, and which file the kernel uses in a node's place. */

#include "fs/ops.h"

struct opens;

/** opens_new() - NULL: out of memory. */
struct opens *opens_new(void);
void opens_free(struct opens *opens);

/** passthrough_refusal() - why this process could not have it; NULL: it can, as far as can be told before mounting. */
const char *passthrough_refusal(void);

/**
 * passthrough_is_stacked() - is any layer on a file system that stands on another itself?
 *
 * Then the kernel has to allow for one more; where it does, no overlayfs can stand on this mount.
 */
bool passthrough_is_stacked(const struct fs_options *options);

/**
 * passthrough_open() - an OPEN (or a TMPFILE) is going to be answered
 * @write_flags: enum fs_write_flags, for O_TRUNC
 * @fi: its flags tell what for; the rest is filled in
 *
 * No lock is held.  passthrough_release() has to follow, when the kernel closes the file or does not take the answer.
 * Return: 0; -errno: it cannot be opened so.
 */
int passthrough_open(struct mount *mount, fuse_ino_t ino, struct node *node, unsigned write_flags,
		     struct fuse_file_info *fi);
/** passthrough_release() - @fh: as in @fi of passthrough_open(). */
void passthrough_release(struct mount *mount, uint64_t fh);

#endif
