/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_TARGET_H
#define NACRE_TOOLS_TARGET_H

/*
 * What DIR|CONTAINER means on the command line: a word with a '/' in it, "."
 * and ".." are folders; any other is a container's ID or name, and a folder if
 * there is no such container.
 */

#include "store/container.h"
#include "tools/runstate.h"

struct target {
	struct container_info container;
	bool mounted;	      /* a mount of ours is seen at container.mountpoint right now */
	struct run_state run; /* owned: of one that `nacre run` made */
};

/**
 * target_find() - Return: 0; -ENOENT; -EINVAL: a folder where no container is mounted; -ENOTUNIQ; ... .
 * @diag says which, and what helps.
 */
int target_find(struct store *store, const char *what, struct diag *diag, struct target *ret);
void target_release(struct target *target);

/** target_of_container() - by ID or name only. */
int target_of_container(struct store *store, const char *what, struct diag *diag, struct target *ret);

/** target_is_path() - can @what only be a folder? */
bool target_is_path(const char *what);

/** target_sync() - what the kernel still keeps of a live mount, or of one that runs, is written. */
int target_sync(const struct target *target, struct diag *diag);
/** target_flush() - the same before the upper is read. -EBUSY: not all that was changed is in it (live.h). */
int target_flush(const struct target *target, struct diag *diag);

/** target_hint() - what helps when none was found. */
const char *target_hint(int err);

#endif
