/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recount.h"

#include "store/content.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <sys/stat.h>

const char recount_used_sql[] = RECOUNT_USED_SQL("main.");

static const char prepare_sql[] =
	"CREATE TEMP TABLE used(content INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
	"INSERT INTO temp.used SELECT content, count(*) FROM (SELECT content FROM entry WHERE content IS NOT NULL"
	"  UNION ALL SELECT framing FROM layer WHERE framing IS NOT NULL) GROUP BY content;"
	"CREATE TEMP TABLE filled(pack INTEGER PRIMARY KEY, live INTEGER NOT NULL, top INTEGER NOT NULL);"
	"INSERT INTO temp.filled SELECT pack, sum(size), max(offset + size) FROM content"
	"  WHERE pack IS NOT NULL AND id IN (SELECT content FROM temp.used) GROUP BY pack";

static const char *const statements[] = {
	"DELETE FROM content WHERE id NOT IN (SELECT content FROM temp.used)",
	"UPDATE content SET refs = n FROM temp.used u WHERE u.content = id AND refs <> n",
	"INSERT INTO pack SELECT pack, top, live FROM temp.filled WHERE pack NOT IN (SELECT id FROM pack)",
	("UPDATE pack SET live = coalesce((SELECT live FROM temp.filled f WHERE f.pack = id), 0)"
	 "  WHERE live <> coalesce((SELECT live FROM temp.filled f WHERE f.pack = id), 0)"),
};

static const char ids_sql[] = "INSERT OR REPLACE INTO counter SELECT k.name, k.top + 1 FROM"
			      "  (SELECT 'content' AS name, coalesce((SELECT max(id) FROM content), 0) AS top"
			      "   UNION ALL SELECT 'pack', max(coalesce((SELECT max(id) FROM pack), 0),"
			      "    coalesce((SELECT max(pack) FROM content), 0))) k"
			      "  WHERE NOT EXISTS (SELECT 1 FROM counter c WHERE c.name = k.name AND next > k.top)";

/* Is the file as long as its contents say, it is the row that does not know how long it is. */
static int lengthen_packs(struct store *store, struct db *db)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT pack, top FROM temp.filled f JOIN pack p ON p.id = pack WHERE bytes < top", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		int64_t pack = sqlite3_column_int64(stmt, 0), top = sqlite3_column_int64(stmt, 1);
		char name[CONTENT_NAME_BYTES];
		struct stat st;

		content_pack_name(pack, name);
		r = 0;
		if (fstatat(store->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size >= top)
			r = DB_RUN(db, "UPDATE pack SET bytes = ?2 WHERE id = ?1", pack, (int64_t)st.st_size);
	}
	return r;
}

static int recount_all(struct store *store, struct db *db)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(statements); i++)
		r = db_exec(db, statements[i]);
	return r == 0 ? lengthen_packs(store, db) : r;
}

static int recount_as(struct store *store, bool all, struct diag *diag, uint64_t *ret)
{
	/* Of its own: the tables must not stay in the pool. */
	AUTO(db_closep) struct db *db = NULL;
	int64_t before = 0;
	int r = db_open_index(store, &db);

	if (r == 0)
		r = db_exec(db, "BEGIN IMMEDIATE");
	if (r < 0)
		return db ? db_diag(db, diag, r, "cannot write to the index") : r;
	if (all)
		r = db_exec(db, prepare_sql);
	before = sqlite3_total_changes64(db_handle(db));
	if (r == 0 && all)
		r = recount_all(store, db);
	if (r == 0)
		r = db_exec(db, ids_sql);
	*ret = (uint64_t)(sqlite3_total_changes64(db_handle(db)) - before);
	if (r == 0)
		r = db_exec(db, "COMMIT");
	db_diag(db, diag, r, "cannot write to the index");
	if (r < 0)
		(void)db_exec(db, "ROLLBACK");
	return r;
}

int recount(struct store *store, struct diag *diag, uint64_t *ret)
{
	return recount_as(store, true, diag, ret);
}

int recount_ids(struct store *store, struct diag *diag, uint64_t *ret)
{
	return recount_as(store, false, diag, ret);
}
