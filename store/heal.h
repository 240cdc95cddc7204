/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_HEAL_H
#define NACRE_STORE_HEAL_H

/* A layer that is to come in and is there already: is what is there whole? If not, what comes in takes its place. */

#include "store/stage.h"
#include "store/tarread.h"
#include "store/unpack.h"

/**
 * heal_look() - does a layer look whole: as many rows as are counted, a content for each file, the contents' files there
 * and of their sizes?
 *
 * No content is read: that bytes have changed is not seen here.
 */
int heal_look(struct store *store, struct layer_id layer, bool *ret_whole);

/**
 * heal_layer() - a layer is there and was read once more: all that differs of it in the store is put right
 * @stage: of its whole stream, which has the layer's diff ID; sealed already
 * @tar: of the same reading
 * @ret_healed: something was wrong, and is not any more
 *
 * Where bytes alone are damaged each content keeps its id, so that a mount reads sound bytes from now on.  Where rows
 * are, the layer's are made anew, under the id that it has; others that share a damaged content get the new one too.
 * Call with a struct writer.
 */
int heal_layer(struct stage *stage, struct layer_id layer, const struct unpack_totals *stream, struct tar_result *tar,
	       struct diag *diag, bool *ret_healed);

/** heal_counts() - after rows were made anew: count what they use anew, if the rows of all other layers look whole, too. */
int heal_counts(struct store *store, struct diag *diag);

#endif
