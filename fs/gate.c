/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/gate.h"

#include <errno.h>
#include <time.h>

enum {
	CLOSE_WAIT_NS = 15 * 1000 * 1000, /* so long others wait for a request that takes long */
	CLOSE_TRIES = 1000,
	CLOSE_PAUSE_NS = 10 * 1000 * 1000, /* and then go on for so long */
};

/*
 * Who comes in counts himself first and looks at `closed` afterwards; who closes sets
 * `closed` first and looks at the count afterwards.  So one of the two sees the other.
 */

void gate_init(struct gate *gate)
{
	pthread_condattr_t attr;

	atomic_init(&gate->inside, 0);
	atomic_init(&gate->closed, false);
	pthread_mutex_init(&gate->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&gate->changed, &attr);
	pthread_condattr_destroy(&attr);
}

void gate_release(struct gate *gate)
{
	pthread_mutex_destroy(&gate->lock);
	pthread_cond_destroy(&gate->changed);
}

void gate_enter(struct gate *gate)
{
	for (;;) {
		atomic_fetch_add(&gate->inside, 1);
		if (!atomic_load(&gate->closed))
			return;
		gate_leave(gate);
		pthread_mutex_lock(&gate->lock);
		while (atomic_load(&gate->closed))
			pthread_cond_wait(&gate->changed, &gate->lock);
		pthread_mutex_unlock(&gate->lock);
	}
}

void gate_leave(struct gate *gate)
{
	if (atomic_fetch_sub(&gate->inside, 1) != 1 || !atomic_load(&gate->closed))
		return;
	pthread_mutex_lock(&gate->lock);
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static struct timespec deadline_in(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ns += (uint64_t)t.tv_nsec;
	t.tv_sec += (time_t)(ns / 1000000000);
	t.tv_nsec = (long)(ns % 1000000000);
	return t;
}

int gate_close(struct gate *gate, uint64_t wait_ns)
{
	struct timespec deadline = deadline_in(wait_ns);
	int err = 0;

	pthread_mutex_lock(&gate->lock);
	atomic_store(&gate->closed, true);
	while (atomic_load(&gate->inside) > 0 && err == 0)
		err = pthread_cond_timedwait(&gate->changed, &gate->lock, &deadline);
	err = atomic_load(&gate->inside) > 0 ? -EAGAIN : 0;
	pthread_mutex_unlock(&gate->lock);
	if (err < 0)
		gate_open(gate);
	return err;
}

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	atomic_store(&gate->closed, false);
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int gate_closed(struct gate *gate, int (*fn)(void *arg), void *arg, uint64_t *ret_pause_ns)
{
	for (int tries = 0; tries < CLOSE_TRIES; tries++) {
		uint64_t start;
		int r;

		if (tries > 0)
			nanosleep(&(struct timespec){ .tv_nsec = CLOSE_PAUSE_NS }, NULL);
		start = now_ns();
		if (gate_close(gate, CLOSE_WAIT_NS) < 0)
			continue;
		r = fn(arg);
		gate_open(gate);
		*ret_pause_ns = now_ns() - start;
		return r;
	}
	return -EBUSY;
}
