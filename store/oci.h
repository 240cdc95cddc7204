/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_OCI_H
#define NACRE_STORE_OCI_H

/*
 * Images from outside: an OCI image layout (image-spec image-layout.md), as
 * folder or tar, a docker archive (`docker save`), and a bare root file system.
 */

#include "store/image.h"
#include "store/ingest.h"

/* What happens while an image is loaded; each member may be NULL. */
struct load_events {
	/** A layer begins: its digest as the source names it, its size there (0 unknown). */
	void (*layer_begin)(const char *digest, uint64_t bytes, void *arg);
	void (*layer_progress)(uint64_t bytes, void *arg);
	/** It is in the store. */
	void (*layer_end)(const char *digest, enum layer_outcome outcome, void *arg);
	/** Of a layer that came in, so many xattrs were left out: an overlay's own marks, which would be obeyed. */
	void (*left_out)(const char *digest, uint64_t xattrs, void *arg);
	/** An image is in the store, under this tag ("" if it has none). */
	void (*image)(const char *tag, const struct digest *id, void *arg);
	/** The archive gave it a name that is none; or, with NULL, so many more of them. */
	void (*no_name)(const char *name, size_t more, const struct digest *id, void *arg);
	void *arg;
};

/**
 * image_load() - load every image of a layout or archive
 * @path: a folder (OCI layout), a file (tar of a layout, docker archive, either
 *        compressed or not), or "-": standard input (kept in a file of ingest/
 *        meanwhile, since its parts come in any order)
 * @platform: "os/arch[/variant]"; NULL: this machine's
 *
 * Every digest is checked, and all JSON before a byte is written. All images of the source, or none.
 * Of a multi-platform index the platform's image is taken; a single image, whatever it is for.
 *
 * Return: 0; -EBADMSG: no image archive, or damaged; -EKEYREJECTED: a digest or size does not
 * match; -ENOTSUP: a media type, digest algorithm or platform; -ENOENT: a part is missing; ... .
 */
int image_load(struct store *store, const char *path, const char *platform, const struct load_events *events,
	       struct diag *diag);

struct import_options {
	const char *tag;	    /* "name[:tag]" or NULL */
	const char *message;	    /* for the history; NULL: "Imported from NAME" */
	const char *const *changes; /* NULL-terminated Dockerfile instructions, or NULL */
};

/**
 * image_import() - a root file system's tar becomes an image of one layer
 * @path: a file or "-"
 *
 * The image's time is $SOURCE_DATE_EPOCH, else now.
 */
int image_import(struct store *store, const char *path, const struct import_options *options,
		 const struct load_events *events, struct diag *diag, struct image_id *ret);

#endif
