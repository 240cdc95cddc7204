/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/xattrscan.h"

/*
 * Who compares trees asks for the xattrs of each file, twice, and nearly always for nothing.  The kernel keeps no xattrs; but once
 * it is told that a mount has none it does not ask again.  Of layers of the store the index knows that; here it
 * is found out of directories, for a mount that nobody can write to.
 *
 * Each question that is answered "none" pays for a look at a few files more, so that it costs in all no more than a small
 * part of what the questions cost, and nothing where nobody asks.  The first xattr that would be shown ends it, as does all
 * that cannot be looked at, a mount below a lower, and file systems that may have xattrs that they do not list.
 */

#include "fs/internal.h"
#include "store/base/auto.h"

#include <dirent.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum {
	STEP_FILES = 16,
	DEPTH_MAX = 64, /* folders that are open at a time; what is deeper is not looked at */
};

enum verdict { GOING_ON, FOUND_NONE, FOUND_SOME };

struct xattr_scan {
	struct fs *fs; /* borrowed */
	_Atomic int verdict;
	pthread_mutex_t lock; /* guards what follows */
	uint32_t layer;
	unsigned depth;
	DIR *folders[DEPTH_MAX]; /* owned; those from the layer's root to where it is */
};

struct xattr_scan *xattr_scan_new(struct fs *fs)
{
	struct xattr_scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return NULL;
	scan->fs = fs;
	scan->layer = fs->layer_first;
	pthread_mutex_init(&scan->lock, NULL);
	return scan;
}

static void folders_close(struct xattr_scan *scan)
{
	while (scan->depth > 0)
		closedir(scan->folders[--scan->depth]);
}

void xattr_scan_free(struct xattr_scan *scan)
{
	if (!scan)
		return;
	folders_close(scan);
	pthread_mutex_destroy(&scan->lock);
	free(scan);
}

/* Return: is one of the names on disk a name to be shown? */
static bool is_any_shown(const char *names, ssize_t bytes)
{
	char shown[OVL_XATTR_NAME_BYTES];

	for (const char *name = names; name < names + bytes; name += strlen(name) + 1) {
		if (ovl_xattr_unescape(name, shown))
			return true;
	}
	return false;
}

static enum verdict look_at(int dirfd, const char *name)
{
	AUTO(freep) char *names = NULL;
	char path[PROC_PATH_BYTES];
	ssize_t n;

	proc_path(path, dirfd, name);
	n = *name ? llistxattr(path, NULL, 0) : listxattr(path, NULL, 0);
	if (n <= 0)
		return n == 0 ? GOING_ON : FOUND_SOME;
	names = malloc(XATTR_LIST_MAX);
	if (!names)
		return FOUND_SOME;
	n = *name ? llistxattr(path, names, XATTR_LIST_MAX) : listxattr(path, names, XATTR_LIST_MAX);
	return n < 0 || is_any_shown(names, n) ? FOUND_SOME : GOING_ON;
}

/* All xattrs that a file of these has are in its list. */
static bool lists_all(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	switch (st.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

static enum verdict folder_enter(struct xattr_scan *scan, const struct layer *layer, int dirfd, const char *name)
{
	AUTO(closep) int fd = scan->depth < DEPTH_MAX ? folder_open(dirfd, name) : -1;
	struct stat st;
	DIR *folder;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != layer->dev)
		return FOUND_SOME;
	folder = fdopendir(fd);
	if (!folder)
		return FOUND_SOME;
	(void)TAKE_FD(fd);
	scan->folders[scan->depth++] = folder;
	return GOING_ON;
}

static enum verdict layer_enter(struct xattr_scan *scan, struct layer *layer)
{
	struct fd_ref ref;
	enum verdict verdict;

	if (layer->is_store)
		return layer->has_xattrs ? FOUND_SOME : GOING_ON;
	if (layer->ops->dir_fd(layer, layer->root, &ref) < 0)
		return FOUND_SOME;
	verdict = lists_all(ref.fd) ? look_at(ref.fd, "") : FOUND_SOME;
	if (verdict == GOING_ON)
		verdict = folder_enter(scan, layer, ref.fd, ".");
	fd_put(scan->fs->fds, &ref);
	return verdict;
}

/* One file, or the end of a folder. */
static enum verdict step(struct xattr_scan *scan)
{
	struct fs *fs = scan->fs;
	const struct dirent *entry;
	enum verdict verdict;
	DIR *folder;

	if (scan->depth == 0)
		return scan->layer < fs->layer_end ? layer_enter(scan, fs->layers[scan->layer++]) : FOUND_NONE;
	folder = scan->folders[scan->depth - 1];
	errno = 0;
	entry = readdir(folder);
	if (!entry && errno != 0)
		return FOUND_SOME;
	if (!entry) {
		closedir(folder);
		scan->depth--;
		return GOING_ON;
	}
	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return GOING_ON;
	if (entry->d_type == DT_UNKNOWN)
		return FOUND_SOME;
	verdict = look_at(dirfd(folder), entry->d_name);
	if (verdict == GOING_ON && entry->d_type == DT_DIR)
		verdict = folder_enter(scan, fs->layers[scan->layer - 1], dirfd(folder), entry->d_name);
	return verdict;
}

void xattr_scan_go_on(struct xattr_scan *scan)
{
	enum verdict verdict = GOING_ON;

	if (!scan || atomic_load(&scan->verdict) != GOING_ON || pthread_mutex_trylock(&scan->lock) != 0)
		return;
	if (atomic_load(&scan->verdict) == GOING_ON) {
		for (unsigned i = 0; i < STEP_FILES && verdict == GOING_ON; i++)
			verdict = step(scan);
		if (verdict != GOING_ON)
			folders_close(scan);
		atomic_store(&scan->verdict, verdict);
	}
	pthread_mutex_unlock(&scan->lock);
}

bool xattr_scan_give_up(struct xattr_scan *scan)
{
	bool found_none;

	if (!scan)
		return true;
	pthread_mutex_lock(&scan->lock);
	found_none = atomic_load(&scan->verdict) == FOUND_NONE;
	if (atomic_load(&scan->verdict) == GOING_ON) {
		folders_close(scan);
		atomic_store(&scan->verdict, FOUND_SOME);
	}
	pthread_mutex_unlock(&scan->lock);
	return !found_none;
}

bool xattr_scan_found_none(const struct xattr_scan *scan)
{
	return scan && atomic_load(&scan->verdict) == FOUND_NONE;
}
