/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_COPYTREE_H
#define NACRE_TOOLS_COPYTREE_H

/*
 * Files copied into or out of a container, which may be running and may be hostile: what was opened once is worked on
 * through its descriptor, and no symlink is followed on either side.
 */

#include "tools/linkset.h"

#include <stdbool.h>
#include <sys/types.h>

struct copytree {
	bool owners; /* keep owners, as far as that may be; else what is made is the caller's */
	/** @warn: told of each path that could not be copied whole, and why */
	void (*warn)(const char *path, const char *why, void *arg);
	void *arg;
	dev_t target_dev; /* the folder that is copied to */
	ino_t target_ino;
	int status;	      /* the first error */
	struct linkset links; /* linkset_release() it */
};

/**
 * copytree_node() - copy what @from is, with all that is below it, to @name in the folder @dirfd
 * @from: any descriptor, O_PATH ones too; of a symlink it is the link that is copied
 * @path: what people call it, for the warnings
 *
 * Modes, times, symlinks, hard links, devices and extended attributes as far as the caller may set them; set-id bits go
 * where the owner does not stay the same.  A directory joins one that is there; any other file takes a file's place.
 * Sockets are left out, and so is what the kernel shows in a container (proc, sysfs, ...).
 *
 * What cannot be made is told to @warn, and the rest is copied.  Return: 0, or the first -errno.
 */
int copytree_node(struct copytree *copy, int from, const char *path, int dirfd, const char *name);

/** copytree_children() - the same with each of what is in the directory @from; the directory's own attributes stay. */
int copytree_children(struct copytree *copy, int from, const char *path, int dirfd);

/** copytree_onto() - write the regular file @from over the regular file @to, which keeps its owner, names and mode. */
int copytree_onto(struct copytree *copy, int from, const char *path, int to);

/** copytree_reopen() - a descriptor to read or write with, of an O_PATH one. Return: it, or -errno. */
int copytree_reopen(int fd, int flags);

/** copytree_is_kernels() - what no copy should have: what the kernel shows in a container as @name, and its devices. */
bool copytree_is_kernels(int fd, const char *name);

#endif
