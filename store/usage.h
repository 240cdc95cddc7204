/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_USAGE_H
#define NACRE_STORE_USAGE_H

/*
 * What things cost.  All counts are bytes of distinct contents, tar framings
 * among them, before the file system's blocks; rows of the index are not in them.
 */

#include "store/image.h"

/* Of one image or one layer. */
struct usage_item {
	struct digest digest;  /* image ID, diff ID */
	char *name;	       /* owned: an image's first tag; NULL: it has none */
	uint64_t layers;       /* of an image */
	uint64_t images;       /* that a layer is in */
	uint64_t size_bytes;   /* its files' sizes added up, each inode once; of an image those of all its layers */
	uint64_t alone_bytes;  /* stored for nothing else: what its removal would give back */
	uint64_t shared_bytes; /* stored for it and for something else too */
};

struct usage {
	struct usage_item *images, *layers; /* owned; images by what they cost alone, layers in the order they came */
	size_t image_count, layer_count;
	uint64_t contents;	 /* that are stored */
	uint64_t stored_bytes;	 /* of them */
	uint64_t unshared_bytes; /* what they would be if each file of each layer had a content of its own */
	uint64_t index_bytes;	 /* index.db */
};

/** store_usage() - of the whole store, in one state of it. Release @ret with usage_release(). */
int store_usage(struct store *store, struct diag *diag, struct usage *ret);
void usage_release(struct usage *usage);

#endif
