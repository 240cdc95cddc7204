/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_COPYOUT_H
#define NACRE_TOOLS_COPYOUT_H

/* Files of an image as real files, as cp -a copies them. */

#include "store/view.h"

struct copyout;

/**
 * copyout_new() - @view is borrowed until copyout_freep()
 * @warn: told of each path that could not be copied whole, in the image, and why
 */
typedef void (*copyout_warn_fn)(const char *path, const char *why, void *arg);
struct copyout *copyout_new(struct store *store, struct view *view, copyout_warn_fn warn, void *arg);
void copyout_freep(struct copyout **copyout);

/**
 * copyout_node() - copy @node with all that is below it to @name in the folder @dirfd
 * @path: what the image calls it, for the warnings
 *
 * Modes, times, symlinks, hard links among what one copyout copies, devices and extended attributes as far as
 * the caller may set them; owners where root asks, else the set-id bits go, as with cp -a.  A directory joins
 * one that is there; any other file takes a file's place.  No symlink at the target is followed.
 *
 * What cannot be made is told to @warn, and the rest is copied.  Return: 0, or the first -errno.
 */
int copyout_node(struct copyout *copyout, const struct view_node *node, const char *path, int dirfd, const char *name);

#endif
