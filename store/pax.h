/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_PAX_H
#define NACRE_STORE_PAX_H

/* The records of a pax extended header. Source: POSIX.1-2017 pax, "pax Extended Header". */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pax_record {
	char *key;
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

/** pax_is_time() - is it a number of seconds, as "-1.5"? */
bool pax_is_time(const char *text);

/** pax_time_ns() - decimal seconds, "-1.5"; digits beyond nanoseconds are cut off, times beyond int64_t held there */
int64_t pax_time_ns(const char *text);

/*
 * The names of xattrs within keywords, which end at the first '='.  GNU tar writes "%3D" for it and "%25" for '%', and
 * reads both; Go's archive/tar (podman, docker) writes names as they are, and refuses those with '='; libarchive reads
 * them as they are.  So a name is escaped, and taken for escaped, only where there is no other way: if it has a '='
 * or what would be read as one.  So what we write comes back, Go's names are right but for one with "%3D" in it, and GNU
 * tar's but for a '%' alone, which stays "%25" as it does with Go.
 */

/** pax_xattr_is_escaped() - "%3D", or what came of it when it was escaped, is in it */
bool pax_xattr_is_escaped(const char *name);
/** pax_xattr_unescape() - a name as it is in a keyword becomes its own, in place */
void pax_xattr_unescape(char *name);

#endif
