/* SPDX-License-Identifier: Apache-2.0 */
#include "store/stage.h"

#include "store/base/io.h"
#include "store/few.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
	PACK_BUF_BYTES = 64 * 1024,
	PACK_WRITEBACK_BYTES = 8 * 1024 * 1024, /* the disk is kept busy in steps of this */
	MEMORY_ENTRIES = 2000, /* of a layer whose rows are in memory, about as many as fit into a megabyte, */
	MEMORY_XATTRS = 2 * 1024 * 1024, /* and the bytes of their xattrs */
	LOOKUPS_PER_READ = 4096,	 /* so long the index may not be checkpointed, or, without a WAL, written */
};

/* A crash throws the stage away as a whole, so it needs no journal. */
static const char stage_pragmas[] =
	"PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16384;"
	"PRAGMA temp_store=FILE";

static const char stage_schema[] =
	"BEGIN;"
	"CREATE TABLE entry("
	"  dir INTEGER NOT NULL, name BLOB NOT NULL, no INTEGER NOT NULL, mode INTEGER NOT NULL,"
	"  uid INTEGER NOT NULL, gid INTEGER NOT NULL, rdev INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
	"  size INTEGER NOT NULL, content INTEGER, target BLOB, flags INTEGER NOT NULL,"
	"  PRIMARY KEY(dir, name)) WITHOUT ROWID;"
	"CREATE TABLE xattr(no INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,"
	"  PRIMARY KEY(no, name)) WITHOUT ROWID;"
	"CREATE TABLE links(no INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
	"CREATE TABLE content(id INTEGER PRIMARY KEY, hash BLOB NOT NULL, size INTEGER NOT NULL,"
	"  offset INTEGER, refs INTEGER NOT NULL DEFAULT 0);" /* offset NULL: an object */
	"CREATE INDEX content_hash ON content(hash);"
	"CREATE TABLE ref(content INTEGER PRIMARY KEY, n INTEGER NOT NULL);"; /* publish.c fills it */

/* ---- the folder ---- */

/* When it is first needed.  The folder and its lock appear together for stage_sweep(), which takes the same lock. */
static int stage_make_folder(struct stage *s)
{
	AUTO(closep) int moment = -1;
	AUTO(freep) char *path = NULL;
	int r = s->dirfd < 0 ? store_lock_moment(s->store, &moment) : 0;

	if (r < 0 || s->dirfd >= 0)
		return r;
	if (asprintf(&path, "%s/ingest/XXXXXX", s->store->dir) < 0)
		return -ENOMEM;
	if (!mkdtemp(path))
		return -errno;
	snprintf(s->name, sizeof(s->name), "ingest/%s", strrchr(path, '/') + 1);
	s->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return -errno;
	s->lockfd = openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lockfd < 0 || flock(s->lockfd, LOCK_EX) < 0)
		return -errno;
	return 0;
}

/* @before: what is done to the empty database */
static int rows_open(const char *path, const char *before, struct db **ret)
{
	AUTO(db_closep) struct db *db = NULL;
	int r = db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, &db);

	if (r < 0)
		return r;
	/* The defensive setting forbids to switch journals off; this file is nobody else's. */
	sqlite3_db_config(db_handle(db), SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	r = db_exec(db, stage_pragmas);
	if (r == 0)
		r = db_exec(db, before);
	if (r == 0)
		*ret = TAKE(db);
	return r;
}

static int make_rows(struct db *db)
{
	return db_exec(db, stage_schema);
}

int stage_rows_open(const char *path, struct db **ret)
{
	AUTO(db_closep) struct db *db = NULL;
	int r = rows_open(path, "PRAGMA main.locking_mode=EXCLUSIVE", &db);

	if (r == 0)
		r = make_rows(db);
	if (r == 0)
		*ret = TAKE(db);
	return r;
}

char *stage_rows_name(const struct stage *s)
{
	/* A name that begins with a slash is the whole process's: publish.c attaches the same database. */
	return s->in_memory ? sqlite3_mprintf("file:/ingest/%p?vfs=memdb", (const void *)s)
			    : sqlite3_mprintf("%s/%s/stage.db", s->store->dir, s->name);
}

/* In memory at first: a small layer needs no file that is made, filled and removed again. */
static int stage_make_db(struct stage *s)
{
	AUTO(db_freep) char *name = NULL;
	int r;

	name = stage_rows_name(s);
	r = name ? rows_open(name, "", &s->db) : -ENOMEM;
	return r == 0 ? make_rows(s->db) : r;
}

int stage_spill(struct stage *s)
{
	AUTO(few_freep) struct few *few = NULL;
	int r;

	if (!s->few)
		return 0;
	few = TAKE(s->few);
	r = stage_make_db(s);
	if (r == 0)
		r = few_spill(few, s->db);
	return r == 0 && s->sealed ? db_exec(s->db, "COMMIT") : r;
}

static int copy_database(struct db *from, struct db *to)
{
	sqlite3_backup *backup = sqlite3_backup_init(db_handle(to), "main", db_handle(from), "main");

	if (!backup)
		return -ENOMEM;
	sqlite3_backup_step(backup, -1);
	return db_errno(sqlite3_backup_finish(backup));
}

int stage_entry(struct stage *s)
{
	AUTO(db_freep) char *name = NULL;
	AUTO(db_closep) struct db *memory = NULL;
	int r;

	if (!s->in_memory || (++s->entries < MEMORY_ENTRIES && s->xattr_bytes < MEMORY_XATTRS))
		return 0;
	r = stage_spill(s);
	if (r == 0)
		r = stage_make_folder(s);
	if (r < 0)
		return r;
	s->in_memory = false;
	name = stage_rows_name(s);
	if (!name)
		return -ENOMEM;
	memory = TAKE(s->db);
	r = db_exec(memory, "COMMIT");
	if (r == 0)
		r = rows_open(name, "PRAGMA main.locking_mode=EXCLUSIVE", &s->db);
	if (r == 0)
		r = copy_database(memory, s->db);
	return r == 0 ? db_exec(s->db, "BEGIN") : r;
}

int stage_new(struct store *store, struct diag *diag, struct stage **ret)
{
	AUTO(stage_freep) struct stage *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->index.store = store;
	s->dirfd = s->lockfd = s->packfd = -1;
	s->next_local = 1;
	s->in_memory = true;
	s->few = few_new();
	r = s->few ? db_loan_begin(&s->index) : -ENOMEM;
	if (r == 0)
		r = db_int(s->index.db, "SELECT next FROM counter WHERE name = 'content'", &s->first_unseen);
	if (r < 0)
		return diag_errno(diag, r, "cannot stage a layer in %s", store->dir);
	*ret = TAKE(s);
	return 0;
}

static void index_end_read(struct stage *s)
{
	if (s->reading)
		(void)db_exec(s->index.db, "COMMIT");
	s->reading = false;
	s->lookups = 0;
}

void stage_free(struct stage *s)
{
	if (!s)
		return;
	if (s->index.db)
		index_end_read(s);
	db_loan_end(&s->index);
	few_free(s->few);
	db_close(s->db);
	closep(&s->packfd);
	if (s->name[0])
		(void)io_remove_tree(s->store->dirfd, s->name); /* else the next writer does it */
	closep(&s->lockfd);
	closep(&s->dirfd);
	free(s->pack_buf);
	free(s);
}

void stage_freep(struct stage **stage)
{
	int saved = errno;

	stage_free(*stage);
	errno = saved;
}

/* ---- the pack ---- */

static int pack_write(struct stage *s, const void *bytes, size_t len)
{
	int r = io_pwrite_full(s->packfd, bytes, len, s->pack_written);

	if (r < 0)
		return r;
	s->pack_written += (int64_t)len;
	/* Begin the writeback early, or the final sync has all of it to do. It may fail where it is not known. */
	if (s->pack_written - s->pack_synced >= PACK_WRITEBACK_BYTES) {
		(void)sync_file_range(s->packfd, s->pack_synced, s->pack_written - s->pack_synced,
				      SYNC_FILE_RANGE_WRITE);
		s->pack_synced = s->pack_written;
	}
	return 0;
}

static int pack_flush(struct stage *s)
{
	int r = s->pack_buf_len ? pack_write(s, s->pack_buf, s->pack_buf_len) : 0;

	if (r == 0)
		s->pack_buf_len = 0;
	return r;
}

/*
 * Without a name: then a layer of small files needs no folder that is made, locked and removed again, and a crash leaves
 * nothing of it.  Not every file system has such files, and it is by /proc that one gets its name in the end.
 */
static int pack_create(struct stage *s)
{
	int r;

	s->pack_buf = malloc(PACK_BUF_BYTES);
	if (!s->pack_buf)
		return -ENOMEM;
	if (access("/proc/self/fd", X_OK) == 0)
		s->packfd = openat(s->store->dirfd, "packs", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
	if (s->packfd >= 0)
		return 0;
	r = stage_make_folder(s);
	if (r < 0)
		return r;
	s->pack_named = true;
	s->packfd = openat(s->dirfd, "pack", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return s->packfd < 0 ? -errno : 0;
}

/* What is worth a write of its own is not copied first. */
static int pack_append(struct stage *s, const void *bytes, size_t len, int64_t *ret_offset)
{
	bool direct = len > PACK_BUF_BYTES / 2;
	int r = s->packfd < 0 ? pack_create(s) : 0;

	if (r == 0 && (direct || s->pack_buf_len + len > PACK_BUF_BYTES))
		r = pack_flush(s);
	if (r == 0 && direct)
		r = pack_write(s, bytes, len);
	if (r < 0)
		return r;
	if (!direct) {
		memcpy(s->pack_buf + s->pack_buf_len, bytes, len);
		s->pack_buf_len += len;
	}
	*ret_offset = s->pack_bytes;
	s->pack_bytes += (int64_t)len;
	return 0;
}

int stage_seal(struct stage *s)
{
	int r;

	if (s->sealed)
		return 0;
	r = pack_flush(s);
	if (r == 0 && !s->few)
		r = db_exec(s->db, "COMMIT");
	s->sealed = r == 0;
	index_end_read(s);
	/* One in memory lives as long as somebody has it open. */
	if (!s->in_memory)
		db_close(TAKE(s->db));
	return r;
}

/* ---- finding equal contents ---- */

/* A content that was not given a number yet: in memory, or in a file. */
struct needle {
	const void *bytes; /* NULL: see place */
	uint64_t size;
	struct content_place place;
	struct content_hash hash;
};

static int needle_equals(const struct needle *n, const struct content_place *place)
{
	return n->bytes ? content_equals_bytes(place, n->bytes) : content_equals_place(&n->place, place);
}

static void object_name(int64_t local, char name[CONTENT_NAME_BYTES])
{
	snprintf(name, CONTENT_NAME_BYTES, "%llx", (unsigned long long)local);
}

/* Is the staged content the same? @offset < 0: it is an object. Return: 1, 0, -errno. */
static int equals_staged(struct stage *s, const struct needle *n, int64_t local, int64_t offset)
{
	AUTO(content_place_release) struct content_place place = { .fd = -1, .bytes = n->size };
	char name[CONTENT_NAME_BYTES];

	if (offset >= 0) {
		int r = pack_flush(s);

		if (r < 0)
			return r;
		place.fd = s->packfd;
		place.offset = (uint64_t)offset;
	} else {
		object_name(local, name);
		place.owned = true;
		place.fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);
		if (place.fd < 0)
			return -errno;
	}
	return needle_equals(n, &place);
}

static int find_among_few(struct stage *s, const struct needle *n, int64_t *ret)
{
	int64_t local, offset;
	size_t at = 0;

	while (few_next_content(s->few, &n->hash, n->size, &at, &local, &offset)) {
		int r = equals_staged(s, n, local, offset);

		*ret = local;
		if (r != 0)
			return r;
	}
	return 0;
}

static int find_staged(struct stage *s, const struct needle *n, int64_t *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r;

	if (s->few)
		return find_among_few(s, n, ret);
	r = db_stmt(s->db, "SELECT id, offset FROM content WHERE hash = ? AND size = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, n->hash.bytes, CONTENT_HASH_BYTES);
	db_bind_int(stmt, 2, (int64_t)n->size);
	while ((r = db_step(stmt)) > 0) {
		int64_t local = sqlite3_column_int64(stmt, 0);
		bool in_pack = sqlite3_column_type(stmt, 1) != SQLITE_NULL;

		r = equals_staged(s, n, local, in_pack ? sqlite3_column_int64(stmt, 1) : -1);
		if (r != 0) {
			*ret = local;
			return r;
		}
	}
	return r;
}

/* Is the content of the index's row the same? Damage over there is a no, not our failure. */
static int equals_stored(struct stage *s, const struct needle *n, sqlite3_stmt *row)
{
	AUTO(content_place_release) struct content_place place = { .fd = -1 };
	struct content_id id = { sqlite3_column_int64(row, 0) };
	int r;

	if ((uint64_t)sqlite3_column_int64(row, 1) != n->size)
		return 0;
	r = content_place_of(s->store, id, sqlite3_column_int64(row, 2), sqlite3_column_int64(row, 3), (int64_t)n->size,
			     &place);
	if (r == 0)
		r = needle_equals(n, &place);
	return r == -EIO ? 0 : r;
}

static int find_stored(struct stage *s, const struct needle *n, int64_t *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = 0;

	/* One read transaction for many lookups: each costs several locks otherwise. */
	if (s->lookups++ >= (s->store->shared ? 1 : LOOKUPS_PER_READ))
		index_end_read(s);
	if (!s->reading) {
		r = db_exec(s->index.db, "BEGIN");
		s->reading = r == 0;
	}
	if (r == 0)
		r = db_stmt(s->index.db, "SELECT id, size, pack, offset FROM content WHERE hash = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, n->hash.bytes, CONTENT_HASH_BYTES);
	while ((r = db_step(stmt)) > 0) {
		r = equals_stored(s, n, stmt);
		if (r < 0)
			return r;
		if (r > 0) {
			*ret = -sqlite3_column_int64(stmt, 0);
			return 1;
		}
	}
	return r;
}

/* Return: 1 and *@ret: there is an equal one; 0; -errno. */
static int find_equal(struct stage *s, const struct needle *n, int64_t *ret)
{
	int r = find_staged(s, n, ret);

	return r == 0 ? find_stored(s, n, ret) : r;
}

/* ---- keeping contents ---- */

static int content_row(struct stage *s, int64_t local, const struct needle *n, int64_t offset)
{
	int r = s->few && (offset < 0 || few_is_full(s->few)) ? stage_spill(s) : 0;

	if (r < 0)
		return r;
	s->new_bytes += n->size;
	s->objects += offset < 0;
	return s->few ? few_add_content(s->few, local, &n->hash, n->size, offset)
		      : db_row_put_content(s->db, local, &n->hash, n->size, offset);
}

static int object_create(struct stage *s, int64_t local, int *ret)
{
	char name[CONTENT_NAME_BYTES];
	int r = stage_make_folder(s);

	if (r < 0)
		return r;
	object_name(local, name);
	*ret = openat(s->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return *ret < 0 ? -errno : 0;
}

static int object_write(struct stage *s, int64_t local, const void *bytes, size_t len)
{
	AUTO(closep) int fd = -1;
	int r = object_create(s, local, &fd);

	if (r == 0)
		r = io_write_full(fd, bytes, len);
	/* close() may be the first to report a full disk (NFS). */
	if (r == 0 && close(TAKE_FD(fd)) < 0)
		r = -errno;
	return r;
}

int stage_content(struct stage *s, const void *bytes, size_t len, int64_t *ret)
{
	struct needle n = { .bytes = bytes, .size = len };
	int64_t offset = -1, local;
	int r;

	if (len == 0) {
		*ret = 0;
		return 0;
	}
	content_hash_of(s->store, bytes, len, &n.hash);
	r = find_equal(s, &n, ret);
	if (r != 0)
		return r < 0 ? r : 0;
	local = s->next_local++;
	if (len <= PACK_MAX_BYTES)
		r = pack_append(s, bytes, len, &offset);
	else
		r = object_write(s, local, bytes, len);
	if (r == 0)
		r = content_row(s, local, &n, offset);
	*ret = local;
	return r;
}

/* ---- sinks ---- */

int sink_init(struct sink *k, struct stage *stage, size_t limit)
{
	*k = (struct sink){ .stage = stage, .limit = limit, .fd = -1 };
	return 0;
}

void sink_reset(struct sink *k)
{
	char name[CONTENT_NAME_BYTES];

	if (k->fd >= 0) {
		object_name(k->local, name);
		unlinkat(k->stage->dirfd, name, 0);
		closep(&k->fd);
		k->fd = -1;
	}
	k->len = 0;
	k->size = 0;
}

void sink_release(struct sink *k)
{
	if (!k->stage)
		return;
	sink_reset(k);
	XXH3_freeState(k->hash);
	free(k->buf);
	*k = (struct sink){ .fd = -1 };
}

/* Runs of zeros in pieces of this are left out: 10 GB of them must not cost 10 GB. */
enum { HOLE_BYTES = 64 * 1024 };

static int object_add(struct sink *k, const uint8_t *bytes, size_t len)
{
	XXH3_128bits_update(k->hash, bytes, len);
	while (len > 0) {
		size_t part = len < HOLE_BYTES ? len : HOLE_BYTES;

		if (part < HOLE_BYTES || !io_is_zero(bytes, part)) {
			int r = io_pwrite_full(k->fd, bytes, part, (off_t)k->size);

			if (r < 0)
				return r;
		}
		k->size += part;
		bytes += part;
		len -= part;
	}
	return 0;
}

static int sink_spill(struct sink *k)
{
	int r;

	if (!k->hash)
		k->hash = XXH3_createState();
	if (!k->hash)
		return -ENOMEM;
	XXH3_128bits_reset(k->hash);
	k->local = k->stage->next_local++;
	r = object_create(k->stage, k->local, &k->fd);
	if (r < 0)
		return r;
	k->size = 0;
	r = object_add(k, k->buf, k->len);
	k->len = 0;
	return r;
}

static int sink_room(struct sink *k, size_t need)
{
	size_t room = k->room ? k->room : 64 * 1024;
	uint8_t *buf;

	while (room < need)
		room *= 2;
	if (room == k->room)
		return 0;
	buf = realloc(k->buf, room);
	if (!buf)
		return -ENOMEM;
	k->buf = buf;
	k->room = room;
	return 0;
}

int sink_add(struct sink *k, const void *bytes, size_t len)
{
	int r = 0;

	if (k->fd < 0 && k->len + len <= k->limit) {
		r = sink_room(k, k->len + len);
		if (r < 0)
			return r;
		memcpy(k->buf + k->len, bytes, len);
		k->len += len;
		k->size += len;
		return 0;
	}
	if (k->fd < 0)
		r = sink_spill(k);
	return r < 0 ? r : object_add(k, bytes, len);
}

int sink_zeros(struct sink *k, uint64_t len)
{
	static const uint8_t zeros[HOLE_BYTES];
	int r = 0;

	while (r == 0 && len > 0) {
		size_t part = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (k->fd >= 0 || k->len + len > k->limit) {
			if (k->fd < 0)
				r = sink_spill(k);
			if (r == 0)
				XXH3_128bits_update(k->hash, zeros, part);
			k->size += part;
		} else {
			r = sink_add(k, zeros, part);
		}
		len -= part;
	}
	return r;
}

static int object_finish(struct sink *k, int64_t *ret)
{
	struct needle n = { .size = k->size, .place = { .fd = k->fd, .bytes = k->size } };
	int r;

	if (ftruncate(k->fd, (off_t)k->size) < 0)
		return -errno;
	content_hash_final(k->stage->store, k->hash, &n.hash);
	r = find_equal(k->stage, &n, ret);
	if (r != 0)
		return r < 0 ? r : 0; /* sink_reset() removes ours */
	r = content_row(k->stage, k->local, &n, -1);
	if (r == 0 && close(TAKE_FD(k->fd)) < 0)
		r = -errno;
	*ret = k->local;
	return r;
}

int sink_finish(struct sink *k, int64_t *ret)
{
	int r = k->fd >= 0 ? object_finish(k, ret) : stage_content(k->stage, k->buf, k->len, ret);

	sink_reset(k);
	return r;
}
