/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/library.h"

#include <dlfcn.h>
#include <errno.h>

static int find_functions(struct library *library, void *handle, struct diag *diag)
{
	for (size_t i = 0; i < library->count; i++) {
		library->functions[i] = dlsym(handle, library->names[i]);
		if (!library->functions[i])
			return diag_set(diag, -ELIBACC, "%s has no function %s", library->soname, library->names[i]);
	}
	return 0;
}

static int load_locked(struct library *library, struct diag *diag)
{
	void *handle = dlopen(library->soname, RTLD_LAZY | RTLD_LOCAL);
	const char *why;
	int r;

	if (!handle) {
		why = dlerror();
		return diag_set(diag, -ELIBACC, "a library that this needs cannot be loaded: %s",
				why ? why : library->soname);
	}
	r = find_functions(library, handle, diag);
	library->loaded = r == 0;
	return r;
}

int library_load(struct library *library, struct diag *diag)
{
	int r = 0;

	pthread_mutex_lock(&library->lock);
	if (!library->loaded)
		r = load_locked(library, diag);
	pthread_mutex_unlock(&library->lock);
	return r;
}
