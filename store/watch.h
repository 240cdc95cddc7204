/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_WATCH_H
#define NACRE_STORE_WATCH_H

/* Has anything in the store changed?  For who keeps what he has read of it. */

#include "store/store.h"

struct watch; /* one thread at a time */

/** watch_new() - @store is borrowed. */
int watch_new(struct store *store, struct watch **ret);
void watch_free(struct watch *watch);

/** watch_changed() - *@ret: did anybody change the index since it was read last? True the first time. */
int watch_changed(struct watch *watch, bool *ret);
/** watch_read() - it was read after watch_changed(): what that saw is no change any more. */
void watch_read(struct watch *watch);

#endif
