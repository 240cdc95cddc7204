/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/affinity.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STREAK = 64,		 /* requests of one client in a row, before it is alone */
	LEAST_WAITS = 2,	 /* in a row, before its processor is looked at */
	MOST_WAITS = 64,	 /* where looks find nothing, or one follows the other */
	LOOK_AFTER_NS = 5000000, /* and no longer than that: it may have been moved away from a busy one */
	STAT_PROCESSOR = 39,	 /* the field of /proc/PID/stat, from 1 */
	STAT_COMMAND = 2,	 /* in brackets; may hold blanks and brackets */
};

/* This thread does. Where the whole process is of SCHED_IDLE it is behind all, and may not leave that. */
static _Thread_local bool goes_behind;

void affinity_init(struct affinity *affinity, const cpu_set_t *allowed, bool yields)
{
	*affinity = (struct affinity){ .allowed = allowed, .stat_fd = -1, .cpu = -1, .patience = LEAST_WAITS };
	pthread_setaffinity_np(pthread_self(), sizeof(*allowed), allowed);
	yield_init(&affinity->yield, yields);
	goes_behind = yields;
}

void affinity_free(struct affinity *affinity)
{
	if (affinity->stat_fd >= 0)
		close(affinity->stat_fd);
	affinity->stat_fd = -1;
}

void affinity_attr(pthread_attr_t *attr, const cpu_set_t *allowed)
{
	pthread_attr_setaffinity_np(attr, sizeof(*allowed), allowed);
	/* Asked for only then: there are sandboxes that forbid it to all. */
	if (!goes_behind || sched_getscheduler(0) != SCHED_IDLE)
		return;
	pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(attr, SCHED_OTHER);
}

/* Return: the processor that the client was last on; -1: not to be known. */
static int client_cpu(struct affinity *affinity)
{
	char path[64], text[512], *field;
	ssize_t n;

	if (affinity->stat_fd < 0) {
		snprintf(path, sizeof(path), "/proc/%u/task/%u/stat", affinity->pid, affinity->pid);
		affinity->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	n = affinity->stat_fd < 0 ? -1 : pread(affinity->stat_fd, text, sizeof(text) - 1, 0);
	if (n <= 0) { /* it has ended; its number may be given out again */
		affinity_free(affinity);
		return -1;
	}
	text[n] = '\0';
	field = strrchr(text, ')');
	for (int i = STAT_COMMAND; field && i < STAT_PROCESSOR; i++)
		field = strchr(field + 1, ' ');
	return field ? atoi(field + 1) : -1;
}

static void bind_to(struct affinity *affinity, int cpu)
{
	cpu_set_t one;

	if (affinity->cpu == cpu)
		return;
	if (cpu < 0)
		yield_end(&affinity->yield);
	CPU_ZERO(&one);
	if (cpu >= 0)
		CPU_SET(cpu, &one);
	/* Not more than a favour: where it is not allowed, all stays as it is. */
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), cpu < 0 ? affinity->allowed : &one) == 0)
		affinity->cpu = cpu;
}

void affinity_release(struct affinity *affinity)
{
	affinity->streak = 0;
	affinity->moved_at = 0;
	bind_to(affinity, -1);
}

static void client_change(struct affinity *affinity, uint32_t pid)
{
	/* The one before may be computing now, on the processor that it was followed to. */
	bind_to(affinity, -1);
	affinity_free(affinity);
	affinity->pid = pid;
	affinity->streak = 0;
	affinity->moved_at = 0;
	affinity->patience = LEAST_WAITS;
}

/* Return: is it alone? */
static bool client_count(struct affinity *affinity, uint32_t pid)
{
	if (pid == 0)
		return false;
	if (pid != affinity->pid)
		client_change(affinity, pid);
	affinity->streak++;
	return affinity->streak >= STREAK;
}

bool affinity_is_alone(const struct affinity *affinity, uint32_t pid)
{
	return pid != 0 && pid == affinity->pid && affinity->streak >= STREAK;
}

static void go_to(struct affinity *affinity, int cpu)
{
	if (cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, affinity->allowed))
		bind_to(affinity, cpu);
}

/*
 * A client that shares our processor goes on as soon as it is answered, and has asked again before we read.  If we wait for
 * it, it may have been moved, but also just have something to do; so we look less and less often while that is so.
 */
static bool wants_look(struct affinity *affinity, uint64_t now_ns, bool waited)
{
	affinity->waits = waited ? affinity->waits + 1 : 0;
	return affinity->streak == STREAK || affinity->waits >= affinity->patience ||
	       now_ns - affinity->looked_ns >= LOOK_AFTER_NS;
}

static void look(struct affinity *affinity, uint64_t now_ns)
{
	int cpu = client_cpu(affinity);
	bool moved = cpu != affinity->cpu;

	affinity->looked_ns = now_ns;
	if (moved && affinity->streak - affinity->moved_at >= STREAK)
		affinity->patience = LEAST_WAITS;
	else if (affinity->waits > 0 && affinity->patience < MOST_WAITS)
		affinity->patience *= 2;
	affinity->waits = 0;
	if (moved)
		affinity->moved_at = affinity->streak;
	/* Away from us: nothing but our answer has moved it, or somebody else who wants the processor. */
	if (moved && affinity->cpu >= 0)
		yield_begin(&affinity->yield, now_ns);
	go_to(affinity, cpu);
}

void affinity_follow(struct affinity *affinity, uint32_t pid, uint64_t now_ns, bool waited)
{
	if (!client_count(affinity, pid))
		return;
	yield_count(&affinity->yield);
	if (wants_look(affinity, now_ns, waited))
		look(affinity, now_ns);
}

void affinity_follow_to(struct affinity *affinity, uint32_t pid, int cpu)
{
	if (client_count(affinity, pid))
		go_to(affinity, cpu);
}
