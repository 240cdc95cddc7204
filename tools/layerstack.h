/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_LAYERSTACK_H
#define NACRE_TOOLS_LAYERSTACK_H

/* The layers of a mount in use: asking its driver, or the monitor of a container that runs. */

#include "store/base/buf.h"
#include "store/base/diag.h"

#include <stddef.h>
#include <stdint.h>

/* Whose layers; one of the two. */
struct layer_place {
	char *mountpoint; /* owned */
	char *monitor;	  /* owned: the folder of a container that runs */
};

enum layer_verb { LAYER_ADD, LAYER_REMOVE };

/**
 * layerstack_change() - add or remove @what: an absolute path or "DIFF-ID IMAGE-ID", see fs/stack.h
 * @ret_used: with -ETXTBSY what is in use, to be freed
 *
 * Return: 0; -errno with diag.
 */
int layerstack_change(const struct layer_place *place, enum layer_verb verb, const char *what, char **ret_used,
		      struct diag *diag);

/** layerstack_list() - all of them, topmost first, a line each: "added NAME", "lower NAME" or "upper upper". */
int layerstack_list(const struct layer_place *place, struct buf *ret, struct diag *diag);

/** layerstack_user() - a process that uses @path of the mount, "bash (process 12)", to be freed; NULL: none is seen. */
char *layerstack_user(const char *mountpoint, const char *path);

#endif
