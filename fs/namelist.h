/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_NAMELIST_H
#define NACRE_FS_NAMELIST_H

/* A listing of names alone. */

#include "fs/ops.h"

/**
 * namelist_reply() - answer a READDIR or (@plus) READDIRPLUS, of @size at @offset
 * @names: NUL-terminated, one after the other, of @bytes; "." and ".." come before them
 *
 * Without nodes: they are looked up when they are wanted.
 */
void namelist_reply(fuse_req_t req, fuse_ino_t ino, const char *names, size_t bytes, size_t size, off_t offset,
		    bool plus);

#endif
