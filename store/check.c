/* SPDX-License-Identifier: Apache-2.0 */
#include "store/check.h"

#include "store/check_priv.h"
#include "store/store_priv.h"

#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

/*
 * From the index outwards, each step trusting what the steps before it found:
 *
 *   1. the database itself, and the invariants between its tables	check_rows.c
 *   2. configs against image IDs and layers
 *   3. the files of packs/ and objects/: there, and of their size	check_files.c
 *   4. contents against their hashes
 *   5. each layer's stream against its diff ID, its rows against it	check_layer.c
 *   6. what crashes left, which is no fault
 *
 * XXH3 in step 4 finds what a disk does to bytes, and says which file it was.
 * Step 5 finds what else there is: SHA-256 covers the framing and which content
 * belongs to which file, and the rows are made anew from the stream, by the code that made
 * them when the layer came in, so that a flipped bit of a mode or a name shows too.
 *
 * All is seen in one read transaction.  STORE/lock is held shared, which keeps gc from taking
 * files away; layers do not change, and what writers add meanwhile is not looked at.
 */

/* ---- telling ---- */

static int add_name(char ***names, size_t *count, const char *name)
{
	char **more = realloc(*names, (*count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	*names = more;
	more[*count] = strdup(name);
	if (!more[*count])
		return -ENOMEM;
	(*count)++;
	return 0;
}

static int images_of_layer(struct check *c, int64_t layer, char ***ret, size_t *ret_count)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db,
			"SELECT DISTINCT coalesce((SELECT min(name) FROM tag t WHERE t.image = i.id),"
			"  'sha256:' || lower(hex(digest))) AS label"
			" FROM image i JOIN image_layer l ON l.image = i.id WHERE l.layer = ? ORDER BY label",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer);
	while ((r = db_step(stmt)) > 0) {
		r = add_name(ret, ret_count, (const char *)sqlite3_column_text(stmt, 0));
		if (r < 0)
			return r;
	}
	return r;
}

/* Return: 1: *@ret is set; 0: there is no such layer; -errno. */
static int diff_id_of_layer(struct check *c, int64_t layer, struct digest *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, "SELECT diff_id FROM layer WHERE id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer);
	r = db_step(stmt);
	if (r <= 0 || sqlite3_column_bytes(stmt, 0) != DIGEST_BYTES)
		return r < 0 ? r : 0;
	memcpy(ret->bytes, sqlite3_column_blob(stmt, 0), DIGEST_BYTES);
	return 1;
}

int check_report(struct check *c, int64_t layer, const char *path, const char *text)
{
	struct check_fault fault = { .text = text, .path = path };
	struct digest diff_id;
	char **images = NULL;
	size_t count = 0;
	int r = layer ? diff_id_of_layer(c, layer, &diff_id) : 0;

	if (r > 0)
		fault.layer = &diff_id;
	if (layer && r >= 0)
		r = images_of_layer(c, layer, &images, &count);
	fault.images = (const char *const *)images;
	fault.image_count = count;
	c->result->faults++;
	if (c->fn)
		c->fn(&fault, c->arg);
	for (size_t i = 0; i < count; i++)
		free(images[i]);
	free(images);
	/* In a damaged index the names may be out of reach; the fault was told all the same. */
	return r == -ENOMEM ? r : 0;
}

int check_reportf(struct check *c, int64_t layer, const char *fmt, ...)
{
	AUTO(freep) char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return check_report(c, layer, NULL, text);
}

int check_damage(struct check *c, int64_t layer, int err, const char *text)
{
	if (err != -EBADMSG && err != -EIO && err != -EKEYREJECTED && err != -ENOENT)
		return err;
	return check_report(c, layer, NULL, text);
}

int check_path(struct db *db, const char *parent_sql, int64_t layer, int64_t dir, const void *name, size_t len,
	       struct buf *path)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, parent_sql, &stmt);

	buf_add(path, name, len);
	for (int depth = 0; r == 0 && dir > LAYER_ROOT && depth < LAYER_DEPTH_MAX; depth++) {
		struct buf longer = { 0 };

		db_reset(stmt);
		db_bind_int(stmt, 1, layer);
		db_bind_int(stmt, 2, dir);
		r = db_step(stmt);
		if (r <= 0)
			break; /* it has no name that could be told: the rest of the path must do */
		buf_add(&longer, sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1));
		buf_addf(&longer, "/%s", buf_str(path));
		dir = sqlite3_column_int64(stmt, 0);
		buf_release(path);
		*path = longer;
		r = 0;
	}
	return buf_error(path) < 0 ? -ENOMEM : r;
}

/* ---- damaged contents: where they are seen ---- */

static const char index_parent_sql[] = "SELECT dir, name FROM entry WHERE layer = ?1 AND no = ?2 AND nlink > 1"
				       " AND dir >= 0 LIMIT 1";

int check_entry(struct check *c, sqlite3_stmt *row)
{
	AUTO(buf_release) struct buf path = { 0 };
	int64_t layer = sqlite3_column_int64(row, 0), dir = sqlite3_column_int64(row, 1);
	const char *text = (const char *)sqlite3_column_text(row, 3);
	int r;

	if (dir < 0)
		return check_reportf(c, layer, "%s (of a file that a later entry of the archive replaced)", text);
	r = check_path(c->db, index_parent_sql, layer, dir, sqlite3_column_blob(row, 2),
		       (size_t)sqlite3_column_bytes(row, 2), &path);
	return r < 0 ? r : check_report(c, layer, buf_str(&path), text);
}

int check_inode(struct check *c, int64_t layer, uint64_t no, const char *text)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, "SELECT layer, dir, name, ?3 FROM entry WHERE layer = ?1 AND no = ?2 LIMIT 1", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer);
	db_bind_int(stmt, 2, (int64_t)no);
	db_bind_text(stmt, 3, text);
	r = db_step(stmt);
	if (r != 0)
		return r < 0 ? r : check_entry(c, stmt);
	return check_reportf(c, layer, "inode %" PRIu64 " (which has no name in the index): %s", no, text);
}

static int report_entries(struct check *c)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	/* CROSS: the entries have no index by content, so they are the outer loop. */
	int r = db_stmt(c->db,
			"SELECT layer, dir, name, text FROM entry e CROSS JOIN temp.bad b ON b.content = e.content"
			" WHERE layer IN (SELECT layer FROM temp.wanted) ORDER BY layer, dir, name",
			&stmt);

	while (r == 0 && (r = db_step(stmt)) > 0)
		r = check_entry(c, stmt);
	return r;
}

static int report_rest(struct check *c)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db,
			"SELECT l.id, 'its tar framing: ' || text FROM layer l JOIN temp.bad b ON b.content = framing"
			" WHERE l.id IN (SELECT layer FROM temp.wanted)"
			" UNION ALL SELECT 0, 'content ' || content || ', which nothing uses: ' || text FROM temp.bad"
			"  WHERE content NOT IN (SELECT content FROM entry WHERE content IS NOT NULL)"
			"  AND content NOT IN (SELECT framing FROM layer WHERE framing IS NOT NULL)",
			&stmt);

	while (r == 0 && (r = db_step(stmt)) > 0)
		r = check_report(c, sqlite3_column_int64(stmt, 0), NULL, (const char *)sqlite3_column_text(stmt, 1));
	return r;
}

static int tell_bad(struct check *c)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = c->options->bad ? db_stmt(c->db, "SELECT content FROM temp.bad", &stmt) : 0;

	while (stmt && r == 0 && (r = db_step(stmt)) > 0) {
		c->options->bad((struct content_id){ sqlite3_column_int64(stmt, 0) }, c->arg);
		r = 0;
	}
	return r;
}

static int report_bad(struct check *c)
{
	int64_t count = 0;
	int r = db_int(c->db, "SELECT count(*) FROM temp.bad", &count);

	if (r < 0 || count == 0)
		return r;
	r = tell_bad(c);
	if (r == 0)
		r = report_entries(c);
	return r < 0 ? r : report_rest(c);
}

/* ---- layers ---- */

/* A layer at a time, since each is read with other statements: gone or not, the next one is found by its id. */
static int next_layer(struct check *c, int64_t *layer, bool *ret_tainted)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db,
			"SELECT id, framing IN (SELECT content FROM temp.bad) OR (EXISTS (SELECT 1 FROM temp.bad)"
			"  AND EXISTS (SELECT 1 FROM entry e WHERE e.layer = l.id"
			"  AND e.content IN (SELECT content FROM temp.bad)))"
			" FROM layer l WHERE id > ? AND id IN (SELECT layer FROM temp.wanted) ORDER BY id LIMIT 1",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, *layer);
	r = db_step(stmt);
	if (r > 0) {
		*layer = sqlite3_column_int64(stmt, 0);
		*ret_tainted = sqlite3_column_int(stmt, 1) != 0;
	}
	return r;
}

static int check_layers(struct check *c)
{
	int64_t layer = 0;
	bool tainted;
	int r;

	while ((r = next_layer(c, &layer, &tainted)) > 0) {
		c->result->layers++;
		r = c->options->bytes ? check_layer(c, layer, tainted) : 0;
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- all of it ---- */

static int want_image(struct check *c, struct image_id image)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(c->db, "INSERT OR IGNORE INTO temp.wanted SELECT layer FROM image_layer WHERE image = ?",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	return db_run(stmt);
}

static int want(struct check *c)
{
	const struct check_options *o = c->options;
	int r = db_exec(c->db, "CREATE TEMP TABLE wanted(layer INTEGER PRIMARY KEY);"
			       "CREATE TEMP TABLE bad(content INTEGER PRIMARY KEY, text TEXT NOT NULL)");

	for (size_t i = 0; r == 0 && i < o->image_count; i++)
		r = want_image(c, o->images[i]);
	if (r == 0 && o->image_count == 0)
		r = db_exec(c->db, "INSERT INTO wanted SELECT id FROM layer");
	return r;
}

static int check_all(struct check *c, struct diag *diag)
{
	static int (*const steps[])(struct check *) = { check_index,	want,	    check_images, check_files,
							check_contents, report_bad, check_layers, check_leftovers };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++) {
		r = steps[i](c);
		/* What a damaged index does not give cannot be looked at: said once, and the end of it. */
		if (r == -EBADMSG || r == -EIO) {
			check_reportf(c, 0, "the index is damaged: %s", sqlite3_errmsg(db_handle(c->db)));
			return 0;
		}
	}
	return r < 0 ? diag_errno(diag, r, "it cannot be read") : 0;
}

int store_check(struct store *store, const struct check_options *options, check_fn fn, void *arg, struct diag *diag,
		struct check_result *ret)
{
	AUTO(db_closep) struct db *db = NULL;
	AUTO(closep) int lock = -1;
	struct check c = { .store = store, .options = options, .fn = fn, .arg = arg, .result = ret };
	int r = store_lock(store, LOCK_SH, &lock);

	*ret = (struct check_result){ 0 };
	/* Where the lock may not even be read, or was never made, no gc of anybody's is to be feared. */
	if (r == -EROFS || r == -EACCES || r == -ENOENT)
		r = 0;
	if (r == 0)
		r = db_open_index(store, &db);
	if (r == 0)
		r = db_exec(db, "BEGIN");
	if (r < 0)
		return diag_errno(diag, r, "the store %s cannot be checked", store->dir);
	c.db = db;
	return check_all(&c, diag);
}

int store_check_bytes(struct store *store, uint64_t *ret)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	int64_t bytes = 0;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_int(loan.db, "SELECT coalesce(sum(size), 0) FROM content", &bytes);
	*ret = (uint64_t)bytes;
	return r;
}
