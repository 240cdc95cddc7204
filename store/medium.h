/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_MEDIUM_H
#define NACRE_STORE_MEDIUM_H

/*
 * What a store lies on, for how its index is kept.  For files of store/ only.
 *
 * SQLite's write-ahead log wants memory that all its users share, so all must be
 * on one machine.  Where another machine may see the same files, the index has
 * a rollback journal instead, under the byte-range locks that such file systems
 * carry over; readers then wait while a writer commits.  The store's other locks
 * are flock(2) on files opened for writing, as NFS wants it.
 *
 * On a medium that cannot be written, or a store whose files one may only read,
 * the log's index cannot be made beside it: the log is read into memory, where there is one.
 */

#include "store/db.h"

enum medium_log {
	MEDIUM_NO_LOG, /* the index is as it lies there */
	MEDIUM_WAL,    /* some of it is in a write-ahead log */
	MEDIUM_TORN,   /* a writer died in the middle: somebody who may write must open it */
};

/** medium_is_shared() - can another machine have the file system of @fd mounted, too? */
bool medium_is_shared(int fd);

/**
 * medium_syncs_as_whole() - does syncfs(2) put all of the file system of @fd on disk?
 *
 * Where it only has the kernel send what it holds to a server that keeps it for a while, that must be asked for
 * each file and each folder with fsync(2).
 */
bool medium_syncs_as_whole(int fd);

/** medium_log() - what lies beside the index in the store's folder @dirfd */
enum medium_log medium_log(int dirfd);

/** medium_set_journal() - the journal that fits, unless somebody else has the index open; then it stays for now */
int medium_set_journal(struct db *db, bool shared);

#endif
