/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_OTHERNAMES_H
#define NACRE_FS_OTHERNAMES_H

/* The other names of a file that is copied up under one of them (othernames.c). */

#include "fs/internal.h"

struct other_names {
	char **paths; /* owned; from the root of the layer, "usr/bin/perl" */
	size_t count;
	uint16_t layer; /* the layer's index */
	uint32_t total; /* how many names the file has by now */
};

/**
 * other_names_find() - the names that @node has in the layer it is in, as far as that can be known
 *
 * Before the copy-up, as the node forgets then where it came from.  No lock is held.
 */
int other_names_find(struct fs *fs, struct node *node, struct other_names *ret);
void other_names_release(struct other_names *names);

/**
 * other_names_place() - give the upper, which has a copy of @node, all names under which the tree shows the file
 *
 * No lock is held.  If it fails, the switch to another upper tries once more (fs->names_lacking).
 */
int other_names_place(struct fs *fs, struct node *node, const struct other_names *names);

/** other_names_place_known() - the same of the names that memory has. */
int other_names_place_known(struct fs *fs, struct node *node);

#endif
