/* SPDX-License-Identifier: Apache-2.0 */
#include "store/podmanindex.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/image_config.h"
#include "store/outgoing.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIME_BYTES = 32 };
static const int64_t TIME_MAX = 253402300799; /* the end of the year 9999, after which Go reads no times */

static const char *hex_of(const struct digest *digest, char text[static DIGEST_TEXT_BYTES])
{
	return strchr(digest_format(digest, text), ':') + 1;
}

static void id_set(char id[static PODMANINDEX_ID_BYTES], const struct digest *digest)
{
	char text[DIGEST_TEXT_BYTES];

	memcpy(id, hex_of(digest, text), PODMANINDEX_ID_BYTES);
}

static json_t *time_json(int64_t seconds)
{
	time_t t = seconds < 0 ? 0 : seconds > TIME_MAX ? TIME_MAX : seconds;
	char text[TIME_BYTES];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

/* --- layers --- */

/* containers/image: the diff ID of the lowest, then the hash of "PARENT+DIFFID". */
static int layer_set_id(struct podmanindex_layer *layer)
{
	char text[DIGEST_TEXT_BYTES], joined[2 * PODMANINDEX_ID_BYTES + 1];
	struct digest digest;
	int r;

	if (!layer->parent[0]) {
		id_set(layer->id, &layer->info.diff_id);
		return 0;
	}
	snprintf(joined, sizeof(joined), "%s+%s", layer->parent, hex_of(&layer->info.diff_id, text));
	r = digest_of(joined, strlen(joined), &digest);
	if (r == 0)
		id_set(layer->id, &digest);
	return r;
}

int podmanindex_top(struct store *store, struct image_id image, char ret[static PODMANINDEX_ID_BYTES])
{
	struct podmanindex_layer layer = { 0 };
	struct image_info info = { 0 };
	int r = image_info(store, image, NULL, &info);

	for (size_t i = 0; r == 0 && i < info.layer_count; i++) {
		memcpy(layer.parent, layer.id, sizeof(layer.parent));
		r = layer_info(store, info.layers[i], &layer.info);
		if (r == 0)
			r = layer_set_id(&layer);
	}
	image_info_release(&info);
	memcpy(ret, layer.id, sizeof(layer.id));
	return r;
}

static int add_layers(struct podmanindex *index, const struct outgoing *o)
{
	size_t count = index->layer_count, more = o->image.layer_count;
	struct podmanindex_layer *layers = reallocarray(index->layers, count + more + 1, sizeof(*layers));
	int r = 0;

	if (!layers)
		return -ENOMEM;
	index->layers = layers;
	for (size_t i = 0; r == 0 && i < more; i++) {
		const struct outgoing_layer *from = &o->layers[i];
		struct podmanindex_layer *layer = &layers[count + i];

		*layer = (struct podmanindex_layer){ .info = from->info, .archive_bytes = -1 };
		if (i > 0)
			memcpy(layer->parent, layer[-1].id, sizeof(layer->parent));
		if (from->known_count > 0) {
			layer->archive = from->known[0].digest;
			layer->archive_bytes = from->known[0].bytes;
		}
		r = layer_set_id(layer);
	}
	if (r == 0)
		index->layer_count += more;
	return r;
}

static int by_layer_id(const void *a, const void *b)
{
	return strcmp(((const struct podmanindex_layer *)a)->id, ((const struct podmanindex_layer *)b)->id);
}

/* Images have layers in common. */
static void sort_layers(struct podmanindex *index)
{
	size_t count = 0;

	if (index->layer_count == 0)
		return;
	qsort(index->layers, index->layer_count, sizeof(*index->layers), by_layer_id);
	for (size_t i = 0; i < index->layer_count; i++) {
		if (count == 0 || strcmp(index->layers[count - 1].id, index->layers[i].id) != 0)
			index->layers[count++] = index->layers[i];
	}
	index->layer_count = count;
}

static json_t *layer_json(const struct podmanindex_layer *layer)
{
	char diff_id[DIGEST_TEXT_BYTES], archive[DIGEST_TEXT_BYTES];
	json_t *json = json_pack("{s:s, s:o, s:s, s:I}", "id", layer->id, "created", time_json(layer->info.created),
				 "diff-digest", digest_format(&layer->info.diff_id, diff_id), "diff-size",
				 (json_int_t)layer->info.tar_bytes);
	int r = json ? 0 : -1;

	if (r == 0 && layer->parent[0])
		r = json_object_set_new(json, "parent", json_string(layer->parent));
	if (r == 0 && layer->archive_bytes >= 0) {
		r = json_object_set_new(json, "compressed-diff-digest",
					json_string(digest_format(&layer->archive, archive)));
		if (r == 0)
			r = json_object_set_new(json, "compressed-size", json_integer(layer->archive_bytes));
	}
	if (r < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static int write_layers(struct podmanindex *index)
{
	AUTO(json_decrefp) json_t *list = json_array();

	for (size_t i = 0; i < index->layer_count; i++) {
		if (json_array_append_new(list, layer_json(&index->layers[i])) < 0)
			return -ENOMEM;
	}
	return list ? image_config_text(list, &index->layers_json, &index->layers_bytes) : -ENOMEM;
}

/* --- images --- */

/* With the registry, which nacre leaves out where it is docker's. */
static json_t *name_json(const char *tag)
{
	size_t host = strcspn(tag, "/");
	bool has_path = tag[host] == '/';
	bool is_host = has_path && (memchr(tag, '.', host) || memchr(tag, ':', host) ||
				    (host == strlen("localhost") && strncmp(tag, "localhost", host) == 0));

	return json_sprintf("%s%s%s", is_host ? "" : "docker.io/", is_host || has_path ? "" : "library/", tag);
}

static json_t *names_json(const struct image_info *image)
{
	json_t *names = json_array();

	for (size_t i = 0; names && i < image->tag_count; i++) {
		if (json_array_append_new(names, name_json(image->tags[i])) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}

static int image_json(const struct image_info *image, const char *top, const struct podmanindex_files *files,
		      json_t *list)
{
	char id[PODMANINDEX_ID_BYTES], config[DIGEST_TEXT_BYTES], manifest[DIGEST_TEXT_BYTES];
	char named[sizeof("manifest-") + DIGEST_TEXT_BYTES];
	json_int_t bytes = (json_int_t)files->manifest_bytes;
	json_t *json;

	id_set(id, &image->digest);
	digest_format(&image->digest, config);
	digest_format(&files->manifest_digest, manifest);
	snprintf(named, sizeof(named), "manifest-%s", manifest);
	json = json_pack("{s:s, s:s, s:o, s:s*, s:o, s:[s,s,s], s:{s:I, s:I, s:I}, s:{s:s, s:s, s:s}}", "id", id,
			 "digest", manifest, "names", names_json(image), "layer", top, "created",
			 time_json(image->created), "big-data-names", named, "manifest", config, "big-data-sizes",
			 named, bytes, "manifest", bytes, config, (json_int_t)files->config_bytes, "big-data-digests",
			 named, manifest, "manifest", manifest, config, config);
	return json_array_append_new(list, json) < 0 ? -ENOMEM : 0;
}

static int files_of(struct outgoing *o, struct podmanindex_files *ret)
{
	struct origin_manifest manifest;
	bool kept;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->image.layer_count; i++) {
		struct outgoing_layer *layer = &o->layers[i];

		if (layer->named)
			r = outgoing_set(layer, &layer->wanted.digest, (uint64_t)layer->wanted.bytes,
					 layer->wanted.media_type);
		else
			r = outgoing_set(layer, &layer->info.diff_id, layer->info.tar_bytes, OUTGOING_TAR_TYPE);
	}
	if (r < 0)
		return r;
	r = outgoing_manifest(o, &manifest, &kept);
	if (r == 0)
		r = digest_of(manifest.text, manifest.bytes, &ret->manifest_digest);
	if (r == 0) {
		ret->manifest = TAKE(manifest.text);
		ret->manifest_bytes = manifest.bytes;
		ret->config = TAKE(o->image.config);
		ret->config_bytes = o->image.config_bytes;
		ret->config_digest = o->id;
	}
	origin_manifest_release(&manifest);
	return r;
}

void podmanindex_files_release(struct podmanindex_files *files)
{
	free(files->config);
	free(files->manifest);
	*files = (struct podmanindex_files){ 0 };
}

int podmanindex_files(struct store *store, struct image_id image, struct podmanindex_files *ret)
{
	AUTO(outgoing_release) struct outgoing o = { 0 };
	int r = outgoing_init(store, image, NULL, &o);

	*ret = (struct podmanindex_files){ 0 };
	return r < 0 ? r : files_of(&o, ret);
}

/* One that cannot be read, or went meanwhile, keeps nobody from the others. */
static int add_image(struct podmanindex *index, struct store *store, struct image_id image, json_t *list)
{
	AUTO(outgoing_release) struct outgoing o = { 0 };
	AUTO(podmanindex_files_release) struct podmanindex_files files = { 0 };
	struct podmanindex_image *to = &index->images[index->image_count];
	int r = outgoing_init(store, image, NULL, &o);

	if (r == 0)
		r = files_of(&o, &files);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = add_layers(index, &o);
	if (r == 0)
		r = image_json(&o.image, o.image.layer_count > 0 ? index->layers[index->layer_count - 1].id : NULL,
			       &files, list);
	if (r < 0)
		return r;
	to->image = image;
	id_set(to->id, &o.id);
	index->image_count++;
	return 0;
}

static int by_image_id(const void *a, const void *b)
{
	return strcmp(((const struct podmanindex_image *)a)->id, ((const struct podmanindex_image *)b)->id);
}

static int add_images(struct podmanindex *index, struct store *store)
{
	AUTO(json_decrefp) json_t *list = json_array();
	struct image_info *images = NULL;
	size_t count = 0;
	int r = list ? image_list(store, NULL, &images, &count) : -ENOMEM;

	if (r < 0)
		return r;
	index->images = calloc(count + 1, sizeof(*index->images));
	r = index->images ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_image(index, store, images[i].id, list);
	image_list_free(images, count);
	if (r < 0)
		return r;
	qsort(index->images, index->image_count, sizeof(*index->images), by_image_id);
	return image_config_text(list, &index->images_json, &index->images_bytes);
}

void podmanindex_release(struct podmanindex *index)
{
	free(index->images_json);
	free(index->layers_json);
	free(index->images);
	free(index->layers);
	*index = (struct podmanindex){ 0 };
}

int podmanindex_read(struct store *store, struct podmanindex *ret)
{
	AUTO(podmanindex_release) struct podmanindex index = { 0 };
	int r = add_images(&index, store);

	if (r < 0)
		return r;
	sort_layers(&index);
	r = write_layers(&index);
	if (r < 0)
		return r;
	*ret = index;
	index = (struct podmanindex){ 0 };
	return 0;
}

const struct podmanindex_image *podmanindex_image(const struct podmanindex *index, const char *id)
{
	for (size_t low = 0, high = index->image_count; low < high;) {
		size_t middle = (low + high) / 2;
		int order = strcmp(id, index->images[middle].id);

		if (order == 0)
			return &index->images[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct podmanindex_layer *podmanindex_layer(const struct podmanindex *index, const char *id, size_t digits)
{
	for (size_t low = 0, high = index->layer_count; low < high;) {
		size_t middle = (low + high) / 2;
		int order = strncmp(id, index->layers[middle].id, digits);

		if (order == 0)
			return &index->layers[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
