/* SPDX-License-Identifier: Apache-2.0 */
#include "store/repair.h"

#include "store/base/auto.h"
#include "store/recount.h"
#include "store/repair_priv.h"
#include "store/store_priv.h"
#include "store/tarback.h"

#include <string.h>

/*
 * A damaged content belongs to the layers whose rows name it, and a layer's
 * digest is what tells whether bytes are the right ones.  So layer by layer:
 *
 *   1. Does the store have other contents of the same size and hash?  They are if the layer's
 *      stream with them in it has its diff ID.
 *   2. Does an archive that was given, or a registry, have the layer?  It is read as at the first time, which finds what the store still
 *      has and stages the rest: that is what was damaged.
 *
 * What one layer brings back is back for all that share it.
 * Before that images get their own texts, and from those the layers that they have (repair_lost.c).
 * Rows of the index that are not what the stream says are made anew from it (repair_rows.c).  Counts come last: until all
 * rows are whole, one that is too high may be all that is left of a lost row.
 */

static void repair_release(struct repair *rp)
{
	refetch_release(&rp->refetch);
	db_close(rp->db);
	layer_list_release(&rp->lost);
	layer_list_release(&rp->tainted);
	writer_close(rp->writer);
}

/* ---- what is damaged ---- */

static int list_bad(struct repair *rp, const struct content_list *damaged)
{
	int r = db_exec(rp->db, "CREATE TEMP TABLE bad(content INTEGER PRIMARY KEY)");

	for (size_t i = 0; r == 0 && i < damaged->count; i++)
		r = DB_RUN(rp->db, "INSERT OR IGNORE INTO temp.bad VALUES(?)", damaged->ids[i].value);
	return r;
}

static int forget_bad(struct repair *rp, struct content_id id)
{
	return DB_RUN(rp->db, "DELETE FROM temp.bad WHERE content = ?", id.value);
}

/* The layer's damaged contents, each with one that may be equal, or 0. */
struct suspects {
	struct content_pair *pairs; /* owned */
	size_t count;
	size_t with_equal;
};

static void suspects_release(struct suspects *s)
{
	free(s->pairs);
	*s = (struct suspects){ 0 };
}

static const char suspects_sql[] =
	"SELECT b.content, (SELECT min(o.id) FROM content o WHERE o.hash = c.hash AND o.size = c.size"
	"  AND o.id NOT IN (SELECT content FROM temp.bad)) FROM temp.bad b JOIN content c ON c.id = b.content"
	" WHERE b.content IN (SELECT content FROM entry WHERE layer = ?1)"
	"  OR b.content = (SELECT framing FROM layer WHERE id = ?1)";

static int find_suspects(struct repair *rp, struct layer_id layer, struct suspects *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(rp->db, suspects_sql, &stmt);

	suspects_release(ret);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer.value);
	while ((r = db_step(stmt)) > 0) {
		struct content_pair *pairs = realloc(ret->pairs, (ret->count + 1) * sizeof(*pairs));

		if (!pairs)
			return -ENOMEM;
		ret->pairs = pairs;
		pairs[ret->count++] =
			(struct content_pair){ { sqlite3_column_int64(stmt, 0) }, { sqlite3_column_int64(stmt, 1) } };
		ret->with_equal += sqlite3_column_int64(stmt, 1) != 0;
	}
	return r;
}

/* ---- from the store itself ---- */

static int to_digest(void *arg, const void *bytes, size_t len)
{
	digest_update(arg, bytes, len);
	return 0;
}

/* Return: 1: with these contents the layer is what it was; 0; -errno. */
static int stream_is_right(struct repair *rp, const struct layer_info *layer, const struct suspects *s)
{
	AUTO(digest_ctx_freep) struct digest_ctx *hash = digest_ctx_new();
	struct digest found;
	int r = hash ? tarback_write(rp->store, layer->id, s->pairs, s->count, to_digest, hash, NULL, NULL) : -ENOMEM;

	if (r < 0)
		return r == -EIO ? 0 : r;
	digest_final(hash, &found);
	return digest_eq(&found, &layer->diff_id);
}

static int repair_from_store(struct repair *rp, const struct layer_info *layer, const struct suspects *s)
{
	int r = s->count > 0 && s->with_equal == s->count ? stream_is_right(rp, layer, s) : 0;

	if (r <= 0)
		return r;
	r = restore_from_equal(rp->store, s->pairs, s->count, rp->diag);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = forget_bad(rp, s->pairs[i].damaged);
	return r;
}

/* ---- from elsewhere ---- */

static int list_suspects(const struct suspects *s, struct content_list *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = content_list_add(ret, s->pairs[i].damaged);
	return r;
}

static int repair_from_supply(struct repair *rp, const struct layer_info *layer, const struct repair_supply *supply,
			      const struct suspects *s, struct diag *why)
{
	AUTO(stage_freep) struct stage *stage = NULL;
	AUTO(content_list_release) struct content_list damaged = { 0 };
	AUTO(content_list_release) struct content_list done = { 0 };
	struct repair_reading reading;
	int r = list_suspects(s, &damaged);

	if (r == 0)
		r = repair_fetch(rp, layer, supply, why, &stage, &reading);
	if (r == 0)
		r = restore_from_stage(stage, layer->id, &reading.tar, &damaged, why, &done);
	for (size_t i = 0; r == 0 && i < done.count; i++)
		r = forget_bad(rp, done.ids[i]);
	return r;
}

/* ---- a layer ---- */

void attempt_note(struct attempt *a, const char *what, const char *name, const char *more)
{
	if (a->text.len > 0)
		buf_adds(&a->text, "; ");
	buf_adds(&a->text, what);
	buf_adds(&a->text, name);
	buf_adds(&a->text, more);
}

void attempt_failed(struct attempt *a, const char *source, const char *why)
{
	attempt_note(a, source, ": ", why);
}

void attempt_release(struct attempt *a)
{
	buf_release(&a->text);
}

/* How many of its contents are whole now that were not. */
static int count_success(struct repair *rp, const struct layer_info *layer, struct suspects *s, size_t *ret)
{
	size_t before = s->count;
	int r = find_suspects(rp, layer->id, s);

	*ret = r == 0 ? before - s->count : 0;
	return r;
}

static int try_store(struct repair *rp, const struct layer_info *layer, struct suspects *s, struct attempt *a)
{
	size_t done = 0;
	int r = repair_from_store(rp, layer, s);

	if (r == 0)
		r = count_success(rp, layer, s, &done);
	if (done > 0)
		attempt_note(a, "from equal files in the store", "", "");
	a->contents += done;
	return r;
}

static int try_supply(struct repair *rp, const struct layer_info *layer, const struct repair_supply *supply,
		      struct suspects *s, struct attempt *a)
{
	struct diag why = { 0 };
	size_t done = 0;
	int err = repair_from_supply(rp, layer, supply, s, &why);
	int r = err == -ENOMEM || err == -ENOSPC ? err : count_success(rp, layer, s, &done);

	if (done > 0 || err < 0)
		repair_note_supply(a, supply, done > 0 ? 0 : err, &why);
	a->contents += done;
	return r < 0 ? diag_set(rp->diag, r, "%s", diag_text(&why, r)) : 0;
}

static int try_supplies(struct repair *rp, const struct layer_info *layer, struct suspects *s, struct attempt *a)
{
	AUTO(repair_supplies_release) struct repair_supplies supplies = { 0 };
	int r = repair_supplies_of(rp, layer, &supplies);

	for (size_t i = 0; r == 0 && s->count > 0 && i < supplies.count; i++)
		r = try_supply(rp, layer, &supplies.items[i], s, a);
	if (r == 0 && supplies.count == 0 && s->count > 0)
		attempt_note(a, repair_nobody(rp), "", "");
	return r;
}

static int repair_layer(struct repair *rp, struct layer_id id)
{
	AUTO(suspects_release) struct suspects s = { 0 };
	AUTO(attempt_release) struct attempt a = { 0 };
	struct layer_info layer = { 0 };
	int r = layer_info(rp->store, id, &layer);

	if (r == 0)
		r = find_suspects(rp, id, &s);
	if (r < 0 || s.count == 0)
		return r; /* another layer has brought back all of it */
	r = try_store(rp, &layer, &s, &a);
	if (r == 0 && s.count > 0)
		r = try_supplies(rp, &layer, &s, &a);
	/* Of two damaged contents with the same bytes one is back by now, and may be the other too. */
	if (r == 0 && s.count > 0)
		r = try_store(rp, &layer, &s, &a);
	if (r == 0 && buf_error(&a.text) < 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	rp->options->report(&(struct repair_report){ .layer = &layer.diff_id,
						     .contents = a.contents,
						     .whole = s.count == 0,
						     .text = buf_str(&a.text) },
			    rp->options->arg);
	return 0;
}

/* CROSS: the entries have no index by content, so they are the outer loop. */
static const char next_layer_sql[] =
	"SELECT min(id) FROM (SELECT layer AS id FROM entry e CROSS JOIN temp.bad b ON b.content = e.content"
	"  WHERE layer > ?1 UNION ALL SELECT id FROM layer WHERE framing IN (SELECT content FROM temp.bad)) WHERE id > ?1";

static const char tainted_sql[] = "SELECT DISTINCT layer FROM entry e CROSS JOIN temp.bad b ON b.content = e.content"
				  " UNION SELECT id FROM layer WHERE framing IN (SELECT content FROM temp.bad)";

static int list_tainted(struct repair *rp)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(rp->db, tainted_sql, &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0)
		r = layer_list_add(&rp->tainted, (struct layer_id){ sqlite3_column_int64(stmt, 0) });
	return r;
}

static int repair_layers(struct repair *rp)
{
	int64_t layer = 0;

	for (;;) {
		AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
		int r = db_stmt(rp->db, next_layer_sql, &stmt);

		if (r < 0)
			return r;
		db_bind_int(stmt, 1, layer);
		r = db_step(stmt);
		if (r <= 0 || sqlite3_column_type(stmt, 0) == SQLITE_NULL)
			return r < 0 ? r : 0;
		layer = sqlite3_column_int64(stmt, 0);
		db_reset(TAKE(stmt));
		r = repair_layer(rp, (struct layer_id){ layer });
		if (r < 0)
			return r;
	}
}

/* ---- all of it ---- */

int store_repair(struct store *store, const struct content_list *damaged, const struct repair_options *options,
		 struct diag *diag)
{
	AUTO(repair_release) struct repair rp = { .store = store, .options = options, .diag = diag };
	int r;

	refetch_init(&rp.refetch, options->registry);
	r = writer_open(store, diag, &rp.writer);
	if (r == 0)
		r = db_open_index(store, &rp.db);
	if (r == 0)
		r = list_bad(&rp, damaged);
	/* Whatever is written anew takes ids. */
	if (r == 0)
		r = recount_ids(store, diag, &rp.recounted);
	if (r == 0)
		r = repair_images(&rp);
	if (r == 0)
		r = repair_lost(&rp);
	if (r == 0)
		r = list_tainted(&rp);
	if (r == 0)
		r = repair_layers(&rp);
	if (r == 0)
		r = repair_rows(&rp);
	return r < 0 ? diag_errno(diag, r, "the store cannot be repaired") : 0;
}
