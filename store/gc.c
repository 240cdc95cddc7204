/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gc.h"

#include "store/base/io.h"
#include "store/content.h"
#include "store/lease.h"
#include "store/stage.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/file.h>

/*
 * Rows first, bytes after.  The rows of dead layers and of contents without
 * references go in one transaction; then objects are unlinked, dead runs of packs
 * punched out, empty packs unlinked.  A crash in between leaves bytes without
 * rows, which gc_sweep() finds by comparing the folders with the index; so it
 * does with folders of containers, and with staging that nobody holds a lock on.
 *
 * Nothing can come to need a dead layer meanwhile: writers and lease_take()
 * wait for STORE/lock, which the caller holds.
 */
struct gc {
	struct store *store;
	struct db *db;
	image_removed_fn fn;
	void *arg;
	struct gc_result *result;
};

/* ---- which layers ---- */

static int keep_leased(const struct lease_view *lease, void *arg)
{
	struct gc *gc = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < lease->layer_count; i++) {
		sqlite3_stmt *stmt;

		r = db_stmt(gc->db, "INSERT OR IGNORE INTO temp.keep VALUES(?)", &stmt);
		if (r < 0)
			break;
		db_bind_int(stmt, 1, lease->layers[i].value);
		r = db_run(stmt);
	}
	return r;
}

static int find_dead_layers(struct gc *gc)
{
	int r = db_exec(gc->db, "CREATE TEMP TABLE keep(layer INTEGER PRIMARY KEY);"
				"CREATE TEMP TABLE dead(layer INTEGER PRIMARY KEY);"
				"CREATE TEMP TABLE ref(content INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
				"CREATE TEMP TABLE gone(id INTEGER PRIMARY KEY, size INTEGER NOT NULL, pack INTEGER,"
				"  offset INTEGER NOT NULL);"
				"INSERT INTO keep SELECT DISTINCT layer FROM image_layer");

	if (r == 0)
		r = lease_each(gc->store, true, keep_leased, gc);
	if (r == 0)
		r = db_exec(gc->db, "INSERT INTO dead SELECT id FROM layer WHERE id NOT IN (SELECT layer FROM keep)");
	return r;
}

/* ---- rows ---- */

static const char delete_rows_sql[] =
	"INSERT INTO ref SELECT content, count(*) FROM entry"
	"  WHERE layer IN (SELECT layer FROM dead) AND content IS NOT NULL GROUP BY content;"
	"INSERT INTO ref SELECT framing, count(*) FROM layer"
	"  WHERE id IN (SELECT layer FROM dead) AND framing IS NOT NULL GROUP BY framing"
	"  ON CONFLICT(content) DO UPDATE SET n = n + excluded.n;"
	"DELETE FROM entry WHERE layer IN (SELECT layer FROM dead);"
	"DELETE FROM xattr WHERE layer IN (SELECT layer FROM dead);"
	"DELETE FROM blob WHERE layer IN (SELECT layer FROM dead);"
	"DELETE FROM layer WHERE id IN (SELECT layer FROM dead);"
	"UPDATE content SET refs = refs - n FROM ref WHERE ref.content = content.id;"
	"INSERT INTO gone SELECT id, size, pack, offset FROM content"
	"  WHERE id IN (SELECT content FROM ref) AND refs <= 0;"
	"DELETE FROM content WHERE id IN (SELECT id FROM gone);"
	"UPDATE pack SET live = live - d.size"
	"  FROM (SELECT pack, sum(size) AS size FROM gone WHERE pack IS NOT NULL GROUP BY pack) AS d"
	"  WHERE d.pack = pack.id;";

static int report_layers(struct gc *gc)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(gc->db, "SELECT diff_id FROM layer WHERE id IN (SELECT layer FROM dead)", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		struct digest digest = { 0 };
		char text[DIGEST_TEXT_BYTES];

		if (sqlite3_column_bytes(stmt, 0) == DIGEST_BYTES)
			memcpy(digest.bytes, sqlite3_column_blob(stmt, 0), DIGEST_BYTES);
		gc->result->layers++;
		if (gc->fn)
			gc->fn("deleted", digest_format(&digest, text), gc->arg);
		r = 0;
	}
	return r;
}

static int delete_rows(struct gc *gc)
{
	int r = find_dead_layers(gc);

	if (r == 0)
		r = report_layers(gc);
	return r == 0 ? db_exec(gc->db, delete_rows_sql) : r;
}

/* ---- bytes ---- */

static void punch(int fd, int64_t offset, int64_t bytes)
{
	/* Where holes are not known the bytes stay until the pack goes. */
	if (bytes > 0)
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

static int open_pack(struct gc *gc, int64_t pack)
{
	char name[CONTENT_NAME_BYTES];

	content_pack_name(pack, name);
	return openat(gc->store->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

/*
 * Everything between the live contents of a pack becomes a hole. Neighbours
 * that died at other times are one run this way, which matters: only whole blocks are given back.
 */
static int punch_gaps(struct gc *gc, int64_t pack, int64_t bytes)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	AUTO(closep) int fd = open_pack(gc, pack);
	int64_t at = 0;
	int r = db_stmt(gc->db, "SELECT offset, size FROM temp.live WHERE pack = ? ORDER BY offset", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, pack);
	while ((r = db_step(stmt)) > 0) {
		int64_t offset = sqlite3_column_int64(stmt, 0);

		punch(fd, at, offset - at);
		at = offset + sqlite3_column_int64(stmt, 1);
	}
	punch(fd, at, bytes - at);
	return r;
}

/* @packs: gives id and length of the packs to look at. */
static int punch_packs(struct gc *gc, const char *packs)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_exec(gc->db, "CREATE TEMP TABLE live(pack INTEGER, offset INTEGER, size INTEGER,"
				" PRIMARY KEY(pack, offset)) WITHOUT ROWID");

	/* One pass over the contents for all packs: an index by pack would cost every ingest. */
	if (r == 0)
		r = db_exec(gc->db, "INSERT INTO live SELECT pack, offset, size FROM content"
				    " WHERE pack IN (SELECT id FROM pack WHERE live < bytes) ORDER BY pack, offset");
	if (r == 0)
		r = db_stmt(gc->db, packs, &stmt);
	while (r == 0 && (r = db_step(stmt)) > 0)
		r = punch_gaps(gc, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1));
	return r;
}

static int unlink_objects(struct gc *gc)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	char name[CONTENT_NAME_BYTES];
	int r = db_stmt(gc->db, "SELECT id, size, pack FROM gone", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		gc->result->contents++;
		gc->result->bytes += (uint64_t)sqlite3_column_int64(stmt, 1);
		if (sqlite3_column_type(stmt, 2) == SQLITE_NULL) {
			content_object_name(sqlite3_column_int64(stmt, 0), name);
			unlinkat(gc->store->dirfd, name, 0);
		}
		r = 0;
	}
	return r;
}

static int unlink_packs(struct gc *gc)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	char name[CONTENT_NAME_BYTES];
	int r = db_stmt(gc->db, "DELETE FROM pack WHERE live <= 0 RETURNING id", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		content_pack_name(sqlite3_column_int64(stmt, 0), name);
		unlinkat(gc->store->dirfd, name, 0);
		r = 0;
	}
	return r;
}

int gc_collect(struct store *store, image_removed_fn fn, void *arg, struct diag *diag, struct gc_result *ret)
{
	/* Its own connection: temporary tables go with it. */
	AUTO(db_closep) struct db *db = NULL;
	struct gc gc = { .store = store, .fn = fn, .arg = arg, .result = ret };
	int r = db_open_index(store, &db);

	gc.db = db;
	if (r == 0)
		r = db_exec(db, "BEGIN IMMEDIATE");
	if (r == 0)
		r = delete_rows(&gc);
	if (r == 0)
		r = db_exec(db, "COMMIT");
	if (r == 0 && ret->layers > 0) {
		r = unlink_objects(&gc);
		if (r == 0)
			r = punch_packs(&gc, "SELECT id, bytes FROM pack WHERE live > 0"
					     " AND id IN (SELECT pack FROM gone)");
		if (r == 0)
			r = unlink_packs(&gc);
	}
	return db_diag(db, diag, r, "what is unused cannot be removed");
}

/* ---- what no row names ---- */

static int row_exists(struct db *db, const char *sql, int64_t id)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, sql, &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id);
	return db_step(stmt);
}

/* Files of @folder whose names (ids in hex) are in no row of @sql. */
static int sweep_folder(struct gc *gc, const char *folder, const char *sql)
{
	int fd = openat(gc->store->dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		closep(&fd);
		return fd < 0 && errno == ENOENT ? 0 : -errno;
	}
	while ((de = readdir(dir))) {
		char *end;
		int64_t id = strtoll(de->d_name, &end, 16);
		int r;

		if (de->d_name[0] == '.' || *end)
			continue;
		r = row_exists(gc->db, sql, id);
		if (r < 0)
			return r;
		if (r == 0)
			unlinkat(fd, de->d_name, 0);
	}
	return 0;
}

static int sweep_files(struct gc *gc)
{
	int r = sweep_folder(gc, "packs", "SELECT 1 FROM pack WHERE id = ?");

	for (unsigned i = 0; r == 0 && i < OBJECT_FOLDERS; i++) {
		char folder[CONTENT_NAME_BYTES];

		content_object_folder(i, folder);
		r = sweep_folder(gc, folder, "SELECT 1 FROM content WHERE id = ? AND pack IS NULL");
	}
	return r;
}

static int container_exists(struct db *db, const char *id)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT 1 FROM container WHERE id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_text(stmt, 1, id);
	return db_step(stmt);
}

/* A container's folder comes before its row and goes after it; who makes or removes one holds STORE/lock shared. */
static int sweep_containers(struct gc *gc)
{
	int fd = openat(gc->store->dirfd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!dir) {
		closep(&fd);
		return fd < 0 && errno == ENOENT ? 0 : -errno;
	}
	while (r == 0 && (de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		r = container_exists(gc->db, de->d_name);
		if (r == 0)
			r = io_remove_tree(fd, de->d_name);
		else if (r > 0)
			r = 0;
	}
	return r;
}

int gc_sweep(struct store *store, struct diag *diag, struct gc_result *ret)
{
	AUTO(db_closep) struct db *db = NULL;
	struct gc gc = { .store = store, .result = ret };
	int r = stage_sweep(store);

	if (r == 0)
		r = db_open_index(store, &db);
	gc.db = db;
	if (r == 0)
		r = sweep_containers(&gc);
	if (r == 0)
		r = unlink_packs(&gc);
	if (r == 0)
		r = sweep_files(&gc);
	if (r == 0)
		r = punch_packs(&gc, "SELECT id, bytes FROM pack WHERE live < bytes");
	return r < 0 ? diag_errno(diag, r, "what crashes left in %s cannot be removed", store->dir) : 0;
}

int store_gc(struct store *store, struct diag *diag, struct gc_result *ret)
{
	AUTO(closep) int lock = -1;
	int r;

	*ret = (struct gc_result){ 0 };
	if (store->mode != STORE_WRITE)
		return diag_set(diag, -EROFS, "%s: the store was opened for reading only", store->dir);
	r = store_lock(store, LOCK_EX | LOCK_NB, &lock);
	if (r == -EBUSY)
		return diag_set(diag, r, "%s: something is being written to the store", store->dir);
	if (r < 0)
		return diag_errno(diag, r, "cannot lock the store %s", store->dir);
	r = gc_collect(store, NULL, NULL, diag, ret);
	return r == 0 ? gc_sweep(store, diag, ret) : r;
}
