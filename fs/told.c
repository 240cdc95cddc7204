/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/told.h"

/*
 * Two clients: one asks for a folder's attributes, and is told.  Before it comes to run again the other makes something
 * in that folder, and the kernel notes that the attributes it has are no longer right.  Then the first one runs, and the
 * kernel keeps what it was told, which was right when it was asked for; and as attributes never expire, it keeps the old times
 * and the old link count until something else happens in the folder.
 *
 * The kernel numbers what it learns of an inode, to know such answers by; but it gives no number to what it finds out by
 * itself (fuse_dir_changed() in its fs/fuse/dir.c).  It does give one when it is told that the inode has changed.  So that is what
 * who changes a folder does, before his answer (ops.c), where somebody else has been told anything within the last
 * second.  A client by itself pays nothing.
 */

#include <time.h>

enum {
	TICKS_PER_S = 8,
	WINDOW = TICKS_PER_S + 1,
	TICK_BITS = 32,
};

/* In the lower half of what is noted; the upper one is the thread. */
static uint32_t tick_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	/* Not 0, which stands for never. */
	return (uint32_t)(now.tv_sec * TICKS_PER_S + now.tv_nsec / (1000000000 / TICKS_PER_S)) + WINDOW;
}

static bool is_late(uint64_t noted, uint32_t now)
{
	return now - (uint32_t)noted <= WINDOW;
}

static bool is_his(uint64_t noted, uint32_t pid)
{
	return pid != 0 && noted >> TICK_BITS == pid;
}

void told_init(struct told *told)
{
	*told = (struct told){ 0 };
	pthread_mutex_init(&told->lock, NULL);
}

void told_release(struct told *told)
{
	pthread_mutex_destroy(&told->lock);
}

void told_note(struct told *told, uint32_t pid)
{
	uint64_t mine = (uint64_t)pid << TICK_BITS | tick_now(), last;

	if (atomic_load(&told->last) == mine)
		return;
	pthread_mutex_lock(&told->lock);
	last = atomic_load(&told->last);
	if (!is_his(last, pid))
		told->before = last;
	atomic_store(&told->last, mine);
	pthread_mutex_unlock(&told->lock);
}

bool told_others(struct told *told, uint32_t pid)
{
	uint32_t now = tick_now();
	uint64_t last, before;

	pthread_mutex_lock(&told->lock);
	last = atomic_load(&told->last);
	before = told->before;
	pthread_mutex_unlock(&told->lock);
	return is_late(is_his(last, pid) ? before : last, now);
}
