/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LAYERUSE_H
#define NACRE_STORE_LAYERUSE_H

/* What each layer of an image does to those below it, and what of it the image still shows. */

#include "store/image.h"

struct layer_use {
	/* Everything but directories, by its names. */
	uint64_t added;	  /* where nothing was shown before */
	uint64_t changed; /* in the place of something of a lower layer */
	uint64_t removed; /* of lower layers: hidden, with nothing in their place */
	uint64_t wasted_bytes; /* of this layer's files: those that upper layers hide; an inode once, when all its names are */
};

/**
 * image_layer_use() - of each layer of an image, the lowest first
 * @ret: room for image->layer_count
 *
 * Reads every row of the image.  Return: 0, -ENOMEM, -EIO.
 */
int image_layer_use(struct store *store, const struct image_info *image, struct layer_use *ret);

#endif
