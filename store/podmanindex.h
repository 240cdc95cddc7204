/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_PODMANINDEX_H
#define NACRE_STORE_PODMANINDEX_H

/*
 * The images of a store as containers/storage (podman, buildah, CRI-O) lists them: images.json and layers.json.
 *
 * Source: containers/storage, images.go and layers.go (struct Image, struct Layer); containers/image, storage_dest.go, for
 * what its users expect to be in them.
 */

#include "store/image.h"

enum { PODMANINDEX_ID_BYTES = 64 + 1 /* hex, NUL */ };

/* A layer over all those below it: one layer of nacre may be several of these. */
struct podmanindex_layer {
	char id[PODMANINDEX_ID_BYTES];	   /* as podman names it when it pulls: equal layers have equal IDs */
	char parent[PODMANINDEX_ID_BYTES]; /* "": it is the lowest */
	struct layer_info info;
	struct digest archive; /* as which it came or went out */
	int64_t archive_bytes; /* -1: it never did */
};

struct podmanindex_image {
	char id[PODMANINDEX_ID_BYTES];
	struct image_id image;
};

struct podmanindex {
	char *images_json, *layers_json; /* owned */
	size_t images_bytes, layers_bytes;
	struct podmanindex_image *images; /* owned; sorted by ID */
	size_t image_count;
	struct podmanindex_layer *layers; /* owned; sorted by ID */
	size_t layer_count;
};

/**
 * podmanindex_read() - all images but those that lost layers or their manifest's right text
 *
 * Return: 0; -ENOMEM; -EIO: the store is damaged.
 */
int podmanindex_read(struct store *store, struct podmanindex *ret);
void podmanindex_release(struct podmanindex *index);

/** podmanindex_image() - by its whole ID; NULL: it is not there. Borrowed from @index. */
const struct podmanindex_image *podmanindex_image(const struct podmanindex *index, const char *id);
/** podmanindex_layer() - by the first @digits of its ID. */
const struct podmanindex_layer *podmanindex_layer(const struct podmanindex *index, const char *id, size_t digits);

/** podmanindex_top() - the ID of the image's highest layer; "": it has none. Return: 0; -ENOENT; -EIO: layers are lost. */
int podmanindex_top(struct store *store, struct image_id image, char ret[static PODMANINDEX_ID_BYTES]);

/* What belongs to an image as files. */
struct podmanindex_files {
	char *config, *manifest; /* owned */
	size_t config_bytes, manifest_bytes;
	struct digest config_digest, manifest_digest;
};
/** podmanindex_files() - the manifest is the one that the image came with, or a new one over uncompressed layers. */
int podmanindex_files(struct store *store, struct image_id image, struct podmanindex_files *ret);
void podmanindex_files_release(struct podmanindex_files *files);

#endif
