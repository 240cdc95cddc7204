/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rows.h"

#include "store/few.h"

#include <string.h>

/* One that is full is no place for what comes. */
static int make_room(struct stage *stage)
{
	return stage->few && few_is_full(stage->few) ? stage_spill(stage) : 0;
}

int row_find(struct stage *stage, int64_t dir, const char *name, size_t len, struct row *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r;

	if (stage->few)
		return few_find(stage->few, dir, name, len, ret);
	r = db_stmt(stage->db, "SELECT no, mode, flags, content, size FROM entry WHERE dir = ? AND name = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, dir);
	db_bind_blob(stmt, 2, name, len);
	r = db_step(stmt);
	if (r > 0)
		*ret = (struct row){
			.no = (uint32_t)sqlite3_column_int64(stmt, 0),
			.mode = (uint32_t)sqlite3_column_int64(stmt, 1),
			.flags = (unsigned)sqlite3_column_int64(stmt, 2),
			.content = sqlite3_column_int64(stmt, 3),
			.size = (uint64_t)sqlite3_column_int64(stmt, 4),
		};
	return r;
}

int db_row_put(struct db *db, int64_t dir, const char *name, size_t len, uint32_t no, unsigned flags,
	       const struct tree_entry *e)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db,
			"INSERT OR REPLACE INTO entry(dir, name, no, mode, uid, gid, rdev, mtime_ns, size, content,"
			" target, flags) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, dir);
	db_bind_blob(stmt, 2, name, len);
	db_bind_int(stmt, 3, no);
	db_bind_int(stmt, 4, e->mode);
	db_bind_int(stmt, 5, e->uid);
	db_bind_int(stmt, 6, e->gid);
	db_bind_int(stmt, 7, (int64_t)e->rdev);
	db_bind_int(stmt, 8, e->mtime_ns);
	db_bind_int(stmt, 9, (int64_t)e->size);
	db_bind_id(stmt, 10, e->content);
	if (e->target)
		db_bind_blob(stmt, 11, e->target, strlen(e->target));
	db_bind_int(stmt, 12, flags);
	return db_run(stmt);
}

int row_put(struct stage *stage, int64_t dir, const char *name, size_t len, uint32_t no, unsigned flags,
	    const struct tree_entry *e)
{
	int r = make_room(stage);

	if (r == 0)
		r = stage->few ? few_put(stage->few, dir, name, len, no, flags, e)
			       : db_row_put(stage->db, dir, name, len, no, flags, e);
	return r;
}

int row_set_flags(struct stage *stage, int64_t dir, const char *name, size_t len, unsigned flags)
{
	sqlite3_stmt *stmt;
	int r = stage_spill(stage);

	if (r == 0)
		r = db_stmt(stage->db, "UPDATE entry SET flags = ? WHERE dir = ? AND name = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, flags);
	db_bind_int(stmt, 2, dir);
	db_bind_blob(stmt, 3, name, len);
	return db_run(stmt);
}

int row_delete(struct stage *stage, int64_t dir, const char *name, size_t len)
{
	sqlite3_stmt *stmt;
	int r = stage_spill(stage);

	if (r == 0)
		r = db_stmt(stage->db, "DELETE FROM entry WHERE dir = ? AND name = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, dir);
	db_bind_blob(stmt, 2, name, len);
	return db_run(stmt);
}

int row_delete_xattrs(struct stage *stage, uint32_t no)
{
	sqlite3_stmt *stmt;
	int r = stage_spill(stage);

	if (r == 0)
		r = db_stmt(stage->db, "DELETE FROM xattr WHERE no = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, no);
	return db_run(stmt);
}

int db_row_put_xattr(struct db *db, uint32_t no, const struct tree_xattr *x)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, "INSERT OR REPLACE INTO xattr VALUES(?, ?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, no);
	db_bind_text(stmt, 2, x->name);
	db_bind_blob(stmt, 3, x->value, x->bytes);
	return db_run(stmt);
}

int row_put_xattr(struct stage *stage, uint32_t no, const struct tree_xattr *x)
{
	int r = make_room(stage);

	if (r == 0)
		r = stage->few ? few_put_xattr(stage->few, no, x) : db_row_put_xattr(stage->db, no, x);
	return r;
}

int db_row_put_content(struct db *db, int64_t local, const struct content_hash *hash, uint64_t size, int64_t offset)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, "INSERT INTO content(id, hash, size, offset) VALUES(?, ?, ?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, local);
	db_bind_blob(stmt, 2, hash->bytes, CONTENT_HASH_BYTES);
	db_bind_int(stmt, 3, (int64_t)size);
	if (offset >= 0)
		db_bind_int(stmt, 4, offset);
	return db_run(stmt);
}

int row_count(struct stage *stage, uint64_t *ret)
{
	int64_t n = 0;
	int r = 0;

	if (stage->few)
		n = (int64_t)few_entries(stage->few);
	else
		r = db_int(stage->db, "SELECT count(*) FROM entry WHERE dir >= 0", &n);
	*ret = (uint64_t)n;
	return r;
}

int row_add_links(struct stage *stage, uint32_t no, int delta)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = make_room(stage);

	if (r == 0 && stage->few)
		return few_add_links(stage->few, no, delta);
	if (r == 0)
		r = db_stmt(stage->db,
			    "INSERT INTO links VALUES(?1, 1 + ?2) ON CONFLICT(no) DO UPDATE SET n = n + ?2 RETURNING n",
			    &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, no);
	db_bind_int(stmt, 2, delta);
	r = db_step(stmt);
	return r > 0 ? sqlite3_column_int(stmt, 0) : r == 0 ? -EIO : r;
}

int row_first_child(struct stage *stage, uint32_t no, char name[NAME_MAX + 1], size_t *len, struct row *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = stage_spill(stage);

	if (r == 0)
		r = db_stmt(stage->db, "SELECT name, no, mode, flags, content, size FROM entry WHERE dir = ? LIMIT 1",
			    &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, no);
	r = db_step(stmt);
	if (r <= 0)
		return r;
	*len = (size_t)sqlite3_column_bytes(stmt, 0);
	memcpy(name, sqlite3_column_blob(stmt, 0), *len);
	*ret = (struct row){
		.no = (uint32_t)sqlite3_column_int64(stmt, 1),
		.mode = (uint32_t)sqlite3_column_int64(stmt, 2),
		.flags = (unsigned)sqlite3_column_int64(stmt, 3),
		.content = sqlite3_column_int64(stmt, 4),
		.size = (uint64_t)sqlite3_column_int64(stmt, 5),
	};
	return 1;
}

int row_copy(struct stage *stage, int64_t from_dir, const char *from, size_t from_len, int64_t dir, const char *name,
	     size_t len)
{
	sqlite3_stmt *stmt;
	int r = stage_spill(stage);

	if (r == 0)
		r = db_stmt(
			stage->db,
			"INSERT INTO entry SELECT ?, ?, no, mode, uid, gid, rdev, mtime_ns, size, content, target, flags"
			" FROM entry WHERE dir = ? AND name = ?",
			&stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, dir);
	db_bind_blob(stmt, 2, name, len);
	db_bind_int(stmt, 3, from_dir);
	db_bind_blob(stmt, 4, from, from_len);
	return db_run(stmt);
}
