/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_SUM_H
#define NACRE_TOOLS_BROWSE_SUM_H

/* What takes every row of an image to know, summed up by a thread of its own while the user looks around already. */

#include "store/image.h"
#include "store/layeruse.h"

/* Versions of one path that upper layers hide. */
struct browse_waste {
	char *path; /* owned; without a leading '/' */
	uint64_t bytes;
	unsigned versions;
};

struct browse_totals {
	int error;		    /* 0, or why the rest says nothing */
	struct layer_use *uses;	    /* owned; of each layer, the lowest first */
	struct browse_waste *waste; /* owned; what wastes most comes first */
	size_t waste_count;
	uint64_t wasted_bytes;
};

struct browse_sum;

/** browse_sum_start() - @store and @image: borrowed until browse_sum_free(). Return: 0 or -errno. */
int browse_sum_start(struct store *store, const struct image_info *image, struct browse_sum **ret);
/** browse_sum_free() - ends the thread if it still runs. */
void browse_sum_free(struct browse_sum *sum);

/** browse_sum_fd() - readable once it is done; borrowed */
int browse_sum_fd(const struct browse_sum *sum);
/** browse_sum_totals() - NULL: not yet; then the same until browse_sum_free() */
const struct browse_totals *browse_sum_totals(struct browse_sum *sum);

/** browse_efficiency() - what part of an image's bytes it shows, in percent; 100 for one without any. */
double browse_efficiency(uint64_t bytes, uint64_t wasted_bytes);

#endif
