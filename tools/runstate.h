/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_RUNSTATE_H
#define NACRE_TOOLS_RUNSTATE_H

/*
 * A container that is run has in its folder (container_info.dir):
 *
 *   run.json      what it is run with (runspec.h); written once
 *   state.json    what became of it; written by its monitor (monitor.h)
 *   control       the monitor's socket (control.h): who answers there lives, whatever state.json says
 *   lock          locked by the monitor for its lifetime
 *   log           what it wrote (runlog.h)
 *   config.json, rootfs/, resolv.conf, hosts, hostname, runtime/
 *                 the bundle for the runtime and the runtime's own state; made anew at each start
 *
 * A machine that loses its power, or a monitor that is killed, leaves state.json saying
 * "running".  Nobody answers then, and the kernel has ended the container with
 * its monitor: it counts as killed.
 */

#include "tools/json.h"

enum run_status {
	RUN_NEVER,   /* a container of `nacre mount --rw` */
	RUN_CREATED, /* it has not been started, or could not be */
	RUN_RUNNING,
	RUN_EXITED,
};

struct run_state {
	enum run_status status;
	int exit_code;
	int64_t started, finished; /* seconds; 0: unknown */
	json_t *spec;		   /* owned; NULL if RUN_NEVER */
};

/** run_state_read() - of the container's folder @dir. Return: 0 or -errno. */
int run_state_read(const char *dir, struct run_state *ret);
void run_state_release(struct run_state *state);

/** run_state_write() - everything but @state->spec, at once. */
int run_state_write(const char *dir, const struct run_state *state);

/** run_spec_write(), run_spec_read() - run.json; *@ret is owned. */
int run_spec_write(const char *dir, const json_t *spec);
int run_spec_read(const char *dir, json_t **ret);

/** run_is_live() - does its monitor answer? */
bool run_is_live(const char *dir);

enum { RUN_STATUS_BYTES = 64 };
/** run_status_text() - "Up 3 minutes", "Exited (0) 2 hours ago", "Created"; "" if RUN_NEVER. Returns @text. */
char *run_status_text(const struct run_state *state, char *text);
/** run_status_word() - "running", "exited", "created"; NULL if RUN_NEVER. */
const char *run_status_word(const struct run_state *state);

#endif
