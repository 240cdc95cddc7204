/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * File content.  There are no handles: a request names a node, and the descriptor
 * it needs is found in, or opened into, the cache.
 */

#include "fs/attrcache.h"
#include "fs/flags.h"
#include "fs/limits.h"
#include "fs/served.h"
#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <limits.h>

#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* --- opening --- */

/* A file of ours whose mode keeps us out (we are not root): let ourselves in for a moment. */
static int open_forced(int dirfd, const char *name, int flags)
{
	char path[PROC_PATH_BYTES];
	struct stat st;
	int fd, err;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	proc_path(path, dirfd, name);
	if (chmod(path, (st.st_mode & 07777) | S_IRUSR | S_IWUSR) < 0)
		return -EACCES;
	fd = open(path, flags);
	err = errno;
	(void)chmod(path, st.st_mode & 07777); /* it worked a moment ago */
	return fd < 0 ? -err : fd;
}

int file_open_at(int dirfd, const char *name, bool writable)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOATIME;
	char path[PROC_PATH_BYTES];
	int fd;

	if (*name)
		fd = openat(dirfd, name, flags | O_NOFOLLOW);
	else
		fd = open(proc_path(path, dirfd, name), flags);
	if (fd >= 0)
		return fd;
	if (errno == EPERM) /* O_NOATIME is the owner's only */
		fd = *name ? openat(dirfd, name, (flags & ~O_NOATIME) | O_NOFOLLOW) : open(path, flags & ~O_NOATIME);
	if (fd >= 0)
		return fd;
	return errno == EACCES ? open_forced(dirfd, name, flags & ~O_NOATIME) : -errno;
}

/* names_lock is held. */
static int open_backing(struct fs *fs, struct node *node, struct fd_ref *ret)
{
	struct node_at at;
	int fd, r;

	if (fd_get(fs->fds, &node->slot, ret))
		return 0;
	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	if (S_ISREG(node->mode))
		fd = file_open_at(at.ref.fd, at.name, node_in_upper(fs, node));
	else if ((fd = openat(at.ref.fd, at.name, O_PATH | O_NOFOLLOW | O_CLOEXEC)) < 0)
		fd = -errno;
	fd_put(fs->fds, &at.ref);
	return fd < 0 ? fd : fd_insert(fs->fds, &node->slot, fd, ret);
}

int content_open_slot(struct fs *fs, struct content_id content, uint64_t bytes, struct fd_slot *slot,
		      struct content_ref *ret)
{
	struct content_place place;
	int r;

	*ret = (struct content_ref){ .fd = -1, .bytes = bytes };
	if (bytes == 0)
		return 0;
	if (fd_get(fs->fds, slot, &ret->ref)) {
		ret->fd = ret->ref.fd;
		return 0;
	}
	r = content_open(fs->store, content, &place);
	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	ret->fd = place.fd;
	ret->offset = place.offset;
	if (place.owned) {
		r = fd_insert(fs->fds, slot, place.fd, &ret->ref);
		ret->fd = ret->ref.fd;
	}
	return r;
}

/* The node's own file; names_lock is held. */
static int open_own(struct fs *fs, struct node *node, struct content_ref *ret)
{
	int r;

	*ret = (struct content_ref){ .fd = -1, .bytes = UINT64_MAX };
	r = open_backing(fs, node, &ret->ref);
	ret->fd = ret->ref.fd;
	return r;
}

/* names_lock is held. */
static int open_data(struct fs *fs, struct node *node, struct content_ref *ret)
{
	if (node_is(node, NODE_METACOPY))
		return metacopy_open(fs, node, ret);
	if (!node_in_upper(fs, node) && node_is(node, NODE_ROW))
		return content_open_slot(fs, node->row.content, node->row.size, &node->slot, ret);
	return open_own(fs, node, ret);
}

/* Of a lower that others serve, so that it is there when names_lock is held; @ret: for as long as it has to stay. */
static void open_ahead(struct fs *fs, struct node *node, struct fd_ref *ret)
{
	AUTO(closep) int fd = -1;
	struct node_reach reach;

	if (fd_get(fs->fds, &node->slot, ret) || node_reach(fs, node, &reach) < 0)
		return; /* who opens it meets the error again */
	if (reach.layer)
		fd = file_open_at(reach.at.ref.fd, reach.at.name, false);
	node_reach_end(fs, &reach);
	SHARED(&fs->names_lock);
	if (fd >= 0 && !node_in_upper(fs, node))
		(void)fd_insert(fs->fds, &node->slot, TAKE_FD(fd), ret);
}

/* A name can go away between following it and using it. */
static int open_settled(struct fs *fs, struct node *node, struct content_ref *ret,
			int (*open)(struct fs *fs, struct node *node, struct content_ref *ret))
{
	struct fd_ref ahead = { .fd = -1 };
	int r = -ENOENT;

	if (!S_ISREG(node->mode))
		return node_is_dir(node) ? -EISDIR : -EINVAL;
	if (served_is(fs, node))
		open_ahead(fs, node, &ahead);
	for (int tries = 0; r == -ENOENT && tries < 3; tries++) {
		if (tries > 0)
			node_settle(fs, node);
		pthread_rwlock_rdlock(&fs->names_lock);
		r = open(fs, node, ret);
		pthread_rwlock_unlock(&fs->names_lock);
	}
	fd_put(fs->fds, &ahead);
	return r;
}

int node_open(struct fs *fs, struct node *node, struct content_ref *ret)
{
	return open_settled(fs, node, ret, open_data);
}

int upper_open(struct fs *fs, struct node *node, struct fd_ref *ret)
{
	struct content_ref ref;
	int r = open_settled(fs, node, &ref, open_own);

	*ret = ref.ref;
	return r;
}

/* Who has it open, or works in it, asks for its attributes when its place is gone. */
static int pin_dir(struct fs *fs, struct node *node)
{
	struct fd_ref ref;
	struct node_at at;
	int fd, r;

	if (node_in_upper(fs, node)) {
		r = upper_dir(fs, node_dir(node), &ref);
	} else {
		r = node_at(fs, node, &at);
		if (r < 0)
			return r;
		fd = openat(at.ref.fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : fd_insert(fs->fds, &node->slot, fd, &ref);
		fd_put(fs->fds, &at.ref);
	}
	if (r < 0)
		return r;
	fd_pin(fs->fds, &node->slot);
	fd_put(fs->fds, &ref);
	return 0;
}

int node_pin(struct fs *fs, struct node *node)
{
	struct content_ref data;
	struct fd_ref ref;
	int r;

	if (!node_in_upper(fs, node) && node_is(node, NODE_ROW))
		return 0;
	if (node_is_dir(node))
		return pin_dir(fs, node);
	r = open_backing(fs, node, &ref);
	if (r < 0)
		return r;
	fd_pin(fs->fds, &node->slot);
	fd_put(fs->fds, &ref);
	if (node_is(node, NODE_METACOPY) && metacopy_open(fs, node, &data) == 0) {
		fd_pin(fs->fds, &node->back.data->slot); /* content of the store can be found again */
		fd_put(fs->fds, &data.ref);
	}
	return 0;
}

/* --- reading and writing --- */

/* How many of @bytes from @offset on the content has, as far as is known without asking its file. */
static size_t bytes_there(const struct content_ref *ref, off_t offset, size_t bytes)
{
	uint64_t left = (uint64_t)offset < ref->bytes ? ref->bytes - (uint64_t)offset : 0;

	return bytes < left ? bytes : (size_t)left;
}

/*
 * The kernel asks for whole pages, up to the one in which the file ends as far as it knows.  What stops within
 * that one has come to the end, and is not asked a second time whether it has; elsewhere an error may follow.
 */
static ssize_t read_pages(int fd, char *buf, size_t bytes, off_t offset)
{
	enum { PAGE_BYTES = 4096 };
	ssize_t n = pread(fd, buf, bytes, offset), rest;

	if (n < 0 && errno != EINTR)
		return -errno;
	if (n < 0)
		n = 0;
	if ((size_t)n == bytes || (bytes - (size_t)n < PAGE_BYTES && (offset + n) % PAGE_BYTES != 0))
		return n;
	rest = io_pread_full(fd, buf + n, bytes - (size_t)n, offset + n);
	return rest < 0 ? rest : n + rest;
}

ssize_t fs_read(struct fs *fs, struct node *node, void *buf, size_t bytes, off_t offset)
{
	struct content_ref ref;
	ssize_t n = node_open(fs, node, &ref);

	if (n < 0)
		return n;
	bytes = bytes_there(&ref, offset, bytes);
	if (bytes > 0)
		n = read_pages(ref.fd, buf, bytes, (off_t)ref.offset + offset);
	/* What the index says is there must be: a short store file is damage, not an end. */
	if (n >= 0 && ref.bytes != UINT64_MAX && (size_t)n < bytes)
		n = -EIO;
	fd_put(fs->fds, &ref.ref);
	if (n > 0)
		stats_add(fs->stats, STAT_BYTES_READ, n);
	return n;
}

int fs_data_get(struct fs *fs, struct node *node, size_t bytes, off_t offset, struct fs_data *ret)
{
	struct content_ref ref;
	struct stat st;
	int r = node_open(fs, node, &ref);

	if (r < 0)
		return r;
	*ret = (struct fs_data){
		.fd = ref.fd,
		.offset = (off_t)ref.offset + offset,
		.bytes = bytes_there(&ref, offset, bytes),
		.ref = ref.ref,
	};
	/* Nobody will count what is read: damage as in fs_read() has to be found first. */
	if (ref.bytes != UINT64_MAX && ret->bytes > 0) {
		if (fstat(ref.fd, &st) < 0)
			r = -errno;
		else if (st.st_size < ret->offset + (off_t)ret->bytes)
			r = -EIO;
	}
	if (r < 0)
		fd_put(fs->fds, &ret->ref);
	return r;
}

void fs_data_put(struct fs *fs, struct fs_data *data)
{
	fd_put(fs->fds, &data->ref);
}

/* setuid and setgid as a write by somebody without CAP_FSETID clears them; capabilities go in any case. */
static int kill_priv(struct fs *fs, struct node *node, int fd, unsigned flags)
{
	struct stat st;
	mode_t mode;
	int r;

	if (!node_is(node, NODE_KILLPRIV))
		return 0;
	(void)xattrs_kill_priv(fd);
	attrs_lost(fs, node, 0);
	if (upper_stat(fs, fd, "", fs->override_upper, &st) < 0)
		return -errno;
	mode = st.st_mode;
	if (!(mode & (S_ISUID | S_ISGID))) {
		node_clear(node, NODE_KILLPRIV);
		return 0;
	}
	if (!(flags & FS_WRITE_KILL_PRIV))
		return 0;
	st.st_mode &= ~(mode_t)S_ISUID;
	if (mode & S_IXGRP || flags & FS_WRITE_KILL_SGID)
		st.st_mode &= ~(mode_t)S_ISGID;
	if (st.st_mode == mode)
		return 0;
	r = upper_set_owner_mode(fs, fd, "", &st, FS_SET_MODE);
	attrs_lost(fs, node, ATTRS_REST);
	if (r == 0)
		node_set(node, NODE_MODE_CHANGED);
	return r;
}

bool fs_has_priv(const struct fs *fs, const struct node *node)
{
	return node_is(node, NODE_KILLPRIV) || !node_in_upper(fs, node);
}

bool fs_mode_changed(struct node *node)
{
	return node_is(node, NODE_MODE_CHANGED) &&
	       atomic_fetch_and(&node->flags, ~(uint32_t)NODE_MODE_CHANGED) & NODE_MODE_CHANGED;
}

void priv_save(int fd, const struct stat *st, struct priv *priv)
{
	priv->caps_bytes = fgetxattr(fd, XATTR_CAPS, priv->caps, sizeof(priv->caps));
	priv->mode = st->st_mode & (S_ISUID | S_ISGID) ? st->st_mode & 07777 : 0;
}

int priv_restore(int fd, const struct priv *priv)
{
	if (priv->mode && fchmod(fd, priv->mode) < 0)
		return -errno;
	if (priv->caps_bytes > 0 && fsetxattr(fd, XATTR_CAPS, priv->caps, (size_t)priv->caps_bytes, 0) < 0)
		return -errno;
	return 0;
}

/* The node's file in the upper, copied up if need be, open for writing. */
static int writable(struct fs *fs, struct node *node, uint64_t size_limit, struct fd_ref *ret)
{
	int r = node_may_grow(fs, node);

	if (r == 0)
		r = copyup(fs, node, size_limit);
	return r < 0 ? r : upper_open(fs, node, ret);
}

/*
 * With the write-back cache the kernel knows the time of a change, and sends it only
 * where it differs from what it was told before.  The later time at which the change
 * arrives here must not take its place, or stat says another time after a remount.
 *
 * The kernel sends the time without waiting for the data it sent before: saving,
 * changing and setting back is one step under the file's time lock.
 */
struct change {
	struct fs *fs;
	struct node *node;
	struct growth growth;
	pthread_mutex_t *lock; /* held; NULL: the time changes as it does */
	struct timespec times[2];
	bool has_priv;
	struct priv priv;
};

/*
 * The kernel took from the file what a write takes from it when that was made; what
 * it was given since then must survive the page's way here.
 */
static void keep_priv(struct node *node, int fd, const struct stat *st, struct change *change)
{
	if (!node_is(node, NODE_KILLPRIV))
		return;
	priv_save(fd, st, &change->priv);
	change->has_priv = change->priv.caps_bytes > 0 || change->priv.mode;
	if (!change->has_priv)
		node_clear(node, NODE_KILLPRIV);
}

/* The time lock is held. */
static int change_save(struct fs *fs, struct node *node, int fd, unsigned flags, struct change *change)
{
	bool priv = flags & FS_WRITE_BACK && node_is(node, NODE_KILLPRIV);
	struct stat st;

	change->times[0].tv_nsec = UTIME_OMIT;
	change->times[1].tv_nsec = UTIME_OMIT;
	if (!priv && (!(flags & FS_WRITE_KEEP_MTIME) || attrs_mtime_locked(fs, node, &change->times[1])))
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (flags & FS_WRITE_KEEP_MTIME) {
		change->times[1] = st.st_mtim;
		attrs_keep_mtime_locked(fs, node, &st.st_mtim);
	}
	if (priv)
		keep_priv(node, fd, &st, change);
	return 0;
}

static int change_time(struct fs *fs, struct node *node, int fd, unsigned flags, struct change *change)
{
	int r = flags & FS_WRITE_BACK ? 0 : kill_priv(fs, node, fd, flags);

	change->fs = fs;
	change->node = node;
	change->lock = NULL;
	change->has_priv = false;
	if (r < 0 || !(flags & (FS_WRITE_KEEP_MTIME | FS_WRITE_BACK)))
		return r;
	pthread_mutex_lock(time_lock(fs, node));
	r = change_save(fs, node, fd, flags, change);
	if (r < 0)
		pthread_mutex_unlock(time_lock(fs, node));
	else
		change->lock = time_lock(fs, node);
	return r;
}

/* Before @bytes from @offset on of @fd, the node's, are changed. change_end() has to follow if it succeeds. */
static int change_begin(struct fs *fs, struct node *node, int fd, off_t offset, uint64_t bytes, unsigned flags,
			struct change *change)
{
	int r = growth_begin(fs, node, fd, "", offset, bytes, &change->growth);

	if (r < 0)
		return r;
	r = change_time(fs, node, fd, flags, change);
	if (r < 0)
		growth_end(&change->growth);
	return r;
}

/* @r: what came of the change. Return: that, or the error of setting the time back. */
static ssize_t change_end(int fd, struct change *change, ssize_t r)
{
	bool kept;

	growth_end(&change->growth);
	if (!change->lock) {
		attrs_lost(change->fs, change->node, ATTRS_ALL);
		return r;
	}
	if (r >= 0 && change->has_priv) {
		int err = priv_restore(fd, &change->priv);

		r = err < 0 ? err : r;
	}
	if (r >= 0 && futimens(fd, change->times) < 0)
		r = -errno;
	kept = r >= 0 && change->times[1].tv_nsec != UTIME_OMIT;
	if (kept && !change->has_priv)
		attrs_data_changed_locked(change->fs, change->node);
	else
		attrs_lost_locked(change->fs, change->node, kept ? ATTRS_REST : ATTRS_ALL);
	pthread_mutex_unlock(change->lock);
	return r;
}

int fs_write(struct fs *fs, struct node *node, const void *buf, size_t bytes, off_t offset, unsigned flags)
{
	struct change change;
	struct fd_ref ref;
	int r = writable(fs, node, UINT64_MAX, &ref);

	if (r < 0)
		return r;
	if (node_is_append_only(fs, node))
		r = append_check(ref.fd, buf, bytes, offset);
	if (r == 0)
		r = change_begin(fs, node, ref.fd, offset, bytes, flags, &change);
	if (r == 0)
		r = (int)change_end(ref.fd, &change, io_pwrite_full(ref.fd, buf, bytes, offset));
	fd_put(fs->fds, &ref);
	if (r == 0)
		stats_add(fs->stats, STAT_BYTES_WRITTEN, (int64_t)bytes);
	return r;
}

int file_truncate(struct fs *fs, struct node *node, off_t size, unsigned flags)
{
	struct change change;
	struct fd_ref ref;
	int r = writable(fs, node, (uint64_t)size, &ref);

	if (r < 0)
		return r;
	r = change_begin(fs, node, ref.fd, 0, 0, flags, &change);
	if (r == 0)
		r = (int)change_end(ref.fd, &change, ftruncate(ref.fd, size) < 0 ? -errno : 0);
	fd_put(fs->fds, &ref);
	return r;
}

int fs_fallocate(struct fs *fs, struct node *node, int mode, off_t offset, off_t bytes, unsigned flags)
{
	bool frees = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE);
	struct change change;
	struct fd_ref ref;
	int r = writable(fs, node, UINT64_MAX, &ref);

	if (r < 0)
		return r;
	r = change_begin(fs, node, ref.fd, offset, frees ? 0 : (uint64_t)bytes, flags, &change);
	if (r == 0)
		r = (int)change_end(ref.fd, &change, fallocate(ref.fd, mode, offset, bytes) < 0 ? -errno : 0);
	fd_put(fs->fds, &ref);
	return r;
}

static off_t seek_in_store(off_t offset, uint64_t size, int whence)
{
	if (offset < 0 || (uint64_t)offset >= size)
		return -ENXIO;
	return whence == SEEK_DATA ? offset : (off_t)size;
}

off_t fs_lseek(struct fs *fs, struct node *node, off_t offset, int whence)
{
	struct content_ref ref;
	off_t r = node_open(fs, node, &ref);

	if (r < 0)
		return r;
	if (ref.bytes != UINT64_MAX) {
		r = seek_in_store(offset, ref.bytes, whence);
	} else {
		/* A read position of its own is not needed: SEEK_DATA and SEEK_HOLE start from @offset. */
		r = lseek(ref.fd, offset, whence);
		if (r < 0)
			r = -errno;
	}
	fd_put(fs->fds, &ref.ref);
	return r;
}

ssize_t fs_copy_range(struct fs *fs, struct node *in, off_t in_offset, struct node *out, off_t out_offset, size_t bytes,
		      unsigned flags)
{
	struct change change;
	struct content_ref from;
	struct fd_ref to;
	ssize_t n = writable(fs, out, UINT64_MAX, &to);

	if (n < 0)
		return n;
	n = node_open(fs, in, &from);
	if (n < 0) {
		fd_put(fs->fds, &to);
		return n;
	}
	bytes = bytes_there(&from, in_offset, bytes);
	in_offset += (off_t)from.offset;
	n = bytes ? change_begin(fs, out, to.fd, out_offset, bytes, flags, &change) : 0;
	if (n == 0 && bytes > 0) {
		n = copy_file_range(from.fd, &in_offset, to.fd, &out_offset, bytes, 0);
		n = change_end(to.fd, &change, n < 0 ? -errno : n);
	}
	fd_put(fs->fds, &from.ref);
	fd_put(fs->fds, &to);
	return n;
}

/* Return: 1: @ret is what has to be synced; 0: nothing has; -errno. */
static int open_to_sync(struct fs *fs, struct node *node, struct fd_ref *ret)
{
	struct layer *layer;
	const char *name;
	union dref at;
	bool changed;
	int r;

	pthread_rwlock_rdlock(&fs->names_lock);
	changed = node_in_upper(fs, node) || node_was_upper(fs, node);
	pthread_rwlock_unlock(&fs->names_lock);
	if (!changed || fs->options->volatile_upper)
		return 0;
	if (!node_is_dir(node)) {
		r = upper_open(fs, node, ret);
		return r < 0 ? r : 1;
	}
	SHARED(&fs->names_lock);
	if (node_in_upper(fs, node)) {
		r = upper_dir(fs, node_dir(node), ret);
	} else {
		r = lower_at(fs, node, &layer, &at, &name);
		if (r == 0)
			r = layer->ops->dir_fd(layer, at, ret);
	}
	if (r == -ENOENT) /* removed: there is nothing to keep */
		return 0;
	return r < 0 ? r : 1;
}

int fs_fsync(struct fs *fs, struct node *node, unsigned flags)
{
	bool data_only = flags & FS_FSYNC_DATA;
	uint64_t change = 0;
	struct fd_ref ref;
	int r;

	fs_enter(fs);
	r = open_to_sync(fs, node, &ref);
	if (r > 0 && !(flags & (FS_FSYNC_DATA | FS_FSYNC_PASSED)))
		change = attrs_sync_begin(fs, node, &data_only);
	fs_leave(fs);
	if (r <= 0)
		return r;
	r = (data_only ? fdatasync(ref.fd) : fsync(ref.fd)) < 0 ? -errno : 0;
	fd_put(fs->fds, &ref);
	if (r < 0 || change == 0)
		return r;
	fs_enter(fs);
	attrs_sync_end(fs, node, change);
	fs_leave(fs);
	return 0;
}
