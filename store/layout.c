/* SPDX-License-Identifier: Apache-2.0 */
#include "store/load.h"

#include "store/base/auto.h"

#include <string.h>

/*
 * An OCI image layout: index.json names manifests or further indexes, a
 * manifest names a config and layers, all by digest, in blobs/sha256/.
 * Source: image-spec image-layout.md, image-index.md, manifest.md, descriptor.md;
 * docker's own media types mean the same.
 *
 * Every manifest of index.json is an image to load, but for those that differ
 * in their platform only: of these, as of those of a nested index, one is taken.
 * What is no container image (signatures, charts, whatever else registries are used for)
 * is passed by where there is an image, too.
 *
 * skopeo's "dir:" has one manifest, or an index, in manifest.json, and beside it all blobs as
 * files named by the digits of their digests, but the manifests of the index as HEX.manifest.json.
 */

enum {
	INDEX_DEPTH_MAX = 4,
	UNSAID_MAX = 1000, /* looked into, in all: each may be an index of as many */
};

enum media_kind {
	MEDIA_MANIFEST,
	MEDIA_INDEX,
	MEDIA_CONFIG,
	MEDIA_LAYER,
	MEDIA_OTHER,
};

static const struct media_type {
	const char *name;
	enum media_kind kind;
} media_types[] = {
	{ "application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST },
	{ "application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST },
	{ "application/vnd.oci.image.index.v1+json", MEDIA_INDEX },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX },
	{ "application/vnd.oci.image.config.v1+json", MEDIA_CONFIG },
	{ "application/vnd.docker.container.image.v1+json", MEDIA_CONFIG },
	{ "application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER },
	/* Not the specification's, but written; what a layer is compressed with is seen in its bytes. */
	{ "application/vnd.oci.image.layer.v1.tar+xz", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.v1.tar+bzip2", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.diff.tar", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd", MEDIA_LAYER },
};

static enum media_kind media_kind(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(media_types); i++)
		if (strcmp(media_types[i].name, name) == 0)
			return media_types[i].kind;
	return MEDIA_OTHER;
}

/* descriptor.md; the texts are borrowed from its JSON. */
struct descriptor {
	const char *media_type;
	const char *digest_text;
	struct digest digest;
	int64_t bytes;
	char member[sizeof("blobs/sha256/") + 2 * DIGEST_BYTES];
};

static int bad_digest(struct load *load, const char *what, const char *text, int err)
{
	if (err == -ENOTSUP)
		return diag_set(load->diag, err, "%s: the digest %s is of an algorithm that is not known; sha256 is",
				what, text);
	return diag_set(load->diag, -EBADMSG, "%s: not a digest: %s", what, text);
}

static int parse_descriptor(struct load *load, const json_t *json, const char *what, struct descriptor *ret)
{
	const json_t *size = json_object_get(json, "size");
	int r;

	if (!json_is_object(json))
		return diag_set(load->diag, -EBADMSG, "%s: not an object", what);
	r = load_json_text(load, json, "mediaType", what, &ret->media_type);
	if (r == 0)
		r = load_json_text(load, json, "digest", what, &ret->digest_text);
	if (r < 0)
		return r;
	if (!ret->digest_text || !strchr(ret->digest_text, ':'))
		return diag_set(load->diag, -EBADMSG, "%s: has no digest", what);
	r = digest_parse(ret->digest_text, &ret->digest);
	if (r < 0)
		return bad_digest(load, what, ret->digest_text, r);
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return diag_set(load->diag, -EBADMSG, "%s: %s: its size is not a number", what, ret->digest_text);
	ret->bytes = json_integer_value(size);
	snprintf(ret->member, sizeof(ret->member), "%s%s", load->flat ? "" : "blobs/sha256/",
		 strchr(ret->digest_text, ':') + 1);
	return 0;
}

/* A JSON blob, checked by size and digest. */
static int load_blob(struct load *load, const struct descriptor *d, bool is_manifest, char **ret, size_t *ret_bytes)
{
	const char *source = load->blobs.name;
	AUTO(freep) char *text = NULL;
	char found_text[DIGEST_TEXT_BYTES];
	struct digest found;
	int r = load->blobs.text(load->blobs.arg, d->digest_text, is_manifest, load->diag, &text, ret_bytes);

	if (r == -ENOENT)
		return diag_set(load->diag, r, "%s: the blob %s is not in it", source, d->digest_text);
	if (r < 0)
		return r;
	if (*ret_bytes != (size_t)d->bytes)
		return diag_set(load->diag, -EKEYREJECTED, "%s: blob %s: has %zu bytes instead of %lld", source,
				d->digest_text, *ret_bytes, (long long)d->bytes);
	r = digest_of(text, *ret_bytes, &found);
	if (r < 0)
		return r;
	if (!digest_eq(&found, &d->digest))
		return diag_set(load->diag, -EKEYREJECTED, "%s: blob %s: its content has the digest %s", source,
				d->digest_text, digest_format(&found, found_text));
	*ret = TAKE(text);
	return 0;
}

static int set_config(struct load *load, struct load_image *image, const json_t *manifest, const char *what)
{
	struct descriptor d;
	char *text = NULL;
	size_t bytes;
	int r = parse_descriptor(load, json_object_get(manifest, "config"), what, &d);

	if (r == 0 && d.media_type && media_kind(d.media_type) != MEDIA_CONFIG)
		r = diag_set(load->diag, -ENOTSUP, "%s: its config has the media type %s, so it is no container image",
			     what, d.media_type);
	if (r == 0)
		r = load_blob(load, &d, false, &text, &bytes);
	return r < 0 ? r : load_set_config(load, image, d.digest_text, text, bytes);
}

static int set_layer(struct load *load, struct load_layer *layer, const json_t *json, const char *what)
{
	struct descriptor d;
	const char *url;
	int r = parse_descriptor(load, json, what, &d);

	if (r < 0)
		return r;
	if (media_kind(d.media_type) != MEDIA_LAYER)
		return diag_set(load->diag, -ENOTSUP, "%s: layer %s has the media type %s, which is not known", what,
				d.digest_text, d.media_type ? d.media_type : "(none)");
	layer->member = strdup(d.member);
	layer->has_blob = true;
	layer->blob = d.digest;
	layer->bytes = d.bytes;
	layer->media_type = strdup(d.media_type);
	if (!layer->member || !layer->media_type)
		return -ENOMEM;
	url = json_string_value(json_array_get(json_object_get(json, "urls"), 0));
	layer->url = url ? strdup(url) : NULL;
	return url && !layer->url ? -ENOMEM : 0;
}

/*
 * manifest.md, "Guidelines for Artifact Usage": an artifact has a config of its own type.  Signatures have been made
 * with an image's config; then none of the layers is one, nor an encrypted one.  It is passed by, and what is said
 * of it counts only where there is nothing else.
 */
static bool is_artifact(struct load *load, const json_t *manifest, const json_t *layers, const char *what)
{
	const char *config = json_string_value(json_object_get(json_object_get(manifest, "config"), "mediaType"));
	const char *layer = NULL;

	if (config && media_kind(config) != MEDIA_CONFIG) {
		diag_set(&load->no_image, -ENOTSUP, "%s: its config has the media type %s, so it is no container image",
			 what, config);
		return true;
	}
	for (size_t i = 0; i < json_array_size(layers); i++) {
		layer = json_string_value(json_object_get(json_array_get(layers, i), "mediaType"));
		if (!layer || media_kind(layer) == MEDIA_LAYER || strstr(layer, "tar"))
			return false;
	}
	if (layer)
		diag_set(&load->no_image, -ENOTSUP,
			 "%s: its layers have the media type %s, so it is no container image", what, layer);
	return layer != NULL;
}

int layout_need_image(struct load *load)
{
	if (load->image_count > 0 || !*load->no_image.text)
		return 0;
	return diag_set(load->diag, -ENOTSUP, "%s", load->no_image.text);
}

static int collect_manifest(struct load *load, const json_t *manifest, const char *digest, const char *tag)
{
	const json_t *layers = json_object_get(manifest, "layers");
	AUTO(freep) char *what = NULL;
	struct load_image *image;
	int r = 0;

	if (asprintf(&what, "%s: manifest %s", load->blobs.name, digest) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	if (!json_is_array(layers))
		return diag_set(load->diag, -EBADMSG, "%s: layers is no list", what);
	if (is_artifact(load, manifest, layers, what))
		return 0;
	image = load_add_image(load, json_array_size(layers));
	if (!image)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < image->layer_count; i++)
		r = set_layer(load, &image->layers[i], json_array_get(layers, i), what);
	if (r == 0)
		r = set_config(load, image, manifest, what);
	return r < 0 || !tag ? r : load_add_tag(image, tag);
}

/* Attestations are listed as images of a platform that is none, so that old readers pass them by. */
static bool is_attestation(const json_t *descriptor)
{
	const char *type = json_string_value(
		json_object_get(json_object_get(descriptor, "annotations"), "vnd.docker.reference.type"));
	const char *os = json_string_value(json_object_get(json_object_get(descriptor, "platform"), "os"));

	return (type && strcmp(type, "attestation-manifest") == 0) || (os && strcmp(os, "unknown") == 0);
}

/* containerd's annotation has the whole name, OCI's often just the tag. */
static const char *tag_of(const json_t *descriptor)
{
	const json_t *annotations = json_object_get(descriptor, "annotations");
	const char *name = json_string_value(json_object_get(annotations, "io.containerd.image.name"));

	return name ? name : json_string_value(json_object_get(annotations, "org.opencontainers.image.ref.name"));
}

static const char *platform_part(const json_t *descriptor, const char *key)
{
	return json_string_value(json_object_get(json_object_get(descriptor, "platform"), key));
}

/* How well it suits; 0: not at all. */
static int suits(const struct load *load, const json_t *descriptor)
{
	return platform_score(&load->platform, platform_part(descriptor, "os"),
			      platform_part(descriptor, "architecture"), platform_part(descriptor, "variant"));
}

/* Is it one of several that have a name in common and differ in their platform? */
static bool same_group(const json_t *a, const json_t *b)
{
	const char *x = tag_of(a), *y = tag_of(b);

	return platform_part(a, "os") && platform_part(b, "os") && (x && y ? strcmp(x, y) == 0 : x == y);
}

/* Of the group of descriptor @index: is it the one to take? *@ret_alone: it has no others in it. */
static bool is_choice(const struct load *load, const json_t *list, size_t index, bool *ret_alone)
{
	const json_t *own = json_array_get(list, index);
	int score = suits(load, own);
	bool best = score > 0;

	*ret_alone = true;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *other = json_array_get(list, i);
		int other_score = suits(load, other);

		if (i == index || is_attestation(other) || !same_group(own, other))
			continue;
		*ret_alone = false;
		if (other_score > score || (other_score == score && i < index))
			best = false;
	}
	return best;
}

static int collect_descriptor(struct load *load, const json_t *json, const char *what, const char *tag, unsigned depth);

static int no_platform(struct load *load, const char *what)
{
	char text[PLATFORM_TEXT_BYTES];

	return diag_set(load->diag, -ENOTSUP, "%s: has no image for %s", what, platform_text(&load->platform, text));
}

/* With load->all: what cannot be read of one image is no matter for the others. */
static int collect_each(struct load *load, const json_t *list, const char *what, unsigned depth)
{
	struct diag *diag = TAKE(load->diag);
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < json_array_size(list); i++) {
		const json_t *json = json_array_get(list, i);
		size_t before = load->image_count;

		r = is_attestation(json) ? 0 : collect_descriptor(load, json, what, NULL, depth);
		if (r < 0)
			load_drop_images(load, before);
	}
	load->diag = diag;
	return r == -ENOMEM ? r : 0;
}

/*
 * Of several that do not say what they are for: the first that turns out to be for the platform.  An index among others
 * is one of those, and so is an image whose platform only its config tells.
 */
static int collect_unsaid(struct load *load, const json_t *list, const char *what, const char *tag, unsigned depth)
{
	size_t before = load->image_count;
	bool asked = load->platform.asked;
	struct diag *diag = TAKE(load->diag), why = { 0 };
	int r = 0;

	load->platform.asked = true;
	load->diag = &why;
	for (size_t i = 0; load->image_count == before && i < json_array_size(list); i++) {
		const json_t *json = json_array_get(list, i);

		if (is_attestation(json) || platform_part(json, "architecture"))
			continue;
		why = (struct diag){ 0 };
		if (load->unsaid++ == UNSAID_MAX)
			r = diag_set(&why, -EBADMSG, "%s: more than %d images that do not say what they are for", what,
				     UNSAID_MAX);
		else
			r = collect_descriptor(load, json, what, tag, depth);
		if (r < 0)
			load_drop_images(load, before);
		if (r < 0 && r != -ENOTSUP)
			break;
	}
	load->platform.asked = asked;
	load->diag = diag;
	if (r < 0 && r != -ENOTSUP)
		return diag_set(diag, r, "%s", diag_text(&why, r));
	return load->image_count > before ? 0 : no_platform(load, what);
}

/* Of a nested index one image is taken. */
static int collect_index(struct load *load, const json_t *index, const char *what, const char *tag, unsigned depth)
{
	const json_t *list = json_object_get(index, "manifests"), *choice = NULL, *only = NULL;
	size_t candidates = 0;
	int best = 0;

	if (!json_is_array(list))
		return diag_set(load->diag, -EBADMSG, "%s: manifests is no list", what);
	if (load->all)
		return collect_each(load, list, what, depth + 1);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *json = json_array_get(list, i);
		int score = suits(load, json);

		if (is_attestation(json))
			continue;
		candidates++;
		only = json;
		if (score > best) {
			best = score;
			choice = json;
		}
	}
	/* Of one that does not say what it is for, its config will. */
	if (!choice && candidates == 1 && (!load->platform.asked || !platform_part(only, "architecture")))
		choice = only;
	return choice ? collect_descriptor(load, choice, what, tag, depth + 1)
		      : collect_unsaid(load, list, what, tag, depth + 1);
}

/* A manifest's own word for what it is counts first, then the one it came with. */
static const char *type_of(const json_t *json, const char *type)
{
	const char *own = json_string_value(json_object_get(json, "mediaType"));

	if (own)
		return own;
	if (media_kind(type) != MEDIA_OTHER)
		return type;
	return json_object_get(json, "manifests") ? "application/vnd.oci.image.index.v1+json"
						  : "application/vnd.oci.image.manifest.v1+json";
}

static int collect_text(struct load *load, char *text, size_t bytes, const char *type, const char *digest,
			const char *tag, unsigned depth)
{
	AUTO(freep) char *owned = text;
	AUTO(json_decrefp) json_t *json = NULL;
	size_t before = load->image_count;
	struct load_image *image;
	int r = image_json_parse(text, bytes, digest, load->diag, &json);

	if (r < 0)
		return r;
	type = type_of(json, type);
	if (json_object_get(json, "fsLayers") || json_object_get(json, "signatures"))
		return diag_set(load->diag, -ENOTSUP, "%s: %s is a manifest of docker's schema 1, which is not read",
				load->blobs.name, digest);
	if (media_kind(type) == MEDIA_INDEX)
		return collect_index(load, json, digest, tag, depth);
	if (media_kind(type) != MEDIA_MANIFEST)
		return diag_set(load->diag, -ENOTSUP, "%s: %s has the media type %s, which is no image",
				load->blobs.name, digest, type);
	r = collect_manifest(load, json, digest, tag);
	if (r < 0 || load->image_count == before)
		return r;
	image = &load->images[load->image_count - 1];
	image->manifest = TAKE(owned);
	image->manifest_bytes = bytes;
	image->manifest_type = strdup(type);
	return image->manifest_type ? 0 : -ENOMEM;
}

int layout_collect_text(struct load *load, char *text, size_t bytes, const char *type, const char *digest,
			const char *tag)
{
	int r = collect_text(load, text, bytes, type, digest, tag, 0);

	return r < 0 ? r : layout_need_image(load);
}

/* What a descriptor leads to; @tag from the outermost one, which a name further in does not change. */
static int collect_descriptor(struct load *load, const json_t *json, const char *what, const char *tag, unsigned depth)
{
	struct descriptor d;
	enum media_kind kind;
	char *text = NULL;
	size_t bytes;
	int r = parse_descriptor(load, json, what, &d);

	if (r < 0)
		return r;
	if (depth > INDEX_DEPTH_MAX)
		return diag_set(load->diag, -EBADMSG, "%s: more than %d indexes within each other", what,
				INDEX_DEPTH_MAX);
	kind = media_kind(d.media_type);
	if (kind != MEDIA_MANIFEST && kind != MEDIA_INDEX) {
		diag_set(&load->no_image, -ENOTSUP, "%s: %s has the media type %s, which is no image", what,
			 d.digest_text, d.media_type ? d.media_type : "(none)");
		return 0;
	}
	if (!tag)
		tag = tag_of(json);
	r = load_blob(load, &d, true, &text, &bytes);
	return r < 0 ? r : collect_text(load, text, bytes, d.media_type, d.digest_text, tag, depth);
}

/* A group with nothing for the platform is an error, but a single image is taken whatever it is for. */
static int collect_top(struct load *load, const json_t *list, const char *what)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *json = json_array_get(list, i);
		bool alone;
		bool choice = is_choice(load, list, i, &alone);
		int r = 0;

		if (is_attestation(json))
			continue;
		if (choice || alone)
			r = collect_descriptor(load, json, what, NULL, 0);
		if (r < 0)
			return r;
	}
	if (load->image_count > 0 || json_array_size(list) == 0 || *load->no_image.text)
		return 0;
	return no_platform(load, what);
}

static int check_version(struct load *load)
{
	AUTO(freep) char *text = NULL;
	AUTO(json_decrefp) json_t *layout = NULL;
	const char *version, *source = members_source(load->members);
	size_t bytes;
	int r = members_load(load->members, "oci-layout", IMAGE_JSON_MAX_BYTES, load->diag, &text, &bytes);

	if (r == -ENOENT)
		return diag_set(load->diag, -EBADMSG, "%s: not an OCI image layout: it has no file oci-layout", source);
	if (r == 0)
		r = image_json_parse(text, bytes, "oci-layout", load->diag, &layout);
	if (r == 0)
		r = load_json_text(load, layout, "imageLayoutVersion", "oci-layout", &version);
	if (r < 0)
		return r;
	if (!version || strncmp(version, "1.", 2) != 0)
		return diag_set(load->diag, -ENOTSUP, "%s: an OCI image layout of version %s; 1.0.0 is known", source,
				version ? version : "(none)");
	return 0;
}

/* load_blobs of an archive. */
static int member_text(void *arg, const char *digest, bool is_manifest, struct diag *diag, char **ret,
		       size_t *ret_bytes)
{
	char member[sizeof("blobs/sha256/") + 2 * DIGEST_BYTES];

	snprintf(member, sizeof(member), "blobs/sha256/%s", strchr(digest, ':') + 1);
	return members_load(arg, member, IMAGE_JSON_MAX_BYTES, diag, ret, ret_bytes);
}

/* The same of one whose blobs are in no folder of their own. */
static int flat_text(void *arg, const char *digest, bool is_manifest, struct diag *diag, char **ret, size_t *ret_bytes)
{
	char member[2 * DIGEST_BYTES + sizeof(".manifest.json")];
	const char *digits = strchr(digest, ':') + 1;
	int r = -ENOENT;

	snprintf(member, sizeof(member), "%s.manifest.json", digits);
	if (is_manifest)
		r = members_load(arg, member, IMAGE_JSON_MAX_BYTES, diag, ret, ret_bytes);
	return r == -ENOENT ? members_load(arg, digits, IMAGE_JSON_MAX_BYTES, diag, ret, ret_bytes) : r;
}

int layout_collect_folder(struct load *load, char *manifest, size_t bytes)
{
	load->flat = true;
	load->blobs = (struct load_blobs){ members_source(load->members), flat_text, load->members };
	return layout_collect_text(load, manifest, bytes, NULL, "manifest.json", NULL);
}

int layout_collect(struct load *load)
{
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *what = NULL;
	AUTO(json_decrefp) json_t *index = NULL;
	const json_t *list;
	size_t bytes;
	int r = check_version(load);

	load->blobs = (struct load_blobs){ members_source(load->members), member_text, load->members };

	if (r == 0)
		r = members_load(load->members, "index.json", IMAGE_JSON_MAX_BYTES, load->diag, &text, &bytes);
	if (r < 0)
		return r;
	if (asprintf(&what, "%s: index.json", members_source(load->members)) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	r = image_json_parse(text, bytes, what, load->diag, &index);
	if (r < 0)
		return r;
	list = json_object_get(index, "manifests");
	if (!json_is_array(list))
		return diag_set(load->diag, -EBADMSG, "%s: manifests is no list", what);
	return load->all ? collect_each(load, list, what, 0) : collect_top(load, list, what);
}
