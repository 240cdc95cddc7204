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
 * who changes a folder does, before his answer (ops.c), where somebody else has been told anything of that folder within the
 * last second.  A client by itself pays nothing.  Others pay twice, as the kernel then asks for the folder's attributes whenever
 * a path leads through it: so it matters which folder it was.  Who is told of a folder has asked for it by its number, or
 * by its name in the folder above it.
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

static struct telling *telling_at(struct told *told, uint64_t ino)
{
	/* Numbers are addresses; the upper bits of the product depend on all of them. */
	return &told->at[(ino * 0x9e3779b97f4a7c15u) >> 32 & (TOLD_PLACES - 1)];
}

static void note(struct told *told, struct telling *telling, uint32_t pid)
{
	uint64_t mine = (uint64_t)pid << TICK_BITS | tick_now(), last;

	if (atomic_load(&telling->last) == mine)
		return;
	pthread_mutex_lock(&told->lock);
	last = atomic_load(&telling->last);
	if (!is_his(last, pid))
		telling->before = last;
	atomic_store(&telling->last, mine);
	pthread_mutex_unlock(&told->lock);
}

static bool is_to_others(struct told *told, struct telling *telling, uint32_t pid)
{
	uint32_t now = tick_now();
	uint64_t last, before;

	pthread_mutex_lock(&told->lock);
	last = atomic_load(&telling->last);
	before = telling->before;
	pthread_mutex_unlock(&told->lock);
	return is_late(is_his(last, pid) ? before : last, now);
}

void told_note(struct told *told, uint32_t pid)
{
	note(told, &told->anywhere, pid);
}

void told_note_at(struct told *told, uint32_t pid, uint64_t ino)
{
	note(told, telling_at(told, ino), pid);
}

bool told_others(struct told *told, uint32_t pid)
{
	return is_to_others(told, &told->anywhere, pid);
}

bool told_others_at(struct told *told, uint32_t pid, uint64_t ino)
{
	return is_to_others(told, telling_at(told, ino), pid);
}
