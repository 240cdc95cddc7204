/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_RING_H
#define NACRE_FS_RING_H

/*
 * Requests by way of io_uring, where the kernel has that and was told to use it.
 *
 * What stands beside requests still comes through the device: INIT, what the kernel
 * forgets, notifications.  So the loop goes on (fs/loop.c), with little to do.
 */

#include "fs/ops.h"
#include "store/base/diag.h"

#include <linux/fuse.h>

struct rings;

/**
 * rings_new() - answers of the session go by way of the rings from now on, where the requests do
 * @mount: borrowed; the userdata of its session, which is mounted. No request was read yet.
 *
 * Return: 0, -ENOMEM; -ENOTSUP: they cannot be had here, @diag says why.
 */
int rings_new(struct mount *mount, struct diag *diag, struct rings **ret);

/** rings_see_request() - call with each request that was read from the device, before anything is done about it. */
void rings_see_request(struct rings *rings);

/** rings_see_init() - the request that was read is INIT, of @bytes. Call before it is served; rings_await() after. */
void rings_see_init(struct rings *rings, const struct fuse_in_header *in, size_t bytes);

/**
 * rings_await() - wait until it is known what came of them; INIT has been answered
 *
 * Return: 0; -ENOTSUP: requests come through the device instead, @diag says why.
 */
int rings_await(struct rings *rings, struct diag *diag);

/** rings_buffer() - where the calling thread best puts data for the answer, or NULL; valid until that is given. */
void *rings_buffer(struct rings *rings, size_t bytes);

/** rings_stop() - take no more requests, and wait until those under way are answered. */
void rings_stop(struct rings *rings);
/** rings_free() - stopped, or never begun. NULL is fine. */
void rings_free(struct rings *rings);

#endif
