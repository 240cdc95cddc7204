/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_SEEK_H
#define NACRE_FS_SEEK_H

/* SEEK_DATA and SEEK_HOLE where the kernel may hold data that it has not written yet (seek.c). */

#include "fs/ops.h"

struct seeks;

struct seeks *seeks_new(void);
/** seeks_free() - waits until all that were started have been answered; NULL is fine. */
void seeks_free(struct seeks *seeks);

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
void seek_start(struct seeks *seeks, const struct seek *seek);

#endif
