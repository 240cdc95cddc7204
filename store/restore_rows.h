/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_RESTORE_ROWS_H
#define NACRE_STORE_RESTORE_ROWS_H

/* What store_repair() does to the index: rows of a layer's tree, made anew from its stream. */

#include "store/layer.h"

struct layer_list {
	struct layer_id *ids; /* owned */
	size_t count;
};
int layer_list_add(struct layer_list *list, struct layer_id id);
void layer_list_release(struct layer_list *list);

/**
 * restore_rows() - in one transaction, with the counts that hang on them
 *
 * The stream must have the layer's diff ID: so contents are repaired first, and what is read is what came in.
 * Rows of ACLs stay as they are (archives may give them by users' names), hidden rows likewise.
 * Call with a struct writer, as gc must keep away.
 * Return: 0; -EKEYREJECTED, -EBADMSG, -EIO: the stream is not the layer's, or cannot be made; ... .
 */
int restore_rows(struct store *store, struct layer_id layer, struct diag *diag);

#endif
