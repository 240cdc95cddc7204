/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/yield.h"

#include "store/base/auto.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	SETTLED_NS = 1000000, /* a thread has the policy that it was to have */
	FIRST_PAUSE_NS = 20 * 1000 * 1000,
	LAST_PAUSE_NS = 1280 * 1000 * 1000,
	LAST_NICE = 19,
};

static bool set_policy(pid_t thread, int policy)
{
	return sched_setscheduler(thread, policy, &(struct sched_param){ 0 }) == 0;
}

/* Who waits until it has been tried on him. */
struct trial {
	sem_t made, ends;
	pid_t thread;
};

static void *await_end(void *arg)
{
	struct trial *trial = arg;

	trial->thread = gettid();
	sem_post(&trial->made);
	while (sem_wait(&trial->ends) < 0)
		;
	return NULL;
}

/*
 * With nice values, which the kernel lets lower who it lets come back from SCHED_IDLE: if it does not, the thread need not stay
 * behind all others until it has ended.
 */
bool yield_possible(void)
{
	struct trial trial;
	pthread_t thread;
	int nice = getpriority(PRIO_PROCESS, 0);
	bool possible;

	if (sched_getscheduler(0) != SCHED_OTHER || nice + 1 > LAST_NICE || sem_init(&trial.made, 0, 0) < 0 ||
	    sem_init(&trial.ends, 0, 0) < 0 || pthread_create(&thread, NULL, await_end, &trial) != 0)
		return false;
	while (sem_wait(&trial.made) < 0)
		;
	possible = setpriority(PRIO_PROCESS, (id_t)trial.thread, nice + 1) == 0 &&
		   setpriority(PRIO_PROCESS, (id_t)trial.thread, nice) == 0;
	sem_post(&trial.ends);
	pthread_join(thread, NULL);
	sem_destroy(&trial.made);
	sem_destroy(&trial.ends);
	return possible;
}

void yield_init(struct yield *yield, bool possible)
{
	*yield = (struct yield){ .thread = possible ? gettid() : 0, .pause_ns = FIRST_PAUSE_NS };
	if (possible)
		set_policy(0, SCHED_OTHER);
}

void yield_count(struct yield *yield)
{
	atomic_fetch_add_explicit(&yield->turns, 1, memory_order_relaxed);
}

/*
 * Without a lock, which a thread that is held up would hold.  Whoever sets `given` to false is the one who changes the policy
 * back; if that is the watch, between the two steps here, the thread sees it afterwards.
 */
void yield_begin(struct yield *yield, uint64_t now_ns)
{
	if (!yield->thread || atomic_load(&yield->given) || now_ns < atomic_load(&yield->not_before_ns))
		return;
	atomic_store(&yield->given_ns, now_ns);
	atomic_store(&yield->given, true);
	set_policy(yield->thread, SCHED_IDLE);
	if (!atomic_load(&yield->given))
		set_policy(yield->thread, SCHED_OTHER);
}

void yield_end(struct yield *yield)
{
	if (atomic_exchange(&yield->given, false))
		set_policy(yield->thread, SCHED_OTHER);
}

bool yield_wants_to_run(pid_t thread)
{
	char path[64], text[512], *state;
	AUTO(closep) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return true;
	text[n] = '\0';
	state = strrchr(text, ')'); /* "NUMBER (NAME) STATE ..." */
	return !state || strncmp(state, ") R", 3) == 0;
}

void yield_rescue(struct yield *yield, uint64_t now_ns)
{
	uint64_t given_ns = atomic_load(&yield->given_ns);
	unsigned turns = atomic_load_explicit(&yield->turns, memory_order_relaxed);
	bool went_on = turns != yield->seen;

	yield->seen = turns;
	if (went_on || !atomic_load(&yield->given) || now_ns < given_ns + SETTLED_NS ||
	    !yield_wants_to_run(yield->thread))
		return;
	/* After it went well for longer than it was left alone, as the first time. */
	if (now_ns - given_ns > 4 * yield->pause_ns)
		yield->pause_ns = FIRST_PAUSE_NS;
	atomic_store(&yield->not_before_ns, now_ns + yield->pause_ns);
	if (yield->pause_ns < LAST_PAUSE_NS)
		yield->pause_ns *= 2;
	yield_end(yield);
}
