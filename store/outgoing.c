/* SPDX-License-Identifier: Apache-2.0 */
#include "store/outgoing.h"

#include "store/base/auto.h"
#include "store/image_config.h"

#include <string.h>

static void layer_release(struct outgoing_layer *layer)
{
	origin_blob_release(&layer->wanted);
	origin_blob_release(&layer->out);
	origin_blobs_free(layer->known, layer->known_count);
}

void outgoing_release(struct outgoing *o)
{
	for (size_t i = 0; o->layers && i < o->image.layer_count; i++)
		layer_release(&o->layers[i]);
	free(o->layers);
	origin_manifest_release(&o->manifest);
	image_info_release(&o->image);
	*o = (struct outgoing){ 0 };
}

/* The layers as the kept manifest has them; one that does not fit the image is as good as none. */
static int read_manifest(struct outgoing *o)
{
	AUTO(json_decrefp) json_t *json = NULL;
	const json_t *list;

	if (!o->manifest.text || image_json_parse(o->manifest.text, o->manifest.bytes, "manifest", NULL, &json) < 0)
		return 0;
	list = json_object_get(json, "layers");
	if (json_array_size(list) != o->image.layer_count)
		return 0;
	for (size_t i = 0; i < o->image.layer_count; i++) {
		const json_t *entry = json_array_get(list, i);
		const char *digest = json_string_value(json_object_get(entry, "digest"));
		const char *type = json_string_value(json_object_get(entry, "mediaType"));
		struct outgoing_layer *layer = &o->layers[i];

		if (!digest || !type || digest_parse(digest, &layer->wanted.digest) < 0)
			return 0;
		layer->wanted.bytes = json_integer_value(json_object_get(entry, "size"));
		layer->wanted.media_type = strdup(type);
		if (!layer->wanted.media_type)
			return -ENOMEM;
		layer->named = true;
	}
	return 0;
}

int outgoing_init(struct store *store, struct image_id image, struct diag *diag, struct outgoing *ret)
{
	AUTO(outgoing_release) struct outgoing o = { 0 };
	int r = image_info(store, image, diag, &o.image);

	if (r < 0)
		return r;
	o.id = o.image.digest;
	o.layers = calloc(o.image.layer_count + 1, sizeof(*o.layers));
	if (!o.layers)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < o.image.layer_count; i++) {
		struct outgoing_layer *layer = &o.layers[i];

		r = layer_info(store, o.image.layers[i], &layer->info);
		if (r == 0)
			r = origin_blobs(store, o.image.layers[i], &layer->known, &layer->known_count);
	}
	if (r == 0)
		r = origin_manifest(store, image, &o.manifest);
	if (r == 0 && o.manifest.text && !o.manifest.sound)
		return diag_set(diag, -EIO,
				"the manifest that it came with is damaged: 'nacre verify --repair' brings it back");
	if (r == 0)
		r = read_manifest(&o);
	if (r < 0)
		return diag_errno(diag, r, "cannot read the image");
	*ret = o;
	o = (struct outgoing){ 0 };
	return 0;
}

int outgoing_set(struct outgoing_layer *layer, const struct digest *digest, uint64_t bytes, const char *media_type)
{
	origin_blob_release(&layer->out);
	layer->out = (struct origin_blob){ .digest = *digest, .bytes = (int64_t)bytes };
	layer->out.media_type = strdup(media_type);
	return layer->out.media_type ? 0 : -ENOMEM;
}

static json_t *descriptor(const char *type, const struct digest *digest, int64_t bytes)
{
	char text[DIGEST_TEXT_BYTES];

	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest_format(digest, text), "size",
			 (json_int_t)bytes);
}

static int new_manifest(const struct outgoing *o, struct origin_manifest *ret)
{
	AUTO(json_decrefp) json_t *layers = json_array();
	AUTO(json_decrefp) json_t *manifest = NULL;
	int r = 0;

	for (size_t i = 0; i < o->image.layer_count; i++) {
		const struct origin_blob *out = &o->layers[i].out;

		if (json_array_append_new(layers, descriptor(out->media_type, &out->digest, out->bytes)) < 0)
			return -ENOMEM;
	}
	manifest = json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType", OUTGOING_MANIFEST_TYPE, "config",
			     descriptor(OUTGOING_CONFIG_TYPE, &o->id, (int64_t)o->image.config_bytes), "layers",
			     layers);
	if (!manifest)
		return -ENOMEM;
	r = image_config_text(manifest, &ret->text, &ret->bytes);
	if (r < 0)
		return r;
	ret->media_type = strdup(OUTGOING_MANIFEST_TYPE);
	return ret->media_type ? 0 : -ENOMEM;
}

int outgoing_manifest(const struct outgoing *o, struct origin_manifest *ret, bool *ret_kept)
{
	bool kept = o->manifest.text != NULL;

	*ret = (struct origin_manifest){ 0 };
	for (size_t i = 0; kept && i < o->image.layer_count; i++)
		kept = o->layers[i].named && digest_eq(&o->layers[i].wanted.digest, &o->layers[i].out.digest);
	*ret_kept = kept;
	if (!kept)
		return new_manifest(o, ret);
	ret->bytes = o->manifest.bytes;
	ret->text = strndup(o->manifest.text, o->manifest.bytes);
	ret->media_type = strdup(o->manifest.media_type);
	return ret->text && ret->media_type ? 0 : -ENOMEM;
}
