/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LAYERUSE_H
#define NACRE_STORE_LAYERUSE_H

/* What each layer of an image does to those below it, and what of it the image still shows. */

#include "store/image.h"

#include <stdatomic.h>
#include <stdbool.h>

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

/* A file whose bytes are wasted. */
struct layer_waste {
	const char *path; /* from the root, without a leading '/'; of several names the last that was hidden; borrowed */
	size_t layer;	  /* that holds it; 0 is the lowest */
	uint64_t bytes;	  /* not 0 */
};

/** Return 0 to go on, another value to stop: it is passed on. */
typedef int (*layer_waste_fn)(const struct layer_waste *waste, void *arg);

/**
 * image_layer_waste() - image_layer_use(), which also tells each file that is wasted, as the walk meets it
 * @stop: looked at after each directory: another thread ends the walk by setting it; NULL: nobody does
 *
 * Return: what image_layer_use() does; what @fn returned; -ECANCELED: stopped.
 */
int image_layer_waste(struct store *store, const struct image_info *image, struct layer_use *ret, layer_waste_fn fn,
		      void *arg, const atomic_bool *stop);

#endif
