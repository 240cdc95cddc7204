/* SPDX-License-Identifier: Apache-2.0 */
#include "store/upper.h"

#include "store/base/auto.h"
#include "store/ovl.h"

#include <fcntl.h>
#include <string.h>

static int dir_add(struct upper_dir *dir, size_t *room, const char *name, bool whiteout)
{
	struct upper_name *item;

	if (dir->count == *room) {
		size_t more = *room ? 2 * *room : 16;
		struct upper_name *names = realloc(dir->names, more * sizeof(*names));

		if (!names)
			return -ENOMEM;
		dir->names = names;
		*room = more;
	}
	item = &dir->names[dir->count];
	*item = (struct upper_name){ .whiteout = whiteout };
	if (asprintf(&item->written, "%s%s", whiteout ? OVL_WH_PREFIX : "", name) < 0) {
		item->written = NULL;
		return -ENOMEM;
	}
	item->name = item->written + (whiteout ? strlen(OVL_WH_PREFIX) : 0);
	dir->count++;
	return 0;
}

static int is_device_whiteout(int fd, const struct dirent *de)
{
	struct stat st;

	if (de->d_type != DT_CHR && de->d_type != DT_UNKNOWN)
		return 0;
	if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return ovl_is_whiteout_mode(st.st_mode, st.st_rdev);
}

static int is_xattr_whiteout(int fd, const struct dirent *de)
{
	AUTO(closep) int file = -1;

	if (de->d_type != DT_REG && de->d_type != DT_UNKNOWN)
		return 0;
	file = openat(fd, de->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return file < 0 ? -errno : ovl_is_xattr_whiteout(file);
}

static int add_dirent(int fd, const struct dirent *de, bool xattr_whiteouts, struct upper_dir *dir, size_t *room)
{
	const char *hidden = ovl_whiteout_name(de->d_name);
	int whiteout;

	if (hidden)
		return dir_add(dir, room, hidden, true);
	if (ovl_reserved_name(de->d_name) || strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
		return 0;
	whiteout = is_device_whiteout(fd, de);
	if (whiteout == 0 && xattr_whiteouts)
		whiteout = is_xattr_whiteout(fd, de);
	return whiteout < 0 ? whiteout : dir_add(dir, room, de->d_name, whiteout);
}

static int read_all(DIR *stream, struct upper_dir *dir)
{
	int fd = dirfd(stream), xattr_whiteouts = ovl_has_xattr_whiteouts(fd);
	size_t room = 0;
	int r = xattr_whiteouts < 0 ? xattr_whiteouts : 0;

	while (r == 0) {
		struct dirent *de;

		errno = 0;
		de = readdir(stream);
		if (!de)
			return -errno;
		r = add_dirent(fd, de, xattr_whiteouts, dir, &room);
	}
	return r;
}

/* By name; the entry before a whiteout of it. */
static int name_order(const void *a, const void *b)
{
	const struct upper_name *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : (int)x->whiteout - (int)y->whiteout;
}

static void drop_doubles(struct upper_dir *dir)
{
	size_t kept = 0;

	for (size_t i = 0; i < dir->count; i++) {
		struct upper_name *item = &dir->names[i];

		if (kept == 0 || strcmp(dir->names[kept - 1].name, item->name) != 0) {
			dir->names[kept++] = *item;
			continue;
		}
		if (!dir->names[kept - 1].whiteout)
			dir->names[kept - 1].replaces = true;
		free(item->written);
	}
	dir->count = kept;
}

int upper_dir_read(int fd, struct upper_dir *ret)
{
	AUTO(upper_dir_release) struct upper_dir dir = { 0 };
	AUTO(closedirp) DIR *stream = NULL;
	AUTO(closep) int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (own < 0)
		return -errno;
	stream = fdopendir(own);
	if (!stream)
		return -errno;
	own = -1; /* the stream's now */
	r = read_all(stream, &dir);
	if (r < 0)
		return r;
	if (dir.count > 1)
		qsort(dir.names, dir.count, sizeof(*dir.names), name_order);
	drop_doubles(&dir);
	*ret = dir;
	dir = (struct upper_dir){ 0 };
	return 0;
}

const struct upper_name *upper_dir_find(const struct upper_dir *dir, const char *name)
{
	size_t low = 0, high = dir->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(dir->names[mid].name, name);

		if (order == 0)
			return &dir->names[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

void upper_dir_release(struct upper_dir *dir)
{
	for (size_t i = 0; i < dir->count; i++)
		free(dir->names[i].written);
	free(dir->names);
	*dir = (struct upper_dir){ 0 };
}
