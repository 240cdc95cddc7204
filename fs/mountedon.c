/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mountedon.h"

/*
 * Each mount namespace lists its own mounts, in the mountinfo of any process that is in it
 * (proc_pid_mountinfo(5)).  A mount on something of ours has a mount of our device for
 * its parent.
 */

#include "store/base/auto.h"
#include "store/base/io.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MOUNTINFO_LIMIT = 64 * 1024 * 1024 };

struct line {
	int id, parent;
	unsigned major, minor;
	char root[PATH_MAX], point[PATH_MAX];
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

static bool line_read(const char *text, struct line *ret)
{
	_Static_assert(PATH_MAX == 4096, "as the widths below");

	if (sscanf(text, "%d %d %u:%u %4095s %4095s", &ret->id, &ret->parent, &ret->major, &ret->minor, ret->root,
		   ret->point) != 6)
		return false;
	unescape(ret->root);
	unescape(ret->point);
	return true;
}

static const char *next_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end ? end + 1 : text + strlen(text);
}

static int path_add(struct mounted_on *list, const char *path)
{
	char *copy;

	while (*path == '/')
		path++;
	if (!*path || mounted_on_has(list, path))
		return 0;
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		char **more = realloc(list->paths, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->paths = more;
		list->room = room;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	list->paths[list->count++] = copy;
	return 0;
}

/* @on is a mount of ours, @what is mounted somewhere in it. */
static int mount_add(struct mounted_on *list, const struct line *on, const struct line *what)
{
	size_t len = strcmp(on->point, "/") == 0 ? 0 : strlen(on->point);
	char path[2 * PATH_MAX];

	if (strncmp(what->point, on->point, len) != 0)
		return 0;
	snprintf(path, sizeof(path), "%s%s", strcmp(on->root, "/") == 0 ? "" : on->root, what->point + len);
	return path_add(list, path);
}

static int namespace_read(const char *text, dev_t dev, struct mounted_on *list)
{
	AUTO(freep) struct line *on = malloc(2 * sizeof(*on));
	int r = on ? 0 : -ENOMEM;

	for (const char *at = text; r == 0 && *at; at = next_line(at)) {
		struct line *what = on + 1;

		if (!line_read(at, on) || makedev(on->major, on->minor) != dev)
			continue;
		for (const char *other = text; r == 0 && *other; other = next_line(other)) {
			if (line_read(other, what) && what->parent == on->id)
				r = mount_add(list, on, what);
		}
	}
	return r;
}

/* @seen: the namespaces that were read. */
static int process_read(int proc, const char *pid, dev_t dev, struct mounted_on *seen, struct mounted_on *list)
{
	AUTO(freep) char *text = NULL;
	char path[NAME_MAX + 16], ns[64];
	size_t bytes;
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "%s/ns/mnt", pid);
	n = readlinkat(proc, path, ns, sizeof(ns) - 1);
	if (n <= 0)
		return 0;
	ns[n] = '\0';
	if (mounted_on_has(seen, ns))
		return 0;
	r = path_add(seen, ns);
	snprintf(path, sizeof(path), "%s/mountinfo", pid);
	if (r < 0 || io_read_file(proc, path, MOUNTINFO_LIMIT, &text, &bytes) < 0)
		return r;
	return namespace_read(text, dev, list);
}

int mounted_on_read(const char *mountpoint, struct mounted_on *ret)
{
	AUTO(closedirp) DIR *proc = opendir("/proc");
	struct mounted_on seen = { 0 };
	struct dirent *de;
	struct stat st;
	int r = 0;

	*ret = (struct mounted_on){ 0 };
	if (!proc || !mountpoint || stat(mountpoint, &st) < 0)
		return 0;
	while (r == 0 && (de = readdir(proc))) {
		if (isdigit((unsigned char)de->d_name[0]))
			r = process_read(dirfd(proc), de->d_name, st.st_dev, &seen, ret);
	}
	mounted_on_release(&seen);
	return r;
}

bool mounted_on_has(const struct mounted_on *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->paths[i], path) == 0)
			return true;
	}
	return false;
}

void mounted_on_release(struct mounted_on *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	free(list->paths);
	*list = (struct mounted_on){ 0 };
}
