/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_EXPORT_H
#define NACRE_STORE_EXPORT_H

/*
 * Trees and layers as one tar, without the image around them.
 */

#include "store/image.h"

struct export_options {
	const char *path; /* a file, which is replaced when all is written; "-": standard output */
	progress_fn progress;
	void *progress_arg;
};

/**
 * image_export() - the merged tree of the lowest @layers layers (0: all) of an image
 * @upper: on top of it; NULL: none
 *
 * In the canonical form of uppertar.h: the same tree gives the same bytes everywhere.  The image is
 * leased meanwhile.
 * Return: 0; -EAGAIN: a file of the upper changed while it was read; -EIO: the store is damaged; -ENOSPC; ... .
 */
int image_export(struct store *store, struct image_id image, size_t layers, const char *upper,
		 const struct export_options *options, struct diag *diag);

/** layer_export() - layer @number (1 is the lowest) of an image: the stream that it came in as, byte for byte. */
int layer_export(struct store *store, struct image_id image, size_t number, const struct export_options *options,
		 struct diag *diag);

#endif
