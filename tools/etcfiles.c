// SPDX-License-Identifier: Apache-2.0
#include "tools/etcfiles.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/ovl.h"
#include "tools/rootdir.h"
#include "tools/runspec.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { ETC_FILE_LIMIT = 1024 * 1024 };

const char *const etc_files[ETC_FILES] = { "resolv.conf", "hosts", "hostname" };

static int write_text(const char *dir, const char *name, const char *text)
{
	AUTO(freep) char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		ui_out_of_memory();
	AUTO(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : io_write_full(fd, text, strlen(text));
}

/* Names are looked up as on the host, whose network it is; with none, only its own name is known. */
int etc_files_write(const char *dir, const json_t *spec)
{
	const char *hostname = runspec_text(spec, "Hostname");
	AUTO(freep) char *resolv = NULL, *host = NULL, *hosts = NULL, *name = NULL;
	bool none = strcmp(runspec_text(spec, "Network"), "none") == 0;
	size_t bytes;

	if (none || io_read_file(AT_FDCWD, "/etc/resolv.conf", ETC_FILE_LIMIT, &resolv, &bytes) < 0)
		resolv = ui_need(strdup(""));
	if (none || io_read_file(AT_FDCWD, "/etc/hosts", ETC_FILE_LIMIT, &host, &bytes) < 0)
		host = ui_need(strdup("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"));
	const char *end = *host && host[strlen(host) - 1] != '\n' ? "\n" : "";
	if (asprintf(&hosts, "%s%s127.0.1.1\t%s\n", host, end, hostname) < 0 || asprintf(&name, "%s\n", hostname) < 0)
		ui_out_of_memory();
	const char *const texts[ETC_FILES] = { resolv, hosts, name };
	int r = 0;
	for (size_t i = 0; r == 0 && i < ETC_FILES; i++)
		r = write_text(dir, etc_files[i], texts[i]);
	return r;
}

static bool is_users(const json_t *spec, const char *name)
{
	const json_t *mount;
	size_t i;

	json_array_foreach(json_object_get(spec, "Mounts"), i, mount)
	{
		const char *to = runspec_text(mount, "Destination");

		if (strcmp(to, "/etc") == 0 || (strncmp(to, "/etc/", 5) == 0 && strcmp(to + 5, name) == 0))
			return true;
	}
	return false;
}

static void set_mtime(int fd, const struct timespec *mtime)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, *mtime };

	(void)futimens(fd, times);
}

/* The folder that @dirfd of the mounted root is in the upper. Return: a descriptor or -errno. */
static int open_in_upper(int rootfd, int dirfd, const char *upper)
{
	AUTO(freep) char *root = rootdir_path_of(rootfd), *dir = rootdir_path_of(dirfd);
	AUTO(closep) int upper_fd = open(upper, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (upper_fd < 0 || !root || !dir || strncmp(root, dir, strlen(root)) != 0)
		return -ENOENT;
	const char *below = dir + strlen(root) + strspn(dir + strlen(root), "/");
	return rootdir_open(upper_fd, *below ? below : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

/* Where that cannot be, they are files like others. */
static void mark_placeholders(int upper_etc, const struct etc_places *places)
{
	for (size_t i = 0; upper_etc >= 0 && i < ETC_FILES; i++) {
		AUTO(closep) int fd = -1;

		if (places->made[i])
			fd = openat(upper_etc, etc_files[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			(void)ovl_set_placeholder(fd);
	}
}

void etc_files_place(int rootfd, const char *upper, const json_t *spec, struct etc_places *ret)
{
	AUTO(closep) int etc = rootdir_open(rootfd, "etc", O_RDONLY | O_DIRECTORY);
	bool changed = false;
	struct stat st;

	*ret = (struct etc_places){ 0 };
	for (size_t i = 0; i < ETC_FILES; i++)
		ret->mounted[i] = !is_users(spec, etc_files[i]);
	if (etc < 0 || fstat(etc, &st) < 0)
		return;
	ret->mtime = st.st_mtim;
	for (size_t i = 0; i < ETC_FILES; i++) {
		AUTO(closep) int fd = -1;

		if (ret->mounted[i])
			fd = openat(etc, etc_files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		ret->made[i] = fd >= 0;
		changed |= ret->made[i];
	}
	if (!changed)
		return;
	set_mtime(etc, &ret->mtime);
	AUTO(closep) int upper_etc = open_in_upper(rootfd, etc, upper);
	mark_placeholders(upper_etc, ret);
}

void etc_files_remove(int rootfd, const struct etc_places *places)
{
	AUTO(closep) int etc = rootdir_open(rootfd, "etc", O_RDONLY | O_DIRECTORY);
	bool changed = false;
	struct stat folder, st;

	if (etc < 0 || fstat(etc, &folder) < 0)
		return;
	for (size_t i = 0; i < ETC_FILES; i++)
		if (places->made[i] && fstatat(etc, etc_files[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_size == 0)
			changed |= unlinkat(etc, etc_files[i], 0) == 0;
	/* Nobody else has changed anything in it. */
	if (changed && folder.st_mtim.tv_sec == places->mtime.tv_sec && folder.st_mtim.tv_nsec == places->mtime.tv_nsec)
		set_mtime(etc, &places->mtime);
}
