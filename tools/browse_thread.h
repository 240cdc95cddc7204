/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_THREAD_H
#define NACRE_TOOLS_BROWSE_THREAD_H

/* A thread that works something out while the user looks around, and can be told to give it up. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct browse_thread {
	void (*fn)(void *arg);
	void *arg;
	atomic_bool stop;
	atomic_bool done; /* set after all that @fn wrote */
	int fd;		  /* owned: readable once it is done */
	pthread_t thread;
};

/** browse_thread_start() - @thread must stay where it is. Signals are for others. Return: 0 or -errno. */
int browse_thread_start(struct browse_thread *thread, void (*fn)(void *arg), void *arg);
/** browse_thread_end() - tell it to stop, and wait */
void browse_thread_end(struct browse_thread *thread);
/** browse_thread_stops() - for @fn: shall it give up? */
bool browse_thread_stops(const struct browse_thread *thread);
/** browse_thread_is_done() - then what @fn wrote may be read */
bool browse_thread_is_done(const struct browse_thread *thread);

#endif
