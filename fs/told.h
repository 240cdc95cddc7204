/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_TOLD_H
#define NACRE_FS_TOLD_H

/* Which clients were told attributes of late: see told.c. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { TOLD_PLACES = 512 };

struct telling {
	_Atomic uint64_t last; /* who was told last, and when; changed with the lock held */
	uint64_t before;       /* the last one before that who was somebody else; guarded by lock */
};

struct told {
	pthread_mutex_t lock;
	struct telling anywhere;
	struct telling at[TOLD_PLACES]; /* several inodes share one */
};

void told_init(struct told *told);
void told_release(struct told *told);

/** told_note() - a request of thread @pid (0: nobody knows whose) comes whose answer has attributes in it. */
void told_note(struct told *told, uint32_t pid);
/** told_note_at() - the attributes are those of inode @ino, or of what is in that folder. After told_note(). */
void told_note_at(struct told *told, uint32_t pid, uint64_t ino);
/** told_others() - may an answer with attributes still be on its way to somebody else than @pid? */
bool told_others(struct told *told, uint32_t pid);
/** told_others_at() - may one with those of @ino, or of what is in that folder? */
bool told_others_at(struct told *told, uint32_t pid, uint64_t ino);

#endif
