/* SPDX-License-Identifier: Apache-2.0 */
#include "store/oci.h"

#include "store/base/auto.h"
#include "store/heal.h"
#include "store/load.h"
#include "store/origin.h"
#include "store/store_priv.h"

#include <string.h>

static void load_image_release(struct load_image *image)
{
	for (size_t i = 0; i < image->layer_count; i++) {
		free(image->layers[i].member);
		free(image->layers[i].media_type);
		free(image->layers[i].url);
	}
	for (size_t i = 0; i < image->tag_count; i++)
		free(image->tags[i]);
	for (size_t i = 0; i < LOAD_NO_NAMES_MAX; i++)
		free(image->no_names[i]);
	free(image->layers);
	free(image->tags);
	free(image->config);
	free(image->manifest);
	free(image->manifest_type);
}

void load_drop_images(struct load *load, size_t count)
{
	while (load->image_count > count)
		load_image_release(&load->images[--load->image_count]);
}

void load_release(struct load *load)
{
	load_drop_images(load, 0);
	free(load->images);
}

struct load_image *load_add_image(struct load *load, size_t layers)
{
	struct load_image *images = realloc(load->images, (load->image_count + 1) * sizeof(*images));
	struct load_image *image;

	if (!images)
		return NULL;
	load->images = images;
	image = &images[load->image_count];
	*image = (struct load_image){ .layers = calloc(layers + 1, sizeof(*image->layers)), .layer_count = layers };
	if (!image->layers)
		return NULL;
	load->image_count++;
	return image;
}

int load_add_no_name(struct load_image *image, const char *name)
{
	char *copy;

	if (image->no_name_count++ >= LOAD_NO_NAMES_MAX)
		return 0;
	copy = strndup(name, LOAD_NO_NAME_BYTES);
	image->no_names[image->no_name_count - 1] = copy;
	return copy ? 0 : -ENOMEM;
}

int load_add_tag(struct load_image *image, const char *name)
{
	AUTO(freep) char *tag = NULL;
	char **tags;
	int r = reference_check(name, NULL, &tag);

	if (r < 0)
		return r == -EINVAL ? load_add_no_name(image, name) : r;
	for (size_t i = 0; i < image->tag_count; i++)
		if (strcmp(image->tags[i], tag) == 0)
			return 0;
	tags = realloc(image->tags, (image->tag_count + 1) * sizeof(*tags));
	if (!tags)
		return -ENOMEM;
	image->tags = tags;
	tags[image->tag_count++] = TAKE(tag);
	return 0;
}

/* An image that says nothing of its platform is for any. */
static int check_platform(struct load *load, const json_t *config, const char *what)
{
	const char *os = json_string_value(json_object_get(config, "os"));
	const char *architecture = json_string_value(json_object_get(config, "architecture"));
	const char *variant = json_string_value(json_object_get(config, "variant"));
	char wanted[PLATFORM_TEXT_BYTES];

	if (!load->platform.asked || !os || !architecture ||
	    platform_score(&load->platform, os, architecture, variant) > 0)
		return 0;
	return diag_set(load->diag, -ENOTSUP, "%s: the image is for %s/%s, not for %s", what, os, architecture,
			platform_text(&load->platform, wanted));
}

int load_set_config(struct load *load, struct load_image *image, const char *what, char *text, size_t bytes)
{
	AUTO(json_decrefp) json_t *config = NULL;
	AUTO(freep) struct digest *ids = NULL;
	size_t count;
	int r;

	image->config = text;
	image->config_bytes = bytes;
	r = image_json_parse(text, bytes, what, load->diag, &config);
	if (r == 0)
		r = check_platform(load, config, what);
	if (r == 0)
		r = image_config_diff_ids(config, what, load->diag, &ids, &count);
	if (r < 0)
		return r;
	if (count != image->layer_count)
		return diag_set(load->diag, -EBADMSG, "%s: has %zu diff IDs, but the manifest has %zu layers", what,
				count, image->layer_count);
	for (size_t i = 0; i < count; i++)
		image->layers[i].diff_id = ids[i];
	return 0;
}

int load_json_text(struct load *load, const json_t *object, const char *key, const char *what, const char **ret)
{
	const json_t *value = json_object_get(object, key);

	*ret = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return diag_set(load->diag, -EBADMSG, "%s: %s is not a string", what, key);
	*ret = json_string_value(value);
	return 0;
}

void load_keep_origin(struct store *store, const struct load_image *image, struct image_id id,
		      const struct layer_id *layers, const char *source)
{
	const struct origin_manifest manifest = { image->manifest, image->manifest_bytes, image->manifest_type };
	AUTO(txn_abortp) struct txn *txn = NULL;
	int r = manifest.text ? txn_begin(store, &txn) : -ENODATA;

	if (r == 0)
		r = origin_keep(txn, id, &manifest);
	for (size_t i = 0; r == 0 && i < image->layer_count; i++) {
		const struct load_layer *layer = &image->layers[i];
		const struct origin_blob blob = { layer->blob, layer->bytes, layer->media_type, (char *)source };

		if (layer->has_blob && layer->media_type)
			r = origin_keep_blob(txn, layers[i], &blob);
	}
	if (r == 0)
		(void)txn_commit(TAKE(txn));
}

static void event_begin(const struct load_events *events, const char *digest, uint64_t bytes)
{
	if (events && events->layer_begin)
		events->layer_begin(digest, bytes, events->arg);
}

static void event_end(const struct load_events *events, const char *digest, enum layer_outcome outcome)
{
	if (events && events->layer_end)
		events->layer_end(digest, outcome, events->arg);
}

static void event_image(const struct load_events *events, const char *tag, const struct digest *id)
{
	if (events && events->image)
		events->image(tag, id, events->arg);
}

/* Those that are kept; then how many more there are, if any. */
static void event_no_names(const struct load_events *events, const struct load_image *image, const struct digest *id)
{
	if (!events || !events->no_name)
		return;
	for (size_t i = 0; i < LOAD_NO_NAMES_MAX && image->no_names[i]; i++)
		events->no_name(image->no_names[i], 0, id, events->arg);
	if (image->no_name_count > LOAD_NO_NAMES_MAX)
		events->no_name(NULL, image->no_name_count - LOAD_NO_NAMES_MAX, id, events->arg);
}

/* What is done to the store. */
struct loading {
	struct load load;		  /* what is to be loaded */
	struct writer *writer;		  /* owned */
	const struct load_events *events; /* borrowed; may be NULL */
	bool added;			  /* a layer came in */
};

static void loading_release(struct loading *l)
{
	load_release(&l->load);
	writer_close(l->writer);
}

/* -ENOENT from members_find() has no words yet. */
static int find_layer(struct loading *l, const struct load_layer *layer, const char *shown, struct member *ret)
{
	struct load *load = &l->load;
	int r = members_find(load->members, layer->member, load->diag, ret);

	if (r == -ENOENT && layer->url)
		return diag_set(load->diag, r,
				"%s: layer %s is not in it: it is one that images come without, to be had from %s",
				members_source(load->members), shown, layer->url);
	if (r == -ENOENT)
		return diag_set(load->diag, r, "%s: layer %s is not in it (%s)", members_source(load->members), shown,
				layer->member);
	if (r == 0 && layer->bytes >= 0 && ret->bytes != (uint64_t)layer->bytes)
		return diag_set(load->diag, -EKEYREJECTED, "%s: layer %s has %llu bytes instead of %lld",
				members_source(load->members), shown, (unsigned long long)ret->bytes,
				(long long)layer->bytes);
	return r;
}

static int ingest_layer(struct loading *l, const struct load_layer *layer, const char *shown, struct layer_id *ret,
			enum layer_outcome *ret_outcome)
{
	struct load *load = &l->load;
	AUTO(member_release) struct member member = { .fd = -1 };
	AUTO(freep) char *name = NULL;
	struct ingest_result result;
	struct ingest_options options = {
		.blob_digest = layer->has_blob ? &layer->blob : NULL,
		.blob_bytes = layer->bytes,
		.diff_id = &layer->diff_id,
		.progress = l->events ? l->events->layer_progress : NULL,
		.progress_arg = l->events ? l->events->arg : NULL,
	};
	int r = find_layer(l, layer, shown, &member);

	if (r < 0)
		return r;
	/* A diff ID alone is not what the archive calls it. */
	if (asprintf(&name, "%s: layer %s%s%.128s%s", members_source(load->members), shown, layer->has_blob ? "" : " (",
		     layer->has_blob ? "" : layer->member, layer->has_blob ? "" : ")") < 0) {
		name = NULL;
		return -ENOMEM;
	}
	options.name = name;
	r = ingest_tar(l->writer, member_source(&member), &options, load->diag, &result);
	if (r < 0)
		return r;
	if (result.left_out && l->events && l->events->left_out)
		l->events->left_out(shown, result.left_out, l->events->arg);
	*ret = result.layer;
	*ret_outcome = ingest_outcome(&result);
	l->added = l->added || !result.existed;
	return 0;
}

static int load_layer(struct loading *l, const struct load_layer *layer, struct layer_id *ret)
{
	char shown[DIGEST_TEXT_BYTES];
	enum layer_outcome outcome = LAYER_EXISTED;
	bool whole = false;
	int r;

	digest_format(layer->has_blob ? &layer->blob : &layer->diff_id, shown);
	event_begin(l->events, shown, layer->bytes > 0 ? (uint64_t)layer->bytes : 0);
	r = layer_find(writer_store(l->writer), &layer->diff_id, ret);
	if (r == 0)
		r = heal_look(writer_store(l->writer), *ret, &whole);
	if ((r == 0 && !whole) || r == -ENOENT)
		r = ingest_layer(l, layer, shown, ret, &outcome);
	if (r == 0)
		event_end(l->events, shown, outcome);
	return r;
}

static int load_layers(struct loading *l, const struct load_image *image, struct layer_id **ret)
{
	AUTO(freep) struct layer_id *layers = calloc(image->layer_count + 1, sizeof(*layers));
	int r = layers ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < image->layer_count; i++)
		r = load_layer(l, &image->layers[i], &layers[i]);
	if (r == 0)
		*ret = TAKE(layers);
	return r;
}

/* Once for each of its tags: the image is there after the first, which then gains the others. */
static int add_image(struct loading *l, const struct load_image *image, const struct layer_id *layers)
{
	struct digest digest;
	size_t i = 0;
	int r;

	do {
		const char *tag = image->tag_count > 0 ? image->tags[i] : NULL;
		struct image_id id;

		r = image_add(l->writer, image->config, image->config_bytes, layers, image->layer_count, tag,
			      l->load.diag, &id);
		if (r == 0)
			r = digest_of(image->config, image->config_bytes, &digest);
		if (r == 0)
			event_image(l->events, tag ? tag : "", &digest);
		if (r == 0 && i == 0)
			load_keep_origin(writer_store(l->writer), image, id, layers, NULL);
	} while (r == 0 && ++i < image->tag_count);
	if (r == 0)
		event_no_names(l->events, image, &digest);
	return r;
}

static void free_layer_lists(struct layer_id **lists, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(lists[i]);
	free(lists);
}

/* All layers of all images first, so that a fault in any leaves no image behind. */
static int load_images(struct loading *l)
{
	const struct load *load = &l->load;
	struct layer_id **lists = calloc(load->image_count + 1, sizeof(*lists));
	int r = lists ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < load->image_count; i++)
		r = load_layers(l, &load->images[i], &lists[i]);
	for (size_t i = 0; r == 0 && i < load->image_count; i++)
		r = add_image(l, &load->images[i], lists[i]);
	free_layer_lists(lists, lists ? load->image_count : 0);
	return r;
}

bool load_has(struct load *load, const char *name)
{
	AUTO(member_release) struct member member = { .fd = -1 };

	return members_find(load->members, name, NULL, &member) == 0;
}

bool load_has_images(struct load *load)
{
	return load_has(load, "manifest.json") || load_has(load, "index.json") || docker_v1_is(load);
}

/*
 * docker's archives since 25 are a layout too; manifest.json is preferred,
 * because it has the whole names of the tags.
 */
int load_collect(struct load *load)
{
	int r;

	if (load_has(load, "manifest.json"))
		r = docker_archive_collect(load);
	else if (load_has(load, "index.json"))
		r = layout_collect(load);
	else if (docker_v1_is(load))
		r = docker_v1_collect(load);
	else
		r = diag_set(load->diag, -EBADMSG,
			     "%s: neither an OCI image layout (no index.json) nor a docker archive (no manifest.json,"
			     " no repositories); 'nacre import' takes the files of a system",
			     members_source(load->members));
	if (r == 0)
		r = layout_need_image(load);
	if (r == 0 && load->image_count == 0)
		r = diag_set(load->diag, -EBADMSG, "%s: has no images", members_source(load->members));
	return r;
}

/* Layers that came in for an image that did not are nobody's. */
static void drop_orphans(struct store *store, struct loading *l)
{
	struct gc_result removed;

	if (!l->added)
		return;
	writer_close(TAKE(l->writer));
	(void)store_gc(store, NULL, &removed);
}

int image_load(struct store *store, const char *path, const char *platform, const struct load_events *events,
	       struct diag *diag)
{
	AUTO(members_closep) struct members *members = NULL;
	AUTO(loading_release) struct loading l = { .events = events, .load = { .diag = diag } };
	int r = platform_init(platform, diag, &l.load.platform);

	if (r == 0)
		r = writer_open(store, diag, &l.writer);
	if (r == 0)
		r = members_open(store, path, diag, &members);
	if (r < 0)
		return r;
	l.load.members = members;
	l.load.limits = &store->limits;
	r = load_collect(&l.load);
	if (r == 0)
		r = load_images(&l);
	if (r < 0)
		drop_orphans(store, &l);
	return r;
}
