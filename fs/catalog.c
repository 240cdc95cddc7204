/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/catalog.h"

#include "store/base/auto.h"
#include "store/layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_ID = 12, ID_START = 7 /* behind "sha256:" */ };

void leaf_release(struct leaf *leaf)
{
	free(leaf->path);
	free(leaf->layers);
	*leaf = (struct leaf){ 0 };
}

int leaf_copy(const struct leaf *leaf, struct leaf *ret)
{
	*ret = *leaf;
	ret->path = strdup(leaf->path);
	ret->layers = calloc(leaf->layer_count + 1, sizeof(*ret->layers));
	if (!ret->path || !ret->layers) {
		leaf_release(ret);
		return -ENOMEM;
	}
	memcpy(ret->layers, leaf->layers, leaf->layer_count * sizeof(*ret->layers));
	return 0;
}

void catalog_release(struct catalog *catalog)
{
	for (size_t i = 0; i < catalog->count; i++)
		leaf_release(&catalog->leaves[i]);
	free(catalog->leaves);
	*catalog = (struct catalog){ 0 };
}

/* --- making one --- */

/* @path is the catalog's from now on, also on failure; NULL: there was no memory for it. */
static int leaf_add(struct catalog *catalog, char *path, const struct digest *digest, const struct layer_id *layers,
		    size_t count, bool one_layer)
{
	struct leaf leaf = { .path = path, .digest = *digest, .one_layer = one_layer, .layer_count = count };

	if (path && catalog->count == catalog->room) {
		size_t room = catalog->room ? 2 * catalog->room : 64;
		struct leaf *more = realloc(catalog->leaves, room * sizeof(*more));

		if (more) {
			catalog->leaves = more;
			catalog->room = room;
		}
	}
	leaf.layers = calloc(count + 1, sizeof(*leaf.layers));
	if (!path || !leaf.layers || catalog->count == catalog->room) {
		leaf_release(&leaf);
		return -ENOMEM;
	}
	if (count)
		memcpy(leaf.layers, layers, count * sizeof(*layers));
	catalog->leaves[catalog->count++] = leaf;
	return 0;
}

static char *path_of(const char *folder, const char *name, int name_len)
{
	char *path;

	return asprintf(&path, "%s%.*s", folder, name_len, name) < 0 ? NULL : path;
}

static char *path_of_id(const char *folder, const struct digest *digest)
{
	char text[DIGEST_TEXT_BYTES];

	return path_of(folder, digest_format(digest, text) + ID_START, SHORT_ID);
}

/* "registry:5000/name:tag": the last ':' divides. */
static char *path_of_tag(const char *tag)
{
	char *path = path_of("images/", tag, (int)strlen(tag)), *colon = path ? strrchr(path, ':') : NULL;

	if (colon)
		*colon = '/';
	return path;
}

static int leaf_order(const void *a, const void *b)
{
	const struct leaf *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void catalog_sort(struct catalog *catalog)
{
	if (catalog->count)
		qsort(catalog->leaves, catalog->count, sizeof(*catalog->leaves), leaf_order);
}

/* The first leaf whose path is not before @path. */
static size_t leaf_index(const struct catalog *catalog, const char *path)
{
	size_t low = 0, high = catalog->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(catalog->leaves[mid].path, path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Is there a leaf below "@path/"? */
static bool has_below(const struct catalog *catalog, const char *path)
{
	AUTO(freep) char *below = path_of(path, "/", 1);
	size_t at = below ? leaf_index(catalog, below) : catalog->count;

	return at < catalog->count && strncmp(catalog->leaves[at].path, below, strlen(below)) == 0;
}

/* A tag "app" of "team" and a name "team/app" want the same place: the folder has it. No tag begins with a colon. */
static char *path_beside(const char *path)
{
	const char *name = strrchr(path, '/');
	char *other;

	return asprintf(&other, "%.*s/:%s", (int)(name - path), path, name + 1) < 0 ? NULL : other;
}

static int settle_clashes(struct catalog *catalog)
{
	AUTO(freep) bool *clash = calloc(catalog->count + 1, sizeof(bool));

	if (!clash)
		return -ENOMEM;
	/* While names change, nothing can be found. */
	for (size_t i = 0; i < catalog->count; i++)
		clash[i] = has_below(catalog, catalog->leaves[i].path);
	for (size_t i = 0; i < catalog->count; i++) {
		char *other = clash[i] ? path_beside(catalog->leaves[i].path) : NULL;

		if (clash[i] && !other)
			return -ENOMEM;
		if (other) {
			free(catalog->leaves[i].path);
			catalog->leaves[i].path = other;
		}
	}
	catalog_sort(catalog);
	return 0;
}

/* Short IDs that two have become long ones. */
static int lengthen_ids(struct catalog *catalog)
{
	size_t twins = 1;

	for (size_t i = 0; i < catalog->count; i += twins) {
		for (twins = 1; i + twins < catalog->count; twins++)
			if (strcmp(catalog->leaves[i].path, catalog->leaves[i + twins].path) != 0)
				break;
		for (size_t k = i; twins > 1 && k < i + twins; k++) {
			char text[DIGEST_TEXT_BYTES], *path = catalog->leaves[k].path;
			size_t folder = (size_t)(strrchr(path, '/') - path) + 1;
			char *whole = NULL;

			if (asprintf(&whole, "%.*s%s", (int)folder, path,
				     digest_format(&catalog->leaves[k].digest, text) + ID_START) < 0)
				return -ENOMEM;
			free(path);
			catalog->leaves[k].path = whole;
		}
	}
	catalog_sort(catalog);
	return 0;
}

static int add_image(struct catalog *catalog, const struct image_info *image)
{
	int r = 0;

	for (size_t t = 0; r == 0 && t < image->tag_count; t++)
		r = leaf_add(catalog, path_of_tag(image->tags[t]), &image->digest, image->layers, image->layer_count,
			     false);
	if (image->tag_count == 0)
		r = leaf_add(catalog, path_of_id("images/@none/", &image->digest), &image->digest, image->layers,
			     image->layer_count, false);
	return r;
}

static int id_order(const void *a, const void *b)
{
	const struct layer_id *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static int add_layers(struct store *store, struct catalog *catalog, const struct image_info *images, size_t count)
{
	AUTO(freep) struct layer_id *ids = NULL;
	size_t total = 0, n = 0;
	int r = 0;

	for (size_t i = 0; i < count; i++)
		total += images[i].layer_count;
	ids = calloc(total + 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < images[i].layer_count; k++)
			ids[n++] = images[i].layers[k];
	qsort(ids, n, sizeof(*ids), id_order);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct layer_info info;

		if (i > 0 && ids[i].value == ids[i - 1].value)
			continue;
		r = layer_info(store, ids[i], &info);
		if (r == -ENOENT) /* removed since the images were read */
			r = 0;
		else if (r == 0)
			r = leaf_add(catalog, path_of_id("layers/", &info.diff_id), &info.diff_id, &ids[i], 1, true);
	}
	return r;
}

int catalog_read_all(struct store *store, struct diag *diag, struct catalog *ret)
{
	struct image_info *images = NULL;
	size_t count = 0;
	int r;

	*ret = (struct catalog){ .all = true };
	r = image_list(store, diag, &images, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_image(ret, &images[i]);
	if (r == 0)
		r = add_layers(store, ret, images, count);
	image_list_free(images, count);
	catalog_sort(ret);
	if (r == 0)
		r = lengthen_ids(ret);
	return r == 0 ? settle_clashes(ret) : r;
}

static char *path_of_layer(size_t n, size_t count, const struct digest *diff_id)
{
	char text[DIGEST_TEXT_BYTES], *path;
	int width = snprintf(text, sizeof(text), "%zu", count);

	/* Two digits at least: 10 is seldom far away, and the next version of the image may reach it. */
	if (width < 2)
		width = 2;
	return asprintf(&path, "%0*zu-%.*s", width, n, SHORT_ID, digest_format(diff_id, text) + ID_START) < 0 ? NULL
													      : path;
}

int catalog_read_image(struct store *store, struct image_id image, struct diag *diag, struct catalog *ret)
{
	struct image_info info = { 0 };
	int r;

	*ret = (struct catalog){ 0 };
	r = image_info(store, image, diag, &info);
	for (size_t i = 0; r == 0 && i < info.layer_count; i++) {
		struct layer_info layer;

		r = layer_info(store, info.layers[i], &layer);
		if (r == 0)
			r = leaf_add(ret, path_of_layer(i + 1, info.layer_count, &layer.diff_id), &layer.diff_id,
				     &info.layers[i], 1, true);
	}
	if (r == 0)
		r = leaf_add(ret, strdup("merged"), &info.digest, info.layers, info.layer_count, false);
	image_info_release(&info);
	catalog_sort(ret);
	return r;
}

/* --- looking --- */

const struct leaf *catalog_leaf(const struct catalog *catalog, const char *path)
{
	size_t at = leaf_index(catalog, path);

	return at < catalog->count && strcmp(catalog->leaves[at].path, path) == 0 ? &catalog->leaves[at] : NULL;
}

bool catalog_is_folder(const struct catalog *catalog, const char *path)
{
	if (!*path || (catalog->all && (strcmp(path, "images") == 0 || strcmp(path, "layers") == 0)))
		return true;
	return has_below(catalog, path);
}

int catalog_children(const struct catalog *catalog, const char *path, catalog_fn fn, void *arg)
{
	AUTO(freep) char *below = path_of(path, "/", *path ? 1 : 0);
	AUTO(freep) char *last = NULL;
	size_t len = below ? strlen(below) : 0;
	int r = 0;

	if (!below)
		return -ENOMEM;
	if (!*path && catalog->all) {
		r = fn("images", arg);
		return r ? r : fn("layers", arg);
	}
	for (size_t i = leaf_index(catalog, below); r == 0 && i < catalog->count; i++) {
		const char *name = catalog->leaves[i].path + len;
		size_t name_len;

		if (strncmp(catalog->leaves[i].path, below, len) != 0)
			break;
		name_len = strcspn(name, "/");
		/* What has the same name stands together. */
		if (last && strlen(last) == name_len && strncmp(last, name, name_len) == 0)
			continue;
		free(last);
		last = strndup(name, name_len);
		r = last ? fn(last, arg) : -ENOMEM;
	}
	return r;
}
