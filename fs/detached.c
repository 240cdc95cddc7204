/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/detached.h"

/*
 * An open folder keeps the mount busy that it was reached through, and a file system
 * in user space has left its mount point some time before its daemon has ended: so
 * umount(8) of the one and then of a lower would fail by chance.  Therefore the
 * folders are opened, where that is allowed, in a copy of the mount that nobody else
 * knows, as overlayfs does it in the kernel.  The copy is private: what is mounted
 * later on a folder of a lower, this very mount for one, does not appear in it, so
 * that we never wait for ourselves.
 *
 * The copy is of one mount.  Where others are mounted below the folder, they have to
 * show; a copy of them all would keep file systems alive that have nothing to do with
 * us.  Then, and for a user who may not mount, the folder is opened as it is.
 *
 * The copy is dissolved when its first descriptor is closed; folders opened in it
 * before go on, and so does what is opened in them.
 */

#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { MOUNTINFO_LIMIT = 64 * 1024 * 1024, FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

/* --- what is mounted --- */

struct mount_point {
	char *path; /* borrowed from the text */
	bool idmapped;
};

struct mounts {
	struct mount_point *points; /* owned */
	size_t count;
	char *text; /* owned */
};

/* Spaces and the like are written as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *c = text; *c; to++) {
		if (c[0] == '\\' && c[1] && c[2] && c[3]) {
			*to = (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0'));
			c += 4;
		} else {
			*to = *c++;
		}
	}
	*to = '\0';
}

/* The fifth word of a line is the mount point, the sixth its options. */
static bool point_of(char *line, struct mount_point *ret)
{
	char *word = NULL, *options, *at = line;

	for (int i = 0; i < 5 && at; i++)
		word = strsep(&at, " ");
	if (!word || !*word)
		return false;
	unescape(word);
	options = strsep(&at, " ");
	*ret = (struct mount_point){ .path = word, .idmapped = options && strstr(options, "idmapped") };
	return true;
}

struct mounts *mounts_read(void)
{
	AUTO(mounts_freep) struct mounts *mounts = calloc(1, sizeof(*mounts));
	char *at, *line;
	size_t bytes, room = 1;

	if (!mounts || io_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_LIMIT, &mounts->text, &bytes) < 0)
		return NULL;
	for (const char *c = mounts->text; *c; c++)
		room += *c == '\n';
	mounts->points = calloc(room, sizeof(*mounts->points));
	if (!mounts->points)
		return NULL;
	for (at = mounts->text; (line = strsep(&at, "\n"));)
		mounts->count += point_of(line, &mounts->points[mounts->count]);
	return TAKE(mounts);
}

void mounts_free(struct mounts *mounts)
{
	if (!mounts)
		return;
	free(mounts->points);
	free(mounts->text);
	free(mounts);
}

/* @path is absolute, without symlinks. */
static bool any_below(const struct mounts *mounts, const char *path)
{
	size_t len = path[1] ? strlen(path) : 0;

	for (size_t i = 0; i < mounts->count; i++) {
		const char *point = mounts->points[i].path;

		if (strncmp(point, path, len) == 0 && point[len] == '/' && point[len + 1])
			return true;
	}
	return false;
}

bool mounts_are_idmapped(const struct mounts *mounts, const char *path)
{
	AUTO(freep) char *real = mounts ? realpath(path, NULL) : NULL;
	bool idmapped = false;
	size_t longest = 0;

	for (size_t i = 0; real && i < mounts->count; i++) {
		const char *point = mounts->points[i].path;
		size_t len = point[1] ? strlen(point) : 0;

		/* Of several on one point the last counts. */
		if (len >= longest && strncmp(point, real, len) == 0 && (!real[len] || real[len] == '/')) {
			longest = len;
			idmapped = mounts->points[i].idmapped;
		}
	}
	return idmapped;
}

bool path_is_within(const char *path, const char *folder)
{
	size_t len = folder[1] ? strlen(folder) : 0;

	return strncmp(path, folder, len) == 0 && (!path[len] || path[len] == '/');
}

bool mounts_between(const struct mounts *mounts, const char *outer, const char *inner)
{
	for (size_t i = 0; mounts && i < mounts->count; i++) {
		const char *point = mounts->points[i].path;

		if (path_is_within(inner, point) && path_is_within(point, outer) && strcmp(point, outer) != 0)
			return true;
	}
	return false;
}

/* --- opening --- */

static int folder_open(const char *path)
{
	int fd = open(path, FOLDER);

	return fd < 0 ? -errno : fd;
}

/* Return: the copy, -1: not allowed. */
static int mount_copy(const char *path)
{
	struct mount_attr private = { .propagation = MS_PRIVATE };
	AUTO(closep) int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &private, sizeof(private)) < 0)
		return -1;
	return TAKE_FD(tree);
}

/* Return: the folder @name of @tree, -1: it is not the one that @fd is. */
static int same_in_copy(int tree, const char *name, int fd)
{
	AUTO(closep) int copy = openat(tree, name, FOLDER | O_NOFOLLOW);
	struct stat a, b;

	if (copy < 0 || fstat(copy, &a) < 0 || fstat(fd, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return -1;
	return TAKE_FD(copy);
}

int detached_open(const struct mounts *mounts, const char *path)
{
	AUTO(closep) int fd = folder_open(path), tree = -1, copy = -1;
	AUTO(freep) char *real = NULL;

	if (fd < 0)
		return TAKE_FD(fd);
	real = mounts ? realpath(path, NULL) : NULL;
	if (real && !any_below(mounts, real) && (tree = mount_copy(real)) >= 0)
		copy = same_in_copy(tree, ".", fd);
	return copy >= 0 ? TAKE_FD(copy) : TAKE_FD(fd);
}

/* Cut @a down to the folder that holds it and @b; *@ret_a and *@ret_b are their names there. */
static void split_common(char *a, const char *b, const char **ret_a, const char **ret_b)
{
	size_t slash = 0;

	for (size_t i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '/')
			slash = i;
	*ret_a = a + slash + 1;
	*ret_b = b + slash + 1;
	a[slash] = '\0';
}

/* One copy for both: names cannot be moved from one copy to another. */
static void detach_two(const struct mounts *mounts, const char *const paths[2], int fds[2])
{
	AUTO(freep) char *first = realpath(paths[0], NULL), *second = realpath(paths[1], NULL);
	AUTO(closep) int tree = -1, copy = -1, other = -1;
	const char *name, *other_name;

	if (!first || !second || any_below(mounts, first) || any_below(mounts, second))
		return;
	split_common(first, second, &name, &other_name);
	if (!*name || !*other_name || (tree = mount_copy(*first ? first : "/")) < 0)
		return;
	copy = same_in_copy(tree, name, fds[0]);
	other = same_in_copy(tree, other_name, fds[1]);
	if (copy < 0 || other < 0)
		return;
	close(fds[0]);
	close(fds[1]);
	fds[0] = TAKE_FD(copy);
	fds[1] = TAKE_FD(other);
}

int detached_open_two(const struct mounts *mounts, const char *const paths[2], int ret[2], int *ret_failed)
{
	AUTO(closep) int first = folder_open(paths[0]);
	int second = first < 0 ? -1 : folder_open(paths[1]);

	*ret_failed = first < 0 ? 0 : 1;
	if (first < 0 || second < 0)
		return first < 0 ? first : second;
	ret[0] = TAKE_FD(first);
	ret[1] = second;
	if (mounts)
		detach_two(mounts, paths, ret);
	return 0;
}
