/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serve a client on the processor that it runs on.
 *
 * A client sleeps while its request is served.  The kernel wakes the driver's thread on a processor that is idle, which
 * has to be roused first and has cold caches: for short requests that costs more than all the rest (on a tmpfs a
 * directory is made in 20 us instead of 37 us).  So a thread that serves one and the same client goes to that client's
 * processor, and is free again as soon as the requests are of several, or long.
 */
#pragma once

#include "fs/yield.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

/* What one thread knows of whom it serves.  Only that thread touches it, but for what yield.h says. */
struct affinity {
	const cpu_set_t *allowed; /* borrowed: where the thread may run */
	uint32_t pid;		  /* whose requests come now; 0: nobody's */
	unsigned streak;	  /* so many in a row */
	int stat_fd;		  /* of that client's /proc entry; -1: not open */
	int cpu;		  /* the thread is bound to it; -1: free */
	uint64_t looked_ns;	  /* when the client's processor was last asked for */
	unsigned waits;		  /* so many requests in a row had to be waited for */
	unsigned patience;	  /* so many, before it is asked for again */
	unsigned moved_at;	  /* the streak when the client was last found elsewhere */
	struct yield yield;
};

/*
 * To be called in the thread itself, which runs on all ALLOWED processors afterwards, whoever made it.  YIELDS: it goes
 * behind the client on its processor, too; yield_possible() has said so.
 */
void affinity_init(struct affinity *affinity, const cpu_set_t *allowed, bool yields);
void affinity_free(struct affinity *affinity);

/*
 * For pthread_create() in a thread that serves: the new one serves nobody, and is bound to nobody's processor and goes behind
 * nobody, other than who makes it.
 */
void affinity_attr(pthread_attr_t *attr, const cpu_set_t *allowed);

/*
 * A short request of the thread PID, in the driver's PID namespace, 0 if it has no number there, is about to be served.
 * WAITED: it was not there yet when we asked for it.
 */
void affinity_follow(struct affinity *affinity, uint32_t pid, uint64_t now_ns, bool waited);

/* The same where it is known that the client runs on CPU. */
void affinity_follow_to(struct affinity *affinity, uint32_t pid, int cpu);

/* Have so many requests in a row been of the client PID that there is nobody else? */
bool affinity_is_alone(const struct affinity *affinity, uint32_t pid);

/* Several clients, or long work: run wherever there is room. */
void affinity_release(struct affinity *affinity);
