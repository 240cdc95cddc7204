/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_OPS_H
#define NACRE_FS_OPS_H

/* The FUSE side of the driver: requests in, replies out. */

#include "fs/fs.h"
#include "fs/told.h"

#include <pthread.h>

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>

enum {
	READ_BUFFER_BYTES = 1024 * 1024,
	MAX_WRITE_BYTES = 1024 * 1024,
	SPLICE_MIN_BYTES = 64 * 1024,
	SPLICE_MAX_BYTES = 512 * 1024, /* a pipe's limit is 1 MiB unless somebody changed it */
};

/* What the handlers work on; their userdata. */
struct mount {
	struct fs *fs;			 /* borrowed; the tree of number 0; NULL: it is a forest */
	struct trees *trees;		 /* owned; NULL: there are no others */
	struct forest *forest;		 /* borrowed */
	struct stats *stats;		 /* borrowed from the one or the other */
	struct fuse_session *session;	 /* borrowed */
	struct baseviews *baseviews;	 /* owned; NULL: nobody may ask for one */
	struct layerstore *layerstore;	 /* owned; NULL: it is no additional layer store */
	struct fs_options layer_options; /* of its trees */
	_Atomic unsigned readers;	 /* threads that read requests, or are on their way to (loop.c) */
	_Atomic uint64_t writes_done;	 /* WRITE requests that were answered */
	_Atomic uint64_t later_done;	 /* those that mount_later_taken() counts that were answered */
	struct jobs *jobs;		 /* owned: they may wait until the mount is gone */
	struct jobs *controls;		 /* owned: they end while it is there (control.c) */
	struct opens *opens;		 /* owned; NULL: opening is not heard of */
	struct ahead *ahead;		 /* owned; NULL: no listing is made before it is asked for */
	_Atomic uint64_t changes;	 /* requests so far that may change something (ahead.c) */
	_Atomic unsigned changing;	 /* those of them that are being served */
	_Atomic fuse_ino_t outworn; /* a folder whose listing the kernel is still to drop, a lookup is counted; 0 */
	_Atomic fuse_ino_t dropped_late; /* the last that was dropped too late, as a hint (listing.c) */
	struct told told;		 /* and who was told attributes, as long as that may matter */
	struct rings *rings;		 /* owned; NULL: requests come through the device */
	double timeout;			 /* seconds the kernel may keep what it was told */
	bool lasting;			 /* for ever: nothing changes without a request */
	unsigned max_read;		 /* as it was mounted with; 0: without */
	bool writeback;
	bool posix_acl;
	bool passthrough;	   /* asked for; after INIT: and granted */
	bool stacked;		   /* layers are on file systems that stand on others */
	bool splice;		   /* answers may come through a pipe */
	pthread_key_t read_buffer; /* of each thread, READ_BUFFER_BYTES; see op_read() */
};

extern const struct fuse_lowlevel_ops nacrefs_ops;
/** The same for a mount of several trees. */
extern const struct fuse_lowlevel_ops forest_ops;

/** mount_writes_taken() - how many WRITE requests have come so far. */
uint64_t mount_writes_taken(const struct mount *mount);
/** mount_later_taken() - how many that the kernel may have let wait before it sent them. */
uint64_t mount_later_taken(const struct mount *mount);
/** mount_answered() - a request of this kind was. For kinds that are answered by who takes them. */
void mount_answered(struct mount *mount, uint32_t opcode);
/** mount_describe() - what is counted of its work, as text or as JSON. */
void mount_describe(const struct mount *mount, bool json, struct buf *ret);

#endif
