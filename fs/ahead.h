/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_AHEAD_H
#define NACRE_FS_AHEAD_H

/*
 * Listings that are made before the kernel asks for them: see ahead.c.
 */

#include "fs/ops.h"

#include <stdatomic.h>

struct ahead;

/* The answer to a READDIRPLUS. Each name in it counts as looked up once. */
struct ahead_listing {
	char *buf; /* owned */
	size_t bytes;
};

/** ahead_is_of_use() - has this process more than one processor? */
bool ahead_is_of_use(void);
/** ahead_new() - @mount: borrowed, and its session, from the first request on; NULL: out of memory. */
struct ahead *ahead_new(struct mount *mount);
/** ahead_free() - no request is served any more; NULL is fine. */
void ahead_free(struct ahead *ahead);

/**
 * ahead_take() - is there an answer to this request?
 * @offset, @room: what the request has
 * @ret: the caller's from now on
 *
 * May wait for the thread that is just making it. @ahead NULL: there is none.
 */
bool ahead_take(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, size_t room, struct ahead_listing *ret);
/**
 * ahead_missed() - there was none
 * @next: where the listing goes on after what is answered now
 *
 * Before the answer is sent: until then the kernel knows @dir.
 */
void ahead_missed(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, uint64_t next, size_t room);
/** ahead_change_begin(), ahead_change_end() - around the serving of each request that may change something. */
static inline void ahead_change_begin(struct mount *mount)
{
	atomic_fetch_add(&mount->changing, 1);
	atomic_fetch_add(&mount->changes, 1);
}
static inline void ahead_change_end(struct mount *mount)
{
	atomic_fetch_sub(&mount->changing, 1);
}
/** ahead_drop() - keep no node for what nobody has asked for yet. Called by requests; NULL is fine. */
void ahead_drop(struct ahead *ahead);

#endif
