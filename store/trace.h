/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TRACE_H
#define NACRE_STORE_TRACE_H

/*
 * Where a path of an image comes from: what each layer has to say of it, from
 * the highest down, also what others hide.
 */

#include "store/image.h"
#include "store/layer.h"

enum trace_kind {
	TRACE_SHOWN,   /* its entry is what the image shows */
	TRACE_MERGED,  /* a directory that one above shows together with its own entries */
	TRACE_HIDDEN,  /* an entry that a layer above hides or replaces */
	TRACE_REMOVED, /* no entry, but a mark or a file in its place that hides those below */
};

/** trace_kind_text() - in a word: "shown", "merged", "hidden", "removed" */
const char *trace_kind_text(enum trace_kind kind);

struct trace_step {
	enum trace_kind kind;
	size_t layer;			 /* 0 is the lowest */
	const struct layer_entry *entry; /* NULL: TRACE_REMOVED; borrowed for the call */
	const char *at; /* TRACE_REMOVED: the path that was taken away or replaced, @path or one above it; borrowed */
};

/** Return 0 to go on; another value ends the trace and is passed on. */
typedef int (*trace_fn)(const struct trace_step *step, void *arg);

/**
 * path_trace() - what the layers of an image hold of @path
 * @path: relative to the root, "" is the root; no "." or ".."; symlinks are not followed
 *
 * Layers that say nothing of it are left out, and marks with nothing under them, so
 * that a path that never was calls @fn not once.  Return: 0; what @fn returned; -errno of the store.
 */
int path_trace(struct store *store, const struct image_info *image, const char *path, trace_fn fn, void *arg);

#endif
