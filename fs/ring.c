/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ring.h"

/*
 * The kernel keeps a queue of requests for each processor, and takes for a request an
 * entry that was registered with the queue of the processor on which the client runs.
 * An entry is a place in memory; it is filled by the kernel, answered in place, and
 * handed back by the same system call that waits for the next request: one call for
 * each request.
 *
 * Each thread here has an io_uring of its own with one entry, so that a request that
 * takes long holds up no other.  The kernel takes the entry that came back last, so that
 * most threads sleep for ever.  All that a queue will have are there from the start: what
 * waits for an entry is looked at when one comes back, but not when a new one comes.  So
 * no requests may hold all entries of a queue and wait for another request: those that
 * ask for holes do wait, for a WRITE, and are limited (jobs_limit()).
 *
 *   INIT comes through the device.  When its answer passes here, all is made that
 *   can fail (rings_start), only then the kernel is told that there will be entries:
 *   from then on it waits for them.  Should it refuse them after all, it goes back to
 *   the device by itself.
 *   A request is put together in memory as the device would have given it; libfuse
 *   decodes it, and its answer comes back through ring_writev().
 *   Where the answer comes from another thread (seek.c), ours waits for it.
 *   The mount goes: the kernel gives all entries back with -ENOTCONN.  We go:
 *   an event descriptor that all wait for too.
 *
 * What comes through the device and what comes by a ring is ordered by the kernel alone:
 * a node is forgotten there after the last request on it was answered here.  The kernel
 * does order memory too, but neither the language nor ThreadSanitizer knows of that, so
 * each answer is a release and each request an acquire of our own (rings.order).
 */

#include "fs/affinity.h"
#include "fs/jobs.h"
#include "fs/loop.h"
#include "fs/stats.h"
#include "store/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* From the kernel's fuse.h of 6.14; older ones, which we may be built with, have none of it. */
#define RING_OFFERED (1u << (41 - 32)) /* FUSE_OVER_IO_URING, in flags2 */

#define PARAMETER "/sys/module/fuse/parameters/enable_uring"

enum { RING_REGISTER = 1, RING_COMMIT_AND_FETCH = 2 };

struct ring_header {
	char in_out[128]; /* struct fuse_in_header, then struct fuse_out_header */
	char op_in[128];
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_bytes;
	uint32_t padding;
	uint64_t reserved;
};

struct ring_command {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t queue;
	uint8_t padding[6];
};

enum {
	PAGE_BYTES = 4096,
	MIN_PAYLOAD_BYTES = 8192,
	QUEUE_WORKERS = 32,
	FEW_QUEUE_WORKERS = 8, /* of many processors */
	MANY_QUEUES = 16,
	KEPT_WORKERS = 4, /* of a queue, for what others wait for */
	ENTRIES = 2,	  /* the request, and the event */
};

struct worker {
	struct rings *rings;
	struct worker *next;
	pthread_t thread;
	unsigned queue;
	struct io_uring ring;
	/*
	 * Two pages and the payload: the header; what of the request comes before the
	 * payload, up to the end of its page; the payload, which the answer has too.
	 */
	char *memory; /* owned, mapped */
	struct iovec iov[2];
	struct affinity affinity;
	uint64_t commit_id;
	_Atomic uint64_t unique; /* of the request; 0: there is none */
	_Atomic bool answered;
};

enum stage { STAGE_NONE, STAGE_MADE, STAGE_RUNS, STAGE_STOPS };

struct rings {
	struct mount *mount; /* borrowed */
	struct stats *stats; /* borrowed */
	int fd, stop_fd;     /* of the device; the event: owned */
	unsigned queue_count, queue_workers;
	_Atomic uint64_t init_unique; /* of an INIT that offers rings; 0: none */
	_Atomic unsigned busy;	      /* workers that serve a request */
	cpu_set_t processors;	      /* where all of them may run */
	_Atomic unsigned order;	      /* answers, in all: written by answer_order(), read by rings_see_request() */
	size_t payload_bytes;
	pthread_key_t current; /* the worker that a thread is; set up with the rings */
	pthread_mutex_t lock;  /* guards what follows */
	pthread_cond_t changed;
	enum stage stage;
	unsigned made, failed; /* workers */
	unsigned registered;   /* those of which the kernel has heard, whatever it said */
	int error;	       /* the first reason for a failure; 0: none */
	struct worker *workers;
};

/* --- a worker's memory and ring --- */

static struct ring_header *header_of(const struct worker *worker)
{
	return (struct ring_header *)(void *)worker->memory;
}

static char *payload_of(const struct worker *worker)
{
	return worker->memory + 2 * PAGE_BYTES;
}

static int ring_open(struct io_uring *ring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	int r = io_uring_queue_init_params(ENTRIES, ring, &params);

	if (r == -EINVAL) {
		params = (struct io_uring_params){ .flags = IORING_SETUP_SQE128 };
		r = io_uring_queue_init_params(ENTRIES, ring, &params);
	}
	return r;
}

static int worker_init(struct worker *worker)
{
	struct rings *rings = worker->rings;
	size_t bytes = 2 * PAGE_BYTES + rings->payload_bytes;
	struct io_uring_sqe *sqe;
	int r;

	worker->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (worker->memory == MAP_FAILED)
		return -ENOMEM;
	worker->iov[0] = (struct iovec){ worker->memory, sizeof(struct ring_header) };
	worker->iov[1] = (struct iovec){ payload_of(worker), rings->payload_bytes };
	r = ring_open(&worker->ring);
	if (r < 0) {
		munmap(worker->memory, bytes);
		return r;
	}
	sqe = io_uring_get_sqe(&worker->ring);
	io_uring_prep_poll_add(sqe, rings->stop_fd, POLLIN);
	io_uring_sqe_set_data(sqe, rings);
	return 0;
}

static void worker_release(struct worker *worker)
{
	io_uring_queue_exit(&worker->ring);
	munmap(worker->memory, 2 * PAGE_BYTES + worker->rings->payload_bytes);
}

static void worker_submit(struct worker *worker, unsigned command)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&worker->ring); /* there is one: the last has come back */
	struct ring_command *cmd = (struct ring_command *)(void *)sqe->cmd;

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, worker->rings->fd, NULL, 0, 0);
	io_uring_sqe_set_data(sqe, worker);
	sqe->cmd_op = command;
	*cmd = (struct ring_command){ .commit_id = worker->commit_id, .queue = (uint16_t)worker->queue };
	if (command == RING_REGISTER) {
		sqe->addr = (uint64_t)(uintptr_t)worker->iov;
		sqe->len = ARRAY_SIZE(worker->iov);
	}
}

/* --- workers come and go --- */

static void *worker_run(void *arg);

static void stage_set(struct rings *rings, enum stage stage)
{
	pthread_mutex_lock(&rings->lock);
	if (rings->stage != STAGE_STOPS)
		rings->stage = stage;
	pthread_cond_broadcast(&rings->changed);
	pthread_mutex_unlock(&rings->lock);
}

static int worker_start(struct rings *rings, unsigned queue)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int err;

	if (!worker)
		return -ENOMEM;
	worker->rings = rings;
	worker->queue = queue;
	pthread_mutex_lock(&rings->lock);
	err = pthread_create(&worker->thread, NULL, worker_run, worker);
	if (err == 0) {
		worker->next = rings->workers;
		rings->workers = worker;
	}
	pthread_mutex_unlock(&rings->lock);
	if (err != 0)
		free(worker);
	return -err;
}

/* The lock is held. */
static void failed_locked(struct rings *rings, int err)
{
	if (rings->error == 0)
		rings->error = err;
}

/* All workers, up to where each has what it needs. Return: have they? */
static bool rings_start(struct rings *rings, const struct fuse_init_out *init)
{
	unsigned wanted = rings->queue_count * rings->queue_workers, started = 0;
	bool made;
	int r = 0;

	rings->payload_bytes = init->max_write > MIN_PAYLOAD_BYTES ? init->max_write : MIN_PAYLOAD_BYTES;
	if (rings->payload_bytes < (size_t)init->max_pages * PAGE_BYTES)
		rings->payload_bytes = (size_t)init->max_pages * PAGE_BYTES;
	stage_set(rings, STAGE_MADE);
	while (started < wanted && (r = worker_start(rings, started % rings->queue_count)) == 0)
		started++;
	pthread_mutex_lock(&rings->lock);
	if (r < 0)
		failed_locked(rings, r);
	while (rings->made + rings->failed < started)
		pthread_cond_wait(&rings->changed, &rings->lock);
	made = rings->made == wanted;
	pthread_mutex_unlock(&rings->lock);
	if (!made)
		stage_set(rings, STAGE_STOPS);
	return made;
}

/* --- answers --- */

/* Call before any answer goes to the kernel, by whatever way. Pairs with rings_see_request(). */
static void answer_order(struct rings *rings)
{
	atomic_fetch_add_explicit(&rings->order, 1, memory_order_release);
}

static void answer_fill(struct worker *worker, const struct iovec *iov, int count)
{
	struct ring_header *header = header_of(worker);
	struct fuse_out_header *out = (struct fuse_out_header *)(void *)header->in_out;
	size_t bytes = 0;

	memcpy(out, iov[0].iov_base, sizeof(*out));
	for (int i = 1; i < count; i++) {
		if (iov[i].iov_len > worker->rings->payload_bytes - bytes) {
			out->error = -EIO; /* more than was asked for */
			bytes = 0;
			break;
		}
		if (iov[i].iov_base != payload_of(worker) + bytes)
			memmove(payload_of(worker) + bytes, iov[i].iov_base, iov[i].iov_len);
		bytes += iov[i].iov_len;
	}
	header->payload_bytes = (uint32_t)bytes;
}

/* Another thread than the one that took the request. Return: is the request one of the rings'? */
static bool answer_elsewhere(struct rings *rings, uint64_t unique, const struct iovec *iov, int count)
{
	struct worker *worker;

	pthread_mutex_lock(&rings->lock);
	for (worker = rings->workers; worker; worker = worker->next) {
		if (atomic_load(&worker->unique) == unique)
			break;
	}
	if (worker) {
		answer_fill(worker, iov, count);
		atomic_store(&worker->answered, true);
		pthread_cond_broadcast(&rings->changed);
	}
	pthread_mutex_unlock(&rings->lock);
	return worker;
}

/* The answer to the INIT that offers rings: it takes them, if they can be had. */
static ssize_t answer_init(struct rings *rings, int fd, struct iovec *iov, int count)
{
	struct fuse_init_out *init = count > 1 ? iov[1].iov_base : NULL;
	bool taken = false;
	ssize_t n;

	atomic_store(&rings->init_unique, 0);
	if (init && iov[1].iov_len >= sizeof(*init) && init->flags & FUSE_INIT_EXT)
		taken = rings_start(rings, init);
	if (taken) {
		init->flags2 |= RING_OFFERED;
		jobs_limit(rings->mount->jobs, rings->queue_workers - KEPT_WORKERS);
	}
	n = writev(fd, iov, count);
	if (taken)
		stage_set(rings, n < 0 ? STAGE_STOPS : STAGE_RUNS);
	return n;
}

/* What libfuse calls instead of writev(2). */
static ssize_t ring_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct rings *rings = ((struct mount *)userdata)->rings;
	uint64_t unique = ((const struct fuse_out_header *)iov[0].iov_base)->unique;
	struct worker *worker = pthread_getspecific(rings->current);

	answer_order(rings);
	if (unique == 0) /* tells the kernel something: no answer */
		return writev(fd, iov, count);
	if (worker && atomic_load_explicit(&worker->unique, memory_order_relaxed) == unique) {
		answer_fill(worker, iov, count);
		atomic_store_explicit(&worker->answered, true, memory_order_relaxed);
		return 0;
	}
	if (atomic_load(&rings->init_unique) == unique)
		return answer_init(rings, fd, iov, count);
	return answer_elsewhere(rings, unique, iov, count) ? 0 : writev(fd, iov, count);
}

static ssize_t ring_read(int fd, void *buf, size_t bytes, void *userdata)
{
	return read(fd, buf, bytes);
}

void *rings_buffer(struct rings *rings, size_t bytes)
{
	struct worker *worker = pthread_getspecific(rings->current);

	return worker && bytes <= rings->payload_bytes ? payload_of(worker) : NULL;
}

/* --- requests --- */

/* Where another thread gives it; at the end those have done before we stop (jobs_end()). */
static void await_answer(struct worker *worker)
{
	struct rings *rings = worker->rings;

	if (atomic_load(&worker->answered))
		return;
	pthread_mutex_lock(&rings->lock);
	while (!atomic_load(&worker->answered))
		pthread_cond_wait(&rings->changed, &rings->lock);
	pthread_mutex_unlock(&rings->lock);
}

/* A queue's requests are of clients on its processor. */
static void note_request(struct worker *worker, const struct fuse_in_header *in)
{
	if (atomic_fetch_add(&worker->rings->busy, 1) > 0 || loop_takes_long(in, in->len))
		affinity_release(&worker->affinity);
	else
		affinity_follow_to(&worker->affinity, in->pid, (int)worker->queue);
}

static void request_serve(struct worker *worker)
{
	struct ring_header *header = header_of(worker);
	const struct fuse_in_header *in = (const struct fuse_in_header *)(const void *)header->in_out;
	size_t fixed = in->len - header->payload_bytes; /* what comes before the payload */
	struct fuse_buf buf = { .mem = payload_of(worker) - fixed, .size = in->len };

	worker->commit_id = header->commit_id;
	if (in->len < header->payload_bytes + sizeof(*in) || fixed > sizeof(*in) + sizeof(header->op_in) ||
	    header->payload_bytes > worker->rings->payload_bytes) {
		struct fuse_out_header out = { .len = sizeof(out), .error = -EIO, .unique = in->unique };

		answer_fill(worker, &(struct iovec){ &out, sizeof(out) }, 1);
		return;
	}
	rings_see_request(worker->rings);
	memcpy(buf.mem, in, sizeof(*in));
	memcpy((char *)buf.mem + sizeof(*in), header->op_in, fixed - sizeof(*in));
	stats_request(worker->rings->stats, in->opcode);
	stats_add(worker->rings->stats, STAT_RING_REQUESTS, 1);
	atomic_store(&worker->answered, false);
	atomic_store(&worker->unique, in->unique);
	note_request(worker, buf.mem);
	loop_serve(worker->rings->mount, &buf);
	await_answer(worker);
	atomic_store(&worker->unique, 0);
	atomic_fetch_sub(&worker->rings->busy, 1);
}

/* Return: false: it is over. */
static bool completion_take(struct worker *worker, const struct io_uring_cqe *cqe, unsigned *command)
{
	if (io_uring_cqe_get_data(cqe) != worker)
		return false; /* the event */
	if (cqe->res == -EAGAIN || cqe->res == -EINTR) {
		worker_submit(worker, *command);
		return true;
	}
	if (cqe->res < 0)
		return false; /* -ENOTCONN: the mount has gone */
	request_serve(worker);
	*command = RING_COMMIT_AND_FETCH;
	worker_submit(worker, *command);
	return true;
}

/* An entry that the kernel refuses comes back at once, others with their first request. Return: is it there? */
static bool worker_register(struct worker *worker)
{
	struct rings *rings = worker->rings;
	struct io_uring_cqe *cqe;
	int r;

	worker_submit(worker, RING_REGISTER);
	do
		r = io_uring_submit(&worker->ring);
	while (r == -EINTR || r == -EAGAIN);
	if (r >= 0 && io_uring_peek_cqe(&worker->ring, &cqe) == 0 && io_uring_cqe_get_data(cqe) == worker)
		r = cqe->res;
	if (r == -ENOTCONN || r == -ECONNABORTED)
		r = 0; /* it is over already */
	pthread_mutex_lock(&rings->lock);
	rings->registered++;
	if (r < 0)
		failed_locked(rings, r);
	pthread_cond_broadcast(&rings->changed);
	pthread_mutex_unlock(&rings->lock);
	return r >= 0;
}

static void worker_serve(struct worker *worker)
{
	unsigned command = RING_REGISTER;
	bool goes_on = worker_register(worker);

	while (goes_on) {
		struct io_uring_cqe *cqe;
		int r = io_uring_submit_and_wait(&worker->ring, 1);

		if (r < 0 && r != -EINTR && r != -EAGAIN)
			return;
		while (goes_on && io_uring_peek_cqe(&worker->ring, &cqe) == 0) {
			struct io_uring_cqe seen = *cqe;

			io_uring_cqe_seen(&worker->ring, cqe);
			goes_on = completion_take(worker, &seen, &command);
		}
	}
}

/* --- threads --- */

/* Tell how the worker came up, and wait until the kernel knows of the rings. Return: serve? */
static bool worker_ready(struct worker *worker, int error)
{
	struct rings *rings = worker->rings;
	bool serves;

	pthread_mutex_lock(&rings->lock);
	if (error == 0) {
		rings->made++;
	} else {
		rings->failed++;
		failed_locked(rings, error);
	}
	pthread_cond_broadcast(&rings->changed);
	while (rings->stage == STAGE_MADE)
		pthread_cond_wait(&rings->changed, &rings->lock);
	serves = error == 0 && rings->stage == STAGE_RUNS;
	pthread_mutex_unlock(&rings->lock);
	return serves;
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	struct rings *rings = worker->rings;
	int r = -pthread_setspecific(rings->current, worker);

	if (r == 0)
		r = worker_init(worker);
	affinity_init(&worker->affinity, &rings->processors, false);
	if (worker_ready(worker, r)) {
		stats_add(rings->stats, STAT_THREADS, 1);
		worker_serve(worker);
		stats_add(rings->stats, STAT_THREADS, -1);
	}
	affinity_free(&worker->affinity);
	if (r == 0)
		worker_release(worker);
	return NULL;
}

/* --- life --- */

static int check_kernel(struct diag *diag)
{
	AUTO(closep) int fd = open(PARAMETER, O_RDONLY | O_CLOEXEC);
	char on = 'N';

	if (fd < 0 || read(fd, &on, 1) != 1)
		return diag_set(diag, -ENOTSUP,
				"this kernel has no io_uring for FUSE (6.14 and newer have it, if "
				"built with CONFIG_FUSE_IO_URING)");
	if (on != 'Y' && on != '1')
		return diag_set(diag, -ENOTSUP,
				"the kernel has it switched off for FUSE (root can switch it on: echo Y "
				">" PARAMETER ")");
	return 0;
}

static int check_system(struct diag *diag)
{
	struct io_uring ring;
	int r = check_kernel(diag);

	if (r < 0)
		return r;
	r = ring_open(&ring);
	if (r < 0) {
		struct diag reason = { 0 };

		return diag_set(diag, -ENOTSUP, "no io_uring can be made here: %s", diag_text(&reason, r));
	}
	io_uring_queue_exit(&ring);
	return 0;
}

int rings_new(struct mount *mount, struct diag *diag, struct rings **ret)
{
	static const struct fuse_custom_io io = { .writev = ring_writev, .read = ring_read };
	long processors =
		sysconf(_SC_NPROCESSORS_CONF); /* all that the kernel may ever have: it wants a queue for each */
	struct rings *rings;
	int r = check_system(diag);

	if (r < 0)
		return r;
	rings = calloc(1, sizeof(*rings));
	if (!rings)
		return -ENOMEM;
	sched_getaffinity(0, sizeof(rings->processors), &rings->processors);
	rings->mount = mount;
	rings->stats = mount->stats;
	rings->fd = fuse_session_fd(mount->session);
	rings->queue_count = processors > 0 ? (unsigned)processors : 1;
	rings->queue_workers = rings->queue_count > MANY_QUEUES ? FEW_QUEUE_WORKERS : QUEUE_WORKERS;
	rings->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = rings->stop_fd >= 0 ? 0 : -ENOMEM;
	if (r == 0)
		r = -pthread_key_create(&rings->current, NULL);
	if (r < 0) {
		closep(&rings->stop_fd);
		free(rings);
		return r;
	}
	pthread_mutex_init(&rings->lock, NULL);
	pthread_cond_init(&rings->changed, NULL);
	r = fuse_session_custom_io(mount->session, &io, sizeof(io), rings->fd);
	if (r < 0) {
		rings_free(rings);
		return diag_set(diag, -ENOTSUP, "libfuse was built without custom I/O");
	}
	*ret = rings;
	return 0;
}

void rings_see_init(struct rings *rings, const struct fuse_in_header *in, size_t bytes)
{
	const struct fuse_init_in *init = (const struct fuse_init_in *)(in + 1);

	if (bytes >= sizeof(*in) + sizeof(*init) && init->flags & FUSE_INIT_EXT && init->flags2 & RING_OFFERED)
		atomic_store(&rings->init_unique, in->unique);
}

void rings_see_request(struct rings *rings)
{
	atomic_load_explicit(&rings->order, memory_order_acquire);
}

int rings_await(struct rings *rings, struct diag *diag)
{
	struct diag reason = { 0 };
	enum stage stage;
	int error;

	pthread_mutex_lock(&rings->lock);
	while (rings->stage == STAGE_MADE || (rings->stage == STAGE_RUNS && rings->registered < rings->made))
		pthread_cond_wait(&rings->changed, &rings->lock);
	stage = rings->stage;
	error = rings->error;
	pthread_mutex_unlock(&rings->lock);
	if (stage == STAGE_STOPS)
		rings_stop(rings); /* gives back what the loop may need */
	if (stage == STAGE_NONE)
		return diag_set(diag, -ENOTSUP, "the kernel does not offer it");
	if (error < 0)
		return diag_set(diag, -ENOTSUP, "%s: %s",
				stage == STAGE_RUNS ? "the kernel does not take it" : "no threads and memory for it",
				diag_text(&reason, error));
	return 0;
}

void rings_stop(struct rings *rings)
{
	stage_set(rings, STAGE_STOPS);
	while (eventfd_write(rings->stop_fd, 1) < 0 && errno == EINTR)
		;
	/* None is added any more. */
	while (rings->workers) {
		struct worker *worker = rings->workers;

		pthread_join(worker->thread, NULL);
		pthread_mutex_lock(&rings->lock);
		rings->workers = worker->next;
		pthread_mutex_unlock(&rings->lock);
		free(worker);
	}
}

void rings_free(struct rings *rings)
{
	if (!rings)
		return;
	closep(&rings->stop_fd);
	pthread_key_delete(rings->current);
	pthread_mutex_destroy(&rings->lock);
	pthread_cond_destroy(&rings->changed);
	free(rings);
}
