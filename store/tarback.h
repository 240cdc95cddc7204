/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TARBACK_H
#define NACRE_STORE_TARBACK_H

#include "store/restore.h"

/** tarback_write() - layer_write_tar(), with other contents in the place of some; @pairs may be NULL for none. */
int tarback_write(struct store *store, struct layer_id id, const struct content_pair *pairs, size_t count,
		  tar_write_fn fn, void *arg, struct diag *diag);

#endif
