/* SPDX-License-Identifier: Apache-2.0 */
#include "store/leaseask.h"

#include "store/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct lease_asks {
	int fd; /* of inotify(7) */
};

int lease_ask(struct store *store, struct image_id image)
{
	AUTO(freep) char *path = NULL;
	AUTO(closep) int fd = -1;

	if (asprintf(&path, "%s/leases/" LEASE_ASK_PREFIX "%" PRId64 ".XXXXXX", store->dir, image.value) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return unlink(path) < 0 ? -errno : 0;
}

int lease_asks_open(struct store *store, struct lease_asks **ret)
{
	AUTO(freep) char *path = NULL;
	AUTO(closep) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct lease_asks *asks;

	if (fd < 0)
		return -errno;
	if (asprintf(&path, "%s/leases", store->dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (inotify_add_watch(fd, path, IN_CREATE | IN_ONLYDIR) < 0)
		return -errno;
	asks = malloc(sizeof(*asks));
	if (!asks)
		return -ENOMEM;
	asks->fd = TAKE_FD(fd);
	*ret = asks;
	return 0;
}

void lease_asks_free(struct lease_asks *asks)
{
	if (!asks)
		return;
	closep(&asks->fd);
	free(asks);
}

int lease_asks_fd(const struct lease_asks *asks)
{
	return asks->fd;
}

void lease_asks_read(struct lease_asks *asks, void (*fn)(struct image_id image, void *arg), void *arg)
{
	_Alignas(struct inotify_event) char buf[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	ssize_t n;

	while ((n = read(asks->fd, buf, sizeof(buf))) > 0) {
		for (const char *at = buf; at < buf + n;) {
			const struct inotify_event *event = (const void *)at;
			size_t prefix = strlen(LEASE_ASK_PREFIX);

			if (event->len > prefix && strncmp(event->name, LEASE_ASK_PREFIX, prefix) == 0)
				fn((struct image_id){ .value = strtoll(event->name + prefix, NULL, 10) }, arg);
			at += sizeof(*event) + event->len;
		}
	}
}
