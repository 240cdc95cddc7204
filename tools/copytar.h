/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_COPYTAR_H
#define NACRE_TOOLS_COPYTAR_H

/*
 * Files copied out of a container as a tar archive, and into one from such: "-" of nacre cp.  The container may be
 * running and may be hostile: no symlink leads out of its root.
 */

#include "store/base/diag.h"

#include <stdbool.h>
#include <sys/types.h>

struct copytar {
	/** @warn: told of each path that could not be copied whole, and why */
	void (*warn)(const char *path, const char *why, void *arg);
	void *arg;
	bool own_is_root; /* what belongs to the caller is root's in the container */
	int status;	  /* the first error */
};

/**
 * copytar_out() - write what @from is, with all that is below it, to the descriptor @out
 * @path: what people call it, for the warnings
 * @name: in the archive; NULL: only what is in the directory @from, without a name above it
 *
 * Left out is what copytree_node() leaves out.  Return: 0, also where @warn was told; -errno: the archive is not whole.
 */
int copytar_out(struct copytar *copy, int from, const char *path, const char *name, int out, struct diag *diag);

/**
 * copytar_in() - make what the archive @in has, which may be compressed, in the folder @dir below @root
 * @dir: as a process in there would call it; it is there
 *
 * libarchive_load() comes before.  Files take the place of files, directories join those that are there; owners, modes,
 * times and extended attributes are the archive's as far as the caller may set them.  Return: 0, also where @warn was
 * told; -EBADMSG: damaged, or an entry leads out of the folder; -errno.  What came before it is there.
 */
int copytar_in(struct copytar *copy, int in, int root, const char *dir, struct diag *diag);

#endif
