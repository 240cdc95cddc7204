/* SPDX-License-Identifier: Apache-2.0 */
#include "store/late.h"

#include "store/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>

/* Where a staged content lies. @offset < 0: in an object. */
static int staged_place(struct stage *s, int64_t local, int64_t offset, uint64_t size, struct content_place *ret)
{
	char name[CONTENT_NAME_BYTES];

	*ret = (struct content_place){ .fd = s->packfd, .offset = (uint64_t)offset, .bytes = size };
	if (offset >= 0)
		return 0;
	snprintf(name, sizeof(name), "%" PRIx64, (uint64_t)local);
	ret->offset = 0;
	ret->owned = true;
	ret->fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);
	return ret->fd < 0 ? -errno : 0;
}

/* One pair with equal hash and size. Return: 1 if the bytes are equal, 0, -errno. */
static int pair_equal(struct stage *s, sqlite3_stmt *row)
{
	AUTO(content_place_release) struct content_place staged = { .fd = -1 };
	AUTO(content_place_release) struct content_place stored = { .fd = -1 };
	int64_t size = sqlite3_column_int64(row, 2);
	int64_t offset = sqlite3_column_type(row, 1) == SQLITE_NULL ? -1 : sqlite3_column_int64(row, 1);
	int r = staged_place(s, sqlite3_column_int64(row, 0), offset, (uint64_t)size, &staged);

	if (r < 0)
		return r;
	r = content_place_of(s->store, (struct content_id){ sqlite3_column_int64(row, 3) },
			     sqlite3_column_int64(row, 4), sqlite3_column_int64(row, 5), size, &stored);
	if (r == -EIO)
		return 0; /* damage over there */
	return r < 0 ? r : content_equals_place(&staged, &stored);
}

static int note_pair(struct db *db, int64_t local, int64_t id)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, "INSERT OR IGNORE INTO temp.late VALUES(?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, local);
	db_bind_int(stmt, 2, id);
	return db_run(stmt);
}

static int find_pairs(struct stage *s, struct db *db)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db,
			"SELECT n.id, n.offset, n.size, c.id, c.pack, c.offset"
			" FROM main.content c JOIN stage.content n ON n.hash = c.hash AND n.size = c.size"
			" WHERE c.id >= ?",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, s->first_unseen);
	while ((r = db_step(stmt)) > 0) {
		r = pair_equal(s, stmt);
		if (r > 0)
			r = note_pair(db, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 3));
		if (r < 0)
			return r;
	}
	return r;
}

static int find_framing(struct db *db, int64_t *framing)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT id FROM temp.late WHERE local = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, *framing);
	r = db_step(stmt);
	if (r > 0)
		*framing = -sqlite3_column_int64(stmt, 0);
	return r < 0 ? r : 0;
}

/* Return: 1: contents came meanwhile, 0, -errno. */
static int others_came(struct stage *s, struct db *db)
{
	int64_t next;
	int r = db_int(db, "SELECT next FROM counter WHERE name = 'content'", &next);

	return r < 0 ? r : next != s->first_unseen;
}

int late_check(struct stage *s, struct db *db)
{
	int r = others_came(s, db);

	return r > 0 ? -EAGAIN : r;
}

int late_share(struct stage *s, struct db *db, int64_t *framing)
{
	int r = others_came(s, db);

	if (r <= 0)
		return r; /* nobody else published anything: the usual case */
	r = db_exec(db, "CREATE TEMP TABLE late(local INTEGER PRIMARY KEY, id INTEGER NOT NULL)");
	if (r == 0)
		r = find_pairs(s, db);
	if (r == 0)
		r = find_framing(db, framing);
	if (r == 0)
		r = db_exec(db, "UPDATE stage.entry SET content = -late.id FROM late WHERE content = late.local;"
				"DELETE FROM stage.content WHERE id IN (SELECT local FROM late);"
				"DROP TABLE late");
	return r;
}
