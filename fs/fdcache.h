/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_FDCACHE_H
#define NACRE_FS_FDCACHE_H

/*
 * A bounded set of open descriptors.  Requests name nodes, not handles, so a
 * descriptor is opened when a node first needs it and kept until it is the one
 * that was not used for longest.  One in use is never closed under its user; a
 * pinned one (of a file without a name, which could not be opened again) stays.
 */

#include <stdbool.h>
#include <stdint.h>

struct fdcache;

/* Embedded in what has a descriptor; zero: it has none now. Guarded by the cache's lock. */
struct fd_slot {
	uint32_t entry;
};

/* A descriptor in use. */
struct fd_ref {
	int fd;
	uint32_t entry; /* 0: not the cache's */
	bool owned;	/* not the cache's, closed by fd_put() */
};

/** fdcache_new() - for at most @limit descriptors that nobody uses. NULL: out of memory. */
struct fdcache *fdcache_new(uint32_t limit);
void fdcache_free(struct fdcache *cache);

/** fd_get() - the slot's descriptor, now in use. Return: false if it has none. */
bool fd_get(struct fdcache *cache, struct fd_slot *slot, struct fd_ref *ret);

/**
 * fd_insert() - give the cache a new descriptor for @slot, in use by the caller
 * @fd: owned by the cache from now on, also on failure
 *
 * If another thread was faster, @fd is closed and the other is used.
 * Return: 0, -ENOMEM.
 */
int fd_insert(struct fdcache *cache, struct fd_slot *slot, int fd, struct fd_ref *ret);

/** fd_put() - no longer in use. */
void fd_put(struct fdcache *cache, struct fd_ref *ref);

/** fd_pin() - keep the slot's descriptor open until fd_drop(). It has one. */
void fd_pin(struct fdcache *cache, struct fd_slot *slot);

/** fd_drop() - the slot's descriptor is out of date, or its owner goes: closed when its last user is done. */
void fd_drop(struct fdcache *cache, struct fd_slot *slot);

/** fdcache_each_pinned() - @fn must not call the cache. */
void fdcache_each_pinned(struct fdcache *cache, void (*fn)(int fd, void *arg), void *arg);
/** fdcache_count() - open descriptors, for statistics and tests. */
uint32_t fdcache_count(struct fdcache *cache);
/** fdcache_limit() - as it was given. */
uint32_t fdcache_limit(const struct fdcache *cache);

#endif
