/* SPDX-License-Identifier: Apache-2.0 */
#include "store/restore_rows.h"

#include "store/base/auto.h"
#include "store/check_priv.h"
#include "store/recount.h"
#include "store/restore_lost.h"
#include "store/stage.h"
#include "store/store_priv.h"

int layer_list_add(struct layer_list *list, struct layer_id id)
{
	struct layer_id *ids = realloc(list->ids, (list->count + 1) * sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	list->ids = ids;
	ids[list->count++] = id;
	return 0;
}

void layer_list_release(struct layer_list *list)
{
	free(list->ids);
	*list = (struct layer_list){ 0 };
}

/*
 * The new rows are in "main", the index is attached as "store"; ?1 is the layer.  Which content an inode has is
 * known to the old rows alone; that they were right in this shows the stream, which was made with them.
 * A damaged row may be missing in an index of its table, and could not be removed then: so REINDEX comes first.
 */
static const char had_sql[] = "INSERT INTO temp.had SELECT no, max(content) FROM store.entry"
			      "  WHERE layer = ?1 AND content IS NOT NULL GROUP BY no";

/* Where that was found out in another way (restore_lost.c), hidden rows too are made of it: tree.c has their form. */
static const char *const hidden_statements[] = {
	"DELETE FROM store.entry WHERE layer = ?1 AND dir < 0",
	"INSERT INTO store.entry SELECT ?1, -1, CAST(CAST(h.no AS TEXT) AS BLOB), h.no, 33188, 0, 0, 0, 0, c.size,"
	"  h.content, NULL, 1, 0 FROM temp.had h JOIN store.content c ON c.id = h.content"
	"  WHERE h.no NOT IN (SELECT no FROM main.entry WHERE dir >= 0)",
};

static const char *const row_statements[] = {
	"DELETE FROM store.entry WHERE layer = ?1 AND dir >= 0",
	"INSERT INTO store.entry SELECT ?1, dir, name, e.no, mode, uid, gid, rdev, mtime_ns, size, h.content, target,"
	"  coalesce(n, mode != 0), flags FROM main.entry e LEFT JOIN main.links l ON l.no = e.no"
	"  LEFT JOIN temp.had h ON h.no = e.no WHERE dir >= 0 ORDER BY dir, name",
	"DELETE FROM store.xattr WHERE layer = ?1 AND name NOT GLOB 'system.posix_acl_*'",
	"INSERT INTO store.xattr SELECT ?1, no, name, value FROM main.xattr"
	"  WHERE name NOT GLOB 'system.posix_acl_*' ORDER BY no, name",
	"UPDATE store.entry SET flags = flags | 8 WHERE layer = ?1 AND dir >= 0"
	"  AND no IN (SELECT no FROM store.xattr WHERE layer = ?1)",
	"UPDATE store.layer SET has_xattrs = EXISTS (SELECT 1 FROM store.xattr WHERE layer = ?1),"
	"  entries = (SELECT count(*) FROM store.entry WHERE layer = ?1 AND dir >= 0) WHERE id = ?1",
};

/* A damaged row may have been counted, or not. */
static const char counts_sql[] = RECOUNT_USED_SQL("store.");

static int attach(struct store *store, struct db *rows)
{
	char *sql = sqlite3_mprintf("COMMIT; ATTACH %Q AS store;"
				    "CREATE TEMP TABLE had(no INTEGER PRIMARY KEY, content INTEGER NOT NULL)",
				    store->index_uri);
	int r = sql ? db_exec(rows, sql) : -ENOMEM;

	sqlite3_free(sql);
	return r;
}

static int put_had(struct db *rows, struct layer_id layer, const struct tarback_files *files)
{
	int r = 0;

	for (size_t no = 0; r == 0 && no < files->count; no++)
		if (files->contents[no])
			r = DB_RUN(rows, "INSERT INTO temp.had VALUES(?, ?)", (int64_t)no, files->contents[no]);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(hidden_statements); i++)
		r = DB_RUN(rows, hidden_statements[i], layer.value);
	return r;
}

/* @files: NULL: what the rows say of contents is right */
static int replace_rows(struct db *rows, struct layer_id layer, const struct tarback_files *files,
			const struct check_reread *reread)
{
	int r = db_exec(rows, "REINDEX store.entry");

	if (r == 0)
		r = files ? put_had(rows, layer, files) : DB_RUN(rows, had_sql, layer.value);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(row_statements); i++)
		r = DB_RUN(rows, row_statements[i], layer.value);
	if (r == 0)
		r = DB_RUN(rows, "UPDATE store.layer SET content_bytes = ?2, tar_bytes = ?3 WHERE id = ?1", layer.value,
			   (int64_t)reread->totals.content_bytes, (int64_t)reread->stream_bytes);
	return r == 0 ? db_exec(rows, counts_sql) : r;
}

int restore_rows(struct store *store, struct layer_id layer, struct diag *diag)
{
	AUTO(tarback_files_release) struct tarback_files files = { 0 };
	AUTO(db_closep) struct db *rows = NULL;
	struct layer_info info = { 0 };
	struct check_reread reread;
	struct diag why = { 0 };
	int r = layer_info(store, layer, &info);

	if (r == 0)
		r = stage_rows_open("", &rows);
	if (r == 0)
		r = check_reread(store, layer, &info.diff_id, NULL, rows, &why, &reread);
	if (r == -EKEYREJECTED || r == -EBADMSG || r == -EIO) {
		db_closep(&rows);
		rows = NULL;
		r = lost_find(store, &info, diag, &files, &rows, &reread);
	}
	if (r < 0)
		return r;
	r = attach(store, rows);
	if (r == 0)
		r = db_exec(rows, "BEGIN IMMEDIATE");
	if (r < 0)
		return db_diag(rows, diag, r, "cannot write to the index");
	r = replace_rows(rows, layer, files.count ? &files : NULL, &reread);
	if (r == 0)
		r = db_exec(rows, "COMMIT");
	db_diag(rows, diag, r, "cannot replace what is damaged");
	if (r < 0)
		(void)db_exec(rows, "ROLLBACK");
	return r;
}
