/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/seek.h"

/*
 * Where the holes of a file are.
 *
 * With the write-back cache the kernel may hold data that the backing file does not
 * have yet, and it asks for holes without writing that back: what is a hole on the
 * disk may be data in the kernel.  So data is believed, a hole is not: the kernel is
 * told to let go of its pages of that hole, which writes the dirty ones, and then the
 * backing file is asked again, until the answer stays the same.
 *
 * The kernel writes while we wait.  The threads that serve it must not be those that
 * wait here, or all of them might: each question that needs this has a thread of its
 * own.  There are few, and none for files without holes.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEEK_TRIES = 64, SEEK_STACK_BYTES = 256 * 1024 };

struct seeks {
	pthread_mutex_t lock;
	pthread_cond_t none;
	unsigned running; /* guarded by lock */
};

struct seek_job {
	struct seek seek;
	struct seeks *seeks; /* borrowed */
	off_t first;	     /* what the backing file said at first */
};

static off_t ask(const struct seek *s, off_t offset, int whence)
{
	return fs_lseek(s->fs, s->node, offset, whence);
}

/* Is @r an answer that unwritten data cannot change?  Past the end there may be more. */
static bool settled(const struct seek *s, off_t r)
{
	return s->whence == SEEK_DATA ? r == s->offset : r < 0 && r != -ENXIO;
}

/* The kernel writes what it has of the hole that @r tells of. */
static void write_back(const struct seek *s, off_t r)
{
	off_t start = s->offset, end = r;

	if (s->whence == SEEK_HOLE && r >= 0) {
		start = r;
		end = ask(s, r, SEEK_DATA);
	} else if (s->whence == SEEK_HOLE) {
		end = -1;
	}
	/* A length of 0 is all the rest. */
	fuse_lowlevel_notify_inval_inode(s->mount->session, s->ino, start, end > start ? end - start : 0);
}

static off_t seek_settle(const struct seek *s, off_t r)
{
	for (int i = 0; i < SEEK_TRIES && !settled(s, r); i++) {
		off_t before = r;

		write_back(s, before);
		r = ask(s, s->offset, s->whence);
		if (r == before)
			break;
	}
	return r;
}

static void *seek_thread(void *arg)
{
	struct seek_job *job = arg;
	struct seeks *seeks = job->seeks;

	job->seek.done(job->seek.req, seek_settle(&job->seek, job->first));
	free(job);
	pthread_mutex_lock(&seeks->lock);
	if (--seeks->running == 0)
		pthread_cond_signal(&seeks->none);
	pthread_mutex_unlock(&seeks->lock);
	return NULL;
}

static int spawn(struct seek_job *job)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, SEEK_STACK_BYTES);
	r = pthread_create(&thread, &attr, seek_thread, job);
	pthread_attr_destroy(&attr);
	return r;
}

static void seek_later(struct seeks *seeks, const struct seek *seek, off_t first)
{
	struct seek_job *job = malloc(sizeof(*job));
	int r = ENOMEM;

	if (job) {
		*job = (struct seek_job){ .seek = *seek, .seeks = seeks, .first = first };
		pthread_mutex_lock(&seeks->lock);
		seeks->running++;
		pthread_mutex_unlock(&seeks->lock);
		r = spawn(job);
	}
	if (r == 0)
		return;
	if (job) {
		pthread_mutex_lock(&seeks->lock);
		seeks->running--;
		pthread_mutex_unlock(&seeks->lock);
		free(job);
	}
	seek->done(seek->req, -r);
}

void seek_start(struct seeks *seeks, const struct seek *seek)
{
	off_t r = ask(seek, seek->offset, seek->whence);

	if (settled(seek, r) || !seek->mount->writeback || fs_read_only(seek->fs))
		seek->done(seek->req, r);
	else
		seek_later(seeks, seek, r);
}

struct seeks *seeks_new(void)
{
	struct seeks *seeks = calloc(1, sizeof(*seeks));

	if (seeks) {
		pthread_mutex_init(&seeks->lock, NULL);
		pthread_cond_init(&seeks->none, NULL);
	}
	return seeks;
}

void seeks_free(struct seeks *seeks)
{
	if (!seeks)
		return;
	pthread_mutex_lock(&seeks->lock);
	while (seeks->running > 0)
		pthread_cond_wait(&seeks->none, &seeks->lock);
	pthread_mutex_unlock(&seeks->lock);
	pthread_mutex_destroy(&seeks->lock);
	pthread_cond_destroy(&seeks->none);
	free(seeks);
}
