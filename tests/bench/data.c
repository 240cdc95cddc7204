/* SPDX-License-Identifier: Apache-2.0 */

/* nacre-bench: the bytes of one file. */

#include "tests/bench/bench.h"

/* Of @b->bytes, in calls of @call bytes from the start, all of them @fill. */
static int write_through(struct bench *b, int fd, size_t call, char fill)
{
	int r = 0;

	memset(b->buffer, fill, call);

	for (uint64_t at = 0; at < b->bytes && r == 0; at += call)
		r = io_pwrite_full(fd, b->buffer, call, (off_t)at);
	return r;
}

/* The file "one" is as long as it must be and ends in what was written last; then it goes. */
static int check_one(struct bench *b, char fill)
{
	AUTO(closep) int fd = open("one", O_RDONLY | O_CLOEXEC);
	struct stat st;
	char last = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != b->bytes || pread(fd, &last, 1, st.st_size - 1) != 1 || last != fill)
		return -EBADMSG;
	return check(unlink("one"));
}

/* Over blocks that are there: what a program that keeps a file up to date does. */
int pass_pwrite(struct bench *b, struct result *ret)
{
	AUTO(closep) int fd = open("one", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start;
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, SMALL_CALL_BYTES, 'a');
	start = phase_start(b);
	if (r == 0)
		r = write_through(b, fd, SMALL_CALL_BYTES, 'b');
	if (close(TAKE_FD(fd)) < 0 && r == 0)
		r = -errno;
	phase_end(b, "pwrite", start, b->bytes / SMALL_CALL_BYTES, ret);
	return r < 0 ? r : check_one(b, 'b');
}

/* The same with each write on disk before the next: what a database's journal is. */
int pass_pwrite_fsync(struct bench *b, struct result *ret)
{
	AUTO(closep) int fd = open("one", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start, calls = b->bytes / SMALL_CALL_BYTES;
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, SMALL_CALL_BYTES, 'a');
	if (r == 0)
		r = check(fsync(fd));
	memset(b->buffer, 'b', SMALL_CALL_BYTES);
	start = phase_start(b);
	for (uint64_t i = 0; i < calls && r == 0; i++) {
		r = io_pwrite_full(fd, b->buffer, SMALL_CALL_BYTES, (off_t)(i * SMALL_CALL_BYTES));
		if (r == 0)
			r = check(fsync(fd));
	}
	phase_end(b, "pwrite-fsync", start, calls, ret);
	return r < 0 ? r : check_one(b, 'b');
}

static int write_new(struct bench *b, const char *row, size_t call, bool sync, struct result *ret)
{
	AUTO(closep) int fd = open("one", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start = phase_start(b);
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, call, 'c');
	if (r == 0 && sync)
		r = check(fdatasync(fd));
	if (close(TAKE_FD(fd)) < 0 && r == 0)
		r = -errno;
	phase_end(b, row, start, b->bytes / call, ret);
	return r < 0 ? r : check_one(b, 'c');
}

/* To a new file, with all of it on disk at the end: nothing is put off. */
int pass_append(struct bench *b, struct result *ret)
{
	return write_new(b, "append", SMALL_CALL_BYTES, true, ret);
}

int pass_write(struct bench *b, struct result *ret)
{
	return write_new(b, "write", LARGE_CALL_BYTES, false, ret);
}

int pass_makebig(struct bench *b, struct result *ret)
{
	AUTO(closep) int fd = open("big", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	uint64_t start = phase_start(b);
	int r;

	if (fd < 0)
		return -errno;
	r = write_through(b, fd, LARGE_CALL_BYTES, 'n');
	phase_end(b, "makebig", start, b->bytes / LARGE_CALL_BYTES, ret);
	return r;
}

/* The file "big", of which -s tells the size. */
int pass_seqread(struct bench *b, struct result *ret)
{
	AUTO(closep) int fd = open("big", O_RDONLY | O_CLOEXEC);
	uint64_t start = phase_start(b), bytes = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = io_read_full(fd, b->buffer, LARGE_CALL_BYTES)) > 0)
		bytes += (uint64_t)n;
	phase_end(b, "seqread", start, bytes / LARGE_CALL_BYTES, ret);
	if (n == 0 && bytes != b->bytes)
		return -EBADMSG;
	return (int)n;
}
