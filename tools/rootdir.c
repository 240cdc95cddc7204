// SPDX-License-Identifier: Apache-2.0
#include "tools/rootdir.h"

#include "store/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { TRIES_MAX = 10000 };

int rootdir_open(int rootfd, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT };
	int fd, tries = 0;

	/* The kernel will not say where ".." leads while anything on the machine is renamed or mounted. */
	do
		fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN && ++tries < TRIES_MAX);
	return fd < 0 ? -errno : fd;
}

char *rootdir_path_of(int fd)
{
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(fd)], path[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path));
	if (n < 0)
		return NULL;
	if (n == sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return strndup(path, (size_t)n);
}

static int check_program(int rootfd, const char *dir, const char *name)
{
	AUTO(freep) char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	AUTO(closep) int fd = rootdir_open(rootfd, path, O_PATH);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -ENOENT;
	return S_ISREG(st.st_mode) && st.st_mode & 0111 ? 0 : -EACCES;
}

int rootdir_find_program(int rootfd, const char *cwd, const char *path, const char *name)
{
	AUTO(freep) char *copy = strdup(path);
	char *at = copy;
	const char *dir;
	int r = -ENOENT;

	if (strchr(name, '/'))
		return check_program(rootfd, *name == '/' ? "" : cwd, name);
	if (!copy)
		return -ENOMEM;
	while (r != 0 && (dir = strsep(&at, ":"))) {
		int one = check_program(rootfd, *dir ? dir : cwd, name);

		r = one == -ENOENT ? r : one;
	}
	return r;
}

/* @path up to each of its slashes in turn: what is missing is made in the one before. */
int rootdir_make(int rootfd, const char *path)
{
	AUTO(closep) int dir = rootdir_open(rootfd, "/", O_PATH | O_DIRECTORY);
	AUTO(freep) char *copy = strdup(path);

	if (dir < 0)
		return dir;
	if (!copy)
		return -ENOMEM;
	for (char *name = copy + strspn(copy, "/"), *end; *name; name = end) {
		size_t len = strcspn(name, "/");

		end = name + len + strspn(name + len, "/");
		char kept = name[len];
		name[len] = '\0';
		int next = rootdir_open(rootfd, copy, O_PATH | O_DIRECTORY);
		if (next == -ENOENT && (mkdirat(dir, name, 0755) == 0 || errno == EEXIST))
			next = rootdir_open(rootfd, copy, O_PATH | O_DIRECTORY);
		if (next < 0)
			return next;
		close(dir);
		dir = next;
		name[len] = kept;
	}
	return TAKE_FD(dir);
}
