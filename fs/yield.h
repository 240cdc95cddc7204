/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Give way to the client on the processor that is shared with it (affinity.h).
 *
 * An answer wakes the client while the thread that gave it still runs, so the kernel looks for a processor that is idle: it
 * moves the client there, the thread follows, and so on; each move costs more than a request does.  A processor on
 * which nothing but SCHED_IDLE runs counts as idle.  So a thread that serves one client on its processor is of that policy: the
 * client is woken where it was, goes on at once, and the thread goes on when the client waits again.
 *
 * Whoever else wants that processor would hold such a thread up for long.  The watch of the loop, which looks every millisecond,
 * makes it as others are for a while then.  Back from SCHED_IDLE comes only who may lower nice values, root
 * as a rule; for others all stays as it is.  (A second thread, of SCHED_IDLE for good, that gives the answers of the first would
 * need no privilege, but does not help: since Linux 6.12 who waits stays on the queue of its processor as long as it has run
 * more than its share, which the first has against one of that policy, so that the processor does not count as idle.)
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct yield {
	pid_t thread;			/* 0: not possible */
	_Atomic bool given;		/* it is of SCHED_IDLE, or about to be */
	_Atomic uint64_t given_ns;	/* since when */
	_Atomic uint64_t not_before_ns; /* it was held up: not again until then */
	_Atomic unsigned turns;		/* requests that it has begun with */
	/* Of the watch only: */
	unsigned seen;	   /* of the turns */
	uint64_t pause_ns; /* how long the next time */
};

/** yield_wants_to_run() - is @thread, of this process, neither asleep nor in a call? True also where that cannot be told. */
bool yield_wants_to_run(pid_t thread);
/** yield_possible() - may a thread of ours be of SCHED_IDLE, and come back? Tried on one that ends. */
bool yield_possible(void);

/**
 * yield_init() - in the thread itself, which is as all others afterwards, whoever made it
 * @possible: what yield_possible() said
 */
void yield_init(struct yield *yield, bool possible);

/** yield_count() - in the thread itself, with each request. */
void yield_count(struct yield *yield);

/** yield_begin() - in the thread itself: the client goes first from now on, unless the thread was held up just now. */
void yield_begin(struct yield *yield, uint64_t now_ns);

/** yield_end() - in the thread itself, or by the watch: the thread is as others are. */
void yield_end(struct yield *yield);

/**
 * yield_rescue() - by the watch, every now and then: end it if the thread wants to run and does not get to
 *
 * It does not begin again for a while then, which doubles each time.
 */
void yield_rescue(struct yield *yield, uint64_t now_ns);
