/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_FROZEN_H
#define NACRE_STORE_FROZEN_H

/*
 * The folders of a container whose upper becomes a layer while it is mounted (frozen.c
 * says what is on disk when).
 */

#include "store/container.h"

/**
 * container_lock() - be the only one who commits, mounts, starts or removes the container
 * @ret_fd: close it to unlock
 *
 * Waits for who does.  What a crash left in the middle of container_freeze() is put right.
 * What was known of the container before may have changed.
 * Return: 0; -ENOENT: it was removed meanwhile; ... .
 */
int container_lock(struct store *store, const char *id, struct diag *diag, int *ret_fd);
/** container_try_lock() - -EBUSY instead of waiting. */
int container_try_lock(struct store *store, const char *id, struct diag *diag, int *ret_fd);

/**
 * container_freeze() - put the upper aside, and an empty one in its place, durably
 * @container: locked, and nothing of it is frozen; its @frozen is set
 *
 * A driver that has the upper open goes on with it until it is told.
 */
int container_freeze(struct store *store, struct container_info *container, struct diag *diag);
/** container_thaw() - the reverse, if no driver has used the empty one; @frozen is NULL again. */
int container_thaw(struct store *store, struct container_info *container);

/**
 * container_set_image() - what was frozen is a layer of @image now
 * @container: locked; its image is changed
 *
 * Return: -ENOENT: the container or the image was removed meanwhile.
 */
int container_set_image(struct store *store, struct container_info *container, struct image_id image);

/** container_sweep() - remove what only its mount needed. It is locked and not mounted. */
int container_sweep(struct store *store, const struct container_info *container);

#endif
