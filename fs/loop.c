/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/loop.h"

/*
 * A client waits for each of its requests, so most of the time there is one request
 * at a time, and what it costs is waking a thread with cold caches.  So one thread
 * has the lead: it reads a request, serves it and reads the next, and the others sleep.
 * The lead goes to another
 *
 *   at once     when the request is one that takes long: data, a sync, unless the one who
 *               waits for that was alone before
 *   by 1 ms     when it takes longer than one was to expect: a copy-up, a cold disk.  A
 *               watch looks every millisecond, while requests come in, whether
 *               somebody reads; with nothing to do it sleeps too.
 *
 * When a thread has finished and somebody else reads, it sleeps.  Several may read at
 * a time where there is work for them: a leader that finds the next request waiting
 * each time it reads, and that of another client, asks for one more, up to the number of
 * processors, and one that has to wait each time does without.  That the client just
 * answered has asked again means nothing: on the same processor it goes on before we do.
 *
 * `readers` counts the threads that read, or are on their way to.  It is 0 only while all
 * that are awake are serving; each of them reads when it has done.
 */

#include "fs/affinity.h"
#include "fs/ahead.h"
#include "fs/jobs.h"
#include "fs/ring.h"
#include "fs/stats.h"
#include "store/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_WORKERS = 64,
	MAX_READERS = 16,
	REQUEST_BYTES = MAX_WRITE_BYTES + 8192, /* a WRITE with its header */
	LONG_BYTES = 64 * 1024,			/* data that takes longer than waking a thread */
	WATCH_NS = 1000000,
	WATCH_ROUNDS = 50, /* so many without a request, and the watch sleeps */
	AT_ONCE_NS = 3000, /* a read that took no longer did not wait */
	PATIENCE = 16,	   /* reads in a row that say the same, before it is believed */
};

struct worker {
	struct loop *loop;
	struct worker *next;
	pthread_t thread;
	void *request; /* owned */
	int at_once, waited;
	uint32_t client;    /* whose request came last; 0: nobody's */
	_Atomic bool ready; /* what follows is made */
	struct affinity affinity;
};

struct loop {
	struct mount *mount; /* borrowed */
	struct stats *stats; /* borrowed */
	struct rings *rings; /* borrowed; NULL: none */
	int fd;
	pthread_t main;
	unsigned max_workers, max_readers;
	_Atomic unsigned *readers; /* borrowed from the mount */
	_Atomic unsigned width;	   /* how many may read */
	_Atomic unsigned taken;	   /* requests, in all */
	_Atomic bool forgot;	   /* the kernel has given up nodes since the heap was trimmed */
	_Atomic bool stopping;
	_Atomic int error;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t lead;  /* for the workers that sleep */
	unsigned worker_count, sleeping;
	unsigned offered;		  /* leads that sleeping workers are to take */
	_Atomic(struct worker *) workers; /* added in front, with the lock held; none is taken off before the end */
	cpu_set_t processors;		  /* where all of them may run */
	bool yields;			  /* who serves one client may go behind it (yield.h) */
	bool watch_made;
	pthread_t watch;
	pthread_cond_t work; /* for the watch */
	_Atomic bool watch_sleeps;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *worker_run(void *arg);

/* The lock is held; the new worker has the lead. */
static int worker_start(struct loop *loop)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	pthread_attr_t attr;
	int err;

	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	worker->request = malloc(REQUEST_BYTES);
	err = worker->request ? pthread_attr_init(&attr) : ENOMEM;
	if (err == 0) {
		affinity_attr(&attr, &loop->processors);
		err = pthread_create(&worker->thread, &attr, worker_run, worker);
		pthread_attr_destroy(&attr);
	}
	if (err) {
		free(worker->request);
		free(worker);
		return -err;
	}
	worker->next = atomic_load(&loop->workers);
	atomic_store(&loop->workers, worker);
	loop->worker_count++;
	stats_add(loop->stats, STAT_THREADS, 1);
	return 0;
}

/* One more thread reads; none if all are at work. */
static void lead_offer(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	atomic_fetch_add(loop->readers, 1);
	if (loop->sleeping > loop->offered) {
		loop->offered++;
		pthread_cond_signal(&loop->lead);
	} else if (atomic_load(&loop->stopping) || loop->worker_count == loop->max_workers || worker_start(loop) < 0) {
		atomic_fetch_sub(loop->readers, 1);
	}
	pthread_mutex_unlock(&loop->lock);
}

/* Return: false: enough others read. */
static bool lead_take(struct loop *loop)
{
	unsigned readers = atomic_load(loop->readers);

	while (readers < atomic_load(&loop->width)) {
		if (atomic_compare_exchange_weak(loop->readers, &readers, readers + 1))
			return true;
	}
	return false;
}

/* Sleep until somebody gives up the lead. */
static void lead_wait(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->sleeping++;
	while (loop->offered == 0 && !atomic_load(&loop->stopping))
		pthread_cond_wait(&loop->lead, &loop->lock);
	loop->sleeping--;
	if (loop->offered > 0)
		loop->offered--;
	pthread_mutex_unlock(&loop->lock);
}

static void stop(struct loop *loop, int error)
{
	pthread_mutex_lock(&loop->lock);
	if (!atomic_exchange(&loop->stopping, true)) {
		atomic_store(&loop->error, error);
		pthread_cond_broadcast(&loop->lead);
		pthread_cond_broadcast(&loop->work);
		pthread_kill(loop->main, SIGTERM);
	}
	pthread_mutex_unlock(&loop->lock);
}

/* --- how many read --- */

/*
 * Does the request show that there are several clients?  What the kernel does by itself bears no number, no more than
 * clients whose processes are not to be seen from ours.
 */
static bool is_of_another(struct worker *worker, const struct fuse_in_header *in)
{
	bool another = in->pid != worker->client;

	if (in->pid == 0)
		return in->opcode != FUSE_WRITE && in->opcode != FUSE_RELEASE;
	worker->client = in->pid;
	return another;
}

/* Did the request wait for us, or we for it? */
static void note_wait(struct worker *worker, bool waited, bool another)
{
	struct loop *loop = worker->loop;
	unsigned width = atomic_load(&loop->width);

	if (!waited) {
		if (!another)
			return;
		worker->waited = 0;
		if (++worker->at_once < PATIENCE || width >= loop->max_readers)
			return;
		worker->at_once = 0;
		affinity_release(&worker->affinity);
		if (atomic_compare_exchange_strong(&loop->width, &width, width + 1))
			lead_offer(loop);
		return;
	}
	worker->at_once = 0;
	if (++worker->waited < PATIENCE || width == 1)
		return;
	worker->waited = 0;
	atomic_compare_exchange_strong(&loop->width, &width, width - 1);
}

static bool is_forget(const struct fuse_in_header *in)
{
	return in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET;
}

bool loop_takes_long(const struct fuse_in_header *in, size_t bytes)
{
	const struct fuse_read_in *read_in = (const struct fuse_read_in *)(in + 1);

	switch (in->opcode) {
	case FUSE_READ:
		return bytes >= sizeof(*in) + sizeof(*read_in) && read_in->size >= LONG_BYTES;
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		return true;
	default:
		return bytes >= LONG_BYTES;
	}
}

/* A sync takes as long as the disk is slow, and leaves the core for that time (fs_fsync()). */
static bool enters_itself(const struct fuse_in_header *in)
{
	return in->opcode == FUSE_FSYNC || in->opcode == FUSE_FSYNCDIR;
}

/*
 * Should another thread read while this one serves the request?  Waking one for each sync of a client that is alone, and
 * waits for it, takes longer than many a sync; if somebody comes, the watch sees to it.
 */
static bool hands_over(const struct worker *worker, size_t bytes)
{
	const struct fuse_in_header *in = worker->request;

	return loop_takes_long(in, bytes) && !(enters_itself(in) && affinity_is_alone(&worker->affinity, in->pid));
}

/* What the request, asked for at START_NS, says of who is there. */
static void note_request(struct worker *worker, uint64_t start_ns, size_t bytes)
{
	const struct fuse_in_header *in = worker->request;
	uint64_t now = now_ns();
	bool waited = now - start_ns >= AT_ONCE_NS;

	note_wait(worker, waited, is_of_another(worker, in));
	if (atomic_load(&worker->loop->width) > 1 || hands_over(worker, bytes))
		affinity_release(&worker->affinity);
	else
		affinity_follow(&worker->affinity, in->pid, now, waited);
}

/* --- the watch --- */

static void watch_wake(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	atomic_store(&loop->watch_sleeps, false);
	pthread_cond_signal(&loop->work);
	pthread_mutex_unlock(&loop->lock);
}

/*
 * What follows takes no lock, which one that is held up might have.  None of those that have the loop's is: before they take it
 * they are as others are.
 */
static void help_out(struct loop *loop)
{
	uint64_t now = now_ns();

	for (struct worker *worker = atomic_load(&loop->workers); worker; worker = worker->next) {
		if (atomic_load(&worker->ready))
			yield_rescue(&worker->affinity.yield, now);
	}
}

static void nobody_yields(struct loop *loop)
{
	for (struct worker *worker = atomic_load(&loop->workers); worker; worker = worker->next) {
		if (atomic_load(&worker->ready))
			yield_end(&worker->affinity.yield);
	}
}

static void watch_sleep(struct loop *loop)
{
	atomic_store(&loop->watch_sleeps, true);
	nobody_yields(loop); /* and who begins to later sees that the watch sleeps */
	pthread_mutex_lock(&loop->lock);
	while (atomic_load(&loop->watch_sleeps) && !atomic_load(&loop->stopping))
		pthread_cond_wait(&loop->work, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
}

static void *watch_run(void *arg)
{
	struct loop *loop = arg;
	unsigned seen = 0, quiet = 0;

	while (!atomic_load(&loop->stopping)) {
		unsigned taken = atomic_load(&loop->taken);
		bool nobody = atomic_load(loop->readers) == 0;

		if (loop->yields)
			help_out(loop);
		if (nobody && taken == seen)
			lead_offer(loop);
		quiet = taken == seen && !nobody ? quiet + 1 : 0;
		seen = taken;
		if (quiet >= WATCH_ROUNDS) {
			quiet = 0;
			if (atomic_exchange(&loop->forgot, false))
				malloc_trim(0); /* what the kernel forgot lies between what it has not */
			watch_sleep(loop);
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = WATCH_NS }, NULL);
		}
	}
	return NULL;
}

/* --- workers --- */

/* Return: bytes; 0: nothing this time; -errno, -ENODEV when the mount is gone. */
static ssize_t request_read(struct worker *worker)
{
	ssize_t n;
	int err;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	n = read(worker->loop->fd, worker->request, REQUEST_BYTES);
	err = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (n < 0 && (err == EINTR || err == ENOENT || err == EAGAIN)) /* ENOENT: it was given up */
		return 0;
	if (n >= 0 && (size_t)n < sizeof(struct fuse_in_header))
		return -EIO;
	return n < 0 ? -err : n;
}

/* With io=passthrough only: what is written meanwhile comes without a request, and is over with the release. */
static bool is_of_writer(const struct fuse_in_header *in)
{
	const struct fuse_open_in *open_in = (const struct fuse_open_in *)(in + 1);
	const struct fuse_release_in *release_in = (const struct fuse_release_in *)(in + 1);
	uint32_t flags = in->opcode == FUSE_OPEN ? open_in->flags : release_in->flags;

	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

/* What listings tell, which are of use as long as nothing of it does (ahead.c). */
static bool may_change(const struct fuse_in_header *in)
{
	switch (in->opcode) {
	case FUSE_OPEN:
	case FUSE_RELEASE:
		return is_of_writer(in);
	case FUSE_LOOKUP:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_GETATTR:
	case FUSE_READLINK:
	case FUSE_READ:
	case FUSE_STATFS:
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
	case FUSE_FLUSH:
	case FUSE_OPENDIR:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_ACCESS:
	case FUSE_LSEEK:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_INTERRUPT:
		return false;
	default:
		return true;
	}
}

/* Of nodes that others may be changing just now. */
static bool tells_attributes(const struct fuse_in_header *in)
{
	enum { STATX = 52 }; /* newer than the oldest headers this builds with */

	return in->opcode == FUSE_LOOKUP || in->opcode == FUSE_GETATTR || in->opcode == STATX ||
	       in->opcode == FUSE_READDIRPLUS;
}

void loop_serve(struct mount *mount, const struct fuse_buf *buf)
{
	const uint32_t opcode = ((const struct fuse_in_header *)buf->mem)->opcode;
	bool gated = mount->fs && !enters_itself(buf->mem);
	bool changes = mount->ahead && may_change(buf->mem);

	if (tells_attributes(buf->mem))
		told_note(&mount->told, ((const struct fuse_in_header *)buf->mem)->pid);
	if (changes)
		ahead_change_begin(mount);
	if (gated)
		fs_enter(mount->fs);
	fuse_session_process_buf(mount->session, buf);
	mount_answered(mount, opcode); /* now the kernel knows of its error, too */
	if (gated)
		fs_leave(mount->fs);
	if (changes)
		ahead_change_end(mount);
}

static void request_serve(struct worker *worker, size_t bytes)
{
	struct loop *loop = worker->loop;
	struct fuse_buf buf = { .mem = worker->request, .size = bytes };

	if (hands_over(worker, bytes) && atomic_load(loop->readers) == 0)
		lead_offer(loop);
	loop_serve(loop->mount, &buf);
}

/* Has the lead. Return: false: it is over. */
static bool lead(struct worker *worker)
{
	struct loop *loop = worker->loop;
	uint64_t start = loop->max_readers > 1 ? now_ns() : 0;
	ssize_t n = request_read(worker);

	if (atomic_load(&loop->stopping))
		return false;
	if (n < 0) {
		affinity_release(&worker->affinity);
		stop(loop, n == -ENODEV ? 0 : (int)n);
		return false;
	}
	if (n == 0)
		return true;
	if (loop->max_readers > 1 && !is_forget(worker->request)) /* nobody waits for those, they come in bursts */
		note_request(worker, start, (size_t)n);
	if (loop->rings)
		rings_see_request(loop->rings);
	stats_request(loop->stats, ((const struct fuse_in_header *)worker->request)->opcode);
	if (is_forget(worker->request))
		atomic_store_explicit(&loop->forgot, true, memory_order_relaxed);
	atomic_fetch_add(&loop->taken, 1);
	atomic_fetch_sub(loop->readers, 1);
	if (atomic_load(&loop->watch_sleeps)) {
		yield_end(&worker->affinity.yield);
		watch_wake(loop);
	}
	request_serve(worker, (size_t)n);
	if (!lead_take(loop)) {
		affinity_release(&worker->affinity);
		lead_wait(loop);
	}
	return true;
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	affinity_init(&worker->affinity, &worker->loop->processors, worker->loop->yields);
	atomic_store(&worker->ready, true);
	while (!atomic_load(&worker->loop->stopping) && lead(worker))
		;
	return NULL;
}

/* --- life --- */

static void awaited_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

void loop_block_signals(void)
{
	sigset_t set;

	awaited_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Nothing is started any more. Those that read are asked to end; those that serve do when they have done. */
static void loop_join(struct loop *loop)
{
	if (loop->watch_made)
		pthread_join(loop->watch, NULL);
	nobody_yields(loop);
	for (struct worker *worker = atomic_load(&loop->workers), *next; worker; worker = next) {
		next = worker->next;
		pthread_cancel(worker->thread);
		pthread_join(worker->thread, NULL);
		affinity_free(&worker->affinity);
		free(worker->request);
		free(worker);
	}
}

static int loop_start(struct loop *loop)
{
	int r;

	pthread_mutex_lock(&loop->lock);
	atomic_store(loop->readers, 1);
	r = worker_start(loop);
	pthread_mutex_unlock(&loop->lock);
	if (r == 0 && loop->max_workers > 1) {
		r = -pthread_create(&loop->watch, NULL, watch_run, loop);
		loop->watch_made = r == 0;
	}
	return r;
}

/* Until it is to end; stop() sends a signal too. */
static void await_end(const struct loop_options *options)
{
	sigset_t set;
	int signal;

	awaited_signals(&set);
	while (sigwait(&set, &signal) == 0 && signal == SIGUSR1)
		options->asked(options->arg);
}

int loop_run(struct mount *mount, const struct loop_options *options)
{
	unsigned max_threads = options->max_threads;
	struct loop loop = {
		.mount = mount,
		.stats = mount->stats,
		.rings = mount->rings,
		.fd = fuse_session_fd(mount->session),
		.main = pthread_self(),
		.max_workers = max_threads == 0 || max_threads > MAX_WORKERS ? MAX_WORKERS : max_threads,
		.readers = &mount->readers,
		.width = 1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.lead = PTHREAD_COND_INITIALIZER,
		.work = PTHREAD_COND_INITIALIZER,
	};
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int r;

	if (sched_getaffinity(0, sizeof(loop.processors), &loop.processors) == 0)
		processors = CPU_COUNT(&loop.processors);
	if (processors < 1 || loop.max_workers == 1)
		processors = 1;
	loop.yields = processors > 1 && yield_possible();
	loop.max_readers = processors > MAX_READERS ? MAX_READERS : (unsigned)processors;
	r = loop_start(&loop);
	if (r == 0) {
		options->serving(options->arg);
		await_end(options);
	}
	jobs_end(mount->jobs); /* they wait for requests that must still be served */
	jobs_end(mount->controls);
	options->ending(options->arg);
	stop(&loop, 0);
	loop_join(&loop);
	if (loop.rings)
		rings_stop(loop.rings);
	return r < 0 ? r : atomic_load(&loop.error);
}
