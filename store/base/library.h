/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BASE_LIBRARY_H
#define NACRE_BASE_LIBRARY_H

/*
 * Shared libraries that are loaded when the first function of theirs is
 * wanted.  libcurl and libarchive bring 35 others along, whose relocations would
 * cost every short command more time than all that it does.
 *
 * Each has a header of its own (store/libarchive.h, store/registry/libcurl.h), which is
 * included in place of the library's: it lists the functions that are called, and
 * gives their names to pointers of the same types.  Without LAZY_LIBRARIES (meson's
 * option lazy_libraries) they are linked as any other.
 */

#include "store/base/diag.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct library {
	const char *soname;	  /* of the headers that we are built with: its number is the ABI's */
	const char *const *names; /* borrowed: of the functions */
	void **functions;	  /* borrowed: as many; valid once loaded */
	size_t count;
	pthread_mutex_t lock;
	bool loaded; /* under lock */
};

/**
 * library_load() - have its functions; they stay until the process ends
 *
 * Any thread.  What it sets may be read without a lock by every thread that called it, or was started afterwards.
 * Return: 0; -ELIBACC: it is not there, or not as it should be; @diag says why.
 */
int library_load(struct library *library, struct diag *diag);

#endif
