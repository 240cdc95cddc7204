/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-bench: the timed loops of tests/bench/run.sh.
 *
 *	nacre-bench [-n COUNT] [-s BYTES] [-p PASSES] DIR ROW... [-- COMMAND...]
 *
 * works inside DIR and prints, for each ROW, its name and the nanoseconds of one
 * operation: the least of PASSES passes over COUNT files, or over COUNT calls.
 * The loops run in one process, without a fork and without a path from the root
 * in what is timed.  A pass that needs a state (files to unlink) makes it
 * beforehand, untimed, and leaves DIR as it found it.
 *
 * Rows on files that are there:  stat, open, read of names made by the row `make`.
 * Rows that write:               create, unlink, mkdir, rename, symlink, pwrite,
 *                                append, write.
 * Rows on one large file:        seqread (made by `makebig`).
 * `run` times a program, for all that is a program's work: find, tar, rm.
 */

#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum {
	FILES_PER_DIRECTORY = 100,
	NAME_BYTES = 32,
	LARGE_CALL_BYTES = 1024 * 1024,
	SMALL_CALL_BYTES = 4096,
	READ_BUFFER_BYTES = 64 * 1024,
};

struct bench {
	uint64_t count;	 /* files, or calls of a row on one file */
	uint64_t bytes;	 /* of a file */
	uint64_t passes; /* the least of them is the answer */
	char *buffer;	 /* owned; LARGE_CALL_BYTES */
	char **command;	 /* borrowed from argv */
};

/* One pass of a row: *@ret_ns is the time of all its operations, *@ret_ops their number. Return: 0 or -errno. */
typedef int (*pass_fn)(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops);

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int check(int r)
{
	return r < 0 ? -errno : 0;
}

/* --- names --- */

static void small_name(char name[NAME_BYTES], uint64_t i)
{
	snprintf(name, NAME_BYTES, "d%03" PRIu64 "/f%02" PRIu64, i / FILES_PER_DIRECTORY, i % FILES_PER_DIRECTORY);
}

static void new_name(char name[NAME_BYTES], const char *prefix, uint64_t i)
{
	snprintf(name, NAME_BYTES, "%s%06" PRIu64, prefix, i);
}

static int write_file(struct bench *b, const char *name, uint64_t bytes)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_full(fd, b->buffer, bytes);
	return close(fd) < 0 && r == 0 ? -errno : r;
}

/* --- files that are there --- */

static int pass_make(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	uint64_t start = now_ns();
	char name[NAME_BYTES];
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++) {
		if (i % FILES_PER_DIRECTORY == 0) {
			snprintf(name, sizeof(name), "d%03" PRIu64, i / FILES_PER_DIRECTORY);
			r = check(mkdir(name, 0755));
		}
		small_name(name, i);
		if (r == 0)
			r = write_file(b, name, b->bytes);
	}
	*ret_ns = now_ns() - start;
	*ret_ops = b->count;
	return r;
}

static int stat_one(struct bench *b, const char *name)
{
	struct stat st;

	return check(lstat(name, &st));
}

static int open_one(struct bench *b, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : check(close(fd));
}

static int read_one(struct bench *b, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, b->buffer, READ_BUFFER_BYTES);
	close(fd);
	return n > 0 ? 0 : -EIO;
}

static int each_small(struct bench *b, int (*one)(struct bench *b, const char *name), uint64_t *ret_ns,
		      uint64_t *ret_ops)
{
	uint64_t start = now_ns();
	char name[NAME_BYTES];
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++) {
		small_name(name, i);
		r = one(b, name);
	}
	*ret_ns = now_ns() - start;
	*ret_ops = b->count;
	return r;
}

static int pass_stat(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	return each_small(b, stat_one, ret_ns, ret_ops);
}

static int pass_open(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	return each_small(b, open_one, ret_ns, ret_ops);
}

static int pass_read(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	return each_small(b, read_one, ret_ns, ret_ops);
}

/* --- names that come and go, all in one directory --- */

static int create_one(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "new", i);
	return write_file(b, name, b->bytes);
}

static int unlink_one(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "new", i);
	return check(unlink(name));
}

static int mkdir_one(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "new", i);
	return check(mkdir(name, 0755));
}

static int rmdir_one(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "new", i);
	return check(rmdir(name));
}

static int symlink_one(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "new", i);
	return check(symlink("target", name));
}

static int rename_one(struct bench *b, uint64_t i)
{
	char from[NAME_BYTES], to[NAME_BYTES];

	new_name(from, "new", i);
	new_name(to, "renamed", i);
	return check(rename(from, to));
}

static int rename_back(struct bench *b, uint64_t i)
{
	char from[NAME_BYTES], to[NAME_BYTES];

	new_name(from, "renamed", i);
	new_name(to, "new", i);
	return check(rename(from, to));
}

static int each_new(struct bench *b, int (*one)(struct bench *b, uint64_t i), uint64_t *ret_ns)
{
	uint64_t start = now_ns();
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++)
		r = one(b, i);
	*ret_ns = now_ns() - start;
	return r;
}

/* Both halves, of which the caller times one. */
static int make_and_undo(struct bench *b, int (*make)(struct bench *b, uint64_t i),
			 int (*undo)(struct bench *b, uint64_t i), uint64_t *ret_make_ns, uint64_t *ret_undo_ns)
{
	int r = each_new(b, make, ret_make_ns);

	return r < 0 ? r : each_new(b, undo, ret_undo_ns);
}

static int pass_create(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	uint64_t undo;

	*ret_ops = b->count;
	return make_and_undo(b, create_one, unlink_one, ret_ns, &undo);
}

static int pass_unlink(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	uint64_t make;

	*ret_ops = b->count;
	return make_and_undo(b, create_one, unlink_one, &make, ret_ns);
}

static int pass_mkdir(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	uint64_t undo;

	*ret_ops = b->count;
	return make_and_undo(b, mkdir_one, rmdir_one, ret_ns, &undo);
}

static int pass_symlink(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	uint64_t undo;

	*ret_ops = b->count;
	return make_and_undo(b, symlink_one, unlink_one, ret_ns, &undo);
}

static int pass_rename(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	uint64_t untimed;
	int r = each_new(b, create_one, &untimed);

	if (r == 0)
		r = each_new(b, rename_one, ret_ns);
	if (r == 0)
		r = each_new(b, rename_back, &untimed);
	if (r == 0)
		r = each_new(b, unlink_one, &untimed);
	*ret_ops = b->count;
	return r;
}

/* --- one file --- */

/* Of @b->bytes, in calls of @call bytes from the start. */
static int write_through(struct bench *b, int fd, size_t call)
{
	int r = 0;

	for (uint64_t at = 0; at < b->bytes && r == 0; at += call)
		r = io_pwrite_full(fd, b->buffer, call, (off_t)at);
	return r;
}

/* Over blocks that are there: what a program that keeps a file up to date does. */
static int pass_pwrite(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	AUTO(closep) int fd = open("one", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start;
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, SMALL_CALL_BYTES);
	start = now_ns();
	if (r == 0)
		r = write_through(b, fd, SMALL_CALL_BYTES);
	if (close(TAKE_FD(fd)) < 0 && r == 0)
		r = -errno;
	*ret_ns = now_ns() - start;
	*ret_ops = b->bytes / SMALL_CALL_BYTES;
	return unlink("one") < 0 && r == 0 ? -errno : r;
}

static int write_new(struct bench *b, size_t call, bool sync, uint64_t *ret_ns, uint64_t *ret_ops)
{
	AUTO(closep) int fd = open("one", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start = now_ns();
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, call);
	if (r == 0 && sync)
		r = check(fdatasync(fd));
	if (close(TAKE_FD(fd)) < 0 && r == 0)
		r = -errno;
	*ret_ns = now_ns() - start;
	*ret_ops = b->bytes / call;
	return unlink("one") < 0 && r == 0 ? -errno : r;
}

/* To a new file, with all of it on disk at the end: nothing is put off. */
static int pass_append(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	return write_new(b, SMALL_CALL_BYTES, true, ret_ns, ret_ops);
}

static int pass_write(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	return write_new(b, LARGE_CALL_BYTES, false, ret_ns, ret_ops);
}

static int pass_makebig(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	AUTO(closep) int fd = open("big", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start = now_ns();
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, LARGE_CALL_BYTES);
	*ret_ns = now_ns() - start;
	*ret_ops = b->bytes / LARGE_CALL_BYTES;
	return r;
}

static int pass_seqread(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	AUTO(closep) int fd = open("big", O_RDONLY | O_CLOEXEC);
	uint64_t start = now_ns();
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (*ret_ops = 0; (n = io_read_full(fd, b->buffer, LARGE_CALL_BYTES)) > 0; ++*ret_ops)
		;
	*ret_ns = now_ns() - start;
	if (n == 0 && *ret_ops == 0)
		return -ENODATA;
	return (int)n;
}

/* --- a program --- */

static int pass_run(struct bench *b, uint64_t *ret_ns, uint64_t *ret_ops)
{
	uint64_t start = now_ns();
	int status = 0;
	pid_t pid;

	if (!b->command)
		return -EINVAL;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		if (null >= 0)
			dup2(null, STDOUT_FILENO);
		execvp(b->command[0], b->command);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	*ret_ns = now_ns() - start;
	*ret_ops = b->count;
	if (status != 0)
		fprintf(stderr, "nacre-bench: %s: wait status %#x\n", b->command[0], (unsigned)status);
	return status == 0 ? 0 : -ECHILD;
}

/* --- the rows --- */

static const struct row {
	const char *name;
	pass_fn pass;
	bool warm; /* an untimed pass first */
	bool once; /* makes something that stays, or a state that only the first pass finds */
} rows[] = {
	{ "make", pass_make, false, true },	   { "makebig", pass_makebig, false, true },
	{ "stat", pass_stat, true, false },	   { "open", pass_open, true, false },
	{ "read", pass_read, true, false },	   { "create", pass_create, false, false },
	{ "unlink", pass_unlink, false, false },   { "mkdir", pass_mkdir, false, false },
	{ "symlink", pass_symlink, false, false }, { "rename", pass_rename, false, false },
	{ "pwrite", pass_pwrite, false, false },   { "append", pass_append, false, false },
	{ "write", pass_write, false, false },	   { "seqread", pass_seqread, false, true },
	{ "run", pass_run, false, true },
};

static int run_row(struct bench *b, const struct row *row)
{
	uint64_t passes = row->once ? 1 : b->passes + row->warm;
	double least = -1;

	for (uint64_t i = 0; i < passes; i++) {
		uint64_t ns = 0, ops = 1;
		int r = row->pass(b, &ns, &ops);

		if (r < 0)
			return r;
		if (i == 0 && row->warm)
			continue;
		if (least < 0 || (double)ns / (double)ops < least)
			least = (double)ns / (double)ops;
	}
	printf("%s\t%.1f\n", row->name, least);
	return 0;
}

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static int usage(void)
{
	fprintf(stderr, "usage: nacre-bench [-n COUNT] [-s BYTES] [-p PASSES] DIR ROW... [-- COMMAND...]\nrows:");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(stderr, " %s", rows[i].name);
	fprintf(stderr, "\n");
	return 2;
}

/* Return: 0 and the rest in *@ret_rest, or -EINVAL. */
static int parse(int argc, char **argv, struct bench *b, char ***ret_rest)
{
	int option;

	/* What comes after -- is the command, wherever getopt would put it. */
	for (int i = 1; i < argc && !b->command; i++) {
		if (strcmp(argv[i], "--") == 0) {
			argv[i] = NULL;
			argc = i;
			b->command = argv + i + 1;
		}
	}
	while ((option = getopt(argc, argv, "+n:s:p:")) != -1) {
		uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;

		if (value == 0)
			return -EINVAL;
		if (option == 'n')
			b->count = value;
		else if (option == 's')
			b->bytes = value;
		else
			b->passes = value;
	}
	*ret_rest = argv + optind;
	return argc - optind < 2 ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	AUTO(freep) char *buffer = malloc(LARGE_CALL_BYTES);
	struct bench b = { .count = 2000, .bytes = 4096, .passes = 1, .buffer = buffer };
	char **rest;

	if (!buffer)
		return 1;
	memset(buffer, 'n', LARGE_CALL_BYTES);
	if (parse(argc, argv, &b, &rest) < 0)
		return usage();
	if (chdir(rest[0]) < 0) {
		fprintf(stderr, "nacre-bench: %s: %s\n", rest[0], strerror(errno));
		return 1;
	}
	for (char **name = rest + 1; *name; name++) {
		const struct row *row = find_row(*name);
		int r;

		if (!row)
			return usage();
		r = run_row(&b, row);
		if (r < 0) {
			fprintf(stderr, "nacre-bench: %s in %s: %s\n", *name, rest[0], strerror(-r));
			return 1;
		}
	}
	return 0;
}
