/* SPDX-License-Identifier: Apache-2.0 */
#include "store/restore.h"

#include "store/base/auto.h"
#include "store/publish.h"
#include "store/store_priv.h"

#include <fcntl.h>

/*
 * temp.fix(old, new) is what is to be done: content old becomes the staged content new, or, for
 * a negative one, the store's content -new.
 */

int content_list_add(struct content_list *list, struct content_id id)
{
	struct content_id *ids = realloc(list->ids, (list->count + 1) * sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	list->ids = ids;
	ids[list->count++] = id;
	return 0;
}

void content_list_release(struct content_list *list)
{
	free(list->ids);
	*list = (struct content_list){ 0 };
}

static int make_tables(struct db *db)
{
	return db_exec(db, "CREATE TEMP TABLE fix(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
			   "CREATE TEMP TABLE gone(id INTEGER PRIMARY KEY)");
}

/* ---- rows ---- */

/* The old places are nobody's any more; what is left of their packs is for gc. */
static const char leave_packs_sql[] =
	"UPDATE pack SET live = live - d.size FROM (SELECT pack, sum(size) AS size FROM content JOIN temp.fix"
	"  ON id = old WHERE pack IS NOT NULL GROUP BY pack) AS d WHERE d.pack = pack.id";

static const char become_equal_sql[] =
	"UPDATE entry SET content = (SELECT -new FROM temp.fix WHERE old = content)"
	"  WHERE content IN (SELECT old FROM temp.fix WHERE new < 0);"
	"UPDATE layer SET framing = (SELECT -new FROM temp.fix WHERE old = framing)"
	"  WHERE framing IN (SELECT old FROM temp.fix WHERE new < 0);"
	"UPDATE content SET refs = refs + m.n FROM (SELECT -new AS id, sum(refs) AS n FROM temp.fix"
	"  JOIN content c ON c.id = old WHERE new < 0 GROUP BY new) AS m WHERE m.id = content.id;"
	"INSERT INTO temp.gone SELECT id FROM content JOIN temp.fix ON id = old WHERE new < 0 AND pack IS NULL;"
	"DELETE FROM content WHERE id IN (SELECT old FROM temp.fix WHERE new < 0)";

static int fix_rows(struct db *db, int64_t pack, int64_t pack_bytes)
{
	int r = db_exec(db, leave_packs_sql);

	if (r == 0 && pack)
		r = DB_RUN(db,
			   "INSERT INTO pack SELECT ?1, ?2, total(size) FROM stage.content"
			   " WHERE offset IS NOT NULL AND id IN (SELECT new FROM temp.fix)",
			   pack, pack_bytes);
	return r == 0 ? db_exec(db, become_equal_sql) : r;
}

/* After the commit; what fails is left over, and gc's. */
static void unlink_gone(struct store *store, struct db *db)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	char name[CONTENT_NAME_BYTES];

	if (db_stmt(db, "SELECT id FROM temp.gone", &stmt) < 0)
		return;
	while (db_step(stmt) > 0) {
		content_object_name(sqlite3_column_int64(stmt, 0), name);
		unlinkat(store->dirfd, name, 0);
	}
}

static int end_transaction(struct db *db, int r, struct diag *diag)
{
	db_diag(db, diag, r, "cannot replace what is damaged");
	if (r == 0) {
		r = db_exec(db, "COMMIT");
		db_diag(db, diag, r, "cannot write to the index");
	}
	if (r < 0)
		(void)db_exec(db, "ROLLBACK");
	return r;
}

/* ---- from equal contents ---- */

int restore_from_equal(struct store *store, const struct content_pair *pairs, size_t count, struct diag *diag)
{
	AUTO(db_closep) struct db *db = NULL;
	int r = db_open_index(store, &db);

	if (r == 0)
		r = make_tables(db);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = DB_RUN(db, "INSERT INTO temp.fix VALUES(?, -?)", pairs[i].damaged.value, pairs[i].equal.value);
	if (r == 0)
		r = db_exec(db, "BEGIN IMMEDIATE");
	if (r < 0)
		return db ? db_diag(db, diag, r, "cannot write to the index") : r;
	r = end_transaction(db, fix_rows(db, 0, 0), diag);
	if (r == 0)
		unlink_gone(store, db);
	return r;
}

/* ---- from a stage ---- */

struct restore {
	struct stage *stage; /* borrowed */
	struct db *db;	     /* owned; stage.db is attached to it as "stage" */
	int64_t pack;	     /* id of the new pack; 0: there is none */
	struct publish_moved moved;
};

static int list_damaged(struct db *db, const struct content_list *damaged)
{
	int r = db_exec(db, "CREATE TEMP TABLE bad(content INTEGER PRIMARY KEY)");

	for (size_t i = 0; r == 0 && i < damaged->count; i++)
		r = DB_RUN(db, "INSERT OR IGNORE INTO temp.bad VALUES(?)", damaged->ids[i].value);
	return r;
}

/*
 * The same name in the same directory is the same file, since both were made of the same stream.  One that the stage
 * found to be the store's own content is not damaged after all.
 */
static const char plan_files_sql[] =
	"INSERT INTO temp.fix SELECT s.content, min(n.content) FROM main.entry s"
	" JOIN stage.entry n ON n.dir = s.dir AND n.name = s.name"
	" WHERE s.layer = ? AND s.content IN (SELECT content FROM temp.bad) AND n.content IS NOT NULL"
	" GROUP BY s.content HAVING min(n.content) = max(n.content) AND min(n.content) <> -s.content";

/* Compressed anew the framing may have other bytes; that is for those to whom it is the framing alone. */
static const char plan_framing_sql[] =
	"INSERT OR IGNORE INTO temp.fix SELECT framing, ?2 FROM layer l JOIN content c ON c.id = l.framing"
	" WHERE l.id = ?1 AND l.framing IN (SELECT content FROM temp.bad) AND l.framing <> -?2"
	" AND c.refs = (SELECT count(*) FROM layer o WHERE o.framing = l.framing)";

/* Two contents cannot lie in one place, and none can become one that goes: those wait for the next round. */
static const char plan_order_sql[] =
	"DELETE FROM temp.fix WHERE new > 0 AND old <> (SELECT min(o.old) FROM temp.fix o WHERE o.new = fix.new);"
	"DELETE FROM temp.fix WHERE new < 0 AND -new IN (SELECT old FROM temp.fix)";

static int plan(struct restore *rs, struct layer_id layer, const struct tar_result *tar)
{
	int r = DB_RUN(rs->db, plan_files_sql, layer.value);

	if (r == 0)
		r = DB_RUN(rs->db, plan_framing_sql, layer.value, tar->framing);
	return r == 0 ? db_exec(rs->db, plan_order_sql) : r;
}

static int take_pack(struct restore *rs)
{
	int64_t count;
	int r = db_int(
		rs->db,
		"SELECT count(*) FROM stage.content WHERE offset IS NOT NULL AND id IN (SELECT new FROM temp.fix)",
		&count);

	if (r < 0 || count == 0)
		return r;
	r = db_int(rs->db, "SELECT next FROM counter WHERE name = 'pack'", &rs->pack);
	if (r == 0)
		r = db_exec(rs->db, "UPDATE counter SET next = next + 1 WHERE name = 'pack'");
	return r == -ENODATA ? -EBADMSG : r;
}

static int move_files(struct restore *rs)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = rs->pack ? publish_move_pack(rs->stage, rs->pack, &rs->moved) : 0;

	if (r == 0)
		r = db_stmt(rs->db, "SELECT new, old FROM temp.fix JOIN stage.content ON id = new WHERE offset IS NULL",
			    &stmt);
	while (r == 0 && (r = db_step(stmt)) > 0)
		r = publish_move_object(rs->stage, sqlite3_column_int64(stmt, 0),
					(struct content_id){ sqlite3_column_int64(stmt, 1) }, &rs->moved);
	return r == 0 ? publish_sync_moved(rs->stage, &rs->moved) : r;
}

static int fix_places(struct restore *rs)
{
	int r = fix_rows(rs->db, rs->pack, rs->stage->pack_bytes);

	return r < 0 ? r
		     : DB_RUN(rs->db,
			      "UPDATE content SET hash = n.hash, size = n.size, pack = iif(n.offset IS NULL, NULL, ?1),"
			      " offset = coalesce(n.offset, 0) FROM temp.fix JOIN stage.content n ON n.id = new"
			      " WHERE content.id = old",
			      rs->pack);
}

static int restore_locked(struct restore *rs, struct layer_id layer, const struct tar_result *tar)
{
	int r = plan(rs, layer, tar);

	if (r == 0)
		r = take_pack(rs);
	if (r == 0)
		r = move_files(rs);
	if (r == 0)
		r = fix_places(rs);
	if (r < 0 && rs->moved.pack) {
		char name[CONTENT_NAME_BYTES];

		content_pack_name(rs->pack, name);
		unlinkat(rs->stage->store->dirfd, name, 0);
	}
	return r;
}

static int list_fixed(struct db *db, struct content_list *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT old FROM temp.fix", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0)
		r = content_list_add(ret, (struct content_id){ sqlite3_column_int64(stmt, 0) });
	return r;
}

int restore_from_stage(struct stage *stage, struct layer_id layer, const struct tar_result *tar,
		       const struct content_list *damaged, struct diag *diag, struct content_list *ret)
{
	AUTO(db_closep) struct db *db = NULL;
	struct restore rs = { .stage = stage };
	int r = stage_seal(stage);

	if (r == 0)
		r = publish_sync_stage(stage);
	if (r < 0)
		return diag_errno(diag, r, "cannot write the layer to disk");
	r = publish_open_index(stage, &db);
	rs.db = db;
	if (r == 0)
		r = make_tables(db);
	if (r == 0)
		r = list_damaged(db, damaged);
	if (r == 0)
		r = db_exec(db, "BEGIN IMMEDIATE");
	if (r < 0)
		return db ? db_diag(db, diag, r, "cannot write to the index") : r;
	r = end_transaction(db, restore_locked(&rs, layer, tar), diag);
	if (r == 0) {
		unlink_gone(stage->store, db);
		r = list_fixed(db, ret);
	}
	return r;
}
