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

#include "fs/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEEK_TRIES = 64 };

struct seek_job {
	struct seek seek;
	off_t first; /* what the backing file said at first */
};

/* Not within a request: those who serve it may have to wait for a moment (fs/gate.h). */
static off_t ask(const struct seek *s, off_t offset, int whence)
{
	off_t r;

	fs_enter(s->fs);
	r = fs_lseek(s->fs, s->node, offset, whence);
	fs_leave(s->fs);
	return r;
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

static void seek_run(void *arg)
{
	struct seek_job *job = arg;

	job->seek.done(job->seek.req, seek_settle(&job->seek, job->first));
	free(job);
}

static void seek_later(const struct seek *seek, off_t first)
{
	struct seek_job *job = malloc(sizeof(*job));
	int r = -ENOMEM;

	if (job) {
		*job = (struct seek_job){ .seek = *seek, .first = first };
		r = jobs_start(seek->mount->jobs, seek_run, job);
	}
	if (r == 0)
		return;
	free(job);
	/* Too many, or the end: told that we cannot tell holes, the kernel asks no more, and takes all for data. */
	seek->done(seek->req, r == -EBUSY ? -ENOSYS : r);
}

void seek_start(const struct seek *seek)
{
	off_t r = fs_lseek(seek->fs, seek->node, seek->offset, seek->whence);

	if (settled(seek, r) || !seek->mount->writeback || fs_read_only(seek->fs))
		seek->done(seek->req, r);
	else
		seek_later(seek, r);
}
