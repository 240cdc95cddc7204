/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_SEEK_H
#define NACRE_FS_SEEK_H

/* SEEK_DATA and SEEK_HOLE where the kernel may hold data that it has not written yet (seek.c). */

#include "fs/ops.h"

struct seek {
	struct mount *mount; /* borrowed */
	struct fs *fs;	     /* borrowed: of the node */
	struct node *node;   /* borrowed: the kernel knows it until it has the answer */
	fuse_req_t req;
	fuse_ino_t ino;
	off_t offset;
	int whence;
	/** answers @req; called once, by any thread */
	void (*done)(fuse_req_t req, off_t result);
};

/** seek_start() - answer from the backing file at once if it has data there, else later. */
void seek_start(const struct seek *seek);

#endif
