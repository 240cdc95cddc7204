/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_OUTGOING_H
#define NACRE_STORE_OUTGOING_H

/*
 * An image on its way out, to a registry or a layout: what its layers were
 * called outside before, and the manifest that results.
 */

#include "store/origin.h"

#include <jansson.h>

#define OUTGOING_MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define OUTGOING_CONFIG_TYPE   "application/vnd.oci.image.config.v1+json"
#define OUTGOING_TAR_TYPE      "application/vnd.oci.image.layer.v1.tar"
#define OUTGOING_GZIP_TYPE     "application/vnd.oci.image.layer.v1.tar+gzip"

struct outgoing_layer {
	struct layer_info info;
	bool named;		   /* the image's kept manifest calls it... */
	struct origin_blob wanted; /* owned: ...this */
	struct origin_blob *known; /* owned: more names, see origin_blobs() */
	size_t known_count;
	struct origin_blob out; /* owned: what it goes out as; filled by whoever sends it */
};

struct outgoing {
	struct image_info image;	 /* owned */
	struct digest id;		 /* of the config */
	struct origin_manifest manifest; /* owned: as kept; may be none */
	struct outgoing_layer *layers;	 /* owned; lowest first */
};

int outgoing_init(struct store *store, struct image_id image, struct diag *diag, struct outgoing *ret);
void outgoing_release(struct outgoing *outgoing);

/** outgoing_set() - what a layer goes out as. */
int outgoing_set(struct outgoing_layer *layer, const struct digest *digest, uint64_t bytes, const char *media_type);

/**
 * outgoing_manifest() - once each layer has its `out`
 * @ret: owned. The kept one, byte for byte, if the layers go out as it says; else a new one
 * @ret_kept: which of the two
 */
int outgoing_manifest(const struct outgoing *outgoing, struct origin_manifest *ret, bool *ret_kept);

#endif
