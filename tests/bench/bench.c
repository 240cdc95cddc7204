/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-bench: the timed loops of tests/bench/run.sh.
 *
 *	nacre-bench [-n COUNT] [-s BYTES] [-p PASSES] DIR OPERATION... [-- COMMAND...]
 *
 * works inside DIR and prints lines of a row's name and the nanoseconds of one
 * call: the least of PASSES passes over COUNT files, or over a file of BYTES.
 * The loops run in one process, without a fork and without a path from the root
 * in what is timed.  A pass makes what it needs beforehand, untimed, and leaves
 * DIR as it found it.
 *
 * `make` and `makebig` lay the files that `stat`, `open`, `read` and `seqread`
 * use, and they stay.  `files` is the three rows create, rename and unlink over the
 * same files, `dirs` is mkdir and rmdir.  `run` times a program, for all that is a
 * program's work: find, tar, rm.
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
	RESULT_ROWS = 3,
};

struct bench {
	uint64_t count;	 /* files, or calls of a row on one file */
	uint64_t bytes;	 /* of a file */
	uint64_t passes; /* the least of them is the answer */
	char *buffer;	 /* owned; LARGE_CALL_BYTES */
	char **command;	 /* borrowed from argv */
};

/* What one pass found, for each of its rows. */
struct result {
	size_t count;
	struct {
		const char *row; /* borrowed, static */
		double ns;	 /* of one operation */
	} rows[RESULT_ROWS];
};

/* One pass of an operation over all its files or calls. Return: 0 or -errno. */
typedef int (*pass_fn)(struct bench *b, struct result *ret);

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void result_add(struct result *result, const char *row, uint64_t ns, uint64_t ops)
{
	result->rows[result->count].row = row;
	result->rows[result->count].ns = (double)ns / (double)(ops ? ops : 1);
	result->count++;
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

/* With one call, so of no more than the buffer holds. */
static int write_file(struct bench *b, const char *name)
{
	int fd, r;

	if (b->bytes > LARGE_CALL_BYTES)
		return -EFBIG;
	fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, b->buffer, b->bytes);
	return close(fd) < 0 && r == 0 ? -errno : r;
}

/* --- files that are there --- */

static int pass_make(struct bench *b, struct result *ret)
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
			r = write_file(b, name);
	}
	result_add(ret, "make", now_ns() - start, b->count);
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

static int each_small(struct bench *b, const char *row, int (*one)(struct bench *b, const char *name),
		      struct result *ret)
{
	uint64_t start = now_ns();
	char name[NAME_BYTES];
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++) {
		small_name(name, i);
		r = one(b, name);
	}
	result_add(ret, row, now_ns() - start, b->count);
	return r;
}

static int pass_stat(struct bench *b, struct result *ret)
{
	return each_small(b, "stat", stat_one, ret);
}

static int pass_open(struct bench *b, struct result *ret)
{
	return each_small(b, "open", open_one, ret);
}

static int pass_read(struct bench *b, struct result *ret)
{
	return each_small(b, "read", read_one, ret);
}

/* --- names that come and go, all in one directory --- */

static int create_one(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "new", i);
	return write_file(b, name);
}

static int rename_one(struct bench *b, uint64_t i)
{
	char from[NAME_BYTES], to[NAME_BYTES];

	new_name(from, "new", i);
	new_name(to, "renamed", i);
	return check(rename(from, to));
}

static int unlink_renamed(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "renamed", i);
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

static int unlink_one(struct bench *b, uint64_t i)
{
	char name[NAME_BYTES];

	new_name(name, "new", i);
	return check(unlink(name));
}

static int each_new(struct bench *b, const char *row, int (*one)(struct bench *b, uint64_t i), struct result *ret)
{
	uint64_t start = now_ns();
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++)
		r = one(b, i);
	result_add(ret, row, now_ns() - start, b->count);
	return r;
}

static int pass_files(struct bench *b, struct result *ret)
{
	int r = each_new(b, "create", create_one, ret);

	if (r == 0)
		r = each_new(b, "rename", rename_one, ret);
	return r < 0 ? r : each_new(b, "unlink", unlink_renamed, ret);
}

static int pass_dirs(struct bench *b, struct result *ret)
{
	int r = each_new(b, "mkdir", mkdir_one, ret);

	return r < 0 ? r : each_new(b, "rmdir", rmdir_one, ret);
}

static int pass_symlinks(struct bench *b, struct result *ret)
{
	struct result undo = { 0 };
	int r = each_new(b, "symlink", symlink_one, ret);

	return r < 0 ? r : each_new(b, "unlink", unlink_one, &undo);
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
static int pass_pwrite(struct bench *b, struct result *ret)
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
	result_add(ret, "pwrite", now_ns() - start, b->bytes / SMALL_CALL_BYTES);
	return unlink("one") < 0 && r == 0 ? -errno : r;
}

static int write_new(struct bench *b, const char *row, size_t call, bool sync, struct result *ret)
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
	result_add(ret, row, now_ns() - start, b->bytes / call);
	return unlink("one") < 0 && r == 0 ? -errno : r;
}

/* To a new file, with all of it on disk at the end: nothing is put off. */
static int pass_append(struct bench *b, struct result *ret)
{
	return write_new(b, "append", SMALL_CALL_BYTES, true, ret);
}

static int pass_write(struct bench *b, struct result *ret)
{
	return write_new(b, "write", LARGE_CALL_BYTES, false, ret);
}

static int pass_makebig(struct bench *b, struct result *ret)
{
	AUTO(closep) int fd = open("big", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start = now_ns();
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, LARGE_CALL_BYTES);
	result_add(ret, "makebig", now_ns() - start, b->bytes / LARGE_CALL_BYTES);
	return r;
}

static int pass_seqread(struct bench *b, struct result *ret)
{
	AUTO(closep) int fd = open("big", O_RDONLY | O_CLOEXEC);
	uint64_t start = now_ns(), calls = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = io_read_full(fd, b->buffer, LARGE_CALL_BYTES)) > 0)
		calls++;
	result_add(ret, "seqread", now_ns() - start, calls);
	if (n == 0 && calls == 0)
		return -ENODATA;
	return (int)n;
}

/* --- a program --- */

static int pass_run(struct bench *b, struct result *ret)
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
	result_add(ret, "run", now_ns() - start, b->count);
	if (status != 0)
		fprintf(stderr, "nacre-bench: %s: wait status %#x\n", b->command[0], (unsigned)status);
	return status == 0 ? 0 : -ECHILD;
}

/* --- the operations --- */

static const struct operation {
	const char *name;
	pass_fn pass;
	bool warm; /* an untimed pass first */
	bool once; /* makes something that stays, or needs a state that only the first pass finds */
} operations[] = {
	{ "make", pass_make, false, true },	 { "makebig", pass_makebig, false, true },
	{ "stat", pass_stat, true, false },	 { "open", pass_open, true, false },
	{ "read", pass_read, true, false },	 { "files", pass_files, false, false },
	{ "dirs", pass_dirs, false, false },	 { "symlinks", pass_symlinks, false, false },
	{ "pwrite", pass_pwrite, false, false }, { "append", pass_append, false, false },
	{ "write", pass_write, false, false },	 { "seqread", pass_seqread, false, true },
	{ "run", pass_run, false, true },
};

static int run_operation(struct bench *b, const struct operation *operation)
{
	uint64_t passes = operation->once ? 1 : b->passes + operation->warm;
	struct result least = { 0 };

	for (uint64_t i = 0; i < passes; i++) {
		struct result result = { 0 };
		int r = operation->pass(b, &result);

		if (r < 0)
			return r;
		if (i == 0 && operation->warm)
			continue;
		for (size_t k = 0; k < result.count; k++)
			if (k >= least.count || result.rows[k].ns < least.rows[k].ns)
				least.rows[k] = result.rows[k];
		least.count = result.count;
	}
	for (size_t k = 0; k < least.count; k++)
		printf("%s\t%.1f\n", least.rows[k].row, least.rows[k].ns);
	return 0;
}

static const struct operation *find_operation(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	return NULL;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: nacre-bench [-n COUNT] [-s BYTES] [-p PASSES] DIR OPERATION... [-- COMMAND...]\noperations:");
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		fprintf(stderr, " %s", operations[i].name);
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
		const struct operation *operation = find_operation(*name);
		int r;

		if (!operation)
			return usage();
		r = run_operation(&b, operation);
		if (r < 0) {
			fprintf(stderr, "nacre-bench: %s in %s: %s\n", *name, rest[0], strerror(-r));
			return 1;
		}
	}
	return 0;
}
