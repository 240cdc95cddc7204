/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/layer.h"

/*
 * A plain directory as a lower.
 *
 * A folder within it is a struct lowdir: its name in its parent, up to the
 * root, whose descriptor was opened before the mount and stays.  Every system
 * call names one component under a descriptor, never a path from "/", so that
 * mounting over a lower cannot deadlock and depth has no limit.  Descriptors of
 * the other folders come and go with the cache.
 */

#include "fs/detached.h"
#include "store/base/auto.h"
#include "store/ovl.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

struct lowdir {
	struct lowdir *parent; /* counted; NULL: the root */
	struct fd_slot slot;
	_Atomic uint32_t refs;
	char name[];
};

struct dir_layer {
	struct layer layer;
	struct fdcache *fds; /* borrowed */
	int root_fd;	     /* owned */
};

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

static struct dir_layer *dir_layer(struct layer *layer)
{
	return (struct dir_layer *)layer;
}

int folder_open(int dirfd, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dirfd, name, flags | O_NOATIME);

	return fd < 0 && errno == EPERM ? openat(dirfd, name, flags) : fd;
}

/* Drops @parent. Return: descriptor, or -errno. */
static int lowdir_open(struct dir_layer *layer, const struct lowdir *dir, struct fd_ref *parent)
{
	int fd = folder_open(parent->fd, dir->name), err = errno;

	fd_put(layer->fds, parent);
	if (fd >= 0)
		return fd;
	return err == ENOENT || err == ENOTDIR || err == ELOOP ? -ESTALE : -err;
}

static int lowdir_fd(struct dir_layer *layer, struct lowdir *dir, struct fd_ref *ret)
{
	struct fd_ref parent;
	int fd, r;

	if (!dir->parent) {
		*ret = (struct fd_ref){ .fd = layer->root_fd };
		return 0;
	}
	if (fd_get(layer->fds, &dir->slot, ret))
		return 0;
	r = lowdir_fd(layer, dir->parent, &parent);
	if (r < 0)
		return r;
	fd = lowdir_open(layer, dir, &parent);
	return fd < 0 ? fd : fd_insert(layer->fds, &dir->slot, fd, ret);
}

static mode_t type_of(int dirfd, const struct linux_dirent64 *de, int *err)
{
	struct stat st;

	/* Character devices are asked too: 0:0 is a whiteout. */
	if (de->d_type != DT_UNKNOWN && de->d_type != DT_CHR)
		return DTTOIF(de->d_type);
	if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		*err = -errno;
		return 0;
	}
	return ovl_is_whiteout_mode(st.st_mode, st.st_rdev) ? 0 : st.st_mode & S_IFMT;
}

/* In folders marked for it an empty file may stand for a whiteout, or for a device that is one to somebody else. */
static int type_of_file(int dirfd, const char *name, int forms, uint32_t *type)
{
	AUTO(closep) int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int form = fd < 0 ? -errno : ovl_file_form(fd, forms);

	if (form == OVL_FORM_WHITEOUT)
		*type = 0;
	else if (form == OVL_FORM_NESTED)
		*type = S_IFCHR;
	return form < 0 ? form : 0;
}

static int entry_found(int dirfd, int forms, const struct linux_dirent64 *de, found_fn fn, void *arg)
{
	struct found found = { .name = de->d_name };
	const char *hidden = ovl_whiteout_name(de->d_name);
	int err = 0;

	if (hidden) {
		found.name = hidden;
		return fn(&found, arg);
	}
	if (ovl_reserved_name(de->d_name))
		return 0;
	found.mode = type_of(dirfd, de, &err);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (forms > 0 && S_ISREG(found.mode))
		err = type_of_file(dirfd, de->d_name, forms, &found.mode);
	return err < 0 ? err : fn(&found, arg);
}

int dir_scan_fd(int fd, found_fn fn, void *arg)
{
	enum { BUF_BYTES = 64 * 1024 };
	AUTO(freep) char *buf = malloc(BUF_BYTES);
	int forms = ovl_file_forms(fd);

	if (!buf)
		return -ENOMEM;
	for (;;) {
		long n = syscall(SYS_getdents64, fd, buf, BUF_BYTES);

		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		for (long at = 0; at < n;) {
			struct linux_dirent64 *de = (struct linux_dirent64 *)(buf + at);
			int r;

			at += de->d_reclen;
			if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
				continue;
			r = entry_found(fd, forms, de, fn, arg);
			if (r != 0)
				return r;
		}
	}
}

/*
 * A descriptor has one read position: each scan has its own.  One that nobody else has yet serves, and is kept for the
 * entries afterwards: nothing else reads from it.
 */
static int scan_first(struct dir_layer *layer, struct lowdir *dir, found_fn fn, void *arg)
{
	struct fd_ref parent, ref;
	int fd, r = lowdir_fd(layer, dir->parent, &parent);

	if (r < 0)
		return r;
	fd = lowdir_open(layer, dir, &parent);
	if (fd < 0)
		return fd;
	r = dir_scan_fd(fd, fn, arg);
	if (fd_insert(layer->fds, &dir->slot, fd, &ref) == 0)
		fd_put(layer->fds, &ref);
	return r;
}

static int dir_scan(struct layer *layer, union dref at, found_fn fn, void *arg)
{
	struct dir_layer *dl = dir_layer(layer);
	AUTO(closep) int fd = -1;
	struct fd_ref ref;
	int r;

	if (at.dir->parent && !fd_get(dl->fds, &at.dir->slot, &ref))
		return scan_first(dl, at.dir, fn, arg);
	if (!at.dir->parent)
		ref = (struct fd_ref){ .fd = dl->root_fd };
	fd = folder_open(ref.fd, ".");
	r = fd < 0 ? -errno : 0;
	fd_put(dl->fds, &ref);
	return r < 0 ? r : dir_scan_fd(fd, fn, arg);
}

static int find_in(int dirfd, const char *name, found_fn fn, void *arg)
{
	char wh[NAME_MAX + 8];
	struct found found = { .name = name };
	struct stat st;
	int forms;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		found.mode = ovl_is_whiteout_mode(st.st_mode, st.st_rdev) ? 0 : st.st_mode;
		if (S_ISREG(st.st_mode) && st.st_size == 0 && (forms = ovl_file_forms(dirfd)) > 0)
			(void)type_of_file(dirfd, name, forms, &found.mode);
		return fn(&found, arg);
	}
	if (errno != ENOENT)
		return -errno;
	snprintf(wh, sizeof(wh), "%s%s", OVL_WH_PREFIX, name);
	if (fstatat(dirfd, wh, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return fn(&found, arg);
	return errno == ENAMETOOLONG ? -ENOENT : -errno;
}

static int dir_find(struct layer *layer, union dref at, const char *name, found_fn fn, void *arg)
{
	struct fd_ref ref;
	int r = lowdir_fd(dir_layer(layer), at.dir, &ref);

	if (r < 0)
		return r;
	r = find_in(ref.fd, name, fn, arg);
	fd_put(dir_layer(layer)->fds, &ref);
	return r;
}

static struct lowdir *lowdir_new(struct lowdir *parent, const char *name)
{
	size_t bytes = strlen(name) + 1;
	struct lowdir *dir = calloc(1, sizeof(*dir) + bytes);

	if (!dir)
		return NULL;
	memcpy(dir->name, name, bytes);
	dir->refs = 1;
	dir->parent = parent;
	if (parent)
		atomic_fetch_add(&parent->refs, 1);
	return dir;
}

static int dir_keep(struct layer *layer, union dref at, union dref *ret)
{
	atomic_fetch_add(&at.dir->refs, 1);
	*ret = at;
	return 0;
}

static int dir_enter(struct layer *layer, union dref at, const struct found *found, union dref *ret)
{
	ret->dir = lowdir_new(at.dir, found->name);
	return ret->dir ? 0 : -ENOMEM;
}

static void dir_leave(struct layer *layer, union dref at)
{
	struct lowdir *dir = at.dir;

	while (dir && atomic_fetch_sub(&dir->refs, 1) == 1) {
		struct lowdir *parent = dir->parent;

		fd_drop(dir_layer(layer)->fds, &dir->slot);
		free(dir);
		dir = parent;
	}
}

static bool dir_same(struct layer *layer, union dref a, union dref b)
{
	const struct lowdir *x = a.dir, *y = b.dir;

	while (x != y && x->parent && y->parent && strcmp(x->name, y->name) == 0) {
		x = x->parent;
		y = y->parent;
	}
	return x == y;
}

static void dir_retire(struct layer *layer)
{
	close(dir_layer(layer)->root_fd);
	dir_layer(layer)->root_fd = -1;
}

static int dir_marks(struct layer *layer, union dref at, bool *opaque, char **redirect)
{
	struct fd_ref ref;
	int r = lowdir_fd(dir_layer(layer), at.dir, &ref);

	*opaque = false;
	*redirect = NULL;
	if (r < 0)
		return r;
	r = ovl_marks(ref.fd, opaque, redirect);
	fd_put(dir_layer(layer)->fds, &ref);
	return r;
}

static int dir_fd(struct layer *layer, union dref at, struct fd_ref *ret)
{
	return lowdir_fd(dir_layer(layer), at.dir, ret);
}

static int dir_named(struct layer *layer, union dref at, struct fd_ref *ret, const char **name)
{
	struct dir_layer *dl = dir_layer(layer);
	struct lowdir *dir = at.dir;

	*name = "";
	if (!dir->parent || fd_get(dl->fds, &dir->slot, ret))
		return dir->parent ? 0 : lowdir_fd(dl, dir, ret);
	*name = dir->name;
	return lowdir_fd(dl, dir->parent, ret);
}

static void dir_free(struct layer *layer)
{
	dir_leave(layer, layer->root);
	if (dir_layer(layer)->root_fd >= 0)
		close(dir_layer(layer)->root_fd);
	if (layer->was_upper)
		close(layer->index_fd);
	free(layer);
}

static const struct layer_ops dir_ops = {
	.free = dir_free,
	.scan = dir_scan,
	.find = dir_find,
	.keep = dir_keep,
	.enter = dir_enter,
	.leave = dir_leave,
	.same = dir_same,
	.retire = dir_retire,
	.marks = dir_marks,
	.dir_fd = dir_fd,
	.named = dir_named,
};

static bool is_served(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	switch ((unsigned)st.f_type) {
	case AFS_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC:
	case NFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case V9FS_MAGIC:
		return true;
	default:
		return false;
	}
}

int layer_dir_open(const char *path, const struct mounts *mounts, struct fdcache *fds, struct diag *diag,
		   struct layer **ret)
{
	struct dir_layer *layer = calloc(1, sizeof(*layer));
	struct stat st;
	int r;

	if (!layer)
		return -ENOMEM;
	layer->layer.ops = &dir_ops;
	layer->layer.has_xattrs = true;
	layer->fds = fds;
	layer->root_fd = detached_open(mounts, path);
	r = layer->root_fd < 0 ? layer->root_fd : fstat(layer->root_fd, &st) < 0 ? -errno : 0;
	if (r < 0) {
		dir_free(&layer->layer);
		return diag_errno(diag, r, "lowerdir %s", path);
	}
	layer->layer.dev = st.st_dev;
	layer->layer.is_served = is_served(layer->root_fd);
	layer->layer.is_mapped = mounts_are_idmapped(mounts, path);
	layer->layer.override_stat = ovl_override_name(layer->root_fd);
	layer->layer.root.dir = lowdir_new(NULL, "");
	layer->layer.name = strdup(path);
	if (!layer->layer.root.dir || !layer->layer.name) {
		layer_free(&layer->layer);
		return -ENOMEM;
	}
	*ret = &layer->layer;
	return 0;
}

int layer_dir_freeze(int root_fd, int index_fd, const char *override, struct fdcache *fds, struct layer **ret)
{
	struct dir_layer *layer = calloc(1, sizeof(*layer));
	struct stat st;

	if (!layer)
		return -ENOMEM;
	layer->layer.ops = &dir_ops;
	layer->layer.has_xattrs = true;
	layer->layer.override_stat = override;
	layer->fds = fds;
	layer->root_fd = -1;
	layer->layer.name = strdup("upper");
	layer->layer.root.dir = lowdir_new(NULL, "");
	if (!layer->layer.name || !layer->layer.root.dir || fstat(root_fd, &st) < 0) {
		int r = layer->layer.name && layer->layer.root.dir ? -errno : -ENOMEM;

		layer_free(&layer->layer);
		return r;
	}
	layer->layer.dev = st.st_dev;
	layer->root_fd = root_fd;
	layer->layer.was_upper = true;
	layer->layer.index_fd = index_fd;
	*ret = &layer->layer;
	return 0;
}
