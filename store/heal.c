/* SPDX-License-Identifier: Apache-2.0 */
#include "store/heal.h"

#include "store/base/auto.h"
#include "store/check_priv.h"
#include "store/publish.h"
#include "store/recount.h"
#include "store/restore.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <string.h>

/*
 * Who loads, pulls or imports a layer that the store has holds sound bytes of it in hands, and expects it to be there
 * afterwards.  That a layer of this diff ID has a row says little: its rows or its files may have suffered.
 *
 *   1. heal_look() tells what can be seen without a read of the contents.  If nothing is wrong the layer is taken as it
 *      is; what only a read finds is for `nacre verify`.
 *   2. Else it is read once more, as if it were not there.  The stage then has rows and contents as they must be, every
 *      content compared with the store's byte for byte, and heal_layer() sets it against the index.
 *
 * An import has read its layer before it knows the diff ID, so there step 2 costs a comparison of rows only.
 */

/* ---- a look ---- */

static const char rows_look_sql[] =
	"SELECT entries = (SELECT count(*) FROM entry WHERE layer = l.id AND dir >= 0)"
	" AND framing IN (SELECT id FROM content)"
	" AND NOT EXISTS (SELECT 1 FROM entry e LEFT JOIN content c ON c.id = e.content"
	"  WHERE e.layer = l.id AND e.mode & 61440 = 32768 AND e.size <> coalesce(c.size, 0))"
	" AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.layer = l.id AND flags & 8 AND dir >= 0"
	"  AND NOT EXISTS (SELECT 1 FROM xattr x WHERE x.layer = e.layer AND x.no = e.no))"
	" FROM layer l WHERE id = ?";

/* A file for each object, and for each pack how long it must be at least. */
static const char files_look_sql[] = "SELECT pack, id, max(offset + size) FROM content WHERE id IN"
				     "  (SELECT content FROM entry WHERE layer = ?1 AND content IS NOT NULL"
				     "   UNION ALL SELECT framing FROM layer WHERE id = ?1)"
				     " GROUP BY pack, iif(pack IS NULL, id, 0)";

static int look_at_rows(struct db *db, struct layer_id layer, bool *ret_whole)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, rows_look_sql, &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer.value);
	r = db_step(stmt);
	*ret_whole = r > 0 && sqlite3_column_int(stmt, 0) != 0;
	return r < 0 ? r : 0;
}

/* The columns: pack, content, bytes. */
static bool file_is_there(struct store *store, sqlite3_stmt *row)
{
	int64_t pack = sqlite3_column_int64(row, 0), bytes = sqlite3_column_int64(row, 2);
	char name[CONTENT_NAME_BYTES];
	struct stat st;

	if (pack)
		content_pack_name(pack, name);
	else
		content_object_name(sqlite3_column_int64(row, 1), name);
	if (fstatat(store->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	return pack ? st.st_size >= bytes : st.st_size == bytes;
}

static int look_at_files(struct store *store, struct db *db, struct layer_id layer, bool *ret_whole)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, files_look_sql, &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer.value);
	while (*ret_whole && (r = db_step(stmt)) > 0)
		*ret_whole = file_is_there(store, stmt);
	return r < 0 ? r : 0;
}

int heal_look(struct store *store, struct layer_id layer, bool *ret_whole)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	int r = db_loan_begin(&loan);

	*ret_whole = false;
	if (r == 0)
		r = look_at_rows(loan.db, layer, ret_whole);
	return r == 0 ? look_at_files(store, loan.db, layer, ret_whole) : r;
}

/* ---- what is wrong ---- */

/*
 * temp.was(old, new, dir, name): the content old has lost its bytes; the stage has them as new, and an entry of the layer
 * with that name has them.
 */
struct heal {
	struct stage *stage; /* borrowed */
	struct layer_id layer;
	struct db *db; /* owned: the index, with stage.db attached as "stage" */
	bool rows_wrong;
	struct content_list bad; /* owned: contents of which the bytes alone are */
};

static void heal_release(struct heal *h)
{
	db_close(h->db);
	content_list_release(&h->bad);
}

static int open_tables(struct heal *h)
{
	int r = publish_open_index(h->stage, &h->db);

	return r < 0 ? r
		     : db_exec(h->db, "CREATE TEMP TABLE was(old INTEGER PRIMARY KEY, new INTEGER NOT NULL,"
				      " dir INTEGER NOT NULL, name BLOB NOT NULL)");
}

static int compare_totals(struct heal *h, const struct unpack_totals *stream, const struct tar_result *tar)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	const struct tree_totals *totals = &tar->totals;
	int r = db_stmt(h->db,
			"SELECT tar_bytes = ?2 AND entries = ?3 AND content_bytes = ?4 AND (has_xattrs OR NOT ?5)"
			" FROM layer WHERE id = ?1",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, h->layer.value);
	db_bind_int(stmt, 2, (int64_t)stream->stream_bytes);
	db_bind_int(stmt, 3, (int64_t)totals->entries);
	db_bind_int(stmt, 4, (int64_t)totals->content_bytes);
	db_bind_int(stmt, 5, totals->has_xattrs);
	r = db_step(stmt);
	h->rows_wrong = r <= 0 || !sqlite3_column_int(stmt, 0);
	return r < 0 ? r : 0;
}

/* Any row of @sql is a fault. */
static int find_fault(struct heal *h, const char *sql)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = h->rows_wrong ? 0 : db_stmt(h->db, sql, &stmt);

	if (r < 0 || !stmt)
		return r;
	db_bind_int(stmt, 1, h->layer.value);
	r = db_step(stmt);
	h->rows_wrong = r > 0;
	return r < 0 ? r : 0;
}

static int compare_rows(struct heal *h)
{
	AUTO(db_closep) struct db *rows = NULL;
	AUTO(db_freep) char *name = stage_rows_name(h->stage);
	bool equal = true;
	int r = name ? 0 : -ENOMEM;

	if (r < 0 || h->rows_wrong)
		return r;
	r = db_open(name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, &rows);
	if (r == 0)
		r = check_rows_equal(h->stage->store, rows, h->layer, &equal);
	h->rows_wrong = !equal;
	return r;
}

/* ACLs may say something else now, where the archive has users' names; but none may be lost. */
static const char lost_xattrs_sql[] =
	"SELECT 1 FROM stage.xattr n WHERE NOT EXISTS (SELECT 1 FROM main.xattr x WHERE x.layer = ?1"
	" AND x.no = n.no AND x.name = n.name)";

static const char suspects_sql[] =
	"SELECT s.content, n.content, c.hash IS coalesce(m.hash, o.hash) AND c.size IS coalesce(m.size, o.size),"
	" n.dir, n.name FROM stage.entry n"
	" LEFT JOIN main.entry s ON s.layer = ?1 AND s.dir = n.dir AND s.name = n.name"
	" LEFT JOIN main.content c ON c.id = s.content"
	" LEFT JOIN stage.content m ON m.id = n.content"
	" LEFT JOIN main.content o ON o.id = -n.content"
	" WHERE n.content IS NOT NULL AND s.content IS NOT -n.content";

/* Two contents of the store, of which one was compared with what came in. Return: 1: the other has the same bytes, too; 0. */
static int is_equal(struct store *store, int64_t a, int64_t b)
{
	AUTO(content_place_release) struct content_place x = { .fd = -1 };
	AUTO(content_place_release) struct content_place y = { .fd = -1 };
	int r = content_open(store, (struct content_id){ a }, &x);

	if (r == 0)
		r = content_open(store, (struct content_id){ b }, &y);
	if (r == 0)
		r = content_equals_place(&x, &y);
	return r == -EIO || r == -ENOENT ? 0 : r;
}

static int note_bad(struct heal *h, sqlite3_stmt *row)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(h->db, "INSERT OR IGNORE INTO temp.was VALUES(?, ?, ?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, sqlite3_column_int64(row, 0));
	db_bind_int(stmt, 2, sqlite3_column_int64(row, 1));
	db_bind_int(stmt, 3, sqlite3_column_int64(row, 3));
	db_bind_blob(stmt, 4, sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4));
	return db_run(stmt);
}

/*
 * An entry has another content than what came in: it is the right one, and its bytes are damaged, only if the index says
 * that it has this hash and size.  Else it is the entry, or the content's row, that is wrong.
 */
static int judge(struct heal *h, sqlite3_stmt *row)
{
	int64_t old = sqlite3_column_int64(row, 0), new = sqlite3_column_int64(row, 1);
	int r;

	if (!sqlite3_column_int(row, 2)) {
		h->rows_wrong = true;
		return 0;
	}
	r = new < 0 ? is_equal(h->stage->store, old, -new) : 0;
	return r != 0 ? (r < 0 ? r : 0) : note_bad(h, row);
}

static int find_bad(struct heal *h)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(h->db, suspects_sql, &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, h->layer.value);
	while ((r = db_step(stmt)) > 0) {
		r = judge(h, stmt);
		if (r < 0)
			return r;
	}
	return r;
}

/* Compressed anew a framing may have other bytes than the store's, and both be sound. */
static int judge_framing(struct heal *h, const struct tar_result *tar)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	AUTO(freep) char *bytes = NULL;
	struct content_hash hash;
	size_t len;
	int64_t id;
	int r = db_stmt(h->db, "SELECT c.id, hash FROM layer l JOIN content c ON c.id = framing WHERE l.id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, h->layer.value);
	r = db_step(stmt);
	if (r <= 0) {
		h->rows_wrong = true;
		return r;
	}
	id = sqlite3_column_int64(stmt, 0);
	if (id == -tar->framing)
		return 0;
	r = content_read(h->stage->store, (struct content_id){ id }, SIZE_MAX / 2, &bytes, &len);
	if (r == 0) {
		content_hash_of(h->stage->store, bytes, len, &hash);
		if (sqlite3_column_bytes(stmt, 1) == CONTENT_HASH_BYTES &&
		    memcmp(hash.bytes, sqlite3_column_blob(stmt, 1), CONTENT_HASH_BYTES) == 0)
			return 0;
	}
	return r < 0 && r != -EIO && r != -ENOENT ? r : content_list_add(&h->bad, (struct content_id){ id });
}

static int list_bad(struct heal *h)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int64_t twins = 0;
	/* Two that become one are more than restore_from_stage() does in one go. */
	int r = db_int(h->db, "SELECT count(*) - count(DISTINCT new) FROM temp.was", &twins);

	h->rows_wrong = h->rows_wrong || twins != 0;
	if (r == 0)
		r = db_stmt(h->db, "SELECT old FROM temp.was", &stmt);
	while (r == 0 && (r = db_step(stmt)) > 0)
		r = content_list_add(&h->bad, (struct content_id){ sqlite3_column_int64(stmt, 0) });
	return r;
}

static int compare(struct heal *h, const struct unpack_totals *stream, const struct tar_result *tar)
{
	int r = compare_totals(h, stream, tar);

	if (r == 0)
		r = find_fault(h, lost_xattrs_sql);
	if (r == 0)
		r = compare_rows(h);
	if (r == 0)
		r = find_bad(h);
	if (r == 0)
		r = judge_framing(h, tar);
	return r == 0 ? list_bad(h) : r;
}

/* ---- putting it right ---- */

static int heal_contents(struct heal *h, const struct tar_result *tar, struct diag *diag)
{
	AUTO(content_list_release) struct content_list done = { 0 };
	int r = restore_from_stage(h->stage, h->layer, tar, &h->bad, diag, &done);

	if (r == 0 && done.count < h->bad.count)
		r = diag_set(diag, -EIO,
			     "%zu of %zu damaged files of the layer cannot be replaced; 'nacre verify --repair' may",
			     h->bad.count - done.count, h->bad.count);
	return r;
}

/* Other layers have what was damaged, too. */
static int heal_sharers(struct heal *h, struct diag *diag)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	struct content_pair *pairs = NULL;
	size_t count = 0;
	int r = db_stmt(h->db,
			"SELECT old, e.content FROM temp.was w JOIN main.entry e"
			" ON e.layer = ? AND e.dir = w.dir AND e.name = w.name"
			" WHERE old IN (SELECT id FROM main.content) AND e.content <> old",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, h->layer.value);
	while ((r = db_step(stmt)) > 0) {
		struct content_pair *more = realloc(pairs, (count + 1) * sizeof(*pairs));

		if (!more) {
			r = -ENOMEM;
			break;
		}
		pairs = more;
		pairs[count++] =
			(struct content_pair){ { sqlite3_column_int64(stmt, 0) }, { sqlite3_column_int64(stmt, 1) } };
	}
	db_reset(TAKE(stmt));
	if (r == 0 && count > 0)
		r = restore_from_equal(h->stage->store, pairs, count, diag);
	free(pairs);
	return r;
}

static int heal_rows(struct heal *h, const struct unpack_totals *stream, struct tar_result *tar, struct diag *diag)
{
	int r = publish_replace(h->stage, h->layer, stream, tar, diag);

	if (r == 0)
		r = heal_sharers(h, diag);
	return r == 0 ? heal_counts(h->stage->store, diag) : r;
}

int heal_layer(struct stage *stage, struct layer_id layer, const struct unpack_totals *stream, struct tar_result *tar,
	       struct diag *diag, bool *ret_healed)
{
	AUTO(heal_release) struct heal h = { .stage = stage, .layer = layer };
	int r = open_tables(&h);

	*ret_healed = false;
	if (r == 0)
		r = compare(&h, stream, tar);
	if (r < 0)
		return h.db ? db_diag(h.db, diag, r, "what the store has of the layer cannot be read") : r;
	if (!h.rows_wrong && h.bad.count == 0)
		return 0;
	*ret_healed = true;
	return h.rows_wrong ? heal_rows(&h, stream, tar, diag) : heal_contents(&h, tar, diag);
}

static const char all_look_sql[] =
	"SELECT NOT EXISTS (SELECT 1 FROM layer l WHERE framing IS NULL OR framing NOT IN (SELECT id FROM content)"
	"  OR entries <> (SELECT count(*) FROM entry WHERE layer = l.id AND dir >= 0))"
	" AND NOT EXISTS (SELECT 1 FROM entry e LEFT JOIN content c ON c.id = e.content"
	"  WHERE e.mode & 61440 = 32768 AND e.size <> coalesce(c.size, 0))"
	" AND NOT EXISTS (SELECT 1 FROM image_layer WHERE layer NOT IN (SELECT id FROM layer))";

int heal_counts(struct store *store, struct diag *diag)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	int64_t whole = 0;
	uint64_t wrong;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_exec(loan.db, recount_used_sql);
	if (r == 0)
		r = db_int(loan.db, all_look_sql, &whole);
	if (r < 0)
		return loan.db ? db_diag(loan.db, diag, r, "cannot count what the layer uses") : r;
	return whole ? recount(store, diag, &wrong) : 0;
}
