/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LIVE_H
#define NACRE_FS_LIVE_H

/* The upper of a mount in use becomes a lower, and a fresh one takes its place (live.c). */

#include "fs/fs.h"

/**
 * fs_switch_upper() - the folder that now has the name which the upper was mounted by becomes the upper
 * @ret_pause_ns: for how long requests had to wait
 *
 * It is empty, and in the same folder as the present upper, which was renamed there and is
 * not written to any more when this returns.  If it is the present upper, nothing happens.
 * Not within fs_enter().
 *
 * Return: 0; -EROFS: there is no upper; -EOPNOTSUPP: the lowers are not of a store; -ENOENT: no such folder;
 * -ENOTEMPTY; -EBUSY: a request took too long; -EMFILE: too often; ... .  Then all is as it was.
 */
int fs_switch_upper(struct fs *fs, uint64_t *ret_pause_ns);

/**
 * live_names() - names that an inode of several has in an upper that has become a lower, if memory has not all of them
 * @fn: gets each as a path from the root of the tree, "usr/bin/perl"; its value other than 0 ends it
 *
 * Reads the whole folder.  No lock is held.
 */
int live_names(struct fs *fs, struct node *node, int (*fn)(const char *path, void *arg), void *arg);

#endif
