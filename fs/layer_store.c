/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/layer.h"

/*
 * A layer of the store as a lower: everything is a row of the index, so that
 * walking it makes no system call for a file, and nothing of it has a place in
 * any file system.  Content is found through the row (file.c).
 */

#include "store/base/auto.h"

#include <stdlib.h>
#include <string.h>

struct store_layer {
	struct layer layer;
	struct store *store; /* borrowed */
	struct layer_id id;
};

static struct store_layer *store_layer(struct layer *layer)
{
	return (struct store_layer *)layer;
}

struct call {
	found_fn fn;
	void *arg;
};

static int row_found(const struct layer_entry *row, void *arg)
{
	const struct call *call = arg;
	struct found found = { .name = row->name, .mode = row->mode, .row = row };

	if (row->flags & LAYER_WHITEOUT)
		found.mode = 0;
	return call->fn(&found, call->arg);
}

static int store_scan(struct layer *layer, union dref at, found_fn fn, void *arg)
{
	struct call call = { fn, arg };

	return layer_scan(store_layer(layer)->store, store_layer(layer)->id, at.no, row_found, &call);
}

static int store_find(struct layer *layer, union dref at, const char *name, found_fn fn, void *arg)
{
	struct call call = { fn, arg };

	return layer_lookup(store_layer(layer)->store, store_layer(layer)->id, at.no, name, row_found, &call);
}

static int store_keep(struct layer *layer, union dref at, union dref *ret)
{
	*ret = at;
	return 0;
}

static int store_enter(struct layer *layer, union dref at, const struct found *found, union dref *ret)
{
	ret->no = found->row->no;
	return 0;
}

static void store_leave(struct layer *layer, union dref at)
{
}

/* The rows say it when the directory is found (merge.c), and an image's own redirects are not obeyed. */
static int store_marks(struct layer *layer, union dref at, bool *opaque, char **redirect)
{
	*opaque = false;
	*redirect = NULL;
	return 0;
}

static bool store_same(struct layer *layer, union dref a, union dref b)
{
	return a.no == b.no;
}

static void store_retire(struct layer *layer)
{
}

static void store_layer_free(struct layer *layer)
{
	free(layer);
}

static const struct layer_ops store_ops = {
	.free = store_layer_free,
	.scan = store_scan,
	.find = store_find,
	.keep = store_keep,
	.enter = store_enter,
	.leave = store_leave,
	.same = store_same,
	.retire = store_retire,
	.marks = store_marks,
};

int layer_store_open(struct store *store, struct layer_id id, struct diag *diag, struct layer **ret)
{
	struct store_layer *layer = calloc(1, sizeof(*layer));
	struct layer_info info;
	char diff_id[DIGEST_TEXT_BYTES];
	int r;

	if (!layer)
		return -ENOMEM;
	r = layer_info(store, id, &info);
	if (r < 0) {
		free(layer);
		return diag_errno(diag, r, "layer %lld of the store", (long long)id.value);
	}
	layer->layer.ops = &store_ops;
	layer->layer.is_store = true;
	layer->layer.has_xattrs = info.has_xattrs;
	layer->layer.root.no = LAYER_ROOT;
	layer->layer.dev = (uint64_t)id.value;
	layer->layer.name = strdup(digest_format(&info.diff_id, diff_id));
	layer->store = store;
	layer->id = id;
	if (!layer->layer.name) {
		free(layer);
		return -ENOMEM;
	}
	*ret = &layer->layer;
	return 0;
}

struct layer_id layer_store_id(const struct layer *layer)
{
	return ((const struct store_layer *)layer)->id;
}

struct store *layer_store_store(const struct layer *layer)
{
	return ((const struct store_layer *)layer)->store;
}
