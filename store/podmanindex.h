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

#include <xxhash.h>

enum { PODMANINDEX_ID_BYTES = 64 + 1 /* hex, NUL */ };

/* One of a list, as it stands there. */
struct podmanindex_text {
	char *json; /* owned */
	size_t bytes;
	XXH128_hash_t hash;
};

/* A layer over all those below it: one layer of nacre may be several of these. */
struct podmanindex_layer {
	char id[PODMANINDEX_ID_BYTES];	   /* as podman names it when it pulls: equal layers have equal IDs */
	char parent[PODMANINDEX_ID_BYTES]; /* "": it is the lowest */
	struct layer_info info;
	struct digest archive; /* as which it came or went out */
	int64_t archive_bytes; /* -1: it never did */
	struct podmanindex_text text;
	unsigned refs;
	uint64_t generation; /* the last index that has it */
};

struct podmanindex_image {
	char id[PODMANINDEX_ID_BYTES];
	struct image_id image;
	int64_t created;
	XXH128_hash_t stamp; /* of what may change in its rows */
	struct podmanindex_text text;
	struct podmanindex_layer **layers; /* owned, and a reference to each; lowest first */
	size_t layer_count;
	unsigned refs;
};

enum podmanindex_list { PODMANINDEX_IMAGES, PODMANINDEX_LAYERS };

/* What did not change is shared with the index before: so all that read one at a time, but of different versions, take turns. */
struct podmanindex {
	struct podmanindex_image **images; /* owned, and a reference to each; sorted by ID */
	struct podmanindex_image **by_row; /* owned; the same ones in the order of the rows */
	size_t image_count;
	struct podmanindex_layer **layers; /* owned, and a reference to each; sorted by ID */
	size_t layer_count;
	size_t *starts[2]; /* owned: of each list, where each of it begins; and where the next would */
	int64_t last_blob; /* the newest row of blob */
	uint64_t generation;
	char mark[PODMANINDEX_ID_BYTES]; /* another one if a list is another one, or a layer came again */
};

/**
 * podmanindex_read() - all images but those that lost layers or their manifest's right text
 * @old: an earlier one of the same store, of which what is the same is taken; all zero: none
 *
 * Return: 0; -ENOMEM; -EIO: the store is damaged.
 */
int podmanindex_read(struct store *store, const struct podmanindex *old, struct podmanindex *ret);
void podmanindex_release(struct podmanindex *index);

/** podmanindex_count() - how many are in the list. podmanindex_text() - one of them; borrowed from @index. */
size_t podmanindex_count(const struct podmanindex *index, enum podmanindex_list list);
const struct podmanindex_text *podmanindex_text(const struct podmanindex *index, enum podmanindex_list list, size_t i);

/** podmanindex_bytes() - how long images.json or layers.json is. */
size_t podmanindex_bytes(const struct podmanindex *index, enum podmanindex_list list);
/** podmanindex_copy() - what it has from @offset on, at most @size. Return: how many bytes. */
size_t podmanindex_copy(const struct podmanindex *index, enum podmanindex_list list, char *buf, size_t size,
			size_t offset);

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
