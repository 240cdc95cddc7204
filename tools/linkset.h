/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_LINKSET_H
#define NACRE_TOOLS_LINKSET_H

/* Copying trees: where the first name of an inode that has several was made, for the others to be linked to. */

#include <stdbool.h>
#include <stdint.h>

/* What an inode goes by where it comes from: two numbers. */
struct linkset_key {
	uint64_t space, no;
};

struct linkset {
	struct linkset_name *first; /* owned */
};

void linkset_release(struct linkset *set);

/** linkset_add() - @name in the folder @dirfd is a copy of @key. Forgotten where no descriptor is left. */
void linkset_add(struct linkset *set, struct linkset_key key, int dirfd, const char *name);

/** linkset_link() - make @name in the folder @dirfd one more name of the copy of @key. Return: is it made? */
bool linkset_link(const struct linkset *set, struct linkset_key key, int dirfd, const char *name);

#endif
