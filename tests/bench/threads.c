/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-bench: operations of all kinds by several threads at once, and by one
 * thread beside another that copies up a large file.
 *
 * A turn of a thread is the eight operations below: two on small files that are
 * there, in "small" beside the current directory, the others on a file of its own.
 */

#include "tests/bench/bench.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/sendfile.h>

enum { OPERATIONS_OF_A_TURN = 8, MAX_THREADS = 64, WARM_TURNS = 50 };

struct worker {
	struct bench *b; /* borrowed */
	uint64_t number, turns;
	atomic_bool *go_on;  /* borrowed; or NULL: a fixed number of turns */
	uint64_t longest_ns; /* of one operation */
	uint64_t done;	     /* operations */
	char directory[NAME_BYTES];
	int r;
};

static int turn_stat(struct worker *w, uint64_t i)
{
	char name[NAME_BYTES], path[PATH_MAX];
	struct stat st;

	small_name(name, (i * 7 + w->number) % w->b->count);
	snprintf(path, sizeof(path), "../small/%s", name);
	return check(lstat(path, &st));
}

static int turn_read(struct worker *w, uint64_t i)
{
	char name[NAME_BYTES], path[PATH_MAX], buffer[SMALL_CALL_BYTES];
	int fd;
	ssize_t n;

	small_name(name, (i * 11 + w->number) % w->b->count);
	snprintf(path, sizeof(path), "../small/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buffer, sizeof(buffer));
	close(fd);
	return n > 0 ? 0 : -EBADMSG;
}

static void own_path(char path[PATH_MAX], struct worker *w, const char *name, uint64_t i)
{
	snprintf(path, PATH_MAX, "%s/%s%" PRIu64, w->directory, name, i % 16);
}

static int turn_create(struct worker *w, uint64_t i)
{
	static const char data[SMALL_CALL_BYTES];
	char path[PATH_MAX];
	int fd, r;

	own_path(path, w, "f", i);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, data, sizeof(data));
	return close(fd) < 0 && r == 0 ? -errno : r;
}

static int turn_list(struct worker *w, uint64_t i)
{
	AUTO(closedirp) DIR *dir = opendir(w->directory);
	uint64_t entries = 0;

	if (!dir)
		return -errno;
	while (readdir(dir))
		entries++;
	/* "." and "..", and the file that this turn made. */
	return entries == 3 ? 0 : -EBADMSG;
}

static int turn_rename(struct worker *w, uint64_t i)
{
	char from[PATH_MAX], to[PATH_MAX];

	own_path(from, w, "f", i);
	own_path(to, w, "g", i);
	return check(rename(from, to));
}

static int turn_size(struct worker *w, uint64_t i)
{
	char path[PATH_MAX];
	struct stat st;

	own_path(path, w, "g", i);
	if (lstat(path, &st) < 0)
		return -errno;
	return st.st_size == SMALL_CALL_BYTES ? 0 : -EBADMSG;
}

static int turn_chmod(struct worker *w, uint64_t i)
{
	char path[PATH_MAX];

	own_path(path, w, "g", i);
	return check(chmod(path, 0600));
}

static int turn_unlink(struct worker *w, uint64_t i)
{
	char path[PATH_MAX];

	own_path(path, w, "g", i);
	return check(unlink(path));
}

static int (*const turn[OPERATIONS_OF_A_TURN])(struct worker *w, uint64_t i) = {
	turn_stat, turn_read, turn_create, turn_list, turn_rename, turn_size, turn_chmod, turn_unlink,
};

static bool goes_on(struct worker *w, uint64_t i)
{
	return w->go_on ? atomic_load(w->go_on) : i < w->turns;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; goes_on(w, i) && w->r == 0; i++) {
		for (size_t k = 0; k < OPERATIONS_OF_A_TURN && w->r == 0; k++) {
			uint64_t start = now_ns(), ns;

			w->r = turn[k](w, i);
			ns = now_ns() - start;
			if (ns > w->longest_ns)
				w->longest_ns = ns;
			w->done++;
		}
	}
	return NULL;
}

/* A folder of its own, and what the first use of anything costs, untimed. */
static int worker_init(struct worker *w, struct bench *b, uint64_t number)
{
	*w = (struct worker){ .b = b, .number = number, .turns = WARM_TURNS };
	snprintf(w->directory, sizeof(w->directory), "t%" PRIu64, number);
	if (mkdir(w->directory, 0755) < 0)
		return -errno;
	work(w);
	w->longest_ns = 0;
	w->done = 0;
	return w->r;
}

static int worker_finish(struct worker *w)
{
	/* Which is empty again if each operation did what it says. */
	return w->r < 0 ? w->r : check(rmdir(w->directory));
}

/* -t threads, -p turns of each: the time of one operation of all of them together. */
int pass_threads(struct bench *b, struct result *ret)
{
	struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	uint64_t start, done = 0;
	size_t started = 0;
	int r = b->threads > MAX_THREADS ? -EINVAL : 0;

	for (size_t i = 0; i < b->threads && r == 0; i++) {
		r = worker_init(&workers[i], b, i);
		workers[i].turns = b->passes / b->threads;
	}
	if (r < 0)
		return r;
	start = phase_start(b);
	for (; started < b->threads && r == 0; started += r == 0)
		r = -pthread_create(&threads[started], NULL, work, &workers[started]);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < started; i++)
		done += workers[i].done;
	phase_end(b, "threads", start, done, ret);
	for (size_t i = 0; i < b->threads; i++) {
		int failed = worker_finish(&workers[i]);

		if (r == 0)
			r = failed;
	}
	return r;
}

/* One byte at the end, which a union copies up first; -e 1: to a new copy beside it, where there is no union. */
static int change_other(struct bench *b)
{
	AUTO(closep) int in = open(b->other, (b->expected == 1 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
	AUTO(closep) int out = -1;
	struct stat st;
	off_t from = 0;

	if (in < 0 || fstat(in, &st) < 0)
		return -errno;
	if (b->expected != 1)
		return io_pwrite_full(in, "x", 1, st.st_size);
	out = open("copy", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (out < 0)
		return -errno;
	while (from < st.st_size) {
		/* Which, unlike copy_file_range(), may cross from one file system to another. */
		ssize_t n = sendfile(out, in, &from, (size_t)(st.st_size - from));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return io_pwrite_full(out, "x", 1, st.st_size);
}

/* -p turns with nothing beside them, then as many as there are while the file -o is changed. */
int pass_beside(struct bench *b, struct result *ret)
{
	struct worker worker;
	atomic_bool go_on = true;
	pthread_t thread;
	uint64_t start;
	int r, failed;

	if (!b->other)
		return -EINVAL;
	r = worker_init(&worker, b, 0);
	worker.turns = b->passes;
	start = phase_start(b);
	if (r == 0)
		work(&worker);
	phase_end(b, "alone", start, worker.done, ret);
	if (r < 0 || worker.r < 0)
		return r < 0 ? r : worker.r;
	worker.done = 0;
	worker.longest_ns = 0;
	worker.go_on = &go_on;
	start = now_ns();
	r = -pthread_create(&thread, NULL, work, &worker);
	if (r < 0)
		return r;
	r = change_other(b);
	atomic_store(&go_on, false);
	pthread_join(thread, NULL);
	result_add(ret, "beside", now_ns() - start, worker.done);
	result_add(ret, "longest", worker.longest_ns, 1);
	failed = worker_finish(&worker);
	return r < 0 ? r : failed;
}
