/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BENCH_REQUESTS_H
#define NACRE_BENCH_REQUESTS_H

/* How many requests the kernel has sent to nacrefs, of each kind: the driver is asked, as nacrefs --stats does it. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { REQUEST_KINDS = 80, REQUEST_NAME_BYTES = 24 };

struct request_kind {
	char name[REQUEST_NAME_BYTES];
	int64_t sent;
};

struct requests {
	size_t count;
	struct request_kind kinds[REQUEST_KINDS];
};

/**
 * requests_ask() - add what the driver of the mount with @root_fd has been sent so far, times @sign
 *
 * The question itself, which is an IOCTL, does not count.  Nor does what the kernel sends without waiting for an answer:
 * FORGET and its like.
 * Return: 0 or -errno; -ENOTTY: no mount of nacrefs.
 */
int requests_ask(int root_fd, int sign, struct requests *requests);

/** requests_print() - "ALL<tab>KIND COUNT KIND COUNT...", for one of @ops operations; the most frequent kind first */
void requests_print(struct requests *requests, uint64_t ops, FILE *out);

#endif
