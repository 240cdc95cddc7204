/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LEASE_H
#define NACRE_STORE_LEASE_H

/*
 * Leases, seen from gc.  A lease is a file in STORE/leases/ which its mount's
 * process keeps locked; it dies with the process, whatever kills that.  It is no row, because
 * who only reads a store may not write its index.
 */

#include "store/image.h"

/** One live lease; all borrowed for the call. Return 0 to go on, another value is passed on. */
struct lease_view {
	struct image_id image; /* 0: of layers alone */
	const struct layer_id *layers;
	size_t layer_count;
	const char *what; /* as given to lease_take() */
};
typedef int (*lease_fn)(const struct lease_view *lease, void *arg);

/** lease_each() - every live lease. @sweep: remove dead ones; only with STORE/lock held exclusively. */
int lease_each(struct store *store, bool sweep, lease_fn fn, void *arg);

#endif
