/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TESTS_UNIT_H
#define NACRE_TESTS_UNIT_H

/* What every unit test needs: cmocka with what it wants included first, and a folder of its own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder that is the working directory while the test runs; group set-up and tear-down. */
struct scratch {
	char path[64];
};

static inline int scratch_setup(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	strcpy(s->path, "/tmp/nacre-unit-XXXXXX");
	if (!mkdtemp(s->path) || chdir(s->path) < 0)
		return -1;
	umask(022);
	*state = s;
	return 0;
}

static inline int scratch_teardown(void **state)
{
	struct scratch *s = *state;
	int r = chdir("/");

	if (r == 0)
		r = io_remove_tree(AT_FDCWD, s->path);
	free(s);
	return r;
}

static inline void write_file(const char *path, const void *bytes, size_t count)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, bytes, count), 0);
	assert_int_equal(close(fd), 0);
}

static inline void write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text));
}

#endif
