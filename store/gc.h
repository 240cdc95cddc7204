/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_GC_H
#define NACRE_STORE_GC_H

#include "store/image.h"

/**
 * gc_collect() - remove layers that no image and no live lease uses, their contents, their bytes
 * @fn: told ("deleted", diff ID) of each layer; may be NULL
 *
 * Call with STORE/lock held exclusively: no ingest is under way then.
 */
int gc_collect(struct store *store, image_removed_fn fn, void *arg, struct diag *diag, struct gc_result *ret);

/** gc_sweep() - remove files and give back parts of packs that no row names; with the same lock. */
int gc_sweep(struct store *store, struct diag *diag, struct gc_result *ret);

#endif
