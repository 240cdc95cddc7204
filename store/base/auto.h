/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BASE_AUTO_H
#define NACRE_BASE_AUTO_H

/*
 * Cleanup attributes: a resource is declared where it is acquired and given
 * back when its scope ends, on every path.  A cleanup keeps errno, and ignores
 * NULL and negative descriptors.  It swallows errors too, so whoever writes
 * syncs and closes explicitly, checked, before the rename that publishes.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(fn) __attribute__((cleanup(fn)))

/** TAKE() - give ownership of a pointer away; the variable is NULL after it. */
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__auto_type taken_ = (p);                                                          \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/** TAKE_FD() - the same for a descriptor, which is -1 after it. */
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void freep(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void closedirp(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

static inline void fclosep(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	errno = saved;
}

#endif
