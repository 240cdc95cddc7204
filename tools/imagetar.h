/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_IMAGETAR_H
#define NACRE_TOOLS_IMAGETAR_H

/* Files of an image as a tar archive, as nacre cp writes those of containers (copytar_out.c). */

#include "tools/copyout.h"

/**
 * image_tar() - @node with all that is below it, to the descriptor @out
 * @path: what the image calls it, for the warnings
 * @name: what the archive calls it; NULL: only what is in it
 * @warn: told of each file whose bytes cannot be read; it is left out, and the others follow
 *
 * Owners, modes, times and extended attributes are the image's, whoever asks.  The same files give the same archive.
 * Return: 0; the first -errno of what was told to @warn; -errno of @out, with the reason in @diag.
 */
int image_tar(struct store *store, struct view *view, const struct view_node *node, const char *path, const char *name,
	      int out, copyout_warn_fn warn, void *arg, struct diag *diag);

#endif
