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

/**
 * listing_asked() - the kernel asks for attributes or content of @ino, which it knows
 *
 * With its write-back cache it drops what it knows of a file whenever that is closed, and asks again, file by file, where the
 * file is opened: all of a folder's are told by one listing, if only it asks for that.  So it is made to.
 */
void listing_asked(const struct mount *mount, fuse_ino_t ino);

#endif
