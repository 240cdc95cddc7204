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

/**
 * recount_used_sql - the uses of each content that has any; what nothing uses keeps its count, which may be all that is left
 * of a lost row.  The macro is for an index that is attached, with @of as "store.".
 */
#define RECOUNT_USED_SQL(of)                                                      \
	"UPDATE " of "content SET refs = n FROM (SELECT used, count(*) AS n FROM" \
	"  (SELECT content AS used FROM " of "entry WHERE content IS NOT NULL"    \
	"   UNION ALL SELECT framing FROM " of "layer) GROUP BY used) u WHERE used = id AND refs <> n"
extern const char recount_used_sql[];

#endif
