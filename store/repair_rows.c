/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/auto.h"
#include "store/check_priv.h"
#include "store/publish.h"
#include "store/recount.h"
#include "store/repair_priv.h"

/*
 * Rows come last, out of the layer's stream: from the framing and the contents that the store has, else from an
 * archive or a registry, whose blob becomes the layer once more, under the id that it has.
 */

static int report(struct repair *rp, const struct layer_info *layer, bool whole, const char *text)
{
	rp->options->report(&(struct repair_report){ .layer = &layer->diff_id, .whole = whole, .text = text },
			    rp->options->arg);
	return 0;
}

static int fetch_rows(struct repair *rp, const struct layer_info *layer, const struct repair_supply *supply,
		      struct diag *why)
{
	AUTO(stage_freep) struct stage *stage = NULL;
	struct repair_reading reading;
	int r = repair_fetch(rp, layer, supply, why, &stage, &reading);

	return r < 0 ? r : publish_replace(stage, layer->id, &reading.stream, &reading.tar, why);
}

static int rows_from_supplies(struct repair *rp, const struct layer_info *layer, struct attempt *a)
{
	AUTO(repair_supplies_release) struct repair_supplies supplies = { 0 };
	int r = repair_supplies_of(rp, layer, &supplies);

	for (size_t i = 0; r == 0 && a->contents == 0 && i < supplies.count; i++) {
		struct diag why = { 0 };
		int err = fetch_rows(rp, layer, &supplies.items[i], &why);

		if (err == -ENOMEM || err == -ENOSPC)
			r = diag_set(rp->diag, err, "%s", diag_text(&why, err));
		else
			repair_note_supply(a, &supplies.items[i], err, &why);
		a->contents += err == 0;
	}
	if (r == 0 && supplies.count == 0)
		attempt_note(a, repair_nobody(rp), "", "");
	return r;
}

static bool has_layer(const struct layer_list *list, struct layer_id id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->ids[i].value == id.value)
			return true;
	return false;
}

static int repair_layer_rows(struct repair *rp, struct layer_id id, bool *ret_whole)
{
	AUTO(attempt_release) struct attempt a = { 0 };
	struct layer_info layer = { 0 };
	struct diag why = { 0 };
	int r = layer_info(rp->store, id, &layer);

	if (r < 0)
		return r;
	*ret_whole = true;
	r = restore_rows(rp->store, id, &why);
	if (r == 0)
		return report(rp, &layer, true, "its rows in the index, from its stream");
	if (r == -ENOMEM || r == -ENOSPC)
		return diag_set(rp->diag, r, "%s", diag_text(&why, r));
	attempt_note(&a, diag_text(&why, r), "", "");
	r = repair_framing(rp, &layer);
	if (r > 0)
		return report(rp, &layer, true, "its rows in the index, from its stream");
	if (r == 0)
		r = rows_from_supplies(rp, &layer, &a);
	if (r == 0 && a.contents == 0 && has_layer(&rp->lost, id))
		attempt_note(&a, "bring the image in once more ('nacre pull', 'nacre load'), then repair again", "",
			     "");
	if (r == 0 && buf_error(&a.text) < 0)
		r = -ENOMEM;
	*ret_whole = a.contents > 0;
	return r < 0 ? r : report(rp, &layer, a.contents > 0, buf_str(&a.text));
}

/* Their rows were nobody's when they were checked. */
static int repair_lost_rows(struct repair *rp, bool *whole)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rp->lost.count; i++) {
		bool layer_whole = false;

		r = repair_layer_rows(rp, rp->lost.ids[i], &layer_whole);
		*whole = *whole && layer_whole;
		if (r == 0 && !layer_whole)
			r = repair_forget_lost(rp, rp->lost.ids[i]);
	}
	return r;
}

/* Return: 1: its rows are those of its stream; 0: they are not, or there is no stream; -errno. */
static int rows_are_right(struct repair *rp, struct layer_id id)
{
	AUTO(db_closep) struct db *rows = NULL;
	struct layer_info layer = { 0 };
	struct check_reread reread;
	struct diag why = { 0 };
	bool equal = false;
	int r = layer_info(rp->store, id, &layer);

	if (r == 0)
		r = stage_rows_open("", &rows);
	if (r < 0)
		return r;
	r = check_reread(rp->store, id, &layer.diff_id, NULL, rows, &why, &reread);
	if (r < 0)
		return r == -ENOMEM || r == -ENOSPC ? r : 0;
	r = db_exec(rows, "COMMIT");
	if (r == 0)
		r = check_rows_equal(rp->store, rows, id, &equal);
	return r < 0 ? r : equal && reread.totals.entries == layer.entries;
}

/* When they were checked they could not be compared with a stream. */
static int repair_tainted(struct repair *rp, const struct layer_list *known, bool *whole)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rp->tainted.count; i++) {
		struct layer_id id = rp->tainted.ids[i];
		bool layer_whole = false;

		if (has_layer(&rp->lost, id) || (known && has_layer(known, id)))
			continue;
		r = rows_are_right(rp, id);
		if (r == 0)
			r = repair_layer_rows(rp, id, &layer_whole);
		else
			layer_whole = r > 0;
		*whole = *whole && layer_whole;
		r = r > 0 ? 0 : r;
	}
	return r;
}

int repair_rows(struct repair *rp)
{
	const struct layer_list *rows = rp->options->rows;
	bool whole = rp->options->all;
	uint64_t wrong = 0;
	int64_t bad = 0;
	int r = db_int(rp->db,
		       "SELECT count(*) FROM temp.bad WHERE content IN (SELECT content FROM entry)"
		       " OR content IN (SELECT framing FROM layer)",
		       &bad);

	if (r == 0)
		r = repair_lost_rows(rp, &whole);
	for (size_t i = 0; r == 0 && rows && i < rows->count; i++) {
		bool layer_whole = false;

		if (has_layer(&rp->lost, rows->ids[i]))
			continue;
		r = repair_layer_rows(rp, rows->ids[i], &layer_whole);
		whole = whole && layer_whole;
	}
	if (r == 0 && bad == 0)
		r = repair_tainted(rp, rows, &whole);
	/* What is counted too high may be all that tells of a lost row. */
	if (r == 0 && whole && bad == 0)
		r = recount(rp->store, rp->diag, &wrong);
	if (r == 0 && rp->recounted + wrong > 0)
		rp->options->report(&(struct repair_report){ .subject = "counts of the index",
							     .whole = true,
							     .text = "counted anew" },
				    rp->options->arg);
	return r;
}
