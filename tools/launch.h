/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_LAUNCH_H
#define NACRE_TOOLS_LAUNCH_H

/* Starting a container from the command line, with the terminal if there is one, and waiting for its end. */

#include "store/container.h"
#include "tools/json.h"

/* docker's exit statuses for what went wrong before the program ran. */
enum { LAUNCH_FAILED = 125, LAUNCH_NOT_RUNNABLE = 126, LAUNCH_NOT_FOUND = 127 };

/**
 * launch() - start @container, and unless @detach pass input, output and signals on until it ends
 * @action: for messages: "cannot ACTION: ..."
 * @lock: of live_begin(), to be closed when it has started or could not: it is closed then
 * @ret_started: did it run?
 *
 * No store may be open.  Return: the status to exit with; what went wrong has been said.
 */
int launch(const struct container_info *container, const json_t *spec, bool detach, const char *action, int lock,
	   bool *ret_started);

/**
 * launch_stop() - end the container in folder @dir
 * @signal: sent first
 * @seconds: before it is killed; 0: at once; -1: never
 *
 * Return: 0 also if it does not run; -errno.
 */
int launch_stop(const char *dir, int signal, int seconds);

/** launch_signal() - to the first process of the container in folder @dir. -ESRCH: it does not run. */
int launch_signal(const char *dir, int signal);

/**
 * launch_wait() - until the container in folder @dir has ended
 * @ret_status: its exit status, set only on success
 *
 * Return: 0; -ESRCH: it does not run, or its monitor was killed meanwhile: run_state_read() tells; -errno.
 */
int launch_wait(const char *dir, int *ret_status);

/** launch_tidy() - what the runtime leaves of container @id where its monitor was killed. */
void launch_tidy(const char *id);

#endif
