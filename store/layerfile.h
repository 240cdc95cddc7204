/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LAYERFILE_H
#define NACRE_STORE_LAYERFILE_H

/*
 * A layer on its way out, as a file without a name: its uncompressed stream as
 * it came in, or that compressed by gzip.  The same layer gives the same gzip with
 * the same zlib everywhere (level 6, no name, no time).
 */

#include "store/image.h"

#include <stdatomic.h>

struct layerfile {
	int fd;		      /* owned; -1: none */
	struct digest digest; /* of the file */
	uint64_t bytes;
};

/**
 * layerfile_make() - in $TMPDIR or /var/tmp
 * @stop: makes it end with -ECANCELED; may be NULL
 *
 * Return: 0; -EIO: the store is damaged: the stream has not the layer's diff ID; -ENOSPC; ... .
 */
int layerfile_make(struct store *store, struct layer_id layer, bool gzip, const atomic_bool *stop, struct diag *diag,
		   struct layerfile *ret);
void layerfile_release(struct layerfile *file);

#endif
