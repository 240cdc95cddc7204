/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_LIVE_H
#define NACRE_TOOLS_LIVE_H

/*
 * Commits of a container that is in use: its upper becomes a layer, a fresh one takes its place.  And the lock that
 * keeps from one another all who commit, mount, start or remove a container.
 */

#include "store/commit.h"
#include "tools/target.h"

/**
 * live_lock() - before the container is removed: nobody else commits, mounts or starts it
 * @target: looked up anew
 * @ret_lock: close it when all is done; -1: its folder is lost
 */
int live_lock(struct store *store, struct target *target, struct diag *diag, int *ret_lock);

/** live_remove() - a container that is not in use. -EBUSY: it is. */
int live_remove(struct store *store, const char *container_id, struct diag *diag);

/**
 * live_begin() - before the container is committed or mounted: nobody else does, and what
 * an interrupted live commit left is a layer
 * @target: looked up anew
 * @ret_lock: close it when all is done
 */
int live_begin(struct store *store, struct target *target, struct diag *diag, int *ret_lock);

/**
 * live_commit() - a mounted container's image and what was changed in it become a new image, of which the container is
 * from now on
 *
 * After live_begin().
 * Return: 0; -EINVAL: it is not mounted; -EBUSY: its driver could not do it now; ... .  If it fails after the upper
 * was put aside, the next live_begin() makes the layer.
 */
int live_commit(struct store *store, struct target *target, const struct commit_options *options, struct diag *diag,
		struct image_id *ret);

/** live_end() - the container was unmounted: remove what only the mount needed.  What cannot be removed now is later. */
void live_end(struct store *store, const char *container_id);

#endif
