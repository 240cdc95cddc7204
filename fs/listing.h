/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LISTING_H
#define NACRE_FS_LISTING_H

/* The answers to READDIR and READDIRPLUS. */

#include "fs/ops.h"

#define LISTING_END UINT64_MAX

/**
 * listing_make() - of the folder @dir, from @offset on
 * @plus: for READDIRPLUS: each name but "." and ".." counts as looked up
 * @buf: of @room bytes
 * @ret_next: where the listing goes on; LISTING_END: there is nothing more, as the next call would say by an empty answer
 *
 * Return: bytes in @buf, 0 at the end; -errno.  What an error leaves out comes with the next call, and its error.
 */
ssize_t listing_make(const struct mount *mount, fuse_ino_t dir, char *buf, size_t room, uint64_t offset, bool plus,
		     uint64_t *ret_next);

#endif
