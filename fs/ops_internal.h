/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_OPS_INTERNAL_H
#define NACRE_FS_OPS_INTERNAL_H

/* What the files of handlers share. */

#include "fs/ops.h"
#include "fs/trees.h"

static inline struct mount *mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The tree that the node is of. */
static inline struct fs *fs_of(fuse_req_t req, fuse_ino_t ino)
{
	return trees_number(ino) ? trees_get(mount_of(req)->trees, trees_number(ino)) : mount_of(req)->fs;
}

static inline struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs_root(mount_of(req)->fs) : trees_node(ino);
}

/** ops_outside_group() - setgid without the group's right to execute goes with a change by somebody who is not in it. */
bool ops_outside_group(fuse_req_t req, fuse_ino_t ino);

/* --- ops_data.c --- */

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset, struct fuse_file_info *in_fi, fuse_ino_t out,
			off_t out_offset, struct fuse_file_info *out_fi, size_t len, int flags);

#endif
