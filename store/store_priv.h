/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_PRIV_H
#define NACRE_STORE_PRIV_H

/*
 * The store's own state, for files of store/ only.
 *
 * Locks, in the order in which they are taken:
 *   STORE/lock, shared by writers and (for a moment) by lease_take(), exclusive by gc
 *   STORE/lock.moment, exclusive, for the moment in which a staging folder is made or swept, or the index set up
 *   the index's write lock (a struct txn)
 *   pool_lock, pack_lock: leaves; no system call but open(2) under the latter
 */

#include "store/db.h"
#include "store/limits.h"

#include <pthread.h>
#include <sys/types.h>

struct pack_fd;

struct store {
	char *dir;	 /* owned, absolute */
	char *index_uri; /* owned: what connections open */
	int dirfd;	 /* owned: the folder */
	int index_flags; /* for db_open() */
	enum store_mode mode;
	bool shared;		    /* other machines may have it, too: medium.h */
	bool syncs_as_whole;	    /* syncfs() of it does: medium.h */
	bool log_in_memory;	    /* the index has a log, and it can only be read */
	struct store_limits limits; /* of what comes in */
	uint64_t weak_mask;	    /* tests: bits of a content hash that count; ~0 */

	pthread_mutex_t pool_lock;
	struct db *pool; /* owned: idle connections */

	pthread_mutex_t pack_lock;
	struct pack_fd *packs; /* owned: open packs, a chained hash table */
};

/** store_lock() - flock(2) STORE/lock. @operation as for flock(2). @ret_fd: close it to unlock.
 * Return: 0; -EBUSY with LOCK_NB; -errno. */
int store_lock(struct store *store, int operation, int *ret_fd);

/** store_lock_moment() - what is said of it above. @ret_fd: close it to unlock. */
int store_lock_moment(struct store *store, int *ret_fd);

/**
 * store_test_weaken_hash() - for tests: only the bits of @mask count of a content's hash
 *
 * With 0 all contents collide, which the byte compare must then tell apart.
 */
void store_test_weaken_hash(struct store *store, uint64_t mask);

#endif
