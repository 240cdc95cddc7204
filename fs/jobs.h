/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_JOBS_H
#define NACRE_FS_JOBS_H

/*
 * Threads of their own for requests that wait for other requests to be served: if those
 * that serve waited, all of them might.
 */

struct jobs;

/** jobs_new() - whose threads may run where the caller may. NULL: out of memory. */
struct jobs *jobs_new(void);
/** jobs_free() - waits until all that were started have ended; NULL is fine. */
void jobs_free(struct jobs *jobs);
/** jobs_limit() - start no more than @most at a time. */
void jobs_limit(struct jobs *jobs, unsigned most);
/** jobs_end() - wait until all that were started have ended, and start no more. Call while requests are still served. */
void jobs_end(struct jobs *jobs);
/** jobs_start() - @run(@arg) in a thread. Return: 0; it was not called: -EAGAIN, -ENOMEM, -EBUSY: not now or no more. */
int jobs_start(struct jobs *jobs, void (*run)(void *arg), void *arg);

#endif
