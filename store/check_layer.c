/* SPDX-License-Identifier: Apache-2.0 */
#include "store/check_priv.h"

#include "store/ring.h"
#include "store/stage.h"
#include "store/store_priv.h"
#include "store/tarread.h"
#include "store/unpack.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

/*
 * A thread gives the layer's stream back, as it does for save and push; here it is
 * hashed, and its entries become rows a second time, in a database without a
 * name.  Those and the index's must be the same, row by row.
 */

enum { RING_BYTES = 1024 * 1024 };

struct rereading {
	struct store *store; /* borrowed */
	struct layer_id layer;
	struct tarback_files *files; /* borrowed; may be NULL */
	struct ring *ring;	     /* owned */
	struct diag diag;	     /* the thread's until it is joined */
	uint64_t bad_no;	     /* likewise */
	int result;
};

static int to_ring(void *arg, const void *bytes, size_t len)
{
	return ring_write(arg, bytes, len);
}

static void *give_back(void *arg)
{
	struct rereading *rr = arg;

	rr->result = rr->files
			     ? tarback_write_files(rr->store, rr->layer, rr->files, to_ring, rr->ring, &rr->diag)
			     : tarback_write(rr->store, rr->layer, NULL, 0, to_ring, rr->ring, &rr->diag, &rr->bad_no);
	ring_finish(rr->ring, rr->result);
	return NULL;
}

static int read_stream(struct rereading *rr, const struct digest *diff_id, struct stage *rows, struct diag *diag,
		       struct check_reread *ret)
{
	AUTO(unpack_freep) struct unpack *unpack = NULL;
	const struct ingest_options options = { .name = "its tar stream", .blob_bytes = -1, .diff_id = diff_id };
	struct unpack_totals stream;
	int r = unpack_new(ring_source(rr->ring), &options, NULL, &unpack);

	if (r == 0)
		r = tar_read_rows(rows, unpack, options.name, diag, &ret->totals);
	if (r == 0)
		r = unpack_finish(unpack, diag, &stream);
	if (r == 0)
		ret->stream_bytes = stream.stream_bytes;
	return r;
}

/* @diag: of the side that failed first. */
static int reread(struct rereading *rr, const struct digest *diff_id, struct stage *rows, struct diag *diag,
		  struct check_reread *ret)
{
	struct diag reader = { 0 };
	pthread_t thread;
	int r;

	rr->ring = ring_new(RING_BYTES);
	if (!rr->ring)
		return -ENOMEM;
	r = -pthread_create(&thread, NULL, give_back, rr);
	if (r == 0) {
		r = read_stream(rr, diff_id, rows, &reader, ret);
		ring_cancel(rr->ring);
		pthread_join(thread, NULL);
	}
	ring_free(TAKE(rr->ring));
	ret->bad_no = rr->bad_no;
	if (rr->result < 0 && rr->result != -ECANCELED)
		return diag_set(diag, rr->result, "%s", diag_text(&rr->diag, rr->result));
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&reader, r)) : 0;
}

int check_reread(struct store *store, struct layer_id layer, const struct digest *diff_id, struct tarback_files *files,
		 struct db *rows, struct diag *diag, struct check_reread *ret)
{
	struct rereading rr = { .store = store, .layer = layer, .files = files };
	struct stage stage = { .db = rows };

	*ret = (struct check_reread){ 0 };
	return reread(&rr, diff_id, &stage, diag, ret);
}

/* ---- row by row ---- */

/* The index is attached to the new rows as "store"; ?1 is the layer.  How the rows came to have nlink: publish.c. */
static const char wrong_rows[] =
	"SELECT e.dir, e.name, CASE WHEN s.no IS NULL THEN 'it is not in the index' ELSE"
	"  'the index has wrong values: ' || rtrim(iif(s.no IS e.no, '', 'number, ') ||"
	"   iif(s.mode IS e.mode, '', 'mode, ') || iif(s.uid IS e.uid, '', 'owner, ') ||"
	"   iif(s.gid IS e.gid, '', 'group, ') || iif(s.rdev IS e.rdev, '', 'device, ') ||"
	"   iif(s.mtime_ns IS e.mtime_ns, '', 'time, ') || iif(s.size IS e.size, '', 'size, ') ||"
	"   iif(s.target IS e.target, '', 'link target, ') || iif(s.nlink IS coalesce(n, e.mode <> 0), '', 'links, ') ||"
	"   iif(s.flags & 7 IS e.flags & 7, '', 'whiteout marks, '), ', ') END"
	" FROM main.entry e LEFT JOIN main.links k ON k.no = e.no"
	" LEFT JOIN store.entry s ON s.layer = ?1 AND s.dir = e.dir AND s.name = e.name"
	" WHERE e.dir >= 0 AND (s.no IS NOT e.no OR s.mode IS NOT e.mode OR s.uid IS NOT e.uid OR s.gid IS NOT e.gid"
	"  OR s.rdev IS NOT e.rdev OR s.mtime_ns IS NOT e.mtime_ns OR s.size IS NOT e.size"
	"  OR s.target IS NOT e.target OR s.nlink IS NOT coalesce(n, e.mode <> 0) OR s.flags & 7 IS NOT e.flags & 7)"
	" ORDER BY e.dir, e.name";

static const char surplus_rows[] =
	"SELECT s.dir, s.name, 'it is in the index, but not in the layer' FROM store.entry s"
	" WHERE s.layer = ?1 AND s.dir >= 0"
	" AND NOT EXISTS (SELECT 1 FROM main.entry e WHERE e.dir = s.dir AND e.name = s.name)";

/* ACLs were not read (tar_read_rows()). */
static const char wrong_xattrs[] =
	"WITH s AS (SELECT no, name, value FROM store.xattr WHERE layer = ?1 AND name NOT GLOB 'system.posix_acl_*'),"
	" w AS (SELECT x.no, x.name FROM main.xattr x LEFT JOIN s ON s.no = x.no AND s.name = x.name"
	"   WHERE s.value IS NOT x.value"
	"  UNION SELECT s.no, s.name FROM s LEFT JOIN main.xattr x ON x.no = s.no AND x.name = s.name"
	"   WHERE x.value IS NULL)"
	" SELECT e.dir, e.name, 'the index has a wrong xattr ' || w.name FROM w JOIN main.entry e ON e.no = w.no"
	" AND e.dir >= 0";

static const char parent_sql[] = "SELECT dir, name FROM main.entry WHERE no = ?2 AND dir >= 0"
				 " AND mode & 61440 = 16384 AND ?1 LIMIT 1";

static int report_row(struct check *c, struct db *rows, int64_t layer, sqlite3_stmt *row)
{
	AUTO(buf_release) struct buf path = { 0 };
	int r = check_path(rows, parent_sql, layer, sqlite3_column_int64(row, 0), sqlite3_column_blob(row, 1),
			   (size_t)sqlite3_column_bytes(row, 1), &path);

	return r < 0 ? r : check_report(c, layer, buf_str(&path), (const char *)sqlite3_column_text(row, 2));
}

static int report_rows(struct check *c, struct db *rows, int64_t layer, const char *sql)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(rows, sql, &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer);
	while ((r = db_step(stmt)) > 0) {
		r = report_row(c, rows, layer, stmt);
		if (r < 0)
			return r;
	}
	return r;
}

/* @parameters: more of the index's URI */
static int attach_index(struct store *store, struct db *rows, const char *parameters)
{
	/* What is attached later is read in the same way. */
	const char *alone = store->log_in_memory ? "PRAGMA locking_mode=EXCLUSIVE;" : "";
	char *sql = sqlite3_mprintf("%s ATTACH '%q%s' AS store", alone, store->index_uri, parameters);
	int r = sql ? db_exec(rows, sql) : -ENOMEM;

	sqlite3_free(sql);
	return r;
}

static const char *const row_queries[] = { wrong_rows, surplus_rows, wrong_xattrs };

static int compare_rows(struct check *c, struct db *rows, int64_t layer)
{
	int r = db_exec(rows, "COMMIT");

	if (r == 0)
		r = attach_index(c->store, rows, "");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(row_queries); i++)
		r = report_rows(c, rows, layer, row_queries[i]);
	return r;
}

int check_rows_equal(struct store *store, struct db *rows, struct layer_id layer, bool *ret)
{
	/* Who is in memory would look for what it attaches there, too. */
	int r = attach_index(store, rows, "?vfs=unix");

	*ret = true;
	for (size_t i = 0; r == 0 && *ret && i < ARRAY_SIZE(row_queries); i++) {
		AUTO(db_resetp) sqlite3_stmt *stmt = NULL;

		r = db_stmt(rows, row_queries[i], &stmt);
		if (r < 0)
			return r;
		db_bind_int(stmt, 1, layer.value);
		r = db_step(stmt);
		*ret = r == 0;
		r = r < 0 ? r : 0;
	}
	return r;
}

static int compare_totals(struct check *c, const struct layer_info *info, const struct check_reread *reread)
{
	const struct tree_totals *totals = &reread->totals;

	if (info->tar_bytes != reread->stream_bytes)
		return check_reportf(c, info->id.value, "its stream has %" PRIu64 " bytes, counted are %" PRIu64,
				     reread->stream_bytes, info->tar_bytes);
	if (info->content_bytes != totals->content_bytes)
		return check_reportf(c, info->id.value, "its files have %" PRIu64 " bytes, counted are %" PRIu64,
				     totals->content_bytes, info->content_bytes);
	if (totals->has_xattrs && !info->has_xattrs)
		return check_report(c, info->id.value, NULL, "it has xattrs and is marked to have none");
	return 0;
}

/* All contents are sound: so it is the rows that do not say which of them the layer has. */
static int report_unread(struct check *c, int64_t layer, int err, const struct diag *diag, uint64_t no)
{
	AUTO(freep) char *text = NULL;

	if (err == -EIO && no)
		return check_inode(c, layer, no, "the index names no content for it, or one that is too short");
	if (err == -EIO)
		return check_report(c, layer, NULL, "the index names no tar framing for it, or something else");
	if (err != -EKEYREJECTED)
		return check_damage(c, layer, err, diag_text(diag, err));
	if (asprintf(&text, "the index names other contents for its files, or another tar framing: %s",
		     diag_text(diag, err)) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return check_report(c, layer, NULL, text);
}

int check_layer(struct check *c, int64_t layer, bool tainted)
{
	AUTO(db_closep) struct db *rows = NULL;
	struct layer_id id = { layer };
	struct layer_info info = { 0 };
	struct check_reread reread;
	struct diag diag = { 0 };
	uint64_t faults = c->result->faults;
	int r = layer_info(c->store, id, &info);

	if (r == 0)
		r = stage_rows_open("", &rows);
	/* Of a damaged content the digest is wrong for sure; its rows can be right. */
	if (r == 0)
		r = check_reread(c->store, id, tainted ? NULL : &info.diff_id, NULL, rows, &diag, &reread);
	if (r < 0 && tainted && r != -ENOMEM)
		return 0;
	if (r < 0) {
		r = report_unread(c, layer, r, &diag, reread.bad_no);
		if (r == 0 && c->options->bad_rows)
			c->options->bad_rows(id, c->arg);
		return r;
	}
	r = compare_rows(c, rows, layer);
	if (r == 0)
		r = compare_totals(c, &info, &reread);
	if (c->options->bad_rows && c->result->faults > faults)
		c->options->bad_rows(id, c->arg);
	return r;
}
