/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_JOBS_H
#define NACRE_FS_JOBS_H

/*
 * Threads of their own for requests that wait for other requests to be served: if those
 * that serve waited, all of them might.
 */

struct jobs;

/** jobs_new() - NULL: out of memory. */
struct jobs *jobs_new(void);
/** jobs_free() - waits until all that were started have ended; NULL is fine. */
void jobs_free(struct jobs *jobs);
/** jobs_start() - @run(@arg) in a thread. Return: 0; -EAGAIN, -ENOMEM: it was not called. */
int jobs_start(struct jobs *jobs, void (*run)(void *arg), void *arg);

#endif
