// SPDX-License-Identifier: Apache-2.0
#include "tools/mountpoint.h"

#include "store/base/auto.h"
#include "tools/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static int is_empty_directory(const char *path)
{
	AUTO(closedirp) DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return 0;
	return 1;
}

/* statfs(2) is never answered from a cache, so it tells whether the driver is there. */
static int check_not_mounted(const char *path, struct diag *diag, const char **ret_hint)
{
	struct statvfs space;
	int r = nacre_mounted_at(path);

	if (r < 0)
		return diag_errno(diag, r, "cannot read what is mounted");
	if (r == 0)
		return 0;
	if (statvfs(path, &space) < 0 && (errno == ENOTCONN || errno == ECONNABORTED)) {
		*ret_hint = "'nacre umount' it first";
		return diag_set(diag, -EBUSY, "the driver of the mount there is gone");
	}
	*ret_hint = "unmount it first, or choose another";
	return diag_set(diag, -EBUSY, "something of nacre is mounted there already");
}

static int check_directory(const char *path, bool nonempty, struct diag *diag, const char **ret_hint)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return diag_set(diag, -errno, "%s", strerror(errno));
	if (!S_ISDIR(st.st_mode)) {
		*ret_hint = "a mount point is a directory";
		return diag_set(diag, -ENOTDIR, "it is not a directory");
	}
	int r = nonempty ? 1 : is_empty_directory(path);
	if (r == 0) {
		*ret_hint = "choose another, or hide what is in it with -o nonempty";
		return diag_set(diag, -ENOTEMPTY, "directory is not empty");
	}
	return r < 0 ? diag_set(diag, r, "%s", strerror(-r)) : 0;
}

int mountpoint_check(const char *path, bool nonempty, char **ret, struct diag *diag, const char **ret_hint)
{
	int r = mount_point_path(path, ret);

	if (r == -ENOENT) {
		*ret_hint = "make the directory first";
		return diag_set(diag, r, "there is no such directory");
	}
	if (r < 0)
		return diag_set(diag, r, "%s", strerror(-r));
	r = check_not_mounted(*ret, diag, ret_hint);
	return r < 0 ? r : check_directory(*ret, nonempty, diag, ret_hint);
}
