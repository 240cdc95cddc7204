/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/basemount.h"

/*
 * The side of who wants a view (baseview.c): find the container's mount, the newest first, ask its driver, and bind what it
 * gives.  The driver that serves it is the container's then, and this program is done.
 */

#include "fs/baseview.h"
#include "store/base/auto.h"
#include "store/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	MOUNTINFO_LIMIT = 16 * 1024 * 1024,
	CANDIDATES_MAX = 8,
	ASK_TRIES = 200,
	ASK_AT_ONCE = 8, /* so many; then with a pause, in which writes are finished and threads go to sleep */
	ASK_PAUSE_NS = 200000,
};

/* Mount points of drivers beside @folder/ID/merged, the latest first.  The list is cut up and points into @text. */
static unsigned candidates(char *text, const char *folder, const char **ret)
{
	size_t len = strlen(folder), count = 0;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		char *point = line;

		if (!strstr(line, " - fuse.nacrefs "))
			continue;
		for (int field = 0; point && field < 4; field++) {
			point = strchr(point, ' ');
			point = point ? point + 1 : NULL;
		}
		if (!point || strncmp(point, folder, len) != 0 || point[len] != '/')
			continue;
		*strchrnul(point, ' ') = '\0';
		memmove(ret + 1, ret, (CANDIDATES_MAX - 1) * sizeof(*ret));
		ret[0] = point;
		count += count < CANDIDATES_MAX;
	}
	return (unsigned)count;
}

/* Let the kernel drop the views that were: looked up again they do not exist. */
static void drop_old(int root, uint32_t used)
{
	char name[BASE_NAME_BYTES];
	struct stat st;

	for (unsigned i = 0; i < BASE_VIEWS; i++) {
		base_name(name, i);
		if (used & 1u << i)
			(void)fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW);
	}
}

static int ask_for(int root, struct base_ask *ask)
{
	for (int i = 0; i < ASK_TRIES; i++) {
		if (i >= ASK_AT_ONCE)
			nanosleep(&(struct timespec){ .tv_nsec = ASK_PAUSE_NS }, NULL);
		if (ioctl(root, BASE_IOC_BEGIN, ask) < 0)
			return -errno;
		if (i == 0)
			drop_old(root, ask->used);
		if (syncfs(root) < 0)
			return -errno;
		if (ioctl(root, BASE_IOC_MAKE, ask) == 0)
			return 0;
		if (errno != EAGAIN)
			return -errno;
	}
	return -EAGAIN;
}

static int bind_view(int root, const struct base_ask *ask, const char *to)
{
	AUTO(closep) int view = openat(root, ask->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char from[32];

	if (view < 0)
		return -errno;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", view);
	if (mount(from, to, NULL, MS_BIND, NULL) < 0)
		return -errno;
	(void)mount(NULL, to, NULL, MS_PRIVATE, NULL);
	return 0;
}

static bool try_one(const char *point, const uint8_t *key, const char *to)
{
	AUTO(closep) int root = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct base_ask ask = { 0 };

	memcpy(ask.key, key, BASE_KEY_BYTES);
	return root >= 0 && ask_for(root, &ask) == 0 && bind_view(root, &ask, to) == 0;
}

bool basemount(const struct mount_options *o, const uint8_t *key)
{
	AUTO(freep) char *point = realpath(o->mountpoint, NULL), *text = NULL;
	const char *found[CANDIDATES_MAX];
	size_t bytes;
	unsigned count;

	/* FOLDER/ID/merged */
	for (int i = 0; point && i < 2; i++) {
		char *slash = strrchr(point, '/');

		if (!slash)
			return false;
		*slash = '\0';
	}
	if (!point || io_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_LIMIT, &text, &bytes) < 0)
		return false;
	count = candidates(text, point, found);
	for (unsigned i = 0; i < count; i++) {
		if (try_one(found[i], key, o->mountpoint))
			return true;
	}
	return false;
}
