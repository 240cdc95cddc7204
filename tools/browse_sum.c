// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_sum.h"

#include "store/base/auto.h"
#include "tools/browse_thread.h"
#include "tools/ui.h"

#include <search.h>
#include <string.h>

struct browse_sum {
	struct store *store;		/* borrowed */
	const struct image_info *image; /* borrowed */
	struct browse_totals totals;	/* the thread's until it is done */
	void *by_path;			/* owned by the thread: a tsearch(3) tree of struct browse_waste */
	struct browse_thread thread;
};

static int path_order(const void *a, const void *b)
{
	const struct browse_waste *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void waste_free(void *arg)
{
	struct browse_waste *waste = arg;

	free(waste->path);
	free(waste);
}

static int add_waste(const struct layer_waste *file, void *arg)
{
	struct browse_sum *sum = arg;
	struct browse_waste key = { .path = (char *)file->path }, *waste;
	struct browse_waste **at = tfind(&key, &sum->by_path, path_order);

	if (!at) {
		waste = calloc(1, sizeof(*waste));
		if (!waste)
			return -ENOMEM;
		waste->path = strdup(file->path);
		if (!waste->path || !tsearch(waste, &sum->by_path, path_order)) {
			waste_free(waste);
			return -ENOMEM;
		}
		sum->totals.waste_count++;
		at = &waste;
	}
	(*at)->bytes += file->bytes;
	(*at)->versions++;
	sum->totals.wasted_bytes += file->bytes;
	return 0;
}

static void take_waste(const void *node, VISIT visit, void *arg)
{
	const struct browse_waste *waste = *(struct browse_waste *const *)node;
	struct browse_waste **next = arg;

	if (visit == postorder || visit == leaf)
		*(*next)++ = *waste; /* the path is the list's now */
}

static int most_first(const void *a, const void *b)
{
	const struct browse_waste *x = a, *y = b;

	return x->bytes > y->bytes ? -1 : x->bytes < y->bytes ? 1 : path_order(a, b);
}

static int list_waste(struct browse_sum *sum)
{
	struct browse_totals *totals = &sum->totals;
	struct browse_waste *next;

	next = totals->waste = calloc(totals->waste_count + 1, sizeof(*totals->waste));
	if (!next)
		return -ENOMEM;
	twalk_r(sum->by_path, take_waste, &next);
	tdestroy(TAKE(sum->by_path), free);
	if (totals->waste_count > 0)
		qsort(totals->waste, totals->waste_count, sizeof(*totals->waste), most_first);
	return 0;
}

static void sum_up(void *arg)
{
	struct browse_sum *sum = arg;
	int r = image_layer_waste(sum->store, sum->image, sum->totals.uses, add_waste, sum, &sum->thread.stop);

	if (r == 0)
		r = list_waste(sum);
	tdestroy(TAKE(sum->by_path), waste_free);
	sum->totals.error = r;
}

int browse_sum_start(struct store *store, const struct image_info *image, struct browse_sum **ret)
{
	struct browse_sum *sum = ui_need(calloc(1, sizeof(*sum)));
	int r;

	sum->store = store;
	sum->image = image;
	sum->totals.uses = ui_need(calloc(image->layer_count + 1, sizeof(*sum->totals.uses)));
	r = browse_thread_start(&sum->thread, sum_up, sum);
	if (r < 0) {
		free(sum->totals.uses);
		free(sum);
		return r;
	}
	*ret = sum;
	return 0;
}

void browse_sum_free(struct browse_sum *sum)
{
	if (!sum)
		return;
	browse_thread_end(&sum->thread);
	for (size_t i = 0; sum->totals.waste && i < sum->totals.waste_count; i++)
		free(sum->totals.waste[i].path);
	free(sum->totals.waste);
	free(sum->totals.uses);
	free(sum);
}

int browse_sum_fd(const struct browse_sum *sum)
{
	return sum->thread.fd;
}

const struct browse_totals *browse_sum_totals(struct browse_sum *sum)
{
	return browse_thread_is_done(&sum->thread) ? &sum->totals : NULL;
}

double browse_efficiency(uint64_t bytes, uint64_t wasted_bytes)
{
	return bytes == 0 ? 100 : 100 - 100 * (double)wasted_bytes / (double)bytes;
}
