/* SPDX-License-Identifier: Apache-2.0 */
#include "store/imagearchive.h"

#include "store/base/auto.h"
#include "store/load.h"
#include "store/store_priv.h"

enum { READ_BYTES = 256 * 1024 };

struct image_archive {
	struct members *members; /* owned */
	struct load load;	 /* owned */
	bool bare;		 /* no image: one layer, whose diff ID is */
	struct digest diff_id;
};

void image_archive_close(struct image_archive *archive)
{
	if (!archive)
		return;
	load_release(&archive->load);
	members_close(archive->members);
	free(archive);
}

static void image_archive_closep(struct image_archive **archive)
{
	image_archive_close(*archive);
}

const char *image_archive_name(const struct image_archive *archive)
{
	return members_source(archive->members);
}

static int digest_stream(struct image_archive *a, struct diag *diag)
{
	AUTO(digest_ctx_freep) struct digest_ctx *hash = digest_ctx_new();
	AUTO(member_release) struct member member = { .fd = -1 };
	AUTO(freep) char *buf = malloc(READ_BYTES);
	struct byte_source source;
	ssize_t n;
	int r = hash && buf ? members_whole(a->members, diag, &member) : -ENOMEM;

	if (r < 0)
		return r;
	source = member_source(&member);
	while ((n = source.read(source.arg, buf, READ_BYTES)) > 0)
		digest_update(hash, buf, (size_t)n);
	if (n < 0)
		return diag_errno(diag, (int)n, "cannot read %s", members_source(a->members));
	digest_final(hash, &a->diff_id);
	return 0;
}

int image_archive_open(struct store *store, const char *path, struct diag *diag, struct image_archive **ret)
{
	AUTO(image_archive_closep) struct image_archive *a = calloc(1, sizeof(*a));
	int r = a ? members_open(store, path, diag, &a->members) : -ENOMEM;

	if (r < 0)
		return r;
	a->load = (struct load){ .members = a->members, .limits = &store->limits, .diag = diag, .all = true };
	r = platform_init(NULL, diag, &a->load.platform);
	if (r == 0 && !load_has_images(&a->load) && !members_folder(a->members)) {
		a->bare = true;
		r = digest_stream(a, diag);
	} else if (r == 0) {
		r = load_collect(&a->load);
	}
	a->load.diag = NULL;
	if (r == 0)
		*ret = TAKE(a);
	return r;
}

static const struct load_layer *find_layer(const struct image_archive *a, const struct digest *diff_id)
{
	for (size_t i = 0; i < a->load.image_count; i++) {
		const struct load_image *image = &a->load.images[i];

		for (size_t k = 0; k < image->layer_count; k++)
			if (digest_eq(&image->layers[k].diff_id, diff_id))
				return &image->layers[k];
	}
	return NULL;
}

bool image_archive_has(const struct image_archive *a, const struct digest *diff_id)
{
	return a->bare ? digest_eq(&a->diff_id, diff_id) : find_layer(a, diff_id) != NULL;
}

int image_archive_layer(struct image_archive *a, const struct digest *diff_id, struct diag *diag,
			struct image_archive_layer *ret)
{
	const struct load_layer *layer = find_layer(a, diff_id);
	int r;

	*ret = (struct image_archive_layer){ .member = { .fd = -1 }, .bytes = -1 };
	if (!layer)
		return members_whole(a->members, diag, &ret->member);
	r = members_find(a->members, layer->member, diag, &ret->member);
	/* The layers of other platforms may have been left out. */
	if (r == -ENOENT)
		return diag_set(diag, r, "%s is not in it", layer->member);
	ret->blob = layer->has_blob ? &layer->blob : NULL;
	ret->bytes = layer->bytes;
	return r;
}

static bool is_text(const char *text, size_t bytes, const struct digest *digest)
{
	struct digest found;

	return text && digest_of(text, bytes, &found) == 0 && digest_eq(&found, digest);
}

const char *image_archive_text(const struct image_archive *a, const struct digest *digest, size_t *ret_bytes)
{
	for (size_t i = 0; i < a->load.image_count; i++) {
		const struct load_image *image = &a->load.images[i];

		*ret_bytes = image->config_bytes;
		if (is_text(image->config, image->config_bytes, digest))
			return image->config;
		*ret_bytes = image->manifest_bytes;
		if (is_text(image->manifest, image->manifest_bytes, digest))
			return image->manifest;
	}
	return NULL;
}
