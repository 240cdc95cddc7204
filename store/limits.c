/* SPDX-License-Identifier: Apache-2.0 */
#include "store/limits.h"

#include "store/store_priv.h"

#include <inttypes.h>

void store_set_limits(struct store *store, const struct store_limits *limits)
{
	store->limits = *limits;
}

int limits_check_stream(const struct store_limits *limits, uint64_t stream_bytes, uint64_t source_bytes,
			const char *name, struct diag *diag)
{
	if (!limits)
		return 0;
	if (limits->bytes && stream_bytes > limits->bytes)
		return diag_set(diag, -EFBIG, "%s: it unpacks to more than the allowed %" PRIu64 " bytes", name,
				limits->bytes);
	if (limits->ratio && stream_bytes > LIMIT_RATIO_FROM_BYTES && stream_bytes / limits->ratio > source_bytes)
		return diag_set(diag, -EFBIG, "%s: it unpacks to more than the allowed %" PRIu64 " times its size",
				name, limits->ratio);
	return 0;
}
