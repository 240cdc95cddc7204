/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ingest.h"

#include "store/base/io.h"
#include "store/stage.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

struct writer {
	struct store *store; /* borrowed */
	int lockfd;	     /* owned: STORE/lock, shared */
};

/* ---- what crashed writers have left ---- */

static int sweep_one(int ingest, const char *name)
{
	AUTO(closep) int lock = -1;
	char path[300];
	int n = snprintf(path, sizeof(path), "%s/lock", name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return 0;
	lock = openat(ingest, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (lock < 0 && errno != ENOENT && errno != ENOTDIR)
		return -errno;
	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : -errno;
	return io_remove_tree(ingest, name);
}

int stage_sweep(struct store *store)
{
	int fd = openat(store->dirfd, "ingest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	AUTO(closep) int moment = -1;
	struct dirent *de;
	int r = 0, first = 0;

	if (!dir) {
		r = -errno;
		closep(&fd);
		return r;
	}
	r = store_lock_moment(store, &moment);
	while (r == 0 && (de = readdir(dir))) {
		int one = strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 ? sweep_one(fd, de->d_name) : 0;

		first = first < 0 ? first : one;
	}
	return r < 0 ? r : first;
}

/* ---- a writer ---- */

int writer_open(struct store *store, struct diag *diag, struct writer **ret)
{
	AUTO(writer_closep) struct writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return -ENOMEM;
	writer->store = store;
	writer->lockfd = -1;
	if (store->mode != STORE_WRITE)
		return diag_set(diag, -EROFS, "%s: the store was opened for reading only", store->dir);
	r = store_lock(store, LOCK_SH, &writer->lockfd);
	if (r < 0)
		return diag_errno(diag, r, "cannot write to the store %s", store->dir);
	/* What cannot be removed, since something is mounted there or the medium has a fault, is in nobody's way: gc says so. */
	(void)stage_sweep(store);
	*ret = TAKE(writer);
	return 0;
}

void writer_close(struct writer *writer)
{
	if (!writer)
		return;
	closep(&writer->lockfd);
	free(writer);
}

void writer_closep(struct writer **writer)
{
	int saved = errno;

	writer_close(*writer);
	errno = saved;
}

struct store *writer_store(struct writer *writer)
{
	return writer->store;
}

static ssize_t fd_read(void *arg, void *buf, size_t bytes)
{
	const int *fd = arg;
	ssize_t n;

	do
		n = read(*fd, buf, bytes);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

struct byte_source byte_source_fd(const int *fd)
{
	return (struct byte_source){ .read = fd_read, .arg = (void *)fd };
}
