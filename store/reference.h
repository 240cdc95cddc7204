/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REFERENCE_H
#define NACRE_STORE_REFERENCE_H

/*
 * How images are named, for files of store/ (image.h has the words for users).
 * Source: github.com/distribution/reference, regexp.go.
 */

#include "store/db.h"

enum reference_kind {
	REFERENCE_NAME, /* "name:tag" */
	REFERENCE_ID,	/* an image ID or a prefix of one */
};

/**
 * reference_find() - the image of a reference
 * @ret_kind: how it was named
 * @ret_tag: the normalised "name:tag" for REFERENCE_NAME, to free(); else NULL
 * Return: as image_find().
 */
int reference_find(struct db *db, const char *ref, struct diag *diag, struct image_id *ret,
		   enum reference_kind *ret_kind, char **ret_tag);

#endif
