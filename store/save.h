/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_SAVE_H
#define NACRE_STORE_SAVE_H

#include "store/image.h"

enum save_format {
	SAVE_DOCKER,	 /* a tar as `docker save` writes it: manifest.json, configs, uncompressed layers */
	SAVE_OCI,	 /* a tar of an OCI image layout */
	SAVE_OCI_FOLDER, /* the layout itself */
};

struct save_options {
	enum save_format format;
	bool gzip; /* OCI: layers compressed, which may bring back the manifest that an image came with */
};

/**
 * image_save() - write images out, so that others can read them
 * @refs: of @count images; those named by a tag go out with that tag
 * @path: a file, which is replaced in one step; "-": standard output; for SAVE_OCI_FOLDER a folder that is
 *	  made, or is empty
 *
 * Each layer is its stream as it came in; that is checked while it is written.
 * Return: 0; -ENOENT: no such image; -EIO: the store is damaged; -ENOTEMPTY; ... .
 */
int image_save(struct store *store, const char *const *refs, size_t count, const char *path,
	       const struct save_options *options, struct diag *diag);

#endif
