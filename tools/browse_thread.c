// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_thread.h"

#include "store/base/auto.h"

#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>

static void *run(void *arg)
{
	struct browse_thread *thread = arg;
	uint64_t one = 1;

	thread->fn(thread->arg);
	atomic_store(&thread->done, true);
	/* An eventfd whose count is 0 takes it. */
	return write(thread->fd, &one, sizeof(one)) < 0 ? NULL : thread;
}

int browse_thread_start(struct browse_thread *thread, void (*fn)(void *arg), void *arg)
{
	sigset_t all, before;

	thread->fn = fn;
	thread->arg = arg;
	thread->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&thread->thread, NULL, run, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		closep(&thread->fd);
	return r;
}

void browse_thread_end(struct browse_thread *thread)
{
	atomic_store(&thread->stop, true);
	pthread_join(thread->thread, NULL);
	closep(&thread->fd);
}

bool browse_thread_stops(const struct browse_thread *thread)
{
	return atomic_load_explicit(&thread->stop, memory_order_relaxed);
}

bool browse_thread_is_done(const struct browse_thread *thread)
{
	return atomic_load(&thread->done);
}
