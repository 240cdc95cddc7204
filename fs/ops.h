/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_OPS_H
#define NACRE_FS_OPS_H

/* The FUSE side of the driver: requests in, replies out. */

#include "fs/fs.h"

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>

/* What the handlers work on; their userdata. */
struct mount {
	struct fs *fs;	/* borrowed */
	double timeout; /* seconds the kernel may keep what it was told */
	bool writeback;
	bool posix_acl;
};

extern const struct fuse_lowlevel_ops nacrefs_ops;

#endif
