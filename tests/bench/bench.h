/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BENCH_H
#define NACRE_BENCH_H

/*
 * What the files of nacre-bench share: a pass over files or calls, and what it
 * found.  bench.c has the command line and the table of operations.
 */

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tests/bench/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	NAME_BYTES = 64,
	FILES_PER_DIRECTORY = 100,
	LARGE_CALL_BYTES = 1024 * 1024,
	SMALL_CALL_BYTES = 4096,
	RESULT_ROWS = 3,
	MAX_MOUNTS = 2,
};

struct bench {
	uint64_t count;	   /* files, or calls of a row on one file */
	uint64_t bytes;	   /* of a file */
	uint64_t passes;   /* the least of them is the answer */
	uint64_t threads;  /* or, for makelayers, layers */
	uint64_t expected; /* lines or changes; EXPECT_ANY: not looked at */
	const char *other; /* borrowed from argv; another path that an operation needs, or NULL */
	char *buffer;	   /* owned; LARGE_CALL_BYTES */
	char **command;	   /* borrowed from argv */
	size_t mount_count;
	int mounts[MAX_MOUNTS];	  /* owned; roots of mounts whose requests are counted */
	struct requests requests; /* of the phase that is running */
};

#define EXPECT_ANY UINT64_MAX

/* What one pass found, for each of its rows. */
struct result {
	size_t count;
	struct {
		const char *row;	  /* borrowed, static */
		double ns;		  /* of one operation */
		uint64_t ops;		  /* whose requests follow; 0: of no phase */
		struct requests requests; /* of all of them */
	} rows[RESULT_ROWS];
};

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void result_add(struct result *result, const char *row, uint64_t ns, uint64_t ops)
{
	result->rows[result->count].row = row;
	result->rows[result->count].ns = (double)ns / (double)(ops ? ops : 1);
	result->rows[result->count].ops = 0;
	result->count++;
}

/** phase_start() - what is timed begins. Return: now, for phase_end(). */
uint64_t phase_start(struct bench *b);
/** phase_end() - it has ended: a row of @result, with the requests where they are counted. */
void phase_end(struct bench *b, const char *row, uint64_t start_ns, uint64_t ops, struct result *result);

/* Return: 0 or -errno, from what a system call returned. */
static inline int check(int r)
{
	return r < 0 ? -errno : 0;
}

/**
 * bench_expect() - compare what was counted with -e
 *
 * Return: 0, or -EBADMSG after saying on stderr what was wrong.
 */
int bench_expect(struct bench *b, const char *what, uint64_t found);

/* The name of small file number @i, below the current directory. */
void small_name(char name[NAME_BYTES], uint64_t i);

/*
 * One pass of an operation over all its files or calls, in the current directory.  Each is described at its definition.
 * Return: 0 or -errno; -EBADMSG when what it did is not what is there afterwards.
 */
int pass_make(struct bench *b, struct result *ret);
int pass_makelayers(struct bench *b, struct result *ret);
int pass_stat(struct bench *b, struct result *ret);
int pass_open(struct bench *b, struct result *ret);
int pass_read(struct bench *b, struct result *ret);
int pass_mmap(struct bench *b, struct result *ret);
int pass_ask(struct bench *b, struct result *ret);
int pass_files(struct bench *b, struct result *ret);
int pass_dirs(struct bench *b, struct result *ret);
int pass_symlinks(struct bench *b, struct result *ret);

int pass_makebig(struct bench *b, struct result *ret);
int pass_pwrite(struct bench *b, struct result *ret);
int pass_pwrite_fsync(struct bench *b, struct result *ret);
int pass_append(struct bench *b, struct result *ret);
int pass_write(struct bench *b, struct result *ret);
int pass_seqread(struct bench *b, struct result *ret);

int pass_naivediff(struct bench *b, struct result *ret);
int pass_threads(struct bench *b, struct result *ret);
int pass_beside(struct bench *b, struct result *ret);

#endif
