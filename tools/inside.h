/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_INSIDE_H
#define NACRE_TOOLS_INSIDE_H

/* Doing something in the namespaces of a container that runs (monitor.h). */

#include "tools/target.h"

#include <sys/types.h>

/** inside_find() - the monitor of a container. Return: 0; -EINVAL: it is not running; -errno. */
int inside_find(const struct target *target, struct diag *diag, pid_t *ret_monitor);

/**
 * inside_call() - run @fn in a process in the namespaces of @monitor, and wait for it
 *
 * A user other than root is root of his user namespace in it.  Open descriptors stay as they are; names are those
 * of the monitor's mounts, and /proc is that of its processes.  No store may be open.
 * Return: what @fn returned, an exit status; 128 + N if signal N ended it; -errno, with the reason in @diag.
 */
int inside_call(pid_t monitor, int (*fn)(void *arg), void *arg, struct diag *diag);

/**
 * inside_root() - in there: the container's root as it sees it, with what is mounted in it
 * @dir: the container's folder
 *
 * Return: a descriptor; -errno, with the reason in @diag.
 */
int inside_root(const char *dir, struct diag *diag);

#endif
