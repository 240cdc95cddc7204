/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_RESTORE_H
#define NACRE_STORE_RESTORE_H

/*
 * Sound bytes in the place of damaged contents.  Each call is one transaction on the index.
 *
 *   - A content that was read again gets its new place, in a pack of its own or as an
 *     object; its id stays, so that whoever has it in a mount reads sound bytes from now on.
 *   - A content of which the store has an equal one under another id becomes that one.
 *
 * Bytes are on disk before the rows that name them.  An object is renamed over the damaged one: from then on
 * it is sound, whether or not the transaction comes to its end.
 */

#include "store/content.h"
#include "store/stage.h"
#include "store/tarread.h"

struct content_list {
	struct content_id *ids; /* owned */
	size_t count;
};
int content_list_add(struct content_list *list, struct content_id id);
void content_list_release(struct content_list *list);

struct content_pair {
	struct content_id damaged;
	struct content_id equal; /* a sound one with the same bytes */
};

/**
 * restore_from_stage() - what a layer's stream held in the places of damaged contents
 * @stage: of the layer's whole stream, whose diff ID was checked; sealed here
 * @tar: of the same reading
 * @damaged: only these are replaced
 * @ret: those that were, added
 */
int restore_from_stage(struct stage *stage, struct layer_id layer, const struct tar_result *tar,
		       const struct content_list *damaged, struct diag *diag, struct content_list *ret);

/** restore_from_equal() - for the caller to know that they are. Call with a struct writer, as gc must keep away. */
int restore_from_equal(struct store *store, const struct content_pair *pairs, size_t count, struct diag *diag);

#endif
