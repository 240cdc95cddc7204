/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LIMITS_H
#define NACRE_FS_LIMITS_H

/*
 * size= and inodes=: how much the upper may hold.  Where neither was asked for,
 * fs->limits is NULL and every call does nothing.
 */

#include "fs/fs.h"

#include <pthread.h>

struct limits;

/** limits_new() - count what the upper holds, into fs->limits. */
int limits_new(struct fs *fs, struct diag *diag);
void limits_free(struct limits *limits);

/** limits_take() - room for so many more. Return: 0, or -ENOSPC and nothing is taken. */
int limits_take(struct fs *fs, uint64_t bytes, uint64_t inodes);
/** limits_data() - room that the first @bytes of the node's data take at most; 0 without limits. */
uint64_t limits_data(struct fs *fs, struct node *node, uint64_t bytes);
/** limits_give() - back. */
void limits_give(struct fs *fs, uint64_t bytes, uint64_t inodes);
/** limits_settle() - @taken bytes were taken for the file @name in @dirfd: now it is known what it has. Return: that. */
uint64_t limits_settle(struct fs *fs, uint64_t taken, int dirfd, const char *name);
/** limits_dir_lost(), limits_node_lost() - of the upper, about to be forgotten; the second if it has no name left. */
void limits_dir_lost(struct fs *fs);
void limits_node_lost(struct fs *fs, struct node *node);
/** limits_restart() - the upper is a fresh one: it holds nothing but the old one's files without a name. */
void limits_restart(struct fs *fs);
/** limits_statfs() - what is left, if that is less than @st says. */
void limits_statfs(struct fs *fs, struct statvfs *st);

/* A change of one file, during which no other changes it. */
struct growth {
	struct fs *fs;	       /* NULL: there are no limits */
	pthread_mutex_t *lock; /* held; NULL: none */
	int dirfd;
	const char *name;
	uint64_t before, taken; /* bytes */
};
/**
 * growth_begin() - @bytes from @offset on of the file @name in @dirfd ("": itself) are about to be written
 *
 * Call with no time lock held.  growth_end() has to follow, whatever comes of it, unless this fails.
 * Return: -ENOSPC: the part of it that has no room yet, with what there is, is more than may be.
 */
int growth_begin(struct fs *fs, struct node *node, int dirfd, const char *name, off_t offset, uint64_t bytes,
		 struct growth *ret);
/** growth_begin_claimed() - the same of @bytes of @fd, a file that nobody else changes since its node is claimed: no lock is taken. */
int growth_begin_claimed(struct fs *fs, int fd, uint64_t bytes, struct growth *ret);
void growth_end(struct growth *growth);

#endif
