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
 *   links/d801-2a         inode 0x2a of device 0x801
 *   links/m49..c-2a       one of a folder that goes with this mount (passing_dev())
 *   links/d801-2a.names   how many names are left of one that has no copy (a symlink: its target)
 *   overlay.nacre.index = "s3-1f 2"
 *
 * An upper that has become a lower (live.c) keeps its index, of which only the counts are
 * looked at from then on: its copies have all their names, since the lowers are of the store.
 *
 * (The kernel's own index, workdir/index, names files by file handle, which
 * neither the store nor an unprivileged user has.)
 */

#include "fs/attrcache.h"
#include "store/base/auto.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_NAME_BYTES = 56 };

/* Store layers and what goes with the mount are told from devices by the top bits. */
static const uint64_t from_store = 1ull << 63, from_passing = 1ull << 62;

/*
 * When a folder has gone its file system gives the numbers in it to other files, and one of them may come to stand in a
 * lower: the device that no other mount has.
 */
static uint64_t passing_dev(const struct fs *fs, uint64_t dev)
{
	return from_passing | ((dev ^ fs->mount_id) & (from_passing - 1));
}

/* The identity of a lower inode; of one that is no row, @dev and @ino. */
static struct index_origin origin_of(const struct fs *fs, const struct node *node, uint64_t dev, uint64_t ino)
{
	if (node_is(node, NODE_ROW))
		return (struct index_origin){ fs->layers[node->layer]->dev | from_store, node->row.no };
	return (struct index_origin){ backing_is_passing(fs, node) ? passing_dev(fs, dev) : dev, ino };
}

static char index_kind(const struct index_origin *origin)
{
	if (origin->dev & from_store)
		return 's';
	return origin->dev & from_passing ? 'm' : 'd';
}

static void index_name(const struct index_origin *origin, char *name)
{
	snprintf(name, INDEX_NAME_BYTES, "%c%llx-%llx", index_kind(origin),
		 (unsigned long long)(origin->dev & ~(from_store | from_passing)), (unsigned long long)origin->ino);
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
	*origin = (struct index_origin){ dev | (kind == 's' ? from_store : kind == 'm' ? from_passing : 0), ino };
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

static struct index_origin origin_of_multi(const struct fs *fs, const struct node *node)
{
	return node_is(node, NODE_ROW) ? origin_of(fs, node, 0, 0)
				       : origin_of(fs, node, node->back.dev, node->back.ino);
}

void index_keep_count(struct fs *fs, struct node *node, uint32_t names)
{
	struct index_origin origin = origin_of_multi(fs, node);
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
	struct index_origin origin = origin_of_multi(fs, node);
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
	SHARED(&fs->names_lock);
	return count_recorded(fs, node, names);
}

/* --- copies --- */

bool index_has_copies(int index_fd)
{
	AUTO(closep) int fd = openat(index_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool any = false;
	struct dirent *entry;

	if (!dir)
		return true;
	TAKE_FD(fd);
	while (!any && (entry = readdir(dir)))
		any = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !is_count(entry->d_name);
	closedir(dir);
	return any;
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

int index_join(struct fs *fs, struct link *link, struct stat *st)
{
	struct index_origin origin = { 0 };
	char name[INDEX_NAME_BYTES];
	uint32_t nlink = 0;
	struct stat copy;
	int r;

	if (fs->index_fd < 0)
		return 0;
	if (node_in_upper(fs, link->node))
		return join_upper(fs, link);
	origin = origin_of(fs, link->node, st->st_dev, st->st_ino);
	index_name(&origin, name);
	r = upper_stat(fs, fs->index_fd, name, fs->override_upper, &copy);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	atomic_store(&fs->names_lacking, true);
	if (node_join(fs, link, fs->upper, copy.st_dev, copy.st_ino))
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

int index_origin(struct fs *fs, struct node *node, struct index_origin *ret)
{
	uint64_t dev = 0, ino = 0;
	int r = node_is(node, NODE_ROW) ? 0 : backing_identity(fs, node, &dev, &ino);

	*ret = origin_of(fs, node, dev, ino);
	return r;
}

int index_add(struct fs *fs, struct node *node, const struct stat *lower, const char *work, struct index_origin *ret)
{
	char name[INDEX_NAME_BYTES], count[INDEX_NAME_BYTES];
	int r;

	pthread_rwlock_rdlock(&fs->names_lock);
	r = index_origin(fs, node, ret); /* @lower has the number that the mount shows */
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
