/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LIMITS_H
#define NACRE_STORE_LIMITS_H

/*
 * What an archive from outside may make of itself.  A few kilobytes can unfold
 * to petabytes, or to more entries than an index should have; whoever sends
 * them must not fill the disk of whoever loads them.
 */

#include "store/store.h"

/* 0 is no limit. */
struct store_limits {
	uint64_t bytes;	  /* of a layer's uncompressed stream, and of its files' sizes added up */
	uint64_t entries; /* of a layer */
	uint64_t ratio; /* uncompressed to compressed bytes; counts from LIMIT_RATIO_FROM_BYTES uncompressed ones on */
};

#define LIMIT_RATIO_FROM_BYTES (UINT64_C(1) << 30)

/* What holds unless store_set_limits() says otherwise. */
#define STORE_LIMITS_DEFAULT ((struct store_limits){ .bytes = UINT64_C(1) << 40, .entries = 10000000, .ratio = 200 })

/** store_set_limits() - for all that is read into the store from now on; before threads use it. */
void store_set_limits(struct store *store, const struct store_limits *limits);

/**
 * limits_check_stream() - of @source_bytes read so far @stream_bytes were made
 * @limits: NULL: there are none
 * Return: 0; -EFBIG, said in @diag of what @name calls.
 */
int limits_check_stream(const struct store_limits *limits, uint64_t stream_bytes, uint64_t source_bytes,
			const char *name, struct diag *diag);

#endif
