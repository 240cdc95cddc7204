/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ops.h"

/*
 * Each handler decodes, calls the core, and replies exactly once.  Those that have to
 * do with what is in files stand in ops_data.c.
 *
 * The fastest request is the one the kernel never sends.  OPEN, OPENDIR, CREATE
 * and FLUSH are answered ENOSYS the first time and then not sent any more: files
 * open without asking, keep their pages, and are named by node alone; a create is
 * one MKNOD.  Names, attributes and listings never expire, since only this
 * process changes the tree.
 */

#include "fs/ahead.h"
#include "fs/baseview.h"
#include "fs/control.h"
#include "fs/forest.h"
#include "fs/layername.h"
#include "fs/listing.h"
#include "fs/ops_internal.h"
#include "fs/passthrough.h"
#include "fs/stats.h"
#include "store/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct fs_cred cred_of(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct fs_cred){ .uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask };
}

/* Whose file changes behind our back is asked for each time. */
static double attr_timeout(const struct mount *mount, const struct node *node)
{
	return node && fs_is_passed(node) ? 0 : mount->timeout;
}

void ops_fill(const struct mount *mount, fuse_ino_t near, const struct fs_entry *entry, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = trees_ino(trees_number(near), entry->node),
		.attr = entry->st,
		.attr_timeout = attr_timeout(mount, entry->node),
		.entry_timeout = fs_names_last(mount_tree(mount, near)) ? mount->timeout : 0,
	};
}

static void reply_entry(fuse_req_t req, fuse_ino_t near, int r, const struct fs_entry *entry)
{
	struct mount *mount = mount_of(req); /* the answer frees the request */
	struct fs *fs = fs_of(req, near);
	struct fuse_entry_param e;

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	ops_fill(mount, near, entry, &e);
	/* A name that is not there is an answer too, and may be kept. */
	if (fuse_reply_entry(req, &e) < 0 && entry->node)
		fs_forget(fs, entry->node, 1); /* the kernel never took the lookup */
}

void op_init(void *userdata, struct fuse_conn_info *conn)
{
	static const uint64_t wanted[] = {
		FUSE_CAP_ASYNC_READ,	    FUSE_CAP_DONT_MASK,		 FUSE_CAP_NO_OPEN_SUPPORT,
		FUSE_CAP_READDIRPLUS,	    FUSE_CAP_NO_OPENDIR_SUPPORT, FUSE_CAP_PARALLEL_DIROPS,
		FUSE_CAP_CACHE_SYMLINKS,    FUSE_CAP_HANDLE_KILLPRIV_V2, FUSE_CAP_IOCTL_DIR,
		FUSE_CAP_NO_EXPORT_SUPPORT,
	};
	static const uint64_t unwanted[] = {
		FUSE_CAP_READDIRPLUS_AUTO, FUSE_CAP_AUTO_INVAL_DATA, FUSE_CAP_ATOMIC_O_TRUNC,
		FUSE_CAP_HANDLE_KILLPRIV,  FUSE_CAP_SPLICE_READ,     FUSE_CAP_SPLICE_MOVE,
		FUSE_CAP_FLOCK_LOCKS,	   FUSE_CAP_POSIX_LOCKS,     FUSE_CAP_ASYNC_DIO,
	};
	struct mount *mount = userdata;

	for (size_t i = 0; i < ARRAY_SIZE(unwanted); i++)
		fuse_unset_feature_flag(conn, unwanted[i]);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		fuse_set_feature_flag(conn, wanted[i]);
	if (mount->passthrough) {
		mount->passthrough = fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
		conn->max_backing_stack_depth = mount->stacked ? 1 : 0;
		fuse_set_feature_flag(conn, FUSE_CAP_ATOMIC_O_TRUNC); /* or the data would be copied up first */
	}
	if (mount->writeback)
		mount->writeback = fuse_set_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
	mount->splice = fuse_set_feature_flag(conn, FUSE_CAP_SPLICE_WRITE);
	if (mount->posix_acl)
		fuse_set_feature_flag(conn, FUSE_CAP_POSIX_ACL);
	if (conn->max_write > MAX_WRITE_BYTES)
		conn->max_write = MAX_WRITE_BYTES;
	conn->max_read = mount->max_read; /* libfuse wants to hear it twice */
	conn->no_interrupt = 1;
	conn->time_gran = 1;
}

/* A name that is answered once: kept by nobody. */
static void reply_base(fuse_req_t req, unsigned tree, const struct fs_entry *entry)
{
	struct mount *mount = mount_of(req); /* the answer frees the request */
	struct fuse_entry_param e = {
		.ino = trees_ino(tree, entry->node),
		.attr = entry->st,
		.attr_timeout = mount->timeout,
	};

	if (fuse_reply_entry(req, &e) < 0 && entry->node)
		fs_forget(trees_get(mount->trees, tree), entry->node, 1);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount *mount = mount_of(req);
	struct fs_entry entry;
	struct base_dir base;
	unsigned tree;
	int r;

	ops_telling(req, parent);
	if (parent == FUSE_ROOT_ID && baseviews_lookup(mount->baseviews, name, &entry, &tree)) {
		reply_base(req, tree, &entry);
		return;
	}
	r = fs_lookup(fs_of(req, parent), node_of(req, parent), name, &entry);
	if (r == 0 && entry.node) {
		base_dir_open(mount, parent, &base);
		base_dir_mark(&base, name, &entry.st);
		base_dir_close(&base);
	}
	reply_entry(req, parent, r, &entry);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	fs_forget(fs_of(req, ino), node_of(req, ino), lookups);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		fs_forget(fs_of(req, forgets[i].ino), node_of(req, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, int r, const struct node *node, const struct stat *st)
{
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, st, attr_timeout(mount_of(req), node));
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	struct node *node = node_of(req, ino);
	int r;

	ops_telling(req, ino);
	r = fs_getattr(fs_of(req, ino), node, &st);
	listing_asked(mount_of(req), ino, r == 0 && !S_ISDIR(st.st_mode));
	if (r == 0)
		base_mark(mount_of(req), ino, &st);
	reply_attr(req, r, node, &st);
}

static bool in_group(fuse_req_t req, gid_t gid)
{
	AUTO(freep) gid_t *groups = NULL;
	int n;

	if (fuse_req_ctx(req)->gid == gid)
		return true;
	n = fuse_req_getgroups(req, 0, NULL);
	groups = n > 0 ? calloc((size_t)n, sizeof(gid_t)) : NULL;
	n = groups ? fuse_req_getgroups(req, n, groups) : 0;
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

bool ops_outside_group(fuse_req_t req, fuse_ino_t ino)
{
	struct node *node = node_of(req, ino);
	struct stat st;

	return fs_has_priv(fs_of(req, ino), node) && fs_getattr(fs_of(req, ino), node, &st) == 0 &&
	       (st.st_mode & (S_ISGID | S_IXGRP)) == S_ISGID && !in_group(req, st.st_gid);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	static const struct {
		int fuse;
		unsigned set;
	} map[] = {
		{ FUSE_SET_ATTR_MODE, FS_SET_MODE },
		{ FUSE_SET_ATTR_UID, FS_SET_UID },
		{ FUSE_SET_ATTR_GID, FS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, FS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, FS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, FS_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME },
		{ FUSE_SET_ATTR_KILL_SUID, FS_SET_KILL_PRIV },
		{ FUSE_SET_ATTR_KILL_SGID, FS_SET_KILL_PRIV },
	};
	struct stat st;
	unsigned set = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		if (to_set & map[i].fuse)
			set |= map[i].set;
	}
	/* With the write-back cache the kernel asks for the time where the size changes indeed. */
	if (mount_of(req)->writeback)
		set |= FS_SET_ANY_CTIME | (to_set & FUSE_SET_ATTR_SIZE ? FS_SET_KEEP_MTIME : 0);
	if (set & FS_SET_SIZE && set & FS_SET_KILL_PRIV && ops_outside_group(req, ino))
		set |= FS_SET_KILL_SGID;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		attr->st_atim.tv_nsec = UTIME_NOW;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		attr->st_mtim.tv_nsec = UTIME_NOW;
	r = fs_setattr(fs_of(req, ino), node_of(req, ino), attr, set, &st);
	reply_attr(req, r, node_of(req, ino), &st);
}

/* Under fakeroot only, where the kernel checks no permissions: root may do all but execute what nobody may. */
static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct stat st;
	int r = mask & X_OK ? fs_getattr(fs_of(req, ino), node_of(req, ino), &st) : 0;

	if (r == 0 && mask & X_OK && S_ISREG(st.st_mode) && !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		r = -EACCES;
	fuse_reply_err(req, -r);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	AUTO(freep) char *target = NULL;
	int r = fs_readlink(fs_of(req, ino), node_of(req, ino), &target);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, target);
}

/* Is somebody else perhaps just being told the node's attributes? */
static bool others_were_told(struct mount *mount, uint32_t pid, fuse_ino_t ino)
{
	struct fs *fs = mount_tree(mount, ino);
	const struct node *node = mount_node(mount, ino), *folder;

	if (!told_others(&mount->told, pid))
		return false;
	if (told_others_at(&mount->told, pid, ino))
		return true;
	if (node == fs_root(fs))
		return false;
	/* Of several names any may have been asked for. */
	return !fs_only_folder(fs, node, &folder) || told_others_at(&mount->told, pid, mount_ino(mount, ino, folder));
}

/* Before the answer to who has changed the node's attributes but for setting them; @r: 0, or he has not. See told.c. */
static int changed(fuse_req_t req, fuse_ino_t ino, int r)
{
	struct mount *mount = mount_of(req);

	if (r == 0 && others_were_told(mount, (uint32_t)fuse_req_ctx(req)->pid, ino))
		fuse_lowlevel_notify_inval_inode(mount->session, ino, -1, 0);
	return r;
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_cred cred = cred_of(req);
	struct fs_entry entry;
	int r = fs_mknod(fs_of(req, parent), node_of(req, parent), name, mode, rdev, &cred, &entry);

	reply_entry(req, parent, changed(req, parent, r), &entry);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs_cred cred = cred_of(req);
	struct fs_entry entry;
	int r = fs_mkdir(fs_of(req, parent), node_of(req, parent), name, mode, &cred, &entry);

	reply_entry(req, parent, changed(req, parent, r), &entry);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs_cred cred = cred_of(req);
	struct fs_entry entry;
	int r = fs_symlink(fs_of(req, parent), node_of(req, parent), name, target, &cred, &entry);

	reply_entry(req, parent, changed(req, parent, r), &entry);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct fs_entry entry;
	int r = -EXDEV;

	if (trees_number(ino) == trees_number(parent))
		r = fs_link(fs_of(req, ino), node_of(req, ino), node_of(req, parent), name, &entry);

	reply_entry(req, parent, changed(req, parent, r), &entry);
}

static void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct mount *mount = mount_of(req); /* the answer frees the request */
	struct fs *fs = fs_of(req, parent);
	struct fs_cred cred = cred_of(req);
	struct fuse_entry_param e;
	struct fs_entry entry;
	int r = fs_tmpfile(fs, node_of(req, parent), mode, &cred, &entry);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	ops_fill(mount, parent, &entry, &e);
	fi->keep_cache = 1;
	if (mount->opens)
		r = passthrough_open(mount, e.ino, entry.node, 0, fi);
	if (r < 0) {
		fuse_reply_err(req, -r);
		fs_forget(fs, entry.node, 1);
	} else if (fuse_reply_create(req, &e, fi) < 0) {
		if (mount->opens)
			passthrough_release(mount, fi->fh);
		fs_forget(fs, entry.node, 1);
	}
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r = fs_unlink(fs_of(req, parent), node_of(req, parent), name);

	fuse_reply_err(req, -changed(req, parent, r));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r = fs_rmdir(fs_of(req, parent), node_of(req, parent), name);

	fuse_reply_err(req, -changed(req, parent, r));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
		      unsigned flags)
{
	int r = -EXDEV;

	if (trees_number(parent) == trees_number(newparent))
		r = fs_rename(fs_of(req, parent), node_of(req, parent), name, node_of(req, newparent), newname, flags);
	changed(req, parent, r);
	if (newparent != parent)
		changed(req, newparent, r);
	fuse_reply_err(req, -r);
}

/* Not sent again after the first answer; see the top of this file. */
void op_never(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, ENOSYS);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	fuse_reply_err(req, ENOSYS);
}

/* --- inode flags, birth time, statistics --- */

/* What the driver does is told to root and to who mounted. */
bool ops_may_ask(fuse_req_t req)
{
	uid_t uid = fuse_req_ctx(req)->uid;

	return uid == 0 || uid == geteuid();
}

void mount_describe(const struct mount *mount, bool json, struct buf *ret)
{
	if (mount->forest)
		forest_describe(mount->forest, json, ret);
	else
		fs_describe(mount->fs, json, ret);
}

void ops_reply_stats(fuse_req_t req, bool json, size_t room)
{
	struct buf text = { 0 };

	if (!ops_may_ask(req)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	listing_let_go(mount_of(req));
	mount_describe(mount_of(req), json, &text);
	if (buf_error(&text) < 0 || text.len > room)
		fuse_reply_err(req, text.len > room ? EOVERFLOW : ENOMEM);
	else
		fuse_reply_ioctl(req, (int)text.len, text.data, text.len);
	buf_release(&text);
}

static void op_base(fuse_req_t req, fuse_ino_t ino, unsigned cmd, const void *in, size_t in_bytes)
{
	struct base_ask ask;
	int r = ino == FUSE_ROOT_ID && in_bytes == sizeof(ask) ? 0 : -ENOTTY;

	if (r == 0 && !ops_may_ask(req))
		r = -EPERM;
	if (r == 0) {
		memcpy(&ask, in, sizeof(ask));
		listing_let_go(mount_of(req)); /* or views that nobody uses would seem to be used */
		r = baseviews_ioctl(mount_of(req)->baseviews, cmd, fuse_req_ctx(req)->pid, &ask);
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_ioctl(req, 0, &ask, sizeof(ask));
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
		     const void *in, size_t in_bytes, size_t out_bytes)
{
	struct fs *fs = fs_of(req, ino);
	struct node *node = node_of(req, ino);
	union {
		unsigned flags;
		struct fsxattr fsx;
	} value = { 0 };
	size_t bytes = cmd == FS_IOC_FSGETXATTR || cmd == FS_IOC_FSSETXATTR ? sizeof(value.fsx) : sizeof(value.flags);
	bool get = cmd == FS_IOC_GETFLAGS || cmd == FS_IOC_FSGETXATTR;
	int r = -ENOTTY;

	if (cmd == BASE_IOC_BEGIN || cmd == BASE_IOC_MAKE) {
		op_base(req, ino, cmd, in, in_bytes);
		return;
	}
	if (cmd == STATS_IOC_TEXT || cmd == STATS_IOC_JSON) {
		ops_reply_stats(req, cmd == STATS_IOC_JSON, out_bytes);
		return;
	}
	if (ino == FUSE_ROOT_ID && control_ioctl(req, cmd, in, in_bytes, out_bytes))
		return;
	if (in_bytes >= bytes)
		memcpy(&value, in, bytes);
	if (cmd == FS_IOC_GETFLAGS && out_bytes >= bytes)
		r = fs_get_flags(fs, node, &value.flags);
	else if (cmd == FS_IOC_FSGETXATTR && out_bytes >= bytes)
		r = fs_get_xflags(fs, node, &value.fsx);
	else if (cmd == FS_IOC_SETFLAGS && in_bytes >= bytes)
		r = fs_set_flags(fs, node, value.flags);
	else if (cmd == FS_IOC_FSSETXATTR && in_bytes >= bytes)
		r = fs_set_xflags(fs, node, &value.fsx);
	/* The kernel does not think of the ctime; with the write-back cache it goes by its own for a file all the same. */
	if (r == 0 && !get)
		fuse_lowlevel_notify_inval_inode(mount_of(req)->session, ino, -1, 0);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_ioctl(req, 0, &value, get ? bytes : 0);
}

#ifdef HAVE_FUSE_STATX
static struct statx_timestamp statx_time(struct timespec t)
{
	return (struct statx_timestamp){ .tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec };
}

/* Sent where somebody asks for the birth time; the kernel wants all the rest with it. */
static void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi)
{
	struct node *node = node_of(req, ino);
	struct timespec birth = { 0 };
	struct statx stx = { 0 };
	struct stat st;
	int r;

	ops_telling(req, ino);
	r = fs_getattr(fs_of(req, ino), node, &st);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	base_mark(mount_of(req), ino, &st);
	stx.stx_mask = STATX_BASIC_STATS;
	stx.stx_blksize = (uint32_t)st.st_blksize;
	stx.stx_nlink = (uint32_t)st.st_nlink;
	stx.stx_uid = st.st_uid;
	stx.stx_gid = st.st_gid;
	stx.stx_mode = (uint16_t)st.st_mode;
	stx.stx_ino = st.st_ino;
	stx.stx_size = (uint64_t)st.st_size;
	stx.stx_blocks = (uint64_t)st.st_blocks;
	stx.stx_atime = statx_time(st.st_atim);
	stx.stx_ctime = statx_time(st.st_ctim);
	stx.stx_mtime = statx_time(st.st_mtim);
	stx.stx_rdev_major = major(st.st_rdev);
	stx.stx_rdev_minor = minor(st.st_rdev);
	if (fs_birth(fs_of(req, ino), node, &birth) == 0) {
		stx.stx_mask |= STATX_BTIME;
		stx.stx_btime = statx_time(birth);
	}
	fuse_reply_statx(req, 0, &stx, attr_timeout(mount_of(req), node));
}
#endif

/* --- xattrs --- */

/* Are there trees of other layers than the mount's own?  A view of a read-only one has no others. */
static bool has_other_layers(const struct mount *mount)
{
	return mount->trees && !(mount->baseviews && fs_read_only(mount->fs));
}

/* Where none can be, the kernel is told once that there are none for ever: in any tree. */
static bool never_any(fuse_req_t req)
{
	const struct mount *mount = mount_of(req);

	return !has_other_layers(mount) && fs_read_only(mount->fs) && fs_is_bare(mount->fs);
}

/* The same of a question by name. Who asks for that of the layer is told, as long as anything is answered. */
static bool never_this(fuse_req_t req, const char *name)
{
	const struct mount *mount = mount_of(req);

	if (has_other_layers(mount) || fs_answers_xattrs(mount->fs))
		return false;
	return !is_layer_xattr(name) || !fs_has_xattrs(mount->fs);
}

/* "None" was answered. The answer has freed the request. */
static void answered_none(const struct mount *mount)
{
	if (mount->lasting && !has_other_layers(mount))
		fs_look_for_xattrs(mount->fs);
}

void ops_reply_xattr(fuse_req_t req, ssize_t n, const char *buf, size_t size)
{
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	AUTO(freep) char *buf = size ? malloc(size) : NULL;
	struct mount *mount = mount_of(req);
	ssize_t n = -ENOMEM;

	if (never_this(req, name)) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if (size == 0 || buf)
		n = fs_getxattr(fs_of(req, ino), node_of(req, ino), name, buf, size);
	ops_reply_xattr(req, n, buf, size);
	if (n == -ENODATA)
		answered_none(mount);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	AUTO(freep) char *buf = size ? malloc(size) : NULL;
	struct mount *mount = mount_of(req);
	ssize_t n = -ENOMEM;

	if (never_any(req)) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if (size == 0 || buf)
		n = fs_listxattr(fs_of(req, ino), node_of(req, ino), buf, size);
	ops_reply_xattr(req, n, buf, size);
	if (n == 0)
		answered_none(mount);
}

/* As chmod(2) does it for somebody who is not in the file's group; the kernel leaves it to us with ACLs. */
static int acl_kill_sgid(fuse_req_t req, fuse_ino_t ino)
{
	struct node *node = node_of(req, ino);
	struct fs *fs = fs_of(req, ino);
	struct stat st;
	int r;

	if (fuse_req_ctx(req)->uid == 0)
		return 0;
	r = fs_getattr(fs, node, &st);
	if (r < 0 || !(st.st_mode & S_ISGID) || in_group(req, st.st_gid))
		return r;
	st.st_mode &= ~(mode_t)S_ISGID;
	return fs_setattr(fs, node, &st, FS_SET_MODE, &st);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	int r = fs_setxattr(fs_of(req, ino), node_of(req, ino), name, value, size, flags);

	if (r == 0 && strcmp(name, "system.posix_acl_access") == 0)
		r = acl_kill_sgid(req, ino);
	fuse_reply_err(req, -changed(req, ino, r));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	int r = fs_removexattr(fs_of(req, ino), node_of(req, ino), name);

	fuse_reply_err(req, -changed(req, ino, r));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r = fs_statfs(fs_of(req, ino), &st);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops nacrefs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.access = op_access,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.tmpfile = op_tmpfile,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.open = op_open,
	.release = op_release,
	.opendir = op_never,
	.create = op_create,
	.flush = op_never,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fsyncdir = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
	.ioctl = op_ioctl,
#ifdef HAVE_FUSE_STATX
	.statx = op_statx,
#endif
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.statfs = op_statfs,
};
