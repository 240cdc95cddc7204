/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_STORAGECONF_H
#define NACRE_TOOLS_STORAGECONF_H

/* storage.conf of containers/storage (containers-storage.conf(5)), on which podman, buildah and CRI-O stand. */

#include "store/base/diag.h"

/** storageconf_path() - the file that the user's podman reads; a string to free(), or NULL: there is no home. */
char *storageconf_path(void);

/**
 * storageconf_graphroot() - the folder in which the user's podman keeps images and containers
 *
 * Return: a string to free(); NULL: there is no home.
 */
char *storageconf_graphroot(void);

/* What the file is to say. */
struct storageconf {
	const char *program; /* overlay's mount program */
	const char *layers;  /* a folder that is one of the additional layer stores; NULL: none */
	const char *images;  /* one that is one of the additional image stores; NULL: none */
};

/**
 * storageconf_edit() - the file with what is @wanted, and else as it was
 * @old: its text; NULL: there is no file yet
 * @ret: a string to free()
 *
 * Return: 0; -EINVAL if the storage is of another kind than overlay, with diag.
 */
int storageconf_edit(const char *old, const struct storageconf *wanted, struct diag *diag, char **ret);

#endif
