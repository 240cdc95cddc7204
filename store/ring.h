/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_RING_H
#define NACRE_STORE_RING_H

/*
 * A bounded queue of bytes from one thread to another.  Unlike a pipe it
 * carries the writer's error to the reader, so that a stream which broke off
 * is not taken for one that ended.
 */

#include "store/ingest.h"

struct ring;

struct ring *ring_new(size_t bytes); /* NULL: no memory */
void ring_free(struct ring *ring);   /* both threads are done with it */
void ring_freep(struct ring **ring);

/** ring_room() - how much ring_write() takes without waiting; the writer's to ask. */
size_t ring_room(struct ring *ring);
/** ring_write() - waits for room. Return: 0; -ECANCELED: the reader wants no more. */
int ring_write(struct ring *ring, const void *bytes, size_t count);
/** ring_finish() - the writer's last call: 0, or the error that the reader gets after the bytes. */
void ring_finish(struct ring *ring, int err);
/** ring_whole() - where all @ret_bytes lie, after ring_finish(), of a ring that nobody has read; as long as it lives. */
const void *ring_whole(const struct ring *ring, size_t *ret_bytes);
/** ring_cancel() - the reader's last call: the writer need not go on. */
void ring_cancel(struct ring *ring);

/** ring_source() - the reader's end */
struct byte_source ring_source(struct ring *ring);

#endif
