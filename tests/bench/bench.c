/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-bench: the timed loops of tests/bench/run.sh.
 *
 *	nacre-bench [-n COUNT] [-s BYTES] [-p PASSES] [-t THREADS] [-e EXPECTED] [-o PATH] [-m MOUNT]... DIR OPERATION...
 *		[-- COMMAND...]
 *
 * works inside DIR and prints lines of a row's name and the nanoseconds of one
 * call: the least of PASSES passes over COUNT files, or over a file of BYTES.
 * The loops run in one process, without a fork and without a path from the root
 * in what is timed.  A pass makes what it needs beforehand, untimed, leaves DIR as
 * it found it, and fails when what should have happened did not.
 *
 * `make`, `makelayers` and `makebig` lay the files that the others use, and they
 * stay.  `files` is the three rows create, rename and unlink over the same files,
 * `dirs` is mkdir and rmdir.  `run` times a program, for all that is a program's
 * work: find, tar, rm; with -e it must write that many lines.  Two more lines tell what
 * processor time it took, and how many bytes of memory the largest of its processes had.
 *
 * With -m, lines "requests", the row, and how many requests for one operation the driver of nacrefs at MOUNT was sent
 * follow, in all and of each kind.  It is asked before and after what is timed.
 */

#include "tests/bench/bench.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

int bench_expect(struct bench *b, const char *what, uint64_t found)
{
	if (b->expected == EXPECT_ANY || found == b->expected)
		return 0;
	fprintf(stderr, "nacre-bench: %" PRIu64 " %s, not %" PRIu64 "\n", found, what, b->expected);
	return -EBADMSG;
}

/* --- what is timed --- */

/* A mount that does not tell is seen at the first question, before anything is timed. */
static void count_requests(struct bench *b, int sign)
{
	for (size_t i = 0; i < b->mount_count; i++) {
		if (requests_ask(b->mounts[i], sign, &b->requests) < 0)
			b->mount_count = 0;
	}
}

uint64_t phase_start(struct bench *b)
{
	b->requests.count = 0;
	count_requests(b, -1);
	return now_ns();
}

void phase_end(struct bench *b, const char *row, uint64_t start_ns, uint64_t ops, struct result *result)
{
	uint64_t ns = now_ns() - start_ns;

	count_requests(b, 1);
	result_add(result, row, ns, ops);
	result->rows[result->count - 1].ops = ops;
	result->rows[result->count - 1].requests = b->requests;
}

/* --- a program --- */

/* What the program writes, until it closes its output. */
static uint64_t count_lines(struct bench *b, int fd)
{
	uint64_t lines = 0;
	ssize_t n;

	while ((n = read(fd, b->buffer, LARGE_CALL_BYTES)) > 0)
		for (const char *at = b->buffer; (at = memchr(at, '\n', (size_t)(b->buffer + n - at))); at++)
			lines++;
	return lines;
}

static void run_child(struct bench *b, int out)
{
	if (dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	execvp(b->command[0], b->command);
	fprintf(stderr, "nacre-bench: %s: %s\n", b->command[0], strerror(errno));
	_exit(127);
}

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* Of all programs that were waited for, by us or by them: this is the only one. */
static void add_usage(struct bench *b, struct result *ret)
{
	struct rusage usage;

	if (getrusage(RUSAGE_CHILDREN, &usage) < 0)
		return;
	result_add(ret, "run-processor", timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime), b->count);
	result_add(ret, "run-memory", (uint64_t)usage.ru_maxrss * 1024, 1);
}

/* Its output always goes into a pipe: some programs do less when nobody reads. */
static int pass_run(struct bench *b, struct result *ret)
{
	uint64_t start = phase_start(b), lines;
	int status = 0, ends[2];
	pid_t pid;

	if (!b->command)
		return -EINVAL;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run_child(b, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	lines = count_lines(b, ends[0]);
	close(ends[0]);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	phase_end(b, "run", start, b->count, ret);
	add_usage(b, ret);
	if (status != 0) {
		fprintf(stderr, "nacre-bench: %s: wait status %#x\n", b->command[0], (unsigned)status);
		return -ECHILD;
	}
	return bench_expect(b, "lines", lines);
}

/* --- the operations --- */

static const struct operation {
	const char *name;
	int (*pass)(struct bench *b, struct result *ret);
	bool warm; /* an untimed pass first */
	bool once; /* makes something that stays, or needs a state that only the first pass finds */
} operations[] = {
	{ "make", pass_make, false, true },
	{ "makelayers", pass_makelayers, false, true },
	{ "makebig", pass_makebig, false, true },
	{ "stat", pass_stat, true, false },
	{ "open", pass_open, true, false },
	{ "read", pass_read, true, false },
	{ "mmap", pass_mmap, true, false },
	{ "ask", pass_ask, true, false },
	{ "files", pass_files, false, false },
	{ "dirs", pass_dirs, false, false },
	{ "symlinks", pass_symlinks, false, false },
	{ "pwrite", pass_pwrite, false, false },
	{ "pwrite-fsync", pass_pwrite_fsync, false, false },
	{ "append", pass_append, false, false },
	{ "write", pass_write, false, false },
	{ "seqread", pass_seqread, false, true },
	{ "naivediff", pass_naivediff, false, true },
	{ "threads", pass_threads, false, true },
	{ "beside", pass_beside, false, true },
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
	for (size_t k = 0; k < least.count && b->mount_count > 0; k++) {
		if (least.rows[k].ops > 0) {
			printf("requests\t%s\t", least.rows[k].row);
			requests_print(&least.rows[k].requests, least.rows[k].ops, stdout);
		}
	}
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
	fprintf(stderr, "usage: nacre-bench [-n COUNT] [-s BYTES] [-p PASSES] [-t THREADS] [-e EXPECTED] [-o PATH] "
			"[-m MOUNT]... DIR OPERATION... [-- COMMAND...]\noperations:");
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
	while ((option = getopt(argc, argv, "+n:s:p:t:e:o:m:")) != -1) {
		uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (option) {
		case 'n':
			b->count = value;
			break;
		case 's':
			b->bytes = value;
			break;
		case 'p':
			b->passes = value;
			break;
		case 't':
			b->threads = value;
			break;
		case 'e':
			b->expected = value;
			break;
		case 'o':
			b->other = optarg;
			break;
		case 'm':
			if (b->mount_count == MAX_MOUNTS)
				return -EINVAL;
			b->mounts[b->mount_count] = open(optarg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (b->mounts[b->mount_count] < 0) {
				fprintf(stderr, "nacre-bench: %s: %s\n", optarg, strerror(errno));
				return -EINVAL;
			}
			b->mount_count++;
			break;
		default:
			return -EINVAL;
		}
	}
	if (b->count == 0 || b->passes == 0 || b->threads == 0)
		return -EINVAL;
	*ret_rest = argv + optind;
	return argc - optind < 2 ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	AUTO(freep) char *buffer = malloc(LARGE_CALL_BYTES);
	struct bench b = {
		.count = 2000, .bytes = 4096, .passes = 1, .threads = 1, .expected = EXPECT_ANY, .buffer = buffer
	};
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
