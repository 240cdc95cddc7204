/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ingest.h"

#include "store/base/io.h"
#include "store/stage.h"
#include "store/store_priv.h"

#include <sys/file.h>

struct writer {
	struct store *store; /* borrowed */
	int lockfd;	     /* owned: STORE/lock, shared */
};

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
	if (r == 0)
		r = stage_sweep(store);
	if (r < 0)
		return diag_errno(diag, r, "cannot write to the store %s", store->dir);
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
