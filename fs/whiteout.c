/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Whiteouts in the upper.  A 0:0 device where such can be made, else a file ".wh.NAME".
 *
 * What a name stands for changes at once, by a rename or an exchange of two names.  Where that
 * cannot be (a file system without RENAME_EXCHANGE, as NFS, says EINVAL; a file ".wh.NAME" is not
 * the name itself) the file comes first and goes last: a crash may leave a name covered that
 * should not be, but what was removed does not come back.
 */

#include "store/base/io.h"
#include "store/ovl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

void work_name(struct fs *fs, char *name)
{
	snprintf(name, WORK_NAME_BYTES, "#%x", atomic_fetch_add(&fs->work_serial, 1));
}

static int whiteout_file(int dirfd, const char *name)
{
	char wh[NAME_MAX + sizeof(OVL_WH_PREFIX)];
	int fd;

	snprintf(wh, sizeof(wh), "%s%s", OVL_WH_PREFIX, name);
	fd = openat(dirfd, wh, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int upper_uncover_file(int dirfd, const char *name)
{
	char wh[NAME_MAX + sizeof(OVL_WH_PREFIX)];

	snprintf(wh, sizeof(wh), "%s%s", OVL_WH_PREFIX, name);
	if (strlen(wh) <= NAME_MAX && unlinkat(dirfd, wh, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/* One inode serves for all of them, as long as the file system has room for its links. */
int upper_whiteout(struct fs *fs, int dirfd, const char *name)
{
	static const char shared[] = "whiteout";

	if (atomic_load(&fs->have_whiteout) && linkat(fs->work_fd, shared, dirfd, name, 0) == 0)
		return 0;
	if (mknodat(dirfd, name, S_IFCHR, 0) < 0) {
		if (errno != EPERM && errno != ENOTSUP)
			return -errno;
		return whiteout_file(dirfd, name);
	}
	unlinkat(fs->work_fd, shared, 0);
	atomic_store(&fs->have_whiteout, linkat(dirfd, name, fs->work_fd, shared, 0) == 0);
	return 0;
}

int upper_cover_by_file(struct fs *fs, int dirfd, const char *name)
{
	char work[WORK_NAME_BYTES];
	int r = whiteout_file(dirfd, name);

	work_name(fs, work);
	if (r == 0 && renameat(dirfd, name, fs->work_fd, work) < 0)
		return errno == ENOENT ? 0 : -errno;
	return r < 0 ? r : io_remove_tree(fs->work_fd, work);
}

int upper_cover(struct fs *fs, int dirfd, const char *name)
{
	char work[WORK_NAME_BYTES];
	struct stat st;
	int r;

	work_name(fs, work);
	r = upper_whiteout(fs, fs->work_fd, work);
	if (r < 0)
		return r;
	if (fstatat(fs->work_fd, work, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return upper_cover_by_file(fs, dirfd, name);
	if (renameat2(fs->work_fd, work, dirfd, name, 0) == 0)
		return 0;
	if ((errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST) &&
	    renameat2(fs->work_fd, work, dirfd, name, RENAME_EXCHANGE) == 0) {
		(void)io_remove_tree(fs->work_fd, work); /* else the next mount removes it */
		return 0;
	}
	r = -errno;
	unlinkat(fs->work_fd, work, 0);
	return r == -EINVAL ? upper_cover_by_file(fs, dirfd, name) : r; /* no exchange here */
}

/* Where two names cannot be exchanged: the file that also covers the name is there until the folder is. */
static int replace_by_steps(struct fs *fs, const char *work, int dirfd, const char *name)
{
	int r = upper_cover_by_file(fs, dirfd, name);

	if (r == 0 && renameat(fs->work_fd, work, dirfd, name) < 0)
		r = -errno;
	return r;
}

int upper_replace_whiteout(struct fs *fs, const char *work, int dirfd, const char *name, bool is_dir)
{
	int r = 0;

	if (!is_dir)
		r = renameat(fs->work_fd, work, dirfd, name) < 0 ? -errno : 0;
	else if (renameat2(fs->work_fd, work, dirfd, name, RENAME_EXCHANGE) == 0)
		unlinkat(fs->work_fd, work, 0);
	else if (errno == EINVAL)
		r = replace_by_steps(fs, work, dirfd, name);
	else if (errno != ENOENT || renameat(fs->work_fd, work, dirfd, name) < 0)
		r = -errno;
	return r < 0 ? r : upper_uncover_file(dirfd, name);
}
