/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_UPPERTAR_H
#define NACRE_STORE_UPPERTAR_H

/*
 * An upper as the canonical tar of a layer, or the merged tree of image and upper.
 *
 *   - entries in the order of upper_walk(), in the form of tarwrite.h
 *   - a whiteout is an empty file ".wh.NAME", an opaque directory holds ".wh..wh..opq"
 *     first; both with mode, owner and time 0 (OCI image-spec layer.md)
 *   - of hard links the first in order holds the data, the others are link entries
 *   - every directory of the upper has its entry, since its time or owner may have changed;
 *     the root has one ("./") only if its mode, owner, time or xattrs differ from the
 *     image's root, because few layers have one and most uppers do not touch it
 *   - the merged tree has no whiteouts, and every directory its entry; only the root
 *     that no layer of the image says anything of has none
 */

#include "store/ingest.h"
#include "store/upper.h"

typedef int (*tar_sink_fn)(const void *bytes, size_t count, void *arg);

/**
 * upper_tar() - write the layer that @upper makes of @view's image to @sink
 * @view: NULL: there is no image, and @upper a folder like any other
 * @whole: not what differs, but the merged tree; @upper may be NULL then
 *
 * Reads each file once. Return: 0; what @sink returned; -EAGAIN: a file changed while it
 * was read (diag names it); the errors of upper_walk().
 */
int upper_tar(struct store *store, struct view *view, const char *upper, bool whole, tar_sink_fn sink, void *arg,
	      struct diag *diag);

/**
 * upper_ingest() - a layer of the store, of what upper_tar() writes
 * @options: with @own false its limits (limits.h) count
 */
int upper_ingest(struct writer *writer, struct view *view, const char *upper, bool whole,
		 const struct ingest_options *options, struct diag *diag, struct ingest_result *ret);

#endif
