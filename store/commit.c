/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commit.h"

#include "store/base/auto.h"
#include "store/image_config.h"
#include "store/ring.h"
#include "store/uppertar.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

/*
 * A commit is upper_tar() in a thread of its own, a ring, and ingest_tar() at
 * its other end: the way every layer comes in.  So each changed file is read
 * once, while hashing and packing go on at the same time, and memory is the
 * ring's whatever the size of the change.
 */

enum { RING_BYTES = 1024 * 1024 };

struct production {
	struct store *store; /* borrowed */
	struct view *view;   /* borrowed; the thread's alone while it runs */
	const char *upper;   /* borrowed */
	bool whole;	     /* the merged tree is wanted */
	struct ring *ring;   /* borrowed */
	struct diag diag;    /* the thread's, until it was joined */
	int result;
};

static int write_to_ring(const void *bytes, size_t count, void *arg)
{
	return ring_write(arg, bytes, count);
}

static void *produce(void *arg)
{
	struct production *p = arg;

	p->result = upper_tar(p->store, p->view, p->upper, p->whole, write_to_ring, p->ring, &p->diag);
	ring_finish(p->ring, p->result);
	return NULL;
}

/* Either end may fail first; then the other one fails for it, and the first one's reason is the reason. */
static int run_ingest(struct writer *writer, struct production *p, const struct commit_options *options,
		      struct diag *diag, struct ingest_result *ret)
{
	struct ingest_options ingest = {
		.name = "the new layer",
		.blob_bytes = -1,
		.own = true,
		.progress = options->progress,
		.progress_arg = options->progress_arg,
	};
	struct diag ingest_diag = { 0 };
	pthread_t thread;
	int r = pthread_create(&thread, NULL, produce, p);

	if (r != 0)
		return diag_errno(diag, -r, "cannot start a thread");
	r = ingest_tar(writer, ring_source(p->ring), &ingest, &ingest_diag, ret);
	ring_cancel(p->ring);
	pthread_join(thread, NULL);
	if (p->result < 0 && p->result != -ECANCELED)
		return diag_set(diag, p->result, "%s", diag_text(&p->diag, p->result));
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&ingest_diag, r)) : 0;
}

static int ingest_upper(struct writer *writer, struct image_id image, const char *upper,
			const struct commit_options *options, struct diag *diag, struct ingest_result *ret)
{
	struct store *store = writer_store(writer);
	AUTO(view_closep) struct view *view = NULL;
	AUTO(ring_freep) struct ring *ring = ring_new(RING_BYTES);
	struct production p = { .store = store, .upper = upper, .whole = options->squash, .ring = ring };
	int r;

	if (!ring)
		return -ENOMEM;
	r = view_open(store, image, 0, diag, &view);
	if (r < 0)
		return r;
	p.view = view;
	return run_ingest(writer, &p, options, diag, ret);
}

static int change_config(json_t *config, const struct commit_options *options, struct diag *diag)
{
	bool cmd_set = false;
	int r = 0;

	for (size_t i = 0; r == 0 && options->changes && options->changes[i]; i++)
		r = image_config_change(config, options->changes[i], &cmd_set, diag);
	return r;
}

static void image_info_releasep(struct image_info *info)
{
	image_info_release(info);
}

/* The base's layers and one more become an image; or the one alone. */
static int add_image(struct writer *writer, json_t *config, const struct image_info *base,
		     const struct ingest_result *layer, const struct commit_options *options, struct diag *diag,
		     struct image_id *ret)
{
	size_t below = options->squash ? 0 : base->layer_count;
	AUTO(freep) struct layer_id *layers = calloc(below + 1, sizeof(*layers));
	AUTO(freep) char *text = NULL;
	size_t text_bytes;
	struct image_history history = {
		.created = options->created >= 0 ? options->created : (int64_t)time(NULL),
		.created_by = "nacre commit",
		.author = options->author,
		.comment = options->message,
	};
	int r = 0;

	if (!layers)
		return -ENOMEM;
	memcpy(layers, base->layers, below * sizeof(*layers));
	layers[below] = layer->layer;
	if (options->squash)
		r = image_config_drop_layers(config, diag);
	if (r == 0)
		r = image_config_add_layer(config, &layer->diff_id, &history, diag);
	if (r == 0)
		r = image_config_text(config, &text, &text_bytes);
	return r < 0 ? r : image_add(writer, text, text_bytes, layers, below + 1, options->tag, diag, ret);
}

/* All that can be refused is refused before the upper is read. */
static int prepare(struct store *store, struct image_id image, const struct commit_options *options, struct diag *diag,
		   struct image_info *ret_base, json_t **ret_config)
{
	AUTO(freep) char *tag = NULL;
	int r = options->tag ? reference_check(options->tag, diag, &tag) : 0;

	if (r == 0)
		r = image_info(store, image, diag, ret_base);
	if (r == 0)
		r = image_json_parse(ret_base->config, ret_base->config_bytes, "the image's config", diag, ret_config);
	return r < 0 ? r : change_config(*ret_config, options, diag);
}

int upper_commit_check(struct store *store, struct image_id image, const struct commit_options *options,
		       struct diag *diag)
{
	AUTO(image_info_releasep) struct image_info base = { 0 };
	AUTO(json_decrefp) json_t *config = NULL;

	return prepare(store, image, options, diag, &base, &config);
}

static int commit_with(struct writer *writer, json_t *config, const struct image_info *base, const char *upper,
		       const struct commit_options *options, struct diag *diag, struct image_id *ret,
		       struct ingest_result *ret_layer)
{
	int r = ingest_upper(writer, base->id, upper, options, diag, ret_layer);

	return r < 0 ? r : add_image(writer, config, base, ret_layer, options, diag, ret);
}

int upper_commit(struct store *store, struct image_id image, const char *upper, const struct commit_options *options,
		 struct diag *diag, struct image_id *ret, struct ingest_result *ret_layer)
{
	AUTO(image_info_releasep) struct image_info base = { 0 };
	AUTO(json_decrefp) json_t *config = NULL;
	AUTO(writer_closep) struct writer *writer = NULL;
	struct ingest_result layer = { 0 };
	int r = prepare(store, image, options, diag, &base, &config);

	if (r == 0)
		r = writer_open(store, diag, &writer);
	if (r < 0)
		return r;
	r = commit_with(writer, config, &base, upper, options, diag, ret, &layer);
	if (r < 0 && layer.layer.value && !layer.existed) {
		/* The layer came in, its image did not: nobody will ask for it. */
		struct gc_result removed;

		writer_close(TAKE(writer));
		(void)store_gc(store, NULL, &removed);
	}
	if (r == 0 && ret_layer)
		*ret_layer = layer;
	return r;
}
