/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layer.h"

#include "store/base/buf.h"
#include "store/db.h"

#include <string.h>

/* The columns of a struct layer_entry, in the order in which entry_fill() takes them. */
#define ENTRY_COLUMNS "name, no, mode, uid, gid, rdev, mtime_ns, size, content, target, nlink, flags"

int layer_find(struct store *store, const struct digest *diff_id, struct layer_id *ret)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db, "SELECT id FROM layer WHERE diff_id = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, diff_id->bytes, DIGEST_BYTES);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	ret->value = sqlite3_column_int64(stmt, 0);
	return 0;
}

int layer_info(struct store *store, struct layer_id id, struct layer_info *ret)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db,
			    "SELECT diff_id, tar_bytes, entries, content_bytes, has_xattrs, created"
			    " FROM layer WHERE id = ?",
			    &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id.value);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	if (sqlite3_column_bytes(stmt, 0) != DIGEST_BYTES)
		return -EIO;
	*ret = (struct layer_info){
		.id = id,
		.tar_bytes = (uint64_t)sqlite3_column_int64(stmt, 1),
		.entries = (uint64_t)sqlite3_column_int64(stmt, 2),
		.content_bytes = (uint64_t)sqlite3_column_int64(stmt, 3),
		.has_xattrs = sqlite3_column_int64(stmt, 4) != 0,
		.created = sqlite3_column_int64(stmt, 5),
	};
	memcpy(ret->diff_id.bytes, sqlite3_column_blob(stmt, 0), DIGEST_BYTES);
	return 0;
}

/* Blobs are not NUL-terminated by SQLite, column_text() of one is. Return: "" for an empty or NULL one. */
static const char *column_bytes(sqlite3_stmt *stmt, int at)
{
	const char *text = (const char *)sqlite3_column_text(stmt, at);

	return text ? text : "";
}

static void entry_fill(sqlite3_stmt *stmt, struct layer_entry *e)
{
	*e = (struct layer_entry){
		.name = column_bytes(stmt, 0),
		.name_len = (uint32_t)sqlite3_column_bytes(stmt, 0),
		.no = (uint32_t)sqlite3_column_int64(stmt, 1),
		.mode = (uint32_t)sqlite3_column_int64(stmt, 2),
		.uid = (uint32_t)sqlite3_column_int64(stmt, 3),
		.gid = (uint32_t)sqlite3_column_int64(stmt, 4),
		.rdev = (uint64_t)sqlite3_column_int64(stmt, 5),
		.mtime_ns = sqlite3_column_int64(stmt, 6),
		.size = (uint64_t)sqlite3_column_int64(stmt, 7),
		.content = { sqlite3_column_int64(stmt, 8) },
		.nlink = (uint32_t)sqlite3_column_int64(stmt, 10),
		.flags = (unsigned)sqlite3_column_int64(stmt, 11),
	};
	e->target = S_ISLNK(e->mode) ? column_bytes(stmt, 9) : NULL;
}

/* Every row of a bound statement through @fn. Return: what it returned, @nothing if there was no row. */
static int each_entry(sqlite3_stmt *stmt, int nothing, layer_entry_fn fn, void *arg)
{
	struct layer_entry e;
	int r;

	while ((r = db_step(stmt)) > 0) {
		entry_fill(stmt, &e);
		r = fn(&e, arg);
		if (r != 0)
			return r;
		nothing = 0;
	}
	return r < 0 ? r : nothing;
}

int layer_root(struct store *store, struct layer_id id, layer_entry_fn fn, void *arg)
{
	return layer_lookup(store, id, 0, "", fn, arg);
}

int layer_scan(struct store *store, struct layer_id id, uint32_t dir, layer_entry_fn fn, void *arg)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db, "SELECT " ENTRY_COLUMNS " FROM entry WHERE layer = ? AND dir = ? ORDER BY name",
			    &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id.value);
	db_bind_int(stmt, 2, dir);
	return each_entry(stmt, 0, fn, arg);
}

int layer_lookup(struct store *store, struct layer_id id, uint32_t dir, const char *name, layer_entry_fn fn, void *arg)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	int r = db_loan_begin(&loan);

	return r < 0 ? r : layer_lookup_by(loan.db, id, dir, name, fn, arg);
}

int layer_lookup_by(struct db *db, struct layer_id id, uint32_t dir, const char *name, layer_entry_fn fn, void *arg)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT " ENTRY_COLUMNS " FROM entry WHERE layer = ? AND dir = ? AND name = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id.value);
	db_bind_int(stmt, 2, dir);
	db_bind_blob(stmt, 3, name, strlen(name));
	return each_entry(stmt, -ENOENT, fn, arg);
}

/* One name of inode @no: the @skip-th. Return: 1: "NAME" was put before @path; 0: there are no more. */
static int name_of(sqlite3_stmt *stmt, struct layer_id id, uint32_t no, uint32_t skip, struct buf *path, uint32_t *dir)
{
	struct buf longer = { 0 };
	int r;

	db_reset(stmt);
	db_bind_int(stmt, 1, id.value);
	db_bind_int(stmt, 2, no);
	db_bind_int(stmt, 3, skip);
	r = db_step(stmt);
	if (r <= 0)
		return r;
	*dir = (uint32_t)sqlite3_column_int64(stmt, 0);
	buf_add(&longer, sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1));
	buf_addf(&longer, "%s%s", path->len ? "/" : "", buf_str(path));
	buf_release(path);
	*path = longer;
	return buf_error(path) < 0 ? -ENOMEM : 1;
}

/* The path of the @skip-th name. Return: 1, 0: there are no more, -errno. */
static int path_of(struct store *store, struct layer_id id, uint32_t no, uint32_t skip, struct buf *path)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	uint32_t dir = 0;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db,
			    "SELECT dir, name FROM entry WHERE layer = ? AND no = ? AND nlink > 1 AND dir >= 0"
			    " ORDER BY dir, name LIMIT 1 OFFSET ?",
			    &stmt);
	if (r == 0)
		r = name_of(stmt, id, no, skip, path, &dir);
	for (int depth = 0; r > 0 && dir != LAYER_ROOT && dir != 0; depth++) {
		r = name_of(stmt, id, dir, 0, path, &dir);
		if (r == 0 || depth == LAYER_DEPTH_MAX)
			r = -EBADMSG; /* a directory without a row, or a ring of them */
	}
	return r;
}

int layer_names(struct store *store, struct layer_id id, uint32_t no, layer_name_fn fn, void *arg)
{
	for (uint32_t skip = 0;; skip++) {
		struct buf path = { 0 };
		int r = path_of(store, id, no, skip, &path);
		bool more = r > 0;

		if (more)
			r = fn(buf_str(&path), arg);
		buf_release(&path);
		if (!more || r != 0)
			return r;
	}
}

int layer_xattrs(struct store *store, struct layer_id id, uint32_t no, layer_xattr_fn fn, void *arg)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db, "SELECT name, value FROM xattr WHERE layer = ? AND no = ? ORDER BY name", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id.value);
	db_bind_int(stmt, 2, no);
	while ((r = db_step(stmt)) > 0) {
		const void *value = sqlite3_column_blob(stmt, 1);

		r = fn(column_bytes(stmt, 0), value ? value : "", (size_t)sqlite3_column_bytes(stmt, 1), arg);
		if (r != 0)
			return r;
	}
	return r;
}
