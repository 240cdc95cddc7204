/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"
#include "fs/limits.h"

/*
 * What the upper holds, and how much it may hold.
 *
 * Bytes are the blocks of everything but directories and whiteouts, as st_blocks
 * has them; inodes are entries, a file of several names once.  A mount begins with
 * a walk over the upper.  Then each change takes room before it is made: as much
 * as it can need at most, and only where there is not so much left, what it needs
 * in fact, which asks the file system for what the file has already.  Afterwards
 * the blocks say what came of it, and the rest goes back.  So the limit holds
 * while many write, and a write over what is there always finds its place.
 *
 * A file that loses its last name gives its room back when the kernel forgets it:
 * until then somebody may have it open, and write.
 */

#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { GROWTH_LOCKS = 64, BLOCK_BYTES = 4096, STAT_BLOCK_BYTES = 512 };

struct limits {
	uint64_t max_bytes, max_inodes; /* UINT64_MAX: not limited */
	_Atomic int64_t bytes, inodes;	/* a file system that tells late may make them negative for a moment */
	pthread_mutex_t locks[GROWTH_LOCKS];
};

/* --- counting what is there --- */

struct walk {
	struct limits *limits;
	uint64_t *seen; /* owned: inode numbers of files with several names */
	size_t seen_count;
};

static uint64_t bytes_of(const struct stat *st)
{
	return S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_blocks * STAT_BLOCK_BYTES;
}

static bool is_whiteout(const char *name, const struct stat *st)
{
	return ovl_is_whiteout_mode(st->st_mode, st->st_rdev) || ovl_reserved_name(name);
}

static int walk_entry(struct walk *walk, const char *name, const struct stat *st)
{
	uint64_t *more;

	if (is_whiteout(name, st))
		return 0;
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		for (size_t i = 0; i < walk->seen_count; i++) {
			if (walk->seen[i] == st->st_ino)
				return 0;
		}
		more = realloc(walk->seen, (walk->seen_count + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		walk->seen = more;
		more[walk->seen_count++] = st->st_ino;
	}
	walk->limits->bytes += (int64_t)bytes_of(st);
	walk->limits->inodes++;
	return 0;
}

/* Takes @fd over. */
static int walk_folder(struct walk *walk, int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, de = readdir(dir))) {
		struct stat st;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = -errno;
		if (r == 0)
			r = walk_entry(walk, de->d_name, &st);
		if (r == 0 && S_ISDIR(st.st_mode)) {
			int sub = openat(fd, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			r = sub < 0 ? -errno : walk_folder(walk, sub);
		}
	}
	if (r == 0)
		r = -errno;
	closedir(dir);
	return r;
}

int limits_new(struct fs *fs, struct diag *diag)
{
	const struct fs_options *options = fs->options;
	struct walk walk = { 0 };
	int fd, r;

	if (!options->size_limit && !options->inode_limit)
		return 0;
	walk.limits = fs->limits = calloc(1, sizeof(*fs->limits));
	if (!fs->limits)
		return -ENOMEM;
	fs->limits->max_bytes = options->size_limit ? options->size_limit : UINT64_MAX;
	fs->limits->max_inodes = options->inode_limit ? options->inode_limit : UINT64_MAX;
	for (size_t i = 0; i < GROWTH_LOCKS; i++)
		pthread_mutex_init(&fs->limits->locks[i], NULL);
	fd = openat(fs->upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : walk_folder(&walk, fd);
	free(walk.seen);
	return r < 0 ? diag_errno(diag, r, "cannot count what upperdir %s holds", options->upper) : 0;
}

void limits_free(struct limits *limits)
{
	if (!limits)
		return;
	for (size_t i = 0; i < GROWTH_LOCKS; i++)
		pthread_mutex_destroy(&limits->locks[i]);
	free(limits);
}

/* --- taking and giving --- */

/* Nothing is a success also where a later mount set a smaller limit. */
static bool take(_Atomic int64_t *used, uint64_t max, uint64_t more)
{
	int64_t now;

	if (more == 0)
		return true;
	now = atomic_fetch_add(used, (int64_t)more) + (int64_t)more;
	if (now < 0 || (uint64_t)now <= max)
		return true;
	atomic_fetch_sub(used, (int64_t)more);
	return false;
}

int limits_take(struct fs *fs, uint64_t bytes, uint64_t inodes)
{
	struct limits *limits = fs->limits;

	if (!limits)
		return 0;
	if (!take(&limits->bytes, limits->max_bytes, bytes))
		return -ENOSPC;
	if (take(&limits->inodes, limits->max_inodes, inodes))
		return 0;
	atomic_fetch_sub(&limits->bytes, (int64_t)bytes);
	return -ENOSPC;
}

void limits_give(struct fs *fs, uint64_t bytes, uint64_t inodes)
{
	if (!fs->limits)
		return;
	atomic_fetch_sub(&fs->limits->bytes, (int64_t)bytes);
	atomic_fetch_sub(&fs->limits->inodes, (int64_t)inodes);
}

uint64_t limits_settle(struct fs *fs, uint64_t taken, int dirfd, const char *name)
{
	uint64_t bytes = taken;
	struct stat st;

	if (!fs->limits)
		return 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0)
		bytes = bytes_of(&st);
	atomic_fetch_add(&fs->limits->bytes, (int64_t)bytes - (int64_t)taken);
	return bytes;
}

void limits_dir_lost(struct fs *fs)
{
	limits_give(fs, 0, 1);
}

void limits_node_lost(struct fs *fs, struct node *node)
{
	struct fd_ref ref;
	struct stat st;

	if (!fs->limits || !node_in_upper(fs, node) || !node_is(node, NODE_UNLINKED) || node_is_dir(node) ||
	    !fd_get(fs->fds, &node->slot, &ref))
		return;
	/* The upper may have names of it that nobody looked up here. */
	if (fstat(ref.fd, &st) == 0 && st.st_nlink == 0)
		limits_give(fs, bytes_of(&st), 1);
	fd_put(fs->fds, &ref);
}

static void count_nameless(int fd, void *arg)
{
	struct limits *limits = arg;
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_nlink > 0 || !S_ISREG(st.st_mode))
		return;
	atomic_fetch_add(&limits->bytes, (int64_t)bytes_of(&st));
	atomic_fetch_add(&limits->inodes, 1);
}

void limits_restart(struct fs *fs)
{
	if (!fs->limits)
		return;
	atomic_store(&fs->limits->bytes, 0);
	atomic_store(&fs->limits->inodes, 0);
	fdcache_each_pinned(fs->fds, count_nameless, fs->limits);
}

static uint64_t left(uint64_t max, int64_t used)
{
	uint64_t now = used < 0 ? 0 : (uint64_t)used;

	return now < max ? max - now : 0;
}

void limits_statfs(struct fs *fs, struct statvfs *st)
{
	struct limits *limits = fs->limits;
	uint64_t unit = st->f_frsize ? st->f_frsize : BLOCK_BYTES, room;

	if (!limits)
		return;
	if (limits->max_bytes != UINT64_MAX) {
		room = left(limits->max_bytes, atomic_load(&limits->bytes)) / unit;
		if (st->f_blocks > limits->max_bytes / unit)
			st->f_blocks = limits->max_bytes / unit;
		st->f_bfree = st->f_bfree < room ? st->f_bfree : room;
		st->f_bavail = st->f_bavail < room ? st->f_bavail : room;
	}
	if (limits->max_inodes != UINT64_MAX) {
		/* Some file systems have no number of inodes that they could say. */
		bool unknown = st->f_files == 0;

		room = left(limits->max_inodes, atomic_load(&limits->inodes));
		if (unknown || st->f_files > limits->max_inodes)
			st->f_files = limits->max_inodes;
		st->f_ffree = unknown || st->f_ffree > room ? room : st->f_ffree;
		st->f_favail = unknown || st->f_favail > room ? room : st->f_favail;
	}
}

/* --- changes of a file --- */

enum { EXTENTS = 64 };

/* How much of @from to @to has its blocks, also those that nothing was written to yet. -EOPNOTSUPP: not told. */
static int64_t allocated(int fd, uint64_t from, uint64_t to)
{
	char room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	struct fiemap *map = (struct fiemap *)room;
	uint64_t at = from, bytes = 0;

	while (at < to) {
		memset(map, 0, sizeof(*map));
		map->fm_start = at;
		map->fm_length = to - at;
		map->fm_extent_count = EXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
			return -errno;
		for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
			const struct fiemap_extent *extent = &map->fm_extents[i];
			uint64_t first = extent->fe_logical > at ? extent->fe_logical : at;
			uint64_t end = extent->fe_logical + extent->fe_length;

			end = end < to ? end : to;
			bytes += end > first ? end - first : 0;
			at = end > at ? end : at;
		}
		if (map->fm_mapped_extents < EXTENTS)
			break;
	}
	return (int64_t)bytes;
}

/* The same where only data and holes are told apart. */
static int64_t with_data(int fd, uint64_t from, uint64_t to)
{
	uint64_t bytes = 0;
	off_t at = (off_t)from, end;

	while ((uint64_t)at < to && (at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < to) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		bytes += ((uint64_t)end < to ? (uint64_t)end : to) - (uint64_t)at;
		at = end;
	}
	return (int64_t)bytes;
}

uint64_t limits_data(struct fs *fs, struct node *node, uint64_t bytes)
{
	struct content_ref from;
	struct stat st;
	int64_t data = 0;

	if (!fs->limits || node_open(fs, node, &from) < 0)
		return 0; /* who copies will see the error */
	if (from.fd >= 0 && fstat(from.fd, &st) == 0) {
		if (from.bytes == UINT64_MAX)
			from.bytes = (uint64_t)st.st_size;
		bytes = bytes < from.bytes ? bytes : from.bytes;
		data = with_data(from.fd, from.offset, from.offset + bytes);
	}
	fd_put(fs->fds, &from.ref);
	if (data < 0) /* a file system that does not tell */
		data = (int64_t)bytes;
	return ((uint64_t)data + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* Whole blocks of @offset to @offset + @bytes that the file has not. */
static uint64_t missing(int fd, off_t offset, uint64_t bytes)
{
	uint64_t from = (uint64_t)offset / BLOCK_BYTES * BLOCK_BYTES;
	uint64_t to = ((uint64_t)offset + bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
	int64_t there = allocated(fd, from, to);

	if (there < 0)
		there = with_data(fd, from, to);
	/* Data ends with the file, its last block does not. */
	there = there < 0 ? 0 : (there + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
	return to - from > (uint64_t)there ? to - from - (uint64_t)there : 0;
}

static int growth_take(struct fs *fs, int dirfd, const char *name, off_t offset, uint64_t bytes, struct growth *ret)
{
	uint64_t most = bytes ? bytes + 2 * BLOCK_BYTES : 0;
	struct stat st;
	int r = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;

	if (r == 0)
		r = limits_take(fs, most, 0);
	if (r == -ENOSPC) {
		most = missing(dirfd, offset, bytes);
		r = limits_take(fs, most, 0);
	}
	if (r < 0)
		return r;
	ret->fs = fs;
	ret->dirfd = dirfd;
	ret->name = name;
	ret->before = bytes_of(&st);
	ret->taken = most;
	return 0;
}

int growth_begin(struct fs *fs, struct node *node, int dirfd, const char *name, off_t offset, uint64_t bytes,
		 struct growth *ret)
{
	int r;

	*ret = (struct growth){ 0 };
	if (!fs->limits || node_is_dir(node))
		return 0;
	ret->lock = &fs->limits->locks[((uintptr_t)node >> 6) % GROWTH_LOCKS];
	pthread_mutex_lock(ret->lock);
	r = growth_take(fs, dirfd, name, offset, bytes, ret);
	if (r < 0)
		pthread_mutex_unlock(ret->lock);
	return r;
}

int growth_begin_claimed(struct fs *fs, int fd, uint64_t bytes, struct growth *ret)
{
	*ret = (struct growth){ 0 };
	return fs->limits ? growth_take(fs, fd, "", 0, bytes, ret) : 0;
}

void growth_end(struct growth *growth)
{
	if (!growth->fs)
		return;
	limits_settle(growth->fs, growth->before + growth->taken, growth->dirfd, growth->name);
	if (growth->lock)
		pthread_mutex_unlock(growth->lock);
}
