/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_RUNLOG_H
#define NACRE_TOOLS_RUNLOG_H

/*
 * What a container wrote, in the form of Kubernetes (CRI): a line each of
 *
 *	2026-11-21T12:00:00.123456789Z stdout F the text
 *
 * where P in place of F says that the text is only the beginning of a line.
 */

#include <stdbool.h>
#include <stddef.h>

/** runlog_add() - @bytes of @stream ("stdout", "stderr") behind the log @fd. Return: 0 or -errno. */
int runlog_add(int fd, const char *stream, const char *data, size_t bytes);

struct runlog_reader {
	const char *dir; /* the container's folder */
	long tail;	 /* the last so many lines only; -1: all */
	bool follow;	 /* until the container has ended */
	bool timestamps;
};

/** runlog_print() - on stdout and stderr, as it was written. Return: 0 or -errno. */
int runlog_print(const struct runlog_reader *reader);

#endif
