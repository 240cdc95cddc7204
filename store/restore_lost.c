/* SPDX-License-Identifier: Apache-2.0 */
#include "store/restore_lost.h"

#include "store/base/auto.h"
#include "store/check_priv.h"
#include "store/stage.h"
#include "store/store_priv.h"

/*
 * The framing has all of a layer's headers, and for each piece of a file the number of its inode: so the tree, its
 * numbers and sizes are known without one content, and only which content each number has must be found.
 *
 *   1. With zeros for all files the stream is read into rows.
 *   2. A row of the index for the same name, with a content of the right size that is used as often as it is counted,
 *      says it; so do hidden rows, by their numbers.
 *   3. For a number that is left the contents of its size come into question that are used more or less often than
 *      they are counted: each lost row leaves one behind.  Combinations are tried until the stream has the diff ID.
 *
 * A file that is not in the stream as a whole (it has holes) is no matter for 3: the diff ID would not tell.
 */
enum {
	CANDIDATES_MAX = 8,    /* of one number */
	COMBINATIONS_MAX = 32, /* each reads the whole layer */
};

struct missing {
	uint64_t no;
	int64_t candidates[CANDIDATES_MAX];
	unsigned count;
};

struct lost {
	struct store *store;		/* borrowed */
	const struct layer_info *layer; /* borrowed */
	struct tarback_files files;	/* owned */
	struct db *rows;		/* owned: of step 1, with the index attached as "store" */
	struct missing *missing;	/* owned */
	size_t missing_count;
	unsigned combinations;
};

static void lost_release(struct lost *l)
{
	tarback_files_release(&l->files);
	db_close(l->rows);
	free(l->missing);
}

/* A row that is at none of the layer's names uses nothing: its content may be what another name lacks. */
static const char used_sql[] =
	"INSERT INTO temp.used SELECT content, count(*) FROM (SELECT content FROM store.entry s WHERE content IS NOT NULL"
	"  AND (layer <> ?1 OR dir < 0 OR EXISTS (SELECT 1 FROM main.entry e WHERE e.dir = s.dir AND e.name = s.name))"
	"  UNION ALL SELECT framing FROM store.layer WHERE framing IS NOT NULL) GROUP BY content";

static int attach(struct lost *l)
{
	char *sql = sqlite3_mprintf("COMMIT; ATTACH %Q AS store;"
				    "CREATE TEMP TABLE used(content INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
				    l->store->index_uri);
	int r = sql ? db_exec(l->rows, sql) : -ENOMEM;

	sqlite3_free(sql);
	return r == 0 ? DB_RUN(l->rows, used_sql, l->layer->id.value) : r;
}

/* ---- what rows still say ---- */

static const char by_name_sql[] =
	"SELECT e.no, s.content FROM main.entry e JOIN store.entry s ON s.layer = ?1 AND s.dir = e.dir AND s.name = e.name"
	" JOIN store.content c ON c.id = s.content AND c.size = e.size JOIN temp.used u ON u.content = c.id"
	" WHERE e.dir >= 0 AND e.mode & 61440 = 32768 AND u.n = c.refs";

static const char hidden_sql[] =
	"SELECT no, content FROM store.entry s WHERE layer = ?1 AND dir < 0 AND content IS NOT NULL"
	" AND NOT EXISTS (SELECT 1 FROM main.links k WHERE k.no = s.no)"
	" AND no BETWEEN 1 AND 4294967295";

static int note_rows(struct lost *l, const char *sql)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(l->rows, sql, &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, l->layer->id.value);
	while ((r = db_step(stmt)) > 0) {
		uint64_t no = (uint64_t)sqlite3_column_int64(stmt, 0);

		/* Numbers that the stream does not have are damage. */
		if (no < l->files.count && l->files.bytes[no] > 0)
			l->files.contents[no] = sqlite3_column_int64(stmt, 1);
	}
	return r;
}

/* ---- what may be meant ---- */

/* Return: 1: *@ret is the size; 0: it is not in the tree, a later entry replaced it; -errno. */
static int size_of(struct lost *l, uint64_t no, uint64_t *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(l->rows, "SELECT size FROM temp.sizes WHERE no = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, (int64_t)no);
	r = db_step(stmt);
	if (r > 0)
		*ret = (uint64_t)sqlite3_column_int64(stmt, 0);
	return r;
}

static int find_candidates(struct lost *l, struct missing *m)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(l->rows,
			"SELECT id FROM store.content LEFT JOIN temp.used u ON u.content = id"
			" WHERE size = ? AND refs IS NOT n ORDER BY refs - coalesce(n, 0) DESC, id LIMIT ?",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, (int64_t)l->files.bytes[m->no]);
	db_bind_int(stmt, 2, CANDIDATES_MAX);
	while ((r = db_step(stmt)) > 0)
		m->candidates[m->count++] = sqlite3_column_int64(stmt, 0);
	return r;
}

static int add_missing(struct lost *l, uint64_t no)
{
	struct missing *more = realloc(l->missing, (l->missing_count + 1) * sizeof(*more));
	uint64_t size = l->files.bytes[no];
	int r;

	if (!more)
		return -ENOMEM;
	l->missing = more;
	more += l->missing_count;
	*more = (struct missing){ .no = no };
	r = size_of(l, no, &size);
	if (r >= 0 && size != l->files.bytes[no])
		return -EBADMSG;
	if (r >= 0)
		r = find_candidates(l, more);
	if (r < 0)
		return r;
	l->missing_count++;
	return more->count > 0 ? 0 : -EBADMSG;
}

static int find_missing(struct lost *l)
{
	int r = db_exec(l->rows, "CREATE TEMP TABLE sizes(no INTEGER PRIMARY KEY, size INTEGER NOT NULL);"
				 "INSERT OR IGNORE INTO temp.sizes SELECT no, size FROM main.entry WHERE dir >= 0");

	for (uint64_t no = 1; r == 0 && no < l->files.count; no++)
		if (l->files.bytes[no] > 0 && l->files.contents[no] == 0)
			r = add_missing(l, no);
	return r;
}

/* ---- which of it is right ---- */

/* Return: 1: so it is; 0; -errno. */
static int try_now(struct lost *l, struct db **ret_rows, struct check_reread *ret)
{
	AUTO(db_closep) struct db *rows = NULL;
	struct diag diag = { 0 };
	int r = stage_rows_open("", &rows);

	if (r == 0)
		r = check_reread(l->store, l->layer->id, &l->layer->diff_id, &l->files, rows, &diag, ret);
	if (r == -EKEYREJECTED || r == -EIO || r == -EBADMSG)
		return 0;
	if (r == 0)
		*ret_rows = TAKE(rows);
	return r < 0 ? r : 1;
}

/* The next combination, like a counter's digits. Return: false: there is none. */
static bool next_combination(struct lost *l, unsigned *digits)
{
	for (size_t i = 0; i < l->missing_count; i++) {
		if (++digits[i] < l->missing[i].count)
			return true;
		digits[i] = 0;
	}
	return false;
}

static int try_all(struct lost *l, struct db **ret_rows, struct check_reread *ret)
{
	AUTO(freep) unsigned *digits = calloc(l->missing_count + 1, sizeof(*digits));
	int r = digits ? 0 : -ENOMEM;

	while (r == 0 && l->combinations++ < COMBINATIONS_MAX) {
		for (size_t i = 0; i < l->missing_count; i++)
			l->files.contents[l->missing[i].no] = l->missing[i].candidates[digits[i]];
		r = try_now(l, ret_rows, ret);
		if (r == 0 && !next_combination(l, digits))
			break;
	}
	return r == 0 ? -EBADMSG : r < 0 ? r : 0;
}

static int find(struct lost *l, struct diag *diag, struct db **ret_rows, struct check_reread *ret)
{
	int r = stage_rows_open("", &l->rows);

	if (r == 0)
		r = check_reread(l->store, l->layer->id, NULL, &l->files, l->rows, diag, ret);
	if (r == 0)
		r = attach(l);
	if (r == 0)
		r = note_rows(l, hidden_sql);
	if (r == 0)
		r = note_rows(l, by_name_sql);
	if (r == 0)
		r = find_missing(l);
	return r == 0 ? try_all(l, ret_rows, ret) : r;
}

int lost_find(struct store *store, const struct layer_info *layer, struct diag *diag, struct tarback_files *ret_files,
	      struct db **ret_rows, struct check_reread *ret_reread)
{
	AUTO(lost_release) struct lost l = { .store = store, .layer = layer };
	int r = find(&l, diag, ret_rows, ret_reread);

	if (r < 0)
		return diag_set(diag, r, "which of its files has which content cannot be found out");
	*ret_files = l.files;
	l.files = (struct tarback_files){ 0 };
	return 0;
}
