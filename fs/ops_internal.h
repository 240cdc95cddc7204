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
static inline struct fs *mount_tree(const struct mount *mount, fuse_ino_t ino)
{
	return trees_number(ino) ? trees_get(mount->trees, trees_number(ino)) : mount->fs;
}
static inline struct fs *fs_of(fuse_req_t req, fuse_ino_t ino)
{
	return mount_tree(mount_of(req), ino);
}

static inline struct node *mount_node(const struct mount *mount, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs_root(mount->fs) : trees_node(ino);
}
/* The number of @node, which is of the same tree as @near. */
static inline fuse_ino_t mount_ino(const struct mount *mount, fuse_ino_t near, const struct node *node)
{
	if (trees_number(near) == 0 && mount->fs && node == fs_root(mount->fs))
		return FUSE_ROOT_ID;
	return trees_ino(trees_number(near), node);
}
static inline struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return mount_node(mount_of(req), ino);
}

/* --- ops.c: what both kinds of mount answer alike --- */

void op_init(void *userdata, struct fuse_conn_info *conn);
/** op_never() - not sent again after the first answer; see the top of ops.c. op_create(): the same. */
void op_never(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void ops_reply_stats(fuse_req_t req, bool json, size_t room);
void ops_reply_xattr(fuse_req_t req, ssize_t n, const char *buf, size_t size);

/** ops_fill() - what the kernel is told of @entry. @near: a node of the same tree. */
void ops_fill(const struct mount *mount, fuse_ino_t near, const struct fs_entry *entry, struct fuse_entry_param *e);

/** ops_telling() - before an answer with the attributes of @ino, or of what is in that folder, is made: see told.c. */
static inline void ops_telling(fuse_req_t req, fuse_ino_t ino)
{
	told_note_at(&mount_of(req)->told, (uint32_t)fuse_req_ctx(req)->pid, ino);
}

/** ops_outside_group() - setgid without the group's right to execute goes with a change by somebody who is not in it. */
bool ops_outside_group(fuse_req_t req, fuse_ino_t ino);

/** ops_may_ask() - is it who mounted, or root? */
bool ops_may_ask(fuse_req_t req);

/**
 * control_ioctl() - an ioctl on the root, @in: of @in_bytes, what came with it
 * Return: was it one of those of control.h?  Then it is answered, now or later.
 */
bool control_ioctl(fuse_req_t req, unsigned cmd, const void *in, size_t in_bytes, size_t out_bytes);

/* --- listing.c --- */

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);

/* --- ops_data.c --- */

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/** ops_read() - answer with what @node of @fs has there. */
void ops_read(fuse_req_t req, struct fs *fs, struct node *node, size_t size, off_t offset);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset, struct fuse_file_info *in_fi, fuse_ino_t out,
			off_t out_offset, struct fuse_file_info *out_fi, size_t len, int flags);

#endif
