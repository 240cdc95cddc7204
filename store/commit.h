/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_COMMIT_H
#define NACRE_STORE_COMMIT_H

/*
 * From an overlayfs upper to a layer: what differs, and the canonical tar of it.
 * The upper is only read.  Every form of whiteout, opaque mark and owner
 * override that store/ovl.h knows is understood, redirects included.
 */

#include "store/image.h"

/**
 * upper_diff() - docker's `diff`: kind 'A', 'C' or 'D', and the path ("/etc/motd")
 * of all that @upper changes in @image, in byte order of the paths
 *
 * A directory that was only copied up counts as C when something in it changed, as docker has it.
 */
typedef int (*upper_diff_fn)(char kind, const char *path, void *arg);
int upper_diff(struct store *store, struct image_id image, const char *upper, upper_diff_fn fn, void *arg,
	       struct diag *diag);

struct commit_options {
	const char *message;	    /* may be NULL */
	const char *author;	    /* may be NULL */
	const char *tag;	    /* "name[:tag]" or NULL */
	const char *const *changes; /* NULL-terminated Dockerfile instructions, or NULL */
	int64_t created;	    /* seconds, from SOURCE_DATE_EPOCH; -1: now */
	bool squash;		    /* one layer of all there is, instead of one more */
	progress_fn progress;
	void *progress_arg;
};

/** upper_commit_check() - what upper_commit() would refuse before it reads the upper. */
int upper_commit_check(struct store *store, struct image_id image, const struct commit_options *options,
		       struct diag *diag);

/**
 * upper_commit() - @image plus one layer made of @upper becomes a new image
 *
 * Squashed, its one layer is the merged tree of both; of the history one line is left, of the config all else.
 *
 * The same upper gives the same diff ID on every machine: entries sorted by
 * path bytes, numeric owners, pax headers only where needed, no atime or ctime.
 * Works on the upper of a live mount; a file that changes while it is read makes
 * the commit fail (-EAGAIN, diag names it) rather than tell a mixture.
 */
int upper_commit(struct store *store, struct image_id image, const char *upper, const struct commit_options *options,
		 struct diag *diag, struct image_id *ret, struct ingest_result *ret_layer);

#endif
