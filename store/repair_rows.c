/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/auto.h"
#include "store/repair_priv.h"

/* Last, as they come out of the layer's stream. */
static int repair_layer_rows(struct repair *rp, struct layer_id id)
{
	struct layer_info layer = { 0 };
	struct diag why = { 0 };
	int r = layer_info(rp->store, id, &layer);
	bool whole;

	if (r < 0)
		return r;
	r = restore_rows(rp->store, id, &why);
	if (r == -ENOMEM || r == -ENOSPC)
		return diag_set(rp->diag, r, "%s", diag_text(&why, r));
	whole = r == 0;
	rp->options->report(&(struct repair_report){ .layer = &layer.diff_id,
						     .whole = whole,
						     .text = whole ? "its rows in the index, from its stream"
								   : diag_text(&why, r) },
			    rp->options->arg);
	return 0;
}

int repair_rows(struct repair *rp)
{
	const struct layer_list *rows = rp->options->rows;
	int r = 0;

	for (size_t i = 0; r == 0 && rows && i < rows->count; i++)
		r = repair_layer_rows(rp, rows->ids[i]);
	return r;
}
