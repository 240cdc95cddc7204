/* SPDX-License-Identifier: Apache-2.0 */
#include "store/libarchive.h"

#ifdef LAZY_LIBRARIES

/* The one of a process, as the library itself is. */
struct libarchive_functions libarchive_functions;

#define NAME(name) #name,
static const char *const names[] = { LIBARCHIVE_FUNCTIONS(NAME) };

static struct library library = {
	.soname = "libarchive.so.13",
	.names = names,
	.functions = (void **)&libarchive_functions,
	.count = sizeof(names) / sizeof(names[0]),
	.lock = PTHREAD_MUTEX_INITIALIZER,
};
_Static_assert(sizeof(libarchive_functions) == sizeof(names), "a pointer for each name");

int libarchive_load(struct diag *diag)
{
	return library_load(&library, diag);
}

#else

int libarchive_load(struct diag *diag)
{
	return 0;
}

#endif
