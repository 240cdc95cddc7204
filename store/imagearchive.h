/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_IMAGEARCHIVE_H
#define NACRE_STORE_IMAGEARCHIVE_H

/*
 * What repair may take from: an OCI layout, a docker archive, or a bare tar of a root file system.  Of indexes for several
 * platforms all images count.
 */

#include "store/members.h"

#include "store/base/digest.h"

struct image_archive;

/**
 * image_archive_open() - a file or folder, or "-": standard input
 *
 * All its JSON is read; of a bare tar all bytes are, for its diff ID.
 * Return: 0; -EBADMSG: none of the three; ... .
 */
int image_archive_open(struct store *store, const char *path, struct diag *diag, struct image_archive **ret);
void image_archive_close(struct image_archive *archive);

/** image_archive_name() - what messages call it */
const char *image_archive_name(const struct image_archive *archive);

/** image_archive_has() - a layer with this diff ID, by what it says of itself */
bool image_archive_has(const struct image_archive *archive, const struct digest *diff_id);

/* A layer in it. */
struct image_archive_layer {
	struct member member;	   /* member_release() it */
	const struct digest *blob; /* borrowed; NULL: not known */
	int64_t bytes;		   /* of the blob; -1: not known */
};

/** image_archive_layer() - one that image_archive_has(), to be read; nothing of it was checked. -ENOENT: it has lost it. */
int image_archive_layer(struct image_archive *archive, const struct digest *diff_id, struct diag *diag,
			struct image_archive_layer *ret);

/** image_archive_text() - an image's config or manifest, by its digest; borrowed; NULL: it is not in there */
const char *image_archive_text(const struct image_archive *archive, const struct digest *digest, size_t *ret_bytes);

#endif
