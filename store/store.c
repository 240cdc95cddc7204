/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "store/base/buf.h"
#include "store/base/io.h"
#include "store/content.h"
#include "store/medium.h"
#include "store/schema.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char *const subfolders[] = { "packs", "objects", "containers", "ingest", "leases" };

char *store_default_dir(void)
{
	const char *given = getenv("NACRE_STORE");
	const char *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	struct buf path = { 0 };

	if (given && *given)
		buf_adds(&path, given);
	else if (geteuid() == 0)
		buf_adds(&path, "/var/lib/nacre");
	else if (data && *data == '/') /* the XDG specification: a relative path is to be ignored */
		buf_addf(&path, "%s/nacre", data);
	else
		buf_addf(&path, "%s/.local/share/nacre", home && *home ? home : "/");
	return buf_take(&path);
}

const char *store_dir(const struct store *store)
{
	return store->dir;
}

void store_test_weaken_hash(struct store *store, uint64_t mask)
{
	store->weak_mask = mask;
}

static int lock_file(struct store *store, const char *name, int operation, int *ret_fd)
{
	/* A reader's lease needs the lock too, where it may only read the store. */
	int flags = store->mode == STORE_WRITE ? O_RDWR | O_CREAT : O_RDONLY;
	AUTO(closep) int fd = openat(store->dirfd, name, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	while (flock(fd, operation) < 0) {
		if (errno == EWOULDBLOCK)
			return -EBUSY;
		if (errno != EINTR)
			return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int store_lock(struct store *store, int operation, int *ret_fd)
{
	return lock_file(store, "lock", operation, ret_fd);
}

int store_lock_moment(struct store *store, int *ret_fd)
{
	return lock_file(store, "lock.moment", LOCK_EX, ret_fd);
}

/* SQLite takes a URI: some things can only be said there.  All but plain bytes are escaped. */
static char *index_uri(const char *dir, const char *parameters)
{
	struct buf uri = { 0 };

	buf_adds(&uri, "file:");
	for (const unsigned char *p = (const unsigned char *)dir; *p; p++) {
		if ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')
			buf_add(&uri, p, 1);
		else if ((*p >= '-' && *p <= '9') || *p == '_') /* - . / and digits */
			buf_add(&uri, p, 1);
		else
			buf_addf(&uri, "%%%02x", *p);
	}
	buf_addf(&uri, "/index.db%s", parameters);
	return buf_take(&uri);
}

static int store_make_folders(struct store *store, const char *dir, struct diag *diag)
{
	int r = io_mkdirs(dir, 0755);

	if (r < 0)
		return diag_errno(diag, r, "cannot make the store %s", dir);
	for (size_t i = 0; i < ARRAY_SIZE(subfolders); i++) {
		AUTO(freep) char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, subfolders[i]) < 0)
			return -ENOMEM;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return diag_errno(diag, -errno, "cannot make %s", path);
	}
	return 0;
}

static int store_open_folder(struct store *store, const char *dir, struct diag *diag)
{
	int r = store->mode == STORE_WRITE ? store_make_folders(store, dir, diag) : 0;

	if (r < 0)
		return r;
	store->dir = realpath(dir, NULL);
	if (!store->dir)
		return diag_errno(diag, -errno, "no store in %s", dir);
	store->dirfd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dirfd < 0)
		return diag_errno(diag, -errno, "cannot open the store %s", dir);
	store->shared = medium_is_shared(store->dirfd);
	store->syncs_as_whole = medium_syncs_as_whole(store->dirfd);
	if (store->mode == STORE_READ && faccessat(store->dirfd, "index.db", F_OK, 0) < 0)
		return diag_errno(diag, -errno, "no store in %s", dir);
	return 0;
}

static int store_set_uri(struct store *store, const char *parameters)
{
	free(store->index_uri);
	store->index_uri = index_uri(store->dir, parameters);
	return store->index_uri ? 0 : -ENOMEM;
}

/* One at a time makes or migrates the index; others find it done. */
static int store_migrate(struct store *store, struct db *db, struct diag *diag)
{
	AUTO(closep) int lock = -1;
	int r = store_lock_moment(store, &lock);

	return r == 0 ? schema_migrate(db, diag) : r;
}

/*
 * Who only reads needs the index in today's form too.  A writer's open brings it there; where that cannot be, on
 * a read-only medium or in somebody else's store, it is read as it is, or there is no other way but to say so.
 */
static int store_migrate_for_reading(struct store *store, int version, struct diag *diag)
{
	AUTO(store_closep) struct store *writing = NULL;
	struct diag why = { 0 };
	int r = store_open(store->dir, STORE_WRITE, &why, &writing);

	if (r < 0 && version >= STORE_VERSION_READ)
		return 0;
	if (r < 0)
		diag_set(diag, -EBADMSG,
			 "the store's index is incomplete or of an older version: it must be opened for writing once,"
			 " which was tried and failed: %s",
			 diag_text(&why, r));
	return r < 0 ? -EBADMSG : 0;
}

static int store_try_index(struct store *store, struct diag *diag)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	int version = 0;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = schema_check(loan.db, diag, &version);
	if (r == 0 && version < STORE_VERSION)
		r = store->mode == STORE_READ ? store_migrate_for_reading(store, version, diag)
					      : store_migrate(store, loan.db, diag);
	if (r == 0 && store->mode == STORE_WRITE)
		r = medium_set_journal(loan.db, store->shared);
	return r;
}

/*
 * A WAL index needs its -shm file beside it.  Where that can be neither opened nor made, nobody is writing here, or
 * nobody whose files we may see: read the index as it lies there, and its log, where a writer left one.
 */
static int store_read_as_it_lies(struct store *store, struct diag *diag)
{
	enum medium_log log = medium_log(store->dirfd);
	int r;

	db_pool_release(store);
	if (log == MEDIUM_TORN)
		return diag_set(diag, -EBADMSG,
				"a program was ended while it wrote to the index: it must be opened for writing once");
	store->log_in_memory = log == MEDIUM_WAL;
	r = store_set_uri(store, store->log_in_memory ? "?vfs=unix-none" : "?immutable=1");
	return r == 0 ? store_try_index(store, diag) : r;
}

/* SQLite says of an index that cannot be written, because its log cannot be made, that it is not there. */
static int why_no_index(struct store *store, int err)
{
	if (err != -ENOENT || store->mode != STORE_WRITE || faccessat(store->dirfd, "index.db", F_OK, 0) < 0)
		return err;
	return faccessat(store->dirfd, ".", W_OK, AT_EACCESS) < 0 ? -errno : err;
}

static int store_open_index(struct store *store, struct diag *diag)
{
	struct diag first = { 0 };
	int r = store_set_uri(store, "");

	if (r < 0)
		return r;
	store->index_flags = SQLITE_OPEN_URI;
	store->index_flags |= store->mode == STORE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
							 : SQLITE_OPEN_READONLY;
	r = store_try_index(store, &first);
	if (store->mode == STORE_READ && (r == -ENOENT || r == -EROFS || r == -EACCES || r == -EIO)) {
		first = (struct diag){ 0 };
		r = store_read_as_it_lies(store, &first);
	}
	r = why_no_index(store, r);
	if (r == -EBADMSG)
		diag_set(&first, r, "its index.db is damaged, or no index");
	if (r < 0)
		diag_set(diag, r, "%s: %s", store->dir, diag_text(&first, r));
	return r;
}

int store_open(const char *dir, enum store_mode mode, struct diag *diag, struct store **ret_store)
{
	AUTO(store_closep) struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return -ENOMEM;
	store->dirfd = -1;
	store->mode = mode;
	store->limits = STORE_LIMITS_DEFAULT;
	store->weak_mask = ~UINT64_C(0);
	pthread_mutex_init(&store->pool_lock, NULL);
	pthread_mutex_init(&store->pack_lock, NULL);
	r = store_open_folder(store, dir, diag);
	if (r == 0)
		r = store_open_index(store, diag);
	if (r < 0)
		return r;
	*ret_store = TAKE(store);
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	db_pool_release(store);
	content_packs_release(store);
	if (store->dirfd >= 0)
		close(store->dirfd);
	pthread_mutex_destroy(&store->pool_lock);
	pthread_mutex_destroy(&store->pack_lock);
	free(store->index_uri);
	free(store->dir);
	free(store);
}

void store_closep(struct store **store)
{
	int saved = errno;

	store_close(*store);
	errno = saved;
}
