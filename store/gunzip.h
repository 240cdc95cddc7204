/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_GUNZIP_H
#define NACRE_STORE_GUNZIP_H

/*
 * One gzip member after the other, in pieces, each checked against the CRC and
 * the length at its end.
 */

#include "store/base/diag.h"

#include <stddef.h>
#include <stdint.h>

struct gunzip;

/* What gunzip_step() may read and fill; it moves both on. */
struct gunzip_buffers {
	const uint8_t *in; /* borrowed */
	size_t in_len;
	uint8_t *out; /* borrowed */
	size_t out_len;
};

enum gunzip_state {
	GUNZIP_MORE, /* it needs more input, or more room, whichever is used up */
	GUNZIP_END,  /* a member has ended; the next step begins another */
};

/** gunzip_new() - Return: 0; -ELIBACC: the library is not there, @diag says why; -ENOMEM. */
int gunzip_new(struct diag *diag, struct gunzip **ret);
void gunzip_free(struct gunzip *gunzip);
void gunzip_freep(struct gunzip **gunzip);

/**
 * gunzip_step() - undo as much as @b has input and room for
 * @ret_why: what is wrong, where it is known; static, else NULL
 *
 * A step that neither takes nor gives a byte can do nothing before it gets more input.
 * Return: 0 and *@ret; -EBADMSG: damaged; -ENOMEM.
 */
int gunzip_step(struct gunzip *gunzip, struct gunzip_buffers *b, enum gunzip_state *ret, const char **ret_why);

#endif
