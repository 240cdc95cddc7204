/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ring.h"

#include "store/base/auto.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Below: under @lock, but for the bytes themselves, which belong to the writer
	 * where the ring is free and to the reader where it is used. */
	size_t start, used;
	bool finished, cancelled;
	int err;      /* with @finished */
	size_t room;  /* fixed */
	size_t ready; /* the writer's own: up to here there was memory for it */
	char data[];
};

enum { READY_BYTES = 128 * 1024 };

struct ring *ring_new(size_t bytes)
{
	struct ring *ring = malloc(sizeof(*ring) + bytes);

	if (!ring)
		return NULL;
	*ring = (struct ring){ .room = bytes };
	pthread_mutex_init(&ring->lock, NULL);
	pthread_cond_init(&ring->changed, NULL);
	return ring;
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	pthread_cond_destroy(&ring->changed);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}

void ring_freep(struct ring **ring)
{
	int saved = errno;

	ring_free(*ring);
	errno = saved;
}

static void change_used(struct ring *ring, size_t taken, size_t added)
{
	pthread_mutex_lock(&ring->lock);
	ring->start = (ring->start + taken) % ring->room;
	ring->used = ring->used - taken + added;
	pthread_cond_signal(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
}

/* Waits for free space that lies in one piece. Return: its size, 0 once the reader wants no more. */
static size_t wait_for_room(struct ring *ring, char **ret)
{
	size_t end, free_bytes = 0;

	pthread_mutex_lock(&ring->lock);
	while (!ring->cancelled && ring->used == ring->room)
		pthread_cond_wait(&ring->changed, &ring->lock);
	if (!ring->cancelled) {
		end = (ring->start + ring->used) % ring->room;
		free_bytes = end < ring->start ? ring->start - end : ring->room - end;
		*ret = ring->data + end;
	}
	pthread_mutex_unlock(&ring->lock);
	return free_bytes;
}

size_t ring_room(struct ring *ring)
{
	size_t room;

	pthread_mutex_lock(&ring->lock);
	room = ring->room - ring->used;
	pthread_mutex_unlock(&ring->lock);
	return room;
}

/*
 * The ring is as large as it may become: most is never touched.  What is gets its pages some at a time, as each by itself
 * takes the kernel three times as long.
 */
static void make_ready(struct ring *ring, const char *end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	while (ring->ready < ring->room && end > ring->data + ring->ready) {
		uintptr_t from = ((uintptr_t)ring->data + ring->ready + page - 1) & ~(page - 1), to;

		ring->ready = ring->room - ring->ready > READY_BYTES ? ring->ready + READY_BYTES : ring->room;
		to = ((uintptr_t)ring->data + ring->ready) & ~(page - 1);
		/* If it cannot, each page comes when it is touched. */
		if (to > from)
			(void)madvise((void *)from, to - from, MADV_POPULATE_WRITE);
	}
}

int ring_write(struct ring *ring, const void *bytes, size_t count)
{
	const char *from = bytes;

	while (count > 0) {
		char *to = NULL;
		size_t n = wait_for_room(ring, &to);

		if (n == 0)
			return -ECANCELED;
		if (n > count)
			n = count;
		make_ready(ring, to + n);
		memcpy(to, from, n);
		change_used(ring, 0, n);
		from += n;
		count -= n;
	}
	return 0;
}

void ring_finish(struct ring *ring, int err)
{
	pthread_mutex_lock(&ring->lock);
	ring->finished = true;
	ring->err = err;
	pthread_cond_signal(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
}

const void *ring_whole(const struct ring *ring, size_t *ret_bytes)
{
	*ret_bytes = ring->used;
	return ring->data;
}

void ring_cancel(struct ring *ring)
{
	pthread_mutex_lock(&ring->lock);
	ring->cancelled = true;
	pthread_cond_signal(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
}

static ssize_t ring_read(void *arg, void *buf, size_t bytes)
{
	struct ring *ring = arg;
	size_t start, n;
	int err;

	pthread_mutex_lock(&ring->lock);
	while (ring->used == 0 && !ring->finished)
		pthread_cond_wait(&ring->changed, &ring->lock);
	start = ring->start;
	n = ring->used < ring->room - start ? ring->used : ring->room - start;
	err = ring->err;
	pthread_mutex_unlock(&ring->lock);
	if (n == 0)
		return err;
	if (n > bytes)
		n = bytes;
	memcpy(buf, ring->data + start, n);
	change_used(ring, n, 0);
	return (ssize_t)n;
}

struct byte_source ring_source(struct ring *ring)
{
	return (struct byte_source){ .read = ring_read, .arg = ring };
}
