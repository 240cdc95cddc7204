/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/forest.h"
#include "fs/layername.h"
#include "fs/ops_internal.h"

/*
 * The FUSE side of a mount of several trees: what ops.c is to one.
 *
 * Nothing can be changed in it, so that the kernel sends few kinds of requests.  What is in a tree it may keep for
 * ever, which places there are and which trees it asks each time: images come and go.
 */

#include "fs/stats.h"
#include "store/base/auto.h"

#include <errno.h>
#include <stdlib.h>

static struct forest *forest_of(fuse_req_t req)
{
	return mount_of(req)->forest;
}

/* Listings of places are kept by the kernel too, as long as the time of the folder is the same: it is to ask for that. */
static void forest_op_init(void *userdata, struct fuse_conn_info *conn)
{
	op_init(userdata, conn);
	fuse_set_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
}

static void fill(const struct mount *mount, const struct forest_entry *entry, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = entry->id,
		.attr = entry->st,
		.attr_timeout = entry->lasting ? mount->timeout : 0,
		.entry_timeout = entry->lasting ? mount->timeout : 0,
	};
}

static void forest_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *mount = mount_of(req); /* the answer frees the request */
	struct fuse_entry_param e = { .entry_timeout = mount->timeout };
	struct forest_entry entry;
	int r = forest_lookup(mount->forest, parent, name, &entry);

	/* In a tree a name that is not there never will be. */
	if (r == -ENOENT && parent >> FOREST_NODE_BITS) {
		fuse_reply_entry(req, &e);
		return;
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	fill(mount, &entry, &e);
	if (fuse_reply_entry(req, &e) < 0)
		forest_forget(mount->forest, entry.id, 1);
}

static void forest_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	forest_forget(forest_of(req), ino, lookups);
	fuse_reply_none(req);
}

static void forest_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forest_forget(forest_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void forest_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	bool lasting;
	struct stat st;
	int r = forest_getattr(forest_of(req), ino, &st, &lasting);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, lasting ? mount_of(req)->timeout : 0);
}

/* As op_access(): asked where the kernel checks no permissions. */
static void forest_op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	bool lasting;
	struct stat st;
	int r = mask & X_OK ? forest_getattr(forest_of(req), ino, &st, &lasting) : 0;

	if (r == 0 && mask & X_OK && S_ISREG(st.st_mode) && !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		r = -EACCES;
	fuse_reply_err(req, -r);
}

static void forest_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	AUTO(freep) char *target = NULL;
	struct forest_visit visit;
	int r = forest_enter(forest_of(req), ino, &visit);

	if (r == 0) {
		r = fs_readlink(visit.fs, visit.node, &target);
		forest_leave(&visit);
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, target);
}

static void forest_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct forest_visit visit;
	int r = forest_enter(forest_of(req), ino, &visit);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	ops_read(req, visit.fs, visit.node, size, offset);
	forest_leave(&visit);
}

static void forest_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
			    unsigned flags, const void *in, size_t in_bytes, size_t out_bytes)
{
	if (cmd == STATS_IOC_TEXT || cmd == STATS_IOC_JSON)
		ops_reply_stats(req, cmd == STATS_IOC_JSON, out_bytes);
	else
		fuse_reply_err(req, ENOTTY);
}

/* --- listings --- */

struct listing {
	fuse_req_t req;
	char *buf; /* owned by the caller */
	size_t room, used;
	bool plus;
};

static bool list_entry(const char *name, const struct forest_entry *entry, uint64_t cookie, void *arg)
{
	struct listing *l = arg;
	size_t left = l->room - l->used, need;
	struct fuse_entry_param e;

	fill(mount_of(l->req), entry, &e);
	if (l->plus)
		need = fuse_add_direntry_plus(l->req, l->buf + l->used, left, name, &e, (off_t)cookie);
	else
		need = fuse_add_direntry(l->req, l->buf + l->used, left, name, &entry->st, (off_t)cookie);
	if (need > left)
		return false;
	l->used += need;
	return true;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	AUTO(freep) char *buf = malloc(size);
	struct listing l = { .req = req, .buf = buf, .room = size, .plus = plus };
	int r = buf ? forest_readdir(forest_of(req), ino, (uint64_t)offset, plus, list_entry, &l) : -ENOMEM;

	if (r < 0 && l.used == 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, buf, l.used);
}

static void forest_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, false);
}

static void forest_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, true);
}

/* --- xattrs: some tree may have one, so the kernel is never told that there are none --- */

static void forest_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	AUTO(freep) char *buf = size ? malloc(size) : NULL;
	struct forest_visit visit;
	ssize_t n;

	if (size && !buf)
		n = -ENOMEM;
	else if (!is_layer_xattr(name) && forest_is_bare(forest_of(req), ino))
		n = -ENODATA;
	else
		n = forest_enter(forest_of(req), ino, &visit);
	if (n == 0) {
		n = fs_getxattr(visit.fs, visit.node, name, buf, size);
		forest_leave(&visit);
	} else if (n == -EISDIR) {
		n = -ENODATA;
	}
	ops_reply_xattr(req, n, buf, size);
}

static void forest_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	AUTO(freep) char *buf = size ? malloc(size) : NULL;
	struct forest_visit visit;
	ssize_t n;

	if (forest_is_bare(forest_of(req), ino)) {
		ops_reply_xattr(req, 0, buf, size);
		return;
	}
	n = size && !buf ? -ENOMEM : forest_enter(forest_of(req), ino, &visit);
	if (n == 0) {
		n = fs_listxattr(visit.fs, visit.node, buf, size);
		forest_leave(&visit);
	}
	ops_reply_xattr(req, n, buf, size);
}

static void forest_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r = forest_statfs(forest_of(req), &st);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops forest_ops = {
	.init = forest_op_init,
	.lookup = forest_op_lookup,
	.forget = forest_op_forget,
	.forget_multi = forest_op_forget_multi,
	.getattr = forest_op_getattr,
	.access = forest_op_access,
	.readlink = forest_op_readlink,
	.open = op_never,
	.opendir = op_never,
	.create = op_create,
	.flush = op_never,
	.read = forest_op_read,
	.ioctl = forest_op_ioctl,
	.readdir = forest_op_readdir,
	.readdirplus = forest_op_readdirplus,
	.getxattr = forest_op_getxattr,
	.listxattr = forest_op_listxattr,
	.statfs = forest_op_statfs,
};
