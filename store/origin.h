/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_ORIGIN_H
#define NACRE_STORE_ORIGIN_H

/*
 * What an image and its layers were outside: the manifest, byte for byte, and
 * the blobs that layers came in or went out as.  The compressed bytes are not kept;
 * but with this an image goes back to a registry that has its blobs, or with blobs that can be made
 * again, under the digest it had.  All of it may be missing.
 */

#include "store/db.h"
#include "store/image.h"

struct origin_blob {
	struct digest digest;
	int64_t bytes;
	char *media_type; /* owned */
	char *source;	  /* owned: "HOST/REPOSITORY" that has it; NULL: not known */
};
void origin_blob_release(struct origin_blob *blob);

struct origin_manifest {
	char *text; /* owned; NULL: there is none */
	size_t bytes;
	char *media_type;     /* owned */
	struct digest digest; /* that the text had when it came */
	bool sound;	      /* it still has, and the media type is one that such a text has */
};
void origin_manifest_release(struct origin_manifest *manifest);

/** origin_keep() - remember a manifest; in the place of one that is there. Text and media type alone are looked at. */
int origin_keep(struct txn *txn, struct image_id image, const struct origin_manifest *manifest);
/** origin_keep_blob() - remember that @layer is this blob; its source is only replaced by another one. */
int origin_keep_blob(struct txn *txn, struct layer_id layer, const struct origin_blob *blob);

/** origin_restore() - a manifest's text and media type are these again. */
int origin_restore(struct store *store, struct image_id image, const struct origin_manifest *manifest);
/** origin_forget() - the manifest that an image came with; it goes out with a new one from then on. */
int origin_forget(struct store *store, struct image_id image);

/** origin_manifest_type() - the media type of a manifest: its own word, else OCI's. Return: 0, -EBADMSG: it is no JSON. */
int origin_manifest_type(const char *text, size_t bytes, char **ret);

/** origin_manifest() - Return: 0, with or without one, sound or not. */
int origin_manifest(struct store *store, struct image_id image, struct origin_manifest *ret);
/* Rows that are damaged are not there for these two. */
/** origin_layer() - the layer that came in or went out as this blob, of @ret_bytes. Return: 0, -ENOENT. */
int origin_layer(struct store *store, const struct digest *blob, struct layer_id *ret, uint64_t *ret_bytes);
/** origin_blobs() - all that are known of a layer, the newest first; free with origin_blobs_free() */
int origin_blobs(struct store *store, struct layer_id layer, struct origin_blob **ret, size_t *ret_count);
void origin_blobs_free(struct origin_blob *blobs, size_t count);

#endif
