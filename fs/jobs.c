/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/jobs.h"

#include "fs/affinity.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum { JOB_STACK_BYTES = 256 * 1024 };

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t none;
	cpu_set_t processors; /* where they may run */
	unsigned running;     /* guarded by lock */
	unsigned most;	      /* guarded by lock; 0: none is started any more */
};

struct job {
	struct jobs *jobs; /* borrowed */
	void (*run)(void *arg);
	void *arg;
};

static void one_less(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	if (--jobs->running == 0)
		pthread_cond_signal(&jobs->none);
	pthread_mutex_unlock(&jobs->lock);
}

static void *job_thread(void *arg)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;

	job->run(job->arg);
	free(job);
	one_less(jobs);
	return NULL;
}

static int spawn(struct job *job)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err = pthread_attr_init(&attr);

	if (err != 0)
		return -err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, JOB_STACK_BYTES);
	affinity_attr(&attr, &job->jobs->processors);
	err = pthread_create(&thread, &attr, job_thread, job);
	pthread_attr_destroy(&attr);
	return -err;
}

int jobs_start(struct jobs *jobs, void (*run)(void *arg), void *arg)
{
	struct job *job = malloc(sizeof(*job));
	int r;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .jobs = jobs, .run = run, .arg = arg };
	pthread_mutex_lock(&jobs->lock);
	r = jobs->running < jobs->most ? 0 : -EBUSY;
	if (r == 0)
		jobs->running++;
	pthread_mutex_unlock(&jobs->lock);
	if (r == 0) {
		r = spawn(job);
		if (r < 0)
			one_less(jobs);
	}
	if (r < 0)
		free(job);
	return r;
}

struct jobs *jobs_new(void)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	if (jobs) {
		jobs->most = UINT32_MAX;
		sched_getaffinity(0, sizeof(jobs->processors), &jobs->processors);
		pthread_mutex_init(&jobs->lock, NULL);
		pthread_cond_init(&jobs->none, NULL);
	}
	return jobs;
}

void jobs_limit(struct jobs *jobs, unsigned most)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->most = most;
	pthread_mutex_unlock(&jobs->lock);
}

void jobs_end(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->most = 0;
	while (jobs->running > 0)
		pthread_cond_wait(&jobs->none, &jobs->lock);
	pthread_mutex_unlock(&jobs->lock);
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	jobs_end(jobs);
	pthread_mutex_destroy(&jobs->lock);
	pthread_cond_destroy(&jobs->none);
	free(jobs);
}
