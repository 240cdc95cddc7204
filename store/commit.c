/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commit.h"

#include "store/base/auto.h"
#include "store/image_config.h"
#include "store/uppertar.h"
#include "store/view.h"

#include <string.h>
#include <time.h>

static int ingest_upper(struct writer *writer, struct image_id image, const char *upper,
			const struct commit_options *options, struct diag *diag, struct ingest_result *ret)
{
	AUTO(view_closep) struct view *view = NULL;
	const struct ingest_options ingest = {
		.name = "the new layer",
		.blob_bytes = -1,
		.own = true,
		.progress = options->progress,
		.progress_arg = options->progress_arg,
	};
	int r = view_open(writer_store(writer), image, 0, diag, &view);

	return r < 0 ? r : upper_ingest(writer, view, upper, options->squash, &ingest, diag, ret);
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
	return r < 0 ? r : image_config_changes(*ret_config, options->changes, diag);
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
