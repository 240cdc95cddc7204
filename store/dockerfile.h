/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_DOCKERFILE_H
#define NACRE_STORE_DOCKERFILE_H

/*
 * The words of Dockerfile instructions: splitting, quotes, variables,
 * durations.  Source: docker's Dockerfile reference and what its parser does
 * where the reference is silent.
 */

#include "store/base/buf.h"

#include <stdint.h>

/** Value of a variable, or NULL; borrowed until the next call. */
typedef const char *(*dockerfile_variable_fn)(const char *name, void *arg);

struct dockerfile_words {
	char **items; /* owned, and each of them */
	size_t count;
};

void dockerfile_words_release(struct dockerfile_words *words);

/**
 * dockerfile_split() - split at blanks that are neither quoted nor escaped; quotes stay
 *
 * Return: 0; -EINVAL: a quote without its end; -ENOMEM.
 */
int dockerfile_split(const char *text, struct dockerfile_words *ret);

/**
 * dockerfile_expand() - remove quotes and backslashes, put in $NAME, ${NAME}, ${NAME:-word}, ${NAME:+word}
 *
 * Return: 0; -EINVAL: a quote or brace without its end, or another modifier.
 */
int dockerfile_expand(const char *text, dockerfile_variable_fn variable, void *arg, struct buf *ret);

/** dockerfile_duration() - Go's time.ParseDuration: "1m30s", "500ms"; nanoseconds. -EINVAL. */
int dockerfile_duration(const char *text, int64_t *ret);

#endif
