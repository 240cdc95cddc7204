/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Copies of lower files that have several names.
 *
 * Copying such a file up through one of its names must change it under all of
 * them, now and after a remount, without making the others in the upper.  So the
 * copy gets one more link, in the folder `links` of the workdir, named by what it
 * is a copy of; a lower file of several names is looked for there first.  How many
 * names the merged tree shows stands in an xattr of the copy, since the link count
 * on disk knows nothing of names that are still in a lower only.
 *
 *   links/s3-1f           inode 0x1f of store layer 3
 *   links/b83..e-2a       inode 0x2a of a device, born at a certain time (born_dev())
 *   links/d801-2a         inode 0x2a of device 0x801, where birth times are not kept or an older driver made it
 *   links/m49..c-2a       one of a folder that goes with this mount (passing_dev())
 *   links/b83..e-2a.names how many names are left of one that has no copy (a symlink: its target)
 *   overlay.nacre.index = "s3-1f 2"
 *
 * An upper that has become a lower (live.c) keeps its index, of which only the counts are
 * looked at from then on: its copies have all their names, since the lowers are of the store.
 *
 * (The kernel's own index, workdir/index, names files by file handle, which the store has not, and which
 * a lower on FUSE or NFS may give anew with each mount.)
 */

#include "fs/attrcache.h"
#include "fs/flags.h"
#include "fs/inumber.h"
#include "store/base/auto.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { INDEX_NAME_BYTES = 56 };

/* Store layers and what goes with the mount are told from devices by the top bits. */
static const uint64_t from_store = 1ull << 63, from_passing = 1ull << 62, from_born = 1ull << 61;

static char index_kind(const struct index_origin *origin)
{
	if (origin->dev & from_store)
		return 's';
	if (origin->dev & from_passing)
		return 'm';
	return origin->dev & from_born ? 'b' : 'd';
}

static uint64_t kind_bit(char kind)
{
	return kind == 's' ? from_store : kind == 'm' ? from_passing : kind == 'b' ? from_born : 0;
}

static void index_name(const struct index_origin *origin, char *name)
{
	char kind = index_kind(origin);

	snprintf(name, INDEX_NAME_BYTES, "%c%llx-%llx", kind, (unsigned long long)(origin->dev & ~kind_bit(kind)),
		 (unsigned long long)origin->ino);
}

/*
 * When a folder has gone its file system gives the numbers in it to other files, and one of them may come to stand in a
 * lower: the device that no other mount has.
 */
static uint64_t passing_dev(const struct fs *fs, uint64_t dev)
{
	return from_passing | ((dev ^ fs->mount_id) & (from_passing - 1));
}

/*
 * Between two mounts a file of a lower may be removed and a new one be given its number; that is born later.  The two in one
 * word, so that a node has room for them.
 */
static uint64_t born_dev(uint64_t dev, uint64_t birth_ns)
{
	const uint64_t key[2] = { dev, birth_ns };

	return from_born | (XXH3_64bits(key, sizeof(key)) & (from_born - 1));
}

/* What is on disk of a lower inode that is no row. */
struct backing {
	uint64_t dev, ino;
	uint64_t birth_ns; /* 0: its file system does not keep it */
};

static uint64_t time_ns(int64_t seconds, uint32_t ns)
{
	return (uint64_t)seconds * 1000000000 + ns;
}

/*
 * In a former upper no number is given again while it is there.  Who serves a lower is not asked: a driver would be each time,
 * and may tell another time when the file there has been copied up.
 */
static bool is_told_by_birth(const struct fs *fs, const struct node *node)
{
	const struct layer *layer = node_layer(fs, node);

	return !node_is(node, NODE_ROW) && !node_was_upper(fs, node) && !(layer && layer->is_served);
}

/* names_lock is held. */
static int birth_read(struct fs *fs, struct node *node, uint64_t *ret)
{
	struct node_at at;
	struct statx stx;
	int r;

	*ret = 0;
	if (!is_told_by_birth(fs, node))
		return 0;
	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	if (statx(at.ref.fd, at.name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BTIME, &stx) < 0)
		r = -errno;
	fd_put(fs->fds, &at.ref);
	if (r == 0 && stx.stx_mask & STATX_BTIME)
		*ret = time_ns(stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec);
	return r;
}

/* The identity of a lower inode; of one that is no row it is that of @back. */
static struct index_origin origin_of(const struct fs *fs, const struct node *node, const struct backing *back)
{
	uint64_t dev = back->dev;

	if (node_is(node, NODE_ROW))
		return (struct index_origin){ fs->layers[node->layer]->dev | from_store, node->row.no };
	if (back->birth_ns && is_told_by_birth(fs, node))
		dev = born_dev(dev, back->birth_ns);
	return (struct index_origin){ backing_is_passing(fs, node) ? passing_dev(fs, dev) : dev, back->ino };
}

/* names_lock is held. @back: what was read of it, which for a row is nothing. */
static int origin_read(struct fs *fs, struct node *node, struct backing *back, struct index_origin *ret)
{
	int r = 0;

	*back = (struct backing){ 0 };
	if (!node_is(node, NODE_ROW)) {
		r = backing_identity(fs, node, &back->dev, &back->ino);
		if (r == 0)
			r = birth_read(fs, node, &back->birth_ns);
	}
	*ret = origin_of(fs, node, back);
	return r;
}

/* What an older driver's index has it as. Return: false: the same, or this index has none of those. */
static bool origin_before(const struct fs *fs, const struct index_origin *origin, const struct backing *back,
			  struct index_origin *ret)
{
	*ret = (struct index_origin){ back->dev, back->ino };
	return fs->index_by_number && index_kind(origin) == 'b';
}

static int record_write(struct fs *fs, int dirfd, const char *name, const struct index_origin *origin, uint32_t nlink)
{
	char text[INDEX_NAME_BYTES + 16], index[INDEX_NAME_BYTES];
	int n, r;

	index_name(origin, index);
	n = snprintf(text, sizeof(text), "%s %u", index, nlink);
	r = upper_set_private(fs, dirfd, name, "nacre.index", text, (size_t)n);
	return r == -EPERM || r == -ENOTSUP || r == -EACCES ? 0 : r;
}

/* Return: 1: it is a copy that the index has; 0: it is not. */
static int record_read(struct fs *fs, int dirfd, const char *name, struct index_origin *origin, uint32_t *nlink)
{
	char text[INDEX_NAME_BYTES + 16];
	ssize_t n = upper_get_private(fs, dirfd, name, "nacre.index", text, sizeof(text) - 1);
	unsigned long long dev, ino;
	char kind;

	if (n < 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%c%llx-%llx %u", &kind, &dev, &ino, nlink) != 4)
		return 0;
	*origin = (struct index_origin){ dev | kind_bit(kind), ino };
	return 1;
}

/* --- names that are gone --- */

#define COUNT_SUFFIX ".names"

static void count_name(const struct index_origin *origin, char *name)
{
	index_name(origin, name);
	strcat(name, COUNT_SUFFIX);
}

static bool is_count(const char *name)
{
	size_t len = strlen(name), suffix = strlen(COUNT_SUFFIX);

	return len > suffix && strcmp(name + len - suffix, COUNT_SUFFIX) == 0;
}

/* As index_join() found it: it need not have a place any more. */
static struct backing backing_of_multi(const struct node *node)
{
	if (node_is(node, NODE_ROW))
		return (struct backing){ 0 };
	return (struct backing){ node->back.dev, node->back.ino, node->back.birth_ns };
}

void index_keep_count(struct fs *fs, struct node *node, uint32_t names)
{
	const struct backing back = backing_of_multi(node);
	const struct index_origin origin = origin_of(fs, node, &back);
	char name[INDEX_NAME_BYTES], work[WORK_NAME_BYTES], text[16];

	if (fs->index_fd < 0)
		return;
	count_name(&origin, name);
	snprintf(text, sizeof(text), "%u", names);
	work_name(fs, work);
	/* Without it, nlink is too high after a remount: no reason to fail the unlink. */
	if (symlinkat(text, fs->work_fd, work) == 0 && renameat(fs->work_fd, work, fs->index_fd, name) < 0)
		unlinkat(fs->work_fd, work, 0);
}

/* Return: false: it has no such count. */
static bool count_read(int index_fd, const char *name, uint32_t *ret)
{
	char text[16];
	ssize_t n = readlinkat(index_fd, name, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	*ret = (uint32_t)strtoul(text, NULL, 10);
	return true;
}

/* The file of an upper that is a lower now, and was a copy then: the link of that index is no name. */
static uint32_t count_recorded(struct fs *fs, struct node *node, uint32_t names)
{
	struct index_origin origin;
	struct node_at at;

	if (!node_was_upper(fs, node) || node_at(fs, node, &at) < 0)
		return names;
	(void)record_read(fs, at.ref.fd, at.name, &origin, &names);
	fd_put(fs->fds, &at.ref);
	return names;
}

uint32_t index_count(struct fs *fs, struct node *node, uint32_t names)
{
	const struct backing back = backing_of_multi(node);
	const struct index_origin origin = origin_of(fs, node, &back);
	struct index_origin before;
	char name[INDEX_NAME_BYTES];
	uint32_t left;

	if (fs->index_fd < 0)
		return names;
	count_name(&origin, name);
	if (count_read(fs->index_fd, name, &left))
		return left;
	for (uint16_t i = (uint16_t)fs->layer_first; i < node_layer_index(fs, node); i++) {
		if (fs->layers[i]->was_upper && count_read(fs->layers[i]->index_fd, name, &left))
			return left;
	}
	if (origin_before(fs, &origin, &back, &before)) {
		count_name(&before, name);
		if (count_read(fs->index_fd, name, &left))
			return left;
	}
	SHARED(&fs->names_lock);
	return count_recorded(fs, node, names);
}

/* --- copies --- */

/* Return: is there an entry that @is true of? True also where that cannot be told. */
static bool has_entry(int index_fd, bool (*is)(const char *name))
{
	AUTO(closep) int fd = openat(index_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool any = false;
	struct dirent *entry;

	if (!dir)
		return true;
	TAKE_FD(fd);
	while (!any && (entry = readdir(dir)))
		any = entry->d_name[0] != '.' && is(entry->d_name);
	closedir(dir);
	return any;
}

static bool is_copy(const char *name)
{
	return !is_count(name);
}

bool index_has_copies(int index_fd)
{
	return has_entry(index_fd, is_copy);
}

static bool is_by_number(const char *name)
{
	return name[0] == 'd';
}

bool index_is_by_number(int index_fd)
{
	return has_entry(index_fd, is_by_number);
}

/* The link's node is, from now on, the node of the copy. */
static void become_copy(struct fs *fs, struct link *link, const struct index_origin *origin, uint32_t nlink)
{
	struct node *node = link->node;
	EXCLUSIVE(&fs->names_lock);

	fd_drop(fs->fds, &node->slot);
	attrs_clear_place(fs, node);
	node_clear(node, NODE_ROW | NODE_XATTRS | NODE_LOWER_LISTED | NODE_LOWER_BARE);
	node->back.nlink = nlink;
	node->back.origin_dev = origin->dev;
	node->back.origin_ino = origin->ino;
	node_set(node, NODE_INDEXED);
	node->layer = fs->upper;
}

static int join_upper(struct fs *fs, struct link *link)
{
	struct index_origin origin = { 0 };
	uint32_t nlink = 0;
	struct fd_ref ref;
	int r;

	pthread_rwlock_rdlock(&fs->names_lock);
	r = upper_dir(fs, link->dir, &ref);
	if (r == 0) {
		r = record_read(fs, ref.fd, link->name, &origin, &nlink);
		fd_put(fs->fds, &ref);
	}
	pthread_rwlock_unlock(&fs->names_lock);
	if (r > 0)
		become_copy(fs, link, &origin, nlink);
	return r < 0 ? r : 0;
}

/* An older driver's copy, whose name does not tell: where it recorded the birth time of what it copied, as it does. */
static bool was_born_then(struct fs *fs, const char *name, uint64_t birth_ns)
{
	struct timespec birth = { .tv_nsec = NO_BIRTH };

	upper_read_birth(fs, fs->index_fd, name, &birth);
	return birth.tv_nsec == NO_BIRTH || time_ns(birth.tv_sec, (uint32_t)birth.tv_nsec) == birth_ns;
}

/* @origin: what a copy of it would have; what the copy has, afterwards. Return: -ENOENT: there is none. */
static int copy_find(struct fs *fs, const struct backing *back, struct index_origin *origin, char *name,
		     struct stat *ret)
{
	struct index_origin before;
	int r;

	index_name(origin, name);
	r = upper_stat(fs, fs->index_fd, name, fs->override_upper, ret);
	if (r != -ENOENT || !origin_before(fs, origin, back, &before))
		return r;
	index_name(&before, name);
	r = upper_stat(fs, fs->index_fd, name, fs->override_upper, ret);
	if (r == 0 && !was_born_then(fs, name, back->birth_ns))
		return -ENOENT;
	*origin = before;
	return r;
}

int index_join(struct fs *fs, struct link *link, struct stat *st, bool *joined)
{
	struct index_origin origin = { 0 };
	struct backing back;
	char name[INDEX_NAME_BYTES];
	uint32_t nlink = 0;
	struct stat copy;
	int r;

	*joined = false;
	if (fs->index_fd < 0)
		return 0;
	if (node_in_upper(fs, link->node))
		return join_upper(fs, link);
	back = (struct backing){ st->st_dev, st->st_ino, 0 };
	if (!node_is(link->node, NODE_ROW)) {
		pthread_rwlock_rdlock(&fs->names_lock);
		r = birth_read(fs, link->node, &back.birth_ns);
		pthread_rwlock_unlock(&fs->names_lock);
		if (r < 0)
			return r == -ENOENT ? -ESTALE : r; /* changed behind our back */
		link->node->back.birth_ns = back.birth_ns; /* for the counts */
	}
	origin = origin_of(fs, link->node, &back);
	r = copy_find(fs, &back, &origin, name, &copy);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	atomic_store(&fs->names_lacking, true);
	*joined = node_join(fs, link, &(struct inode_key){ fs->upper, copy.st_dev, copy.st_ino });
	if (*joined)
		return 0;
	if (record_read(fs, fs->index_fd, name, &origin, &nlink) == 0)
		nlink = (uint32_t)copy.st_nlink;
	become_copy(fs, link, &origin, nlink);
	*st = copy;
	return 0;
}

int index_open(struct fs *fs, struct node *node, struct fd_ref *ret)
{
	struct index_origin origin = { node->back.origin_dev, node->back.origin_ino };
	char name[INDEX_NAME_BYTES];
	int fd;

	index_name(&origin, name);
	fd = openat(fs->index_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	/* Not the cache's: a node's slot holds what its data is read from. */
	if (fd < 0)
		return -errno;
	*ret = (struct fd_ref){ .fd = fd, .owned = true };
	return 0;
}

static bool is_origin(const struct node *copy, const struct index_origin *origin)
{
	return copy->back.origin_dev == origin->dev && copy->back.origin_ino == origin->ino;
}

bool index_is_copy_of(struct fs *fs, const struct node *copy, struct node *lower)
{
	struct index_origin origin, before;
	struct backing back;

	if (origin_read(fs, lower, &back, &origin) < 0)
		return false;
	return is_origin(copy, &origin) || (origin_before(fs, &origin, &back, &before) && is_origin(copy, &before));
}

int index_add(struct fs *fs, struct node *node, const struct stat *lower, const char *work, struct index_origin *ret)
{
	char name[INDEX_NAME_BYTES], count[INDEX_NAME_BYTES];
	struct backing back;
	int r;

	pthread_rwlock_rdlock(&fs->names_lock);
	r = origin_read(fs, node, &back, ret); /* @lower has the number that the mount shows */
	pthread_rwlock_unlock(&fs->names_lock);
	if (r < 0)
		return r;
	index_name(ret, name);
	r = record_write(fs, fs->work_fd, work, ret, (uint32_t)lower->st_nlink);
	if (r < 0)
		return r;
	unlinkat(fs->index_fd, name, 0); /* of an upper that is no more */
	count_name(ret, count);
	unlinkat(fs->index_fd, count, 0); /* the copy counts for itself */
	return linkat(fs->work_fd, work, fs->index_fd, name, 0) < 0 ? -errno : 0;
}

int index_nlink(struct fs *fs, struct node *node, int change)
{
	struct index_origin origin = { node->back.origin_dev, node->back.origin_ino };
	char name[INDEX_NAME_BYTES];

	if (!node_is(node, NODE_INDEXED) || !node_in_upper(fs, node))
		return 0;
	node->back.nlink = (uint32_t)((int)node->back.nlink + change);
	index_name(&origin, name);
	if (node->back.nlink == 0)
		return unlinkat(fs->index_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	return record_write(fs, fs->index_fd, name, &origin, node->back.nlink);
}
