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
 * listing_asked() - the kernel asks for attributes of @ino, which it knows, or for its content
 *
 * With its write-back cache it drops what it knows of a file whenever that is closed, and asks again, file by file, where the
 * file is opened: all of a folder's are told by one listing, if only it asks for that.  So it is made to.
 * @untold: for attributes of a file, which a listing would have told
 */
void listing_asked(struct mount *mount, fuse_ino_t ino, bool untold);

/** listing_let_go() - keep no node for what is to be asked for, or to be dropped, later. Called by requests. */
void listing_let_go(struct mount *mount);
/** listing_release() - the same of what is to be dropped, when no request is served any more and the kernel keeps nothing. */
void listing_release(struct mount *mount);

#endif
