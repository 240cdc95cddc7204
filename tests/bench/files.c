/* SPDX-License-Identifier: Apache-2.0 */

/* nacre-bench: many small files, those that are there and those that come and go. */

#include "tests/bench/bench.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

enum { READ_BUFFER_BYTES = 64 * 1024 };

/* --- names --- */

void small_name(char name[NAME_BYTES], uint64_t i)
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

enum { LAYER_RUN = 8, FILES_PER_LAYER_DIRECTORY = 100 };

static int make_parents(char *name)
{
	for (char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(name, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

/*
 * @b->count files in @b->threads layers, the folders 0, 1 and so on, as an image gets them: what one step adds lies in
 * a few directories, and a directory's files come from several layers.
 */
int pass_makelayers(struct bench *b, struct result *ret)
{
	uint64_t directories = (b->count + FILES_PER_LAYER_DIRECTORY - 1) / FILES_PER_LAYER_DIRECTORY;
	uint64_t start = phase_start(b);
	char name[NAME_BYTES];
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++) {
		uint64_t directory = i / LAYER_RUN % directories;

		snprintf(name, sizeof(name), "%" PRIu64 "/a%02" PRIu64 "/b%02" PRIu64 "/f%07" PRIu64,
			 i * b->threads / b->count, directory / 100, directory % 100, i);
		r = write_file(b, name);
		if (r == -ENOENT) {
			r = make_parents(name);
			if (r == 0)
				r = write_file(b, name);
		}
	}
	phase_end(b, "makelayers", start, b->count, ret);
	return r;
}

int pass_make(struct bench *b, struct result *ret)
{
	uint64_t start = phase_start(b);
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
	phase_end(b, "make", start, b->count, ret);
	return r;
}

static int stat_one(struct bench *b, const char *name)
{
	struct stat st;

	if (lstat(name, &st) < 0)
		return -errno;
	return (uint64_t)st.st_size == b->bytes ? 0 : -EBADMSG;
}

static int mmap_one(struct bench *b, const char *name)
{
	AUTO(closep) int fd = open(name, O_RDONLY | O_CLOEXEC);
	char *map;
	int r;

	if (fd < 0)
		return -errno;
	map = mmap(NULL, b->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	r = map[b->bytes - 1] == b->buffer[0] ? 0 : -EBADMSG;
	return munmap(map, b->bytes) < 0 && r == 0 ? -errno : r;
}

static int open_one(struct bench *b, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : check(close(fd));
}

/* What no file system has an answer to: a request and nothing else, which the kernel must pass on each time. */
int pass_ask(struct bench *b, struct result *ret)
{
	char name[NAME_BYTES];
	AUTO(closep) int fd = -1;
	uint64_t start;
	int r = 0;

	small_name(name, 0);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	start = phase_start(b);
	for (uint64_t i = 0; i < b->count && r == 0; i++)
		r = ioctl(fd, _IO('N', 0x7f)) < 0 ? 0 : -EBADMSG;
	phase_end(b, "ask", start, b->count, ret);
	return r;
}

static int read_one(struct bench *b, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, b->buffer, READ_BUFFER_BYTES);
	close(fd);
	return (uint64_t)n == b->bytes ? 0 : -EBADMSG;
}

/* Each file's size, what is read of it and where it ends are compared with -s. */
static int each_small(struct bench *b, const char *row, int (*one)(struct bench *b, const char *name),
		      struct result *ret)
{
	uint64_t start = phase_start(b);
	char name[NAME_BYTES];
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++) {
		small_name(name, i);
		r = one(b, name);
	}
	phase_end(b, row, start, b->count, ret);
	return r;
}

int pass_stat(struct bench *b, struct result *ret)
{
	return each_small(b, "stat", stat_one, ret);
}

int pass_open(struct bench *b, struct result *ret)
{
	return each_small(b, "open", open_one, ret);
}

int pass_read(struct bench *b, struct result *ret)
{
	return each_small(b, "read", read_one, ret);
}

int pass_mmap(struct bench *b, struct result *ret)
{
	return each_small(b, "mmap", mmap_one, ret);
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

/* The last of the names is there, or is not. */
static int check_name(struct bench *b, const char *prefix, mode_t type, bool there)
{
	char name[NAME_BYTES];
	struct stat st;

	new_name(name, prefix, b->count - 1);
	if (lstat(name, &st) < 0)
		return there || errno != ENOENT ? -EBADMSG : 0;
	if (!there || (st.st_mode & S_IFMT) != type)
		return -EBADMSG;
	return type == S_IFREG && (uint64_t)st.st_size != b->bytes ? -EBADMSG : 0;
}

static int each_new(struct bench *b, const char *row, int (*one)(struct bench *b, uint64_t i), struct result *ret)
{
	uint64_t start = phase_start(b);
	int r = 0;

	for (uint64_t i = 0; i < b->count && r == 0; i++)
		r = one(b, i);
	phase_end(b, row, start, b->count, ret);
	return r;
}

int pass_files(struct bench *b, struct result *ret)
{
	int r = each_new(b, "create", create_one, ret);

	if (r == 0)
		r = check_name(b, "new", S_IFREG, true);
	if (r == 0)
		r = each_new(b, "rename", rename_one, ret);
	if (r == 0)
		r = check_name(b, "renamed", S_IFREG, true);
	if (r == 0)
		r = each_new(b, "unlink", unlink_renamed, ret);
	return r < 0 ? r : check_name(b, "renamed", S_IFREG, false);
}

int pass_dirs(struct bench *b, struct result *ret)
{
	int r = each_new(b, "mkdir", mkdir_one, ret);

	if (r == 0)
		r = check_name(b, "new", S_IFDIR, true);
	if (r == 0)
		r = each_new(b, "rmdir", rmdir_one, ret);
	return r < 0 ? r : check_name(b, "new", S_IFDIR, false);
}

int pass_symlinks(struct bench *b, struct result *ret)
{
	struct result undo = { 0 };
	int r = each_new(b, "symlink", symlink_one, ret);

	if (r == 0)
		r = check_name(b, "new", S_IFLNK, true);
	return r < 0 ? r : each_new(b, "unlink", unlink_one, &undo);
}
