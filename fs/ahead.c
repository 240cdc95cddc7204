/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ahead.h"

/*
 * Who walks a tree lists one folder after the other, and waits for each: then the driver works while he waits, and waits
 * while he works.  Here a thread of its own makes the next listings meanwhile, on another processor, so that a
 * request finds its answer ready.
 *
 * What comes next: the rest of the folder, then the first folder in it, else the one behind it, as find(1), grep(1), tar(1) and
 * du(1) go.  A walk begins with STREAK listings that nobody foresaw, and first one listing is made; each that is
 * asked for doubles what is made ahead, up to WINDOW.  Those who go another way pay with no more than that: a few
 * listings for nothing, and then none for a while.  Two walks are followed at a time, since two trees may be compared.
 *
 * A listing tells attributes and counts lookups, as if it had been asked for when it was made.  So it is an answer only as
 * long as no request has come since that could change anything (mount->changes, counted when it comes and when it has been
 * served).  With io=passthrough the kernel writes without a request, but opens and releases with one: those are such, and no
 * listing is kept that has a file in it which is open for that.  Who changes what he walks gets no help: his listings are all
 * made for nothing.  What nobody has asked for is dropped after LINGER_S.
 */

#include "fs/affinity.h"
#include "fs/listing.h"
#include "fs/ops_internal.h"
#include "fs/stats.h"
#include "store/base/auto.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	WALKS = 2,
	WINDOW = 32,	/* listings that lie ready for one walk */
	STREAK = 4,	/* listings in a row without a change, before one is a walk */
	WASTE_MAX = 64, /* so many made for nothing, more than were of use, */
	PAUSE = 1024,	/* and for so many listings none are made */
	SERVED = 8,
	ASTRAY = 3,  /* listings in a row that were not foreseen: he goes another way */
	SPINS = 16,  /* so often is looked, before going to sleep, */
	PAUSES = 64, /* with so many pauses in between: some 2 us */
	LINGER_S = 1,
};

struct chunk {
	fuse_ino_t dir; /* a lookup is counted: it is no other one */
	uint64_t offset, changes;
	struct ahead_listing listing;
};

struct walk {
	fuse_ino_t dir; /* what is to be listed next, a lookup is counted; 0: nothing */
	uint64_t offset;
	uint64_t serial; /* another one for each beginning */
	uint64_t last;	 /* when it was of use, in listings */
	unsigned window, count;
	struct chunk chunks[WINDOW]; /* the oldest first */
};

/* Not more than a hint: nobody keeps the folder. */
struct served {
	fuse_ino_t dir;
	uint64_t next; /* where its listing goes on */
};

struct ahead {
	struct mount *mount; /* borrowed */
	cpu_set_t processors;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;  /* for the thread */
	pthread_cond_t made;  /* for who waits for what it makes */
	pthread_t thread;
	bool started, stopping;
	struct walk walks[WALKS];
	bool busy;	   /* the thread works, */
	fuse_ino_t making; /* on this listing; 0: it looks for the next */
	uint64_t making_offset;
	unsigned waiting;
	struct served served[SERVED]; /* what was asked for too soon, of late */
	unsigned misses;	      /* since one was not */
	size_t room;		      /* of the listings that are asked for */
	uint64_t listings;	      /* asked for so far */
	uint64_t changes;	      /* when the last was asked for */
	uint64_t paused;	      /* until so many */
	unsigned streak, waste;
};

static void processor_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* --- what has been made --- */

static void remember(const struct mount *mount, fuse_ino_t ino)
{
	fs_remember(mount_tree(mount, ino), mount_node(mount, ino));
}

static void forget(const struct mount *mount, fuse_ino_t ino)
{
	fs_forget(mount_tree(mount, ino), mount_node(mount, ino), 1);
}

/* No lock is held. */
static void listing_drop(const struct mount *mount, const struct ahead_listing *listing)
{
	for (size_t at = 0; at < listing->bytes;) {
		const struct fuse_direntplus *entry = (const void *)(listing->buf + at);

		at += FUSE_DIRENTPLUS_SIZE(entry);
		if (entry->entry_out.nodeid)
			forget(mount, entry->entry_out.nodeid);
	}
	free(listing->buf);
}

static void chunk_drop(const struct mount *mount, const struct chunk *chunk)
{
	listing_drop(mount, &chunk->listing);
	forget(mount, chunk->dir);
}

/* What is to be given back when the lock has been left. */
struct rest {
	fuse_ino_t dirs[WALKS];
	struct chunk chunks[WALKS * WINDOW];
	unsigned dir_count, chunk_count;
};

static void rest_release(struct mount *mount, struct rest *rest)
{
	for (unsigned i = 0; i < rest->chunk_count; i++)
		chunk_drop(mount, &rest->chunks[i]);
	for (unsigned i = 0; i < rest->dir_count; i++)
		forget(mount, rest->dirs[i]);
}

static void walk_end(struct ahead *ahead, struct walk *walk, struct rest *rest)
{
	ahead->waste += walk->count;
	for (unsigned i = 0; i < walk->count; i++)
		rest->chunks[rest->chunk_count++] = walk->chunks[i];
	walk->count = 0;
	if (walk->dir)
		rest->dirs[rest->dir_count++] = walk->dir;
	walk->dir = 0;
	walk->serial++;
}

static void walks_end(struct ahead *ahead, struct rest *rest)
{
	for (unsigned i = 0; i < WALKS; i++)
		walk_end(ahead, &ahead->walks[i], rest);
	ahead->streak = 0;
}

static struct chunk chunk_remove(struct walk *walk, unsigned i)
{
	struct chunk chunk = walk->chunks[i];

	walk->count--;
	memmove(walk->chunks + i, walk->chunks + i + 1, (walk->count - i) * sizeof(chunk));
	return chunk;
}

static struct walk *chunk_find(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, unsigned *ret)
{
	for (unsigned w = 0; w < WALKS; w++) {
		struct walk *walk = &ahead->walks[w];

		for (unsigned i = 0; i < walk->count; i++) {
			if (walk->chunks[i].dir == dir && walk->chunks[i].offset == offset) {
				*ret = i;
				return walk;
			}
		}
	}
	return NULL;
}

/* --- the thread --- */

static bool has_work(const struct walk *walk)
{
	return walk->dir && walk->count < walk->window;
}

static struct walk *walk_to_go_on(struct ahead *ahead)
{
	for (unsigned i = 0; i < WALKS; i++) {
		if (has_work(&ahead->walks[i]))
			return &ahead->walks[i];
	}
	return NULL;
}

/* Until there is something to be made, or to be dropped. Return: false: that. */
static bool await_work(struct ahead *ahead)
{
	while (!ahead->stopping && !walk_to_go_on(ahead)) {
		struct timespec until;
		bool keeps = false;

		for (unsigned i = 0; i < WALKS; i++)
			keeps |= ahead->walks[i].dir || ahead->walks[i].count > 0;
		if (!keeps) {
			pthread_cond_wait(&ahead->work, &ahead->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += LINGER_S;
		if (pthread_cond_timedwait(&ahead->work, &ahead->lock, &until) == ETIMEDOUT)
			return false;
	}
	return true;
}

/* Is a file among them that the kernel writes to without asking? Its attributes are true for the moment only. */
static bool has_passed(const struct ahead_listing *listing)
{
	for (size_t at = 0; at < listing->bytes;) {
		const struct fuse_direntplus *entry = (const void *)(listing->buf + at);

		at += FUSE_DIRENTPLUS_SIZE(entry);
		if (entry->entry_out.nodeid && entry->entry_out.attr_valid == 0)
			return true;
	}
	return false;
}

/* Without the lock. @ret_next: where the folder goes on. */
static void chunk_make(struct mount *mount, size_t room, struct chunk *chunk, uint64_t *ret_next)
{
	struct ahead_listing *listing = &chunk->listing;
	ssize_t n = -EAGAIN;

	*ret_next = LISTING_END;
	/* In this order: what begins meanwhile is seen by the one or the other. */
	chunk->changes = atomic_load(&mount->changes);
	if (atomic_load(&mount->changing) == 0)
		listing->buf = malloc(room);
	if (listing->buf)
		n = listing_make(mount, chunk->dir, listing->buf, room, chunk->offset, true, ret_next);
	listing->bytes = n > 0 ? (size_t)n : 0;
	if (n > 0 && !has_passed(listing)) {
		char *fitting = realloc(listing->buf, (size_t)n);

		listing->buf = fitting ? fitting : listing->buf;
		remember(mount, chunk->dir);
		stats_add(mount->stats, STAT_AHEAD_MADE, 1);
	} else {
		listing_drop(mount, listing);
		*listing = (struct ahead_listing){ 0 };
	}
}

/* Without the lock: the folder behind @dir, whose lookup is given back. Return: 0: there is none. */
static fuse_ino_t next_dir(struct mount *mount, fuse_ino_t dir)
{
	struct node *next = fs_next_dir(mount_tree(mount, dir), mount_node(mount, dir));

	forget(mount, dir);
	return trees_ino(trees_number(dir), next);
}

/* Leaves the lock meanwhile.  The lookup of @dir is the walk's again, or given back if somebody ended that walk. */
static void step_in(struct ahead *ahead, struct walk *walk, fuse_ino_t dir, struct rest *rest)
{
	struct chunk chunk = { .dir = dir, .offset = walk->offset };
	uint64_t serial = walk->serial, next;
	size_t room = ahead->room;

	ahead->making = dir;
	ahead->making_offset = chunk.offset;
	pthread_mutex_unlock(&ahead->lock);
	chunk_make(ahead->mount, room, &chunk, &next);
	pthread_mutex_lock(&ahead->lock);
	ahead->making = 0;
	if (walk->serial == serial) {
		walk->dir = dir;
		walk->offset = next;
		if (chunk.listing.buf)
			walk->chunks[walk->count++] = chunk;
		return;
	}
	rest->dirs[rest->dir_count++] = dir;
	if (chunk.listing.buf)
		rest->chunks[rest->chunk_count++] = chunk;
}

/* Where who walks is to be helped in @dir: he may have been here first. */
static uint64_t offset_in(const struct ahead *ahead, fuse_ino_t dir)
{
	for (unsigned i = 0; i < SERVED; i++) {
		if (ahead->served[i].dir == dir)
			return ahead->served[i].next;
	}
	return 0;
}

/* From the end of @dir to the next folder. Leaves the lock meanwhile. */
static void step_on(struct ahead *ahead, struct walk *walk, fuse_ino_t dir, struct rest *rest)
{
	uint64_t serial = walk->serial;

	pthread_mutex_unlock(&ahead->lock);
	dir = next_dir(ahead->mount, dir);
	pthread_mutex_lock(&ahead->lock);
	if (walk->serial == serial) {
		walk->dir = dir;
		walk->offset = offset_in(ahead, dir);
	} else if (dir) {
		rest->dirs[rest->dir_count++] = dir;
	}
}

static void walk_step(struct ahead *ahead, struct walk *walk, struct rest *rest)
{
	fuse_ino_t dir = walk->dir;

	walk->dir = 0; /* its lookup is ours meanwhile */
	ahead->busy = true;
	if (walk->offset == LISTING_END)
		step_on(ahead, walk, dir, rest);
	else
		step_in(ahead, walk, dir, rest);
	ahead->busy = false;
	if (ahead->waiting > 0)
		pthread_cond_broadcast(&ahead->made);
}

/* Within the gate, which nobody may have to pass whom a request waits for. */
static void step(struct ahead *ahead, bool go_on)
{
	struct rest rest = { 0 };
	struct walk *walk;

	fs_enter(ahead->mount->fs);
	pthread_mutex_lock(&ahead->lock);
	walk = walk_to_go_on(ahead);
	if (!go_on)
		walks_end(ahead, &rest);
	else if (walk && !ahead->stopping)
		walk_step(ahead, walk, &rest);
	pthread_mutex_unlock(&ahead->lock);
	rest_release(ahead->mount, &rest);
	fs_leave(ahead->mount->fs);
}

static void *ahead_run(void *arg)
{
	struct ahead *ahead = arg;
	bool go_on, stopping = false;

	while (!stopping) {
		pthread_mutex_lock(&ahead->lock);
		go_on = await_work(ahead);
		stopping = ahead->stopping;
		pthread_mutex_unlock(&ahead->lock);
		if (!stopping)
			step(ahead, go_on);
	}
	return NULL;
}

/* --- requests --- */

static bool is_made_now(const struct ahead *ahead, fuse_ino_t dir, uint64_t offset)
{
	return ahead->making == dir && ahead->making_offset == offset;
}

/* It mostly takes less than it takes to go to sleep and to be woken. */
static void await_made(struct ahead *ahead, fuse_ino_t dir, uint64_t offset)
{
	for (unsigned i = 0; i < SPINS && is_made_now(ahead, dir, offset); i++) {
		pthread_mutex_unlock(&ahead->lock);
		for (unsigned j = 0; j < PAUSES; j++)
			processor_pause();
		pthread_mutex_lock(&ahead->lock);
	}
	while (is_made_now(ahead, dir, offset)) {
		ahead->waiting++;
		pthread_cond_wait(&ahead->made, &ahead->lock);
		ahead->waiting--;
	}
}

static bool take_locked(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, size_t room, struct ahead_listing *ret,
			struct rest *rest)
{
	struct walk *walk;
	struct chunk chunk;
	unsigned i;

	ahead->listings++;
	await_made(ahead, dir, offset);
	walk = chunk_find(ahead, dir, offset, &i);
	if (!walk)
		return false;
	if (walk->chunks[i].changes != atomic_load(&ahead->mount->changes) || walk->chunks[i].listing.bytes > room) {
		walks_end(ahead, rest);
		return false;
	}
	chunk = chunk_remove(walk, i);
	ahead->misses = 0;
	walk->last = ahead->listings;
	walk->window = walk->window < WINDOW / 2 ? walk->window * 2 : WINDOW;
	ahead->waste -= ahead->waste > 0;
	/* Woken for several at a time. */
	if (walk->count <= walk->window / 2 && has_work(walk))
		pthread_cond_signal(&ahead->work);
	stats_add(ahead->mount->stats, STAT_AHEAD_FOUND, 1);
	*ret = chunk.listing;
	return true;
}

bool ahead_take(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, size_t room, struct ahead_listing *ret)
{
	struct rest rest = { 0 };
	bool taken;

	if (!ahead)
		return false;
	pthread_mutex_lock(&ahead->lock);
	taken = take_locked(ahead, dir, offset, room, ret, &rest);
	pthread_mutex_unlock(&ahead->lock);
	if (taken)
		forget(ahead->mount, dir); /* the request knows it */
	rest_release(ahead->mount, &rest);
	return taken;
}

/* Return: is it time to begin? */
static bool is_walk(struct ahead *ahead)
{
	uint64_t changes = atomic_load(&ahead->mount->changes);

	ahead->streak = ahead->changes == changes ? ahead->streak + 1 : 0;
	ahead->changes = changes;
	if (ahead->waste >= WASTE_MAX) {
		ahead->waste = 0;
		ahead->paused = ahead->listings + PAUSE;
	}
	return ahead->streak >= STREAK && ahead->listings >= ahead->paused;
}

static bool thread_start(struct ahead *ahead)
{
	pthread_attr_t attr;

	if (ahead->started || pthread_attr_init(&attr) != 0)
		return ahead->started;
	affinity_attr(&attr, &ahead->processors);
	ahead->started = pthread_create(&ahead->thread, &attr, ahead_run, ahead) == 0;
	pthread_attr_destroy(&attr);
	return ahead->started;
}

/* Who is faster than the thread goes on before it. Return: is it one that is followed? */
static bool overtake(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, uint64_t next)
{
	for (unsigned i = 0; i < WALKS; i++) {
		struct walk *walk = &ahead->walks[i];

		if (walk->dir != dir || walk->offset != offset)
			continue;
		walk->offset = next;
		walk->last = ahead->listings;
		if (has_work(walk))
			pthread_cond_signal(&ahead->work);
		return true;
	}
	return false;
}

static void walk_begin(struct ahead *ahead, fuse_ino_t dir, uint64_t next, struct rest *rest)
{
	struct walk *walk = &ahead->walks[0];

	for (unsigned i = 1; i < WALKS; i++) {
		if (ahead->walks[i].last < walk->last)
			walk = &ahead->walks[i];
	}
	walk_end(ahead, walk, rest);
	remember(ahead->mount, dir);
	walk->dir = dir;
	walk->offset = next;
	walk->window = 1;
	walk->last = ahead->listings;
	pthread_cond_signal(&ahead->work);
}

static void missed_locked(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, uint64_t next, size_t room,
			  struct rest *rest)
{
	ahead->room = room;
	if (overtake(ahead, dir, offset, next) || offset != 0)
		return;
	ahead->served[ahead->misses++ % SERVED] = (struct served){ dir, next };
	if (!is_walk(ahead) || (ahead->busy && ahead->misses < ASTRAY) || !thread_start(ahead))
		return;
	walk_begin(ahead, dir, next, rest);
}

void ahead_missed(struct ahead *ahead, fuse_ino_t dir, uint64_t offset, uint64_t next, size_t room)
{
	struct rest rest = { 0 };

	if (!ahead)
		return;
	pthread_mutex_lock(&ahead->lock);
	missed_locked(ahead, dir, offset, next, room, &rest);
	pthread_mutex_unlock(&ahead->lock);
	rest_release(ahead->mount, &rest);
}

void ahead_drop(struct ahead *ahead)
{
	struct rest rest = { 0 };

	if (!ahead)
		return;
	pthread_mutex_lock(&ahead->lock);
	walks_end(ahead, &rest);
	while (ahead->busy) {
		ahead->waiting++;
		pthread_cond_wait(&ahead->made, &ahead->lock);
		ahead->waiting--;
	}
	pthread_mutex_unlock(&ahead->lock);
	rest_release(ahead->mount, &rest);
}

/* --- life --- */

bool ahead_is_of_use(void)
{
	cpu_set_t processors;

	return sched_getaffinity(0, sizeof(processors), &processors) < 0 || CPU_COUNT(&processors) > 1;
}

struct ahead *ahead_new(struct mount *mount)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));
	pthread_condattr_t attr;

	if (!ahead)
		return NULL;
	ahead->mount = mount;
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->made, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ahead->work, &attr);
	pthread_condattr_destroy(&attr);
	sched_getaffinity(0, sizeof(ahead->processors), &ahead->processors);
	return ahead;
}

void ahead_free(struct ahead *ahead)
{
	struct rest rest = { 0 };

	if (!ahead)
		return;
	pthread_mutex_lock(&ahead->lock);
	ahead->stopping = true;
	walks_end(ahead, &rest);
	pthread_cond_signal(&ahead->work);
	pthread_mutex_unlock(&ahead->lock);
	if (ahead->started)
		pthread_join(ahead->thread, NULL);
	rest_release(ahead->mount, &rest);
	pthread_mutex_destroy(&ahead->lock);
	pthread_cond_destroy(&ahead->work);
	pthread_cond_destroy(&ahead->made);
	free(ahead);
}
