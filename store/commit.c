/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commit.h"

#include "store/base/auto.h"
#include "store/heal.h"
#include "store/image_config.h"
#include "store/uppertar.h"
#include "store/view.h"

#include <string.h>
#include <time.h>

/* The image of a new layer: in the layer's own transaction, or, where the store has the layer already, in one of its own. */
struct adding {
	struct writer *writer;		      /* borrowed */
	json_t *config;			      /* borrowed; changed once */
	const struct image_info *base;	      /* borrowed */
	const struct commit_options *options; /* borrowed */
	struct image_id id;
	bool is_added, mended;
};

static void image_info_releasep(struct image_info *info)
{
	image_info_release(info);
}

/* The base's layers and one more become an image; or the one alone. @db: NULL: in a transaction of its own */
static int add_image(struct adding *a, struct db *db, const struct ingest_result *layer, struct diag *diag)
{
	const struct commit_options *options = a->options;
	size_t below = options->squash ? 0 : a->base->layer_count;
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
	memcpy(layers, a->base->layers, below * sizeof(*layers));
	layers[below] = layer->layer;
	if (options->squash)
		r = image_config_drop_layers(a->config, diag);
	if (r == 0)
		r = image_config_add_layer(a->config, &layer->diff_id, &history, diag);
	if (r == 0)
		r = image_config_text(a->config, &text, &text_bytes);
	if (r < 0)
		return r;
	a->is_added = true;
	return db ? image_add_along(db, text, text_bytes, layers, below + 1, options->tag, diag, &a->id, &a->mended)
		  : image_add(a->writer, text, text_bytes, layers, below + 1, options->tag, diag, &a->id);
}

static int add_along(struct db *db, const struct ingest_result *layer, struct diag *diag, void *arg)
{
	return add_image(arg, db, layer, diag);
}

static int ingest_upper(struct adding *adding, const char *upper, struct diag *diag, struct ingest_result *ret)
{
	AUTO(view_closep) struct view *view = NULL;
	const struct commit_options *options = adding->options;
	const struct ingest_options ingest = {
		.name = "the new layer",
		.blob_bytes = -1,
		.own = true,
		.progress = options->progress,
		.progress_arg = options->progress_arg,
		.along = add_along,
		.along_arg = adding,
	};
	int r = view_open(writer_store(adding->writer), adding->base->id, 0, diag, &view);

	return r < 0 ? r : upper_ingest(adding->writer, view, upper, options->squash, &ingest, diag, ret);
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
	return r < 0 ? r : image_config_changes(*ret_config, options->changes, diag);
}

int upper_commit_check(struct store *store, struct image_id image, const struct commit_options *options,
		       struct diag *diag)
{
	AUTO(image_info_releasep) struct image_info base = { 0 };
	AUTO(json_decrefp) json_t *config = NULL;

	return prepare(store, image, options, diag, &base, &config);
}

static int commit_with(struct adding *adding, const char *upper, struct diag *diag, struct ingest_result *ret_layer)
{
	int r = ingest_upper(adding, upper, diag, ret_layer);

	if (r == 0 && !adding->is_added)
		r = add_image(adding, NULL, ret_layer, diag);
	if (r == 0 && adding->mended)
		r = heal_counts(writer_store(adding->writer), diag);
	return r;
}

int upper_commit(struct store *store, struct image_id image, const char *upper, const struct commit_options *options,
		 struct diag *diag, struct image_id *ret, struct ingest_result *ret_layer)
{
	AUTO(image_info_releasep) struct image_info base = { 0 };
	AUTO(json_decrefp) json_t *config = NULL;
	AUTO(writer_closep) struct writer *writer = NULL;
	struct ingest_result layer = { 0 };
	struct adding adding;
	int r = prepare(store, image, options, diag, &base, &config);

	if (r == 0)
		r = writer_open(store, diag, &writer);
	if (r < 0)
		return r;
	adding = (struct adding){ .writer = writer, .config = config, .base = &base, .options = options };
	r = commit_with(&adding, upper, diag, &layer);
	if (r < 0 && layer.layer.value && !layer.existed) {
		/* The layer came in, its image did not: nobody will ask for it. */
		struct gc_result removed;

		writer_close(TAKE(writer));
		(void)store_gc(store, NULL, &removed);
	}
	if (r == 0)
		*ret = adding.id;
	if (r == 0 && ret_layer)
		*ret_layer = layer;
	return r;
}
