/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_GATE_H
#define NACRE_FS_GATE_H

/*
 * What every request passes on its way into the core, so that now and then nobody is
 * in there: while the gate is closed the whole tree stands still, and may be changed
 * as no lock of its parts would allow.
 *
 * It is no lock that a request could wait for another one's sake: who is inside never
 * waits for somebody who is still to come in.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
	_Atomic unsigned inside;
	_Atomic bool closed;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* opened, or left by the last */
};

void gate_init(struct gate *gate);
void gate_release(struct gate *gate);

/** gate_enter() - waits while it is closed. */
void gate_enter(struct gate *gate);
void gate_leave(struct gate *gate);

/**
 * gate_close() - let nobody in, and wait until all have left
 * @wait_ns: at most so long; then it is open again
 *
 * The caller is not inside, and calls gate_open() if this succeeds.  One closes it at a time.
 * Return: 0; -EAGAIN: somebody did not leave in time.
 */
int gate_close(struct gate *gate, uint64_t wait_ns);
void gate_open(struct gate *gate);

/**
 * gate_closed() - @fn(@arg) while it is closed
 * @ret_pause_ns: for how long others had to wait
 *
 * Requests that take long are not waited for with all others waiting too: it is tried again, for some 25 seconds.
 * Return: what @fn returned; -EBUSY: it was not called.
 */
int gate_closed(struct gate *gate, int (*fn)(void *arg), void *arg, uint64_t *ret_pause_ns);

#endif
