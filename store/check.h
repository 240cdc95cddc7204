/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_CHECK_H
#define NACRE_STORE_CHECK_H

/*
 * Is the store sound?  The invariants of its index (schema.c), a file of the
 * right size for every content, and, with its bytes read, every bit of every
 * layer: contents against their hashes, the tar stream that a layer gives back
 * against its diff ID, and the rows of its tree against that stream.
 */

#include "store/image.h"

/* One thing that is wrong; all borrowed for the call. */
struct check_fault {
	const char *text;
	const char *const *images; /* names, or IDs, of the images that it is in */
	size_t image_count;
	const struct digest *layer; /* NULL: of no layer */
	const char *path;	    /* NULL: of no file; "" is the root */
};
typedef void (*check_fn)(const struct check_fault *fault, void *arg);

struct check_options {
	bool bytes;		       /* read every content; without: only rows and the sizes of files */
	const struct image_id *images; /* borrowed: only what these images have is read */
	size_t image_count;	       /* 0: everything */
	void (*bad)(struct content_id id, void *arg);	 /* told each damaged content; may be NULL */
	void (*bad_rows)(struct layer_id id, void *arg); /* told each layer whose rows are not its stream's; likewise */
	progress_fn progress;				 /* may be NULL */
	void *progress_arg;
};

struct check_result {
	uint64_t faults;
	uint64_t images, layers, contents, bytes; /* that were looked at */
	uint64_t leftovers, leftover_bytes;	  /* files that no row names, which gc removes: no fault */
};

/**
 * store_check() - look at everything, change nothing
 * @fn: told each fault as it is found
 *
 * Works on a store that may only be read.  gc waits meanwhile, writers do not.
 * Return: 0 when it came to its end, whatever it found; -errno if it could not.
 */
int store_check(struct store *store, const struct check_options *options, check_fn fn, void *arg, struct diag *diag,
		struct check_result *ret);

/** store_check_bytes() - how many bytes of content store_check() will read, for its progress. */
int store_check_bytes(struct store *store, uint64_t *ret);

#endif
