/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_MONITOR_H
#define NACRE_TOOLS_MONITOR_H

/*
 * The monitor of a container: a small process that mounts its root, has the
 * runtime start it, passes on what it writes, keeps its log and exit status, and
 * tidies up.  It outlives the command that made it.
 *
 * It is the first process of a process namespace with a mount namespace of its own
 * (of users other than root, in a user namespace), and driver, runtime and
 * container are all in there: if it is killed, the kernel ends them all, and
 * no mount is left.
 */

#include "store/container.h"
#include "tools/json.h"

/**
 * monitor_spawn() - have the container of @container started with @spec
 * @outputs: where what the container writes to its two outputs goes, borrowed; it reads our standard input until it ends,
 *	     then.  Not blocking, for it waits for nobody.  NULL: nowhere, and it reads nothing
 * @ret_control: to be listened to: CONTROL_STARTED or CONTROL_FAILED come first, then CONTROL_EXITED; owned
 *
 * No store may be open: the process that is made inherits everything.
 * Return: 0; -EBUSY: it runs already; -errno.
 */
int monitor_spawn(const struct container_info *container, const json_t *spec, const int *outputs, struct diag *diag,
		  int *ret_control);

#endif
