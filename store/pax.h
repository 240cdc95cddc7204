/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_PAX_H
#define NACRE_STORE_PAX_H

/* The records of a pax extended header. Source: POSIX.1-2017 pax, "pax Extended Header". */

#include <stddef.h>
#include <stdint.h>

struct pax_record {
	const char *key;
	const char *value; /* with a NUL after its last byte */
	size_t bytes;	   /* of the value */
};

/**
 * pax_next() - take a record off the text between @*at and @end
 *
 * The text needs a NUL at @end; what divides key, value and records becomes NULs.
 * Return: 1; 0: there is none left; -EBADMSG: what is there is no record.
 */
int pax_next(char **at, char *end, struct pax_record *ret);

/** pax_time_ns() - decimal seconds, "-1.5"; digits beyond nanoseconds are cut off, times beyond int64_t held there */
int64_t pax_time_ns(const char *text);

#endif
