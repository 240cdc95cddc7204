/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_RESTORE_LOST_H
#define NACRE_STORE_RESTORE_LOST_H

/* Which contents a layer has, where its rows do not say it any more. */

#include "store/check_priv.h"

/**
 * lost_find() - believed only when the stream with them has the layer's diff ID
 * @ret_files: tarback_files_release() it
 * @ret_rows: owned; the layer's rows as of its stream, as check_reread() makes them
 * Return: 0; -EBADMSG: they are not found; ... .
 */
int lost_find(struct store *store, const struct layer_info *layer, struct diag *diag, struct tarback_files *ret_files,
	      struct db **ret_rows, struct check_reread *ret_reread);

#endif
