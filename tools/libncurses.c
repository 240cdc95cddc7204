/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/libncurses.h"

#ifdef LAZY_LIBRARIES

/* The one of a process, as the library itself is. */
struct libncurses_functions libncurses_functions;

#define NAME(name) #name,
static const char *const names[] = { LIBNCURSES_FUNCTIONS(NAME) };

static struct library library = {
	.soname = "libncursesw.so.6",
	.names = names,
	.functions = (void **)&libncurses_functions,
	.count = sizeof(names) / sizeof(names[0]),
	.lock = PTHREAD_MUTEX_INITIALIZER,
};
_Static_assert(sizeof(libncurses_functions) == sizeof(names), "a pointer for each name");

int libncurses_load(struct diag *diag)
{
	return library_load(&library, diag);
}

#else

int libncurses_load(struct diag *diag)
{
	return 0;
}

#endif
