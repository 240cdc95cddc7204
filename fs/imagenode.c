/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/imagenode.h"

#include "store/base/auto.h"
#include "store/registry/auth.h"

#include <ctype.h>
#include <string.h>

enum { LINK_DIGITS = 26 }; /* as podman's: many of them must go into one page */

void image_node_free(struct image_node *node)
{
	if (!node)
		return;
	free(node->name);
	free(node->text);
	tarsplit_release(&node->split);
	free(node);
}

struct image_node *image_node_new(fuse_ino_t parent, const char *name)
{
	struct image_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->split.tar.fd = -1;
	node->parent = parent;
	node->name = strdup(name);
	if (node->name)
		return node;
	image_node_free(node);
	return NULL;
}

/* --- their order --- */

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int image_node_order_by_ino(const void *a, const void *b)
{
	return order(((const struct image_node *)a)->ino, ((const struct image_node *)b)->ino);
}

/* An image may get another manifest; and an image that was removed and came again has layers with other numbers. */
int image_node_order(const void *a, const void *b)
{
	const struct image_node *x = a, *y = b;
	int r = order(x->parent, y->parent);

	if (r == 0)
		r = strcmp(x->name, y->name);
	if (r == 0)
		r = order((uint64_t)x->layer.info.id.value, (uint64_t)y->layer.info.id.value);
	if (r == 0)
		r = order(x->bytes, y->bytes);
	return r || !x->text || !y->text ? r : memcmp(x->text, y->text, x->bytes);
}

/* --- what they hold --- */

static int set_text(struct image_node *node, struct buf *text)
{
	node->bytes = text->len;
	node->text = buf_take(text);
	return node->text ? 0 : -ENOMEM;
}

void image_node_add_link(struct buf *text, const char *id)
{
	for (size_t i = 0; i < LINK_DIGITS; i++) {
		char digit = (char)toupper(id[i]);

		buf_add(text, &digit, 1);
	}
}

static int fill_lower(const struct podmanindex *index, const struct image_node *in, struct image_node *ret)
{
	struct buf text = { 0 };

	for (const char *id = in->layer.parent; *id;) {
		const struct podmanindex_layer *layer = podmanindex_layer(index, id, PODMANINDEX_ID_BYTES);

		if (!layer) {
			buf_release(&text);
			return -ENOENT; /* its image went */
		}
		buf_adds(&text, text.len > 0 ? ":l/" : "l/");
		image_node_add_link(&text, id);
		id = layer->parent;
	}
	return text.len > 0 ? set_text(ret, &text) : -ENOENT;
}

static int fill_in_layer(const struct podmanindex *index, const struct image_node *in, const char *name,
			 struct image_node *ret)
{
	struct buf text = { 0 };

	ret->kind = NODE_FILE;
	if (strcmp(name, "lower") == 0)
		return fill_lower(index, in, ret);
	if (strcmp(name, "link") == 0) {
		image_node_add_link(&text, in->id);
		return set_text(ret, &text);
	}
	ret->kind = NODE_EMPTY;
	return strcmp(name, "merged") == 0 || (strcmp(name, "empty") == 0 && !in->layer.parent[0]) ? 0 : -ENOENT;
}

/* As containers/storage names a file of the key @key. Return: owned; NULL: no memory. */
static char *data_name(const char *key)
{
	AUTO(freep) char *encoded = base64_encode(key, strlen(key));
	char *name;

	return encoded && asprintf(&name, "=%s", encoded) >= 0 ? name : NULL;
}

static bool is_data_name(const char *name, const char *prefix, const struct digest *digest)
{
	char text[DIGEST_TEXT_BYTES], key[DIGEST_TEXT_BYTES + 16];
	AUTO(freep) char *right = NULL;

	snprintf(key, sizeof(key), "%s%s", prefix, digest_format(digest, text));
	right = data_name(key);
	return right && strcmp(name, right) == 0;
}

/* Rows of the index may have changed, so the image is asked for again; it is the one if its config is. */
static int read_files(struct store *store, const struct podmanindex *index, const char *id,
		      struct podmanindex_files *ret)
{
	const struct podmanindex_image *image = podmanindex_image(index, id);
	char text[DIGEST_TEXT_BYTES];
	int r = image ? podmanindex_files(store, image->image, ret) : -ENOENT;

	if (r < 0)
		return r;
	return strcmp(strchr(digest_format(&ret->config_digest, text), ':') + 1, id) == 0 ? 0 : -ENOENT;
}

static int fill_in_image(struct store *store, const struct podmanindex *index, const struct image_node *in,
			 const char *name, struct image_node *ret)
{
	AUTO(podmanindex_files_release) struct podmanindex_files files = { 0 };
	int r = name[0] == '=' || strcmp(name, "manifest") == 0 ? read_files(store, index, in->id, &files) : -ENOENT;

	if (r < 0)
		return r;
	ret->kind = NODE_FILE;
	if (is_data_name(name, "", &files.config_digest)) {
		ret->text = TAKE(files.config);
		ret->bytes = files.config_bytes;
	} else if (strcmp(name, "manifest") == 0 || is_data_name(name, "manifest-", &files.manifest_digest)) {
		ret->text = TAKE(files.manifest);
		ret->bytes = files.manifest_bytes;
	} else {
		return -ENOENT;
	}
	return 0;
}

int image_node_image(const struct podmanindex *index, const char *name, struct image_node *ret)
{
	const struct podmanindex_image *image = podmanindex_image(index, name);

	if (!image)
		return -ENOENT;
	ret->kind = NODE_IMAGE;
	ret->mtime = image->created;
	memcpy(ret->id, image->id, sizeof(ret->id));
	return 0;
}

int image_node_layer(const struct podmanindex *index, const char *name, struct image_node *ret)
{
	const struct podmanindex_layer *layer = podmanindex_layer(index, name, PODMANINDEX_ID_BYTES);

	if (!layer)
		return -ENOENT;
	ret->kind = NODE_LAYER;
	ret->layer = *layer;
	ret->shown.info = layer->info;
	snprintf(ret->shown.place, sizeof(ret->shown.place), "images/overlay/%s", layer->id);
	ret->mtime = layer->info.created;
	memcpy(ret->id, layer->id, sizeof(ret->id));
	return 0;
}

int image_node_split(const struct podmanindex *index, const char *name, struct image_node *ret)
{
	const struct podmanindex_layer *layer;
	char id[PODMANINDEX_ID_BYTES];

	if (strlen(name) != strlen(IMAGE_NODE_SPLIT_END) + sizeof(id) - 1 ||
	    strcmp(name + sizeof(id) - 1, IMAGE_NODE_SPLIT_END) != 0)
		return -ENOENT;
	memcpy(id, name, sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	layer = podmanindex_layer(index, id, sizeof(id));
	if (!layer)
		return -ENOENT;
	ret->kind = NODE_SPLIT;
	ret->mtime = layer->info.created;
	ret->layer = *layer;
	ret->bytes = tarsplit_bytes(layer->info.tar_bytes);
	return 0;
}

int image_node_link(const struct podmanindex *index, const char *name, struct image_node *ret)
{
	const struct podmanindex_layer *layer;
	char digits[LINK_DIGITS + 1];
	struct buf text = { 0 };

	if (strlen(name) != LINK_DIGITS)
		return -ENOENT;
	for (size_t i = 0; i <= LINK_DIGITS; i++) {
		if (islower(name[i]))
			return -ENOENT;
		digits[i] = (char)tolower(name[i]);
	}
	layer = podmanindex_layer(index, digits, LINK_DIGITS);
	if (!layer)
		return -ENOENT;
	ret->kind = NODE_SYMLINK;
	ret->mtime = layer->info.created;
	buf_addf(&text, "../%s/diff", layer->id);
	return set_text(ret, &text);
}

int image_node_below(struct store *store, const struct podmanindex *index, const struct image_node *in,
		     const char *name, struct image_node *ret)
{
	ret->mtime = in->mtime;
	if (in->kind == NODE_LAYER)
		return fill_in_layer(index, in, name, ret);
	return in->kind == NODE_IMAGE ? fill_in_image(store, index, in, name, ret) : -ENOENT;
}

/* --- names --- */

void image_node_add_name(struct buf *names, const char *name)
{
	buf_add(names, name, strlen(name) + 1);
}

static void name_data(struct buf *names, const char *prefix, const struct digest *digest)
{
	char text[DIGEST_TEXT_BYTES], key[DIGEST_TEXT_BYTES + 16];
	AUTO(freep) char *name = NULL;

	snprintf(key, sizeof(key), "%s%s", prefix, digest_format(digest, text));
	name = data_name(key);
	if (name)
		image_node_add_name(names, name);
}

int image_node_names(struct store *store, const struct podmanindex *index, const struct image_node *node,
		     struct buf *names)
{
	AUTO(podmanindex_files_release) struct podmanindex_files files = { 0 };
	int r;

	if (node->kind == NODE_LAYER) {
		image_node_add_name(names, "diff");
		image_node_add_name(names, "link");
		image_node_add_name(names, "merged");
		image_node_add_name(names, node->layer.parent[0] ? "lower" : "empty");
	}
	if (node->kind != NODE_IMAGE)
		return 0;
	r = read_files(store, index, node->id, &files);
	if (r < 0)
		return r;
	image_node_add_name(names, "manifest");
	name_data(names, "manifest-", &files.manifest_digest);
	name_data(names, "", &files.config_digest);
	return 0;
}
