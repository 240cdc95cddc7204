/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_RUNTIME_H
#define NACRE_TOOLS_RUNTIME_H

/* Calling the OCI runtime, crun(1) or one that takes the same words, as runc(8) does. */

#include <stdbool.h>
#include <sys/types.h>

/* What it is called with goes by names relative to the container's folder, which is the working directory. */
struct runtime {
	const char *program;
	const char *id;
	bool cgroups; /* it may make control groups */
};

/* Names in the container's folder. */
#define RUNTIME_ROOT	 "runtime"
#define RUNTIME_PID_FILE "pid"
#define RUNTIME_CONSOLE	 "console"

/** runtime_is_crun() - by its name. */
bool runtime_is_crun(const char *program);

/** runtime_has_cgroups() - may control groups be made here? */
bool runtime_has_cgroups(void);

/** runtime_cgroups_are_v2() - are they the newer kind, of which users can be given a part? */
bool runtime_cgroups_are_v2(void);

/**
 * runtime_limit_missing() - crun starts a container without a limit that it cannot set, and says nothing
 * @memory, @pids: those that are wanted
 *
 * Return: the controller that is needed and not there, "memory" or "pids"; NULL: all are.
 */
const char *runtime_limit_missing(bool memory, bool pids);

/**
 * runtime_say() - make one line for people of what a runtime wrote to standard error
 * @text: changed in place
 *
 * runc writes log lines: what is no error goes, and of an error its message stays.
 */
void runtime_say(char *text);

/** runtime_run() - start the bundle ".", detached. @stdio: what the container gets. Return: its exit status or -errno. */
int runtime_run(const struct runtime *runtime, bool tty, const int stdio[3]);

/** runtime_delete() - forget the container; its control groups go. Without complaint. */
void runtime_delete(const struct runtime *runtime);

/** runtime_exec() - become the program that runs @process_file in the container. Return: -errno. */
int runtime_exec(const struct runtime *runtime, const char *process_file, bool detach);

#endif
