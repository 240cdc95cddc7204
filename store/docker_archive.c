/* SPDX-License-Identifier: Apache-2.0 */
#include "store/load.h"

#include "store/base/auto.h"

#include <string.h>

/*
 * manifest.json of `docker save`, in all its generations: a list of
 * { "Config": FILE, "RepoTags": [...] or null, "Layers": [FILE, ...] }.  The files are
 * ID/layer.tar and HEX.json (1.10 to 24), HEX.tar (skopeo) or blobs/sha256/HEX (25 on).
 * Source: docker's image/tarexport.
 */

static const char MANIFEST[] = "manifest.json";

/* The digest that a file's name is: "blobs/sha256/HEX", and for configs "HEX.json". */
static bool digest_in_name(const char *name, const char *suffix, struct digest *ret)
{
	static const char blobs[] = "blobs/sha256/";
	char hex[2 * DIGEST_BYTES + 1];
	const char *base = strrchr(name, '/');
	size_t len;

	base = base ? base + 1 : name;
	len = strlen(base);
	if (strncmp(name, blobs, strlen(blobs)) != 0 &&
	    (!suffix || len < strlen(suffix) || strcmp(base + len - strlen(suffix), suffix) != 0))
		return false;
	snprintf(hex, sizeof(hex), "%s", base);
	return strcspn(base, ".") == 2 * DIGEST_BYTES && digest_parse(hex, ret) == 0;
}

static int check_config_digest(struct load *load, const char *name, const char *text, size_t bytes)
{
	struct digest expected, found;
	char found_text[DIGEST_TEXT_BYTES];
	int r;

	if (!digest_in_name(name, ".json", &expected))
		return 0;
	r = digest_of(text, bytes, &found);
	if (r < 0 || digest_eq(&expected, &found))
		return r;
	return diag_set(load->diag, -EKEYREJECTED, "%s: %s: its content has the digest %s",
			members_source(load->members), name, digest_format(&found, found_text));
}

static int set_config(struct load *load, struct load_image *image, const char *name)
{
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *what = NULL;
	size_t bytes;
	int r = members_load(load->members, name, IMAGE_JSON_MAX_BYTES, load->diag, &text, &bytes);

	if (r == -ENOENT)
		return diag_set(load->diag, r, "%s: the config %s is not in it", members_source(load->members), name);
	if (r == 0)
		r = check_config_digest(load, name, text, bytes);
	if (r < 0)
		return r;
	if (asprintf(&what, "%s: config %s", members_source(load->members), name) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	return load_set_config(load, image, what, TAKE(text), bytes);
}

static int bad(struct load *load, size_t no, const char *what)
{
	return diag_set(load->diag, -EBADMSG, "%s: %s: image %zu: %s", members_source(load->members), MANIFEST, no,
			what);
}

static int set_layers(struct load *load, struct load_image *image, const json_t *layers, size_t no)
{
	for (size_t i = 0; i < image->layer_count; i++) {
		struct load_layer *layer = &image->layers[i];
		const char *name = json_string_value(json_array_get(layers, i));

		if (!name)
			return bad(load, no, "a layer's name is not a string");
		layer->member = strdup(name);
		if (!layer->member)
			return -ENOMEM;
		layer->bytes = -1;
		layer->has_blob = digest_in_name(name, NULL, &layer->blob);
	}
	return 0;
}

static int set_tags(struct load *load, struct load_image *image, const json_t *tags, size_t no)
{
	int r = 0;

	if (tags && !json_is_null(tags) && !json_is_array(tags))
		return bad(load, no, "RepoTags is no list");
	for (size_t i = 0; r == 0 && i < json_array_size(tags); i++) {
		const char *tag = json_string_value(json_array_get(tags, i));

		r = tag ? load_add_tag(image, tag) : bad(load, no, "a tag is not a string");
	}
	return r;
}

static int collect_image(struct load *load, const json_t *entry, size_t no)
{
	const json_t *layers = json_object_get(entry, "Layers");
	struct load_image *image;
	const char *config;
	int r;

	if (!json_is_object(entry))
		return bad(load, no, "not an object");
	if (!json_is_array(layers))
		return bad(load, no, "Layers is no list");
	r = load_json_text(load, entry, "Config", MANIFEST, &config);
	if (r == 0 && !config)
		r = bad(load, no, "has no Config");
	if (r < 0)
		return r;
	image = load_add_image(load, json_array_size(layers));
	if (!image)
		return -ENOMEM;
	r = set_layers(load, image, layers, no);
	if (r == 0)
		r = set_tags(load, image, json_object_get(entry, "RepoTags"), no);
	return r < 0 ? r : set_config(load, image, config);
}

int docker_archive_collect(struct load *load)
{
	AUTO(freep) char *text = NULL;
	AUTO(json_decrefp) json_t *manifest = NULL;
	const char *source = members_source(load->members);
	json_error_t error;
	size_t bytes;
	int r = members_load(load->members, MANIFEST, IMAGE_JSON_MAX_BYTES, load->diag, &text, &bytes);

	if (r < 0)
		return r;
	manifest = json_loadb(text, bytes, 0, &error);
	if (!manifest)
		return diag_set(load->diag, -EBADMSG, "%s: %s: not JSON: line %d, column %d: %s", source, MANIFEST,
				error.line, error.column, error.text);
	if (json_object_get(manifest, "schemaVersion"))
		return layout_collect_folder(load, TAKE(text), bytes);
	if (!json_is_array(manifest))
		return diag_set(load->diag, -EBADMSG, "%s: %s is no list of images, so this is no docker archive",
				source, MANIFEST);
	for (size_t i = 0; r == 0 && i < json_array_size(manifest); i++)
		r = collect_image(load, json_array_get(manifest, i), i);
	return r;
}
