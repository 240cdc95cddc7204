/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/libcurl.h"

#ifdef LAZY_LIBRARIES

/* The one of a process, as the library itself is. */
struct libcurl_functions libcurl_functions;

#define NAME(name) #name,
static const char *const names[] = { LIBCURL_FUNCTIONS(NAME) };

static struct library library = {
	.soname = "libcurl.so.4",
	.names = names,
	.functions = (void **)&libcurl_functions,
	.count = sizeof(names) / sizeof(names[0]),
	.lock = PTHREAD_MUTEX_INITIALIZER,
};
_Static_assert(sizeof(libcurl_functions) == sizeof(names), "a pointer for each name");

int libcurl_load(struct diag *diag)
{
	return library_load(&library, diag);
}

#else

int libcurl_load(struct diag *diag)
{
	return 0;
}

#endif
