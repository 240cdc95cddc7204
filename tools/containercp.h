/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_CONTAINERCP_H
#define NACRE_TOOLS_CONTAINERCP_H

/* nacre cp into and out of containers, as docker's. */

#include <stdbool.h>

struct cli;

struct container_cp {
	const char *name; /* the container, as it was called */
	const char *path; /* in it */
	const char *here; /* on this machine */
	bool stream;	  /* instead, a tar archive on standard output or input */
	bool out;	  /* from the container to here; else the other way */
	bool owners;	  /* -a */
	bool follow;	  /* -L: of a symlink that is named, what it leads to */
};

/**
 * container_cp() - copy, whether it runs, is mounted, or neither: then it is mounted meanwhile
 *
 * In the container symlinks lead to where they lead for a process in it, never out of it.
 * Return: DONE; FAILED, which was said.
 */
int container_cp(struct cli *cli, const struct container_cp *cp);

#endif
