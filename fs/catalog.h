/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_CATALOG_H
#define NACRE_FS_CATALOG_H

/*
 * Which trees a mount of several shows, and where: each is a leaf, whose path names the folders that lead to it.
 *
 * Of a whole store:
 *	images/NAME/TAG		a '/' in NAME makes folders; where a folder has the tag's name too, ":TAG"
 *	images/@none/ID		images without a name
 *	layers/ID
 * Of one image:
 *	1-ID ... N-ID		its layers, with as many digits as the last needs
 *	merged
 * ID is the first 12 digits, or all where that is not enough.
 */

#include "store/image.h"

#include <stdbool.h>

struct leaf {
	char *path;	      /* owned */
	struct digest digest; /* the image's, or with @one_layer the layer's diff ID */
	bool one_layer;
	struct layer_id *layers; /* owned; lowest first */
	size_t layer_count;
};

struct catalog {
	struct leaf *leaves; /* owned; sorted by path */
	size_t count, room;
	bool all; /* of a whole store: images and layers are there even if they are empty */
};

void leaf_release(struct leaf *leaf);
int leaf_copy(const struct leaf *leaf, struct leaf *ret);

/** catalog_read_all() - in one state of the store. Release @ret in any case. */
int catalog_read_all(struct store *store, struct diag *diag, struct catalog *ret);
int catalog_read_image(struct store *store, struct image_id image, struct diag *diag, struct catalog *ret);
void catalog_release(struct catalog *catalog);

/** catalog_leaf() - at exactly @path; NULL: none. Borrowed. */
const struct leaf *catalog_leaf(const struct catalog *catalog, const char *path);
/** catalog_is_folder() - does @path ("" is the root) lead to leaves? */
bool catalog_is_folder(const struct catalog *catalog, const char *path);
/** catalog_children() - each name in a folder, once; @fn's value other than 0 ends it and is passed on. */
typedef int (*catalog_fn)(const char *name, void *arg);
int catalog_children(const struct catalog *catalog, const char *path, catalog_fn fn, void *arg);

#endif
