/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_RECOUNT_H
#define NACRE_STORE_RECOUNT_H

#include "store/db.h"

/**
 * recount() - what the index counts, counted anew: uses of contents, live bytes of packs, the next free ids
 * @ret: how many rows were wrong
 *
 * In one transaction.  A content that nothing uses goes: only where all rows of entries are whole, since one that is lost
 * may leave nothing behind but a count that is too high.  Call with a struct writer.
 */
int recount(struct store *store, struct diag *diag, uint64_t *ret);

/** recount_ids() - the next free ids alone, which is right at any time */
int recount_ids(struct store *store, struct diag *diag, uint64_t *ret);

#endif
