/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_PROCESSLIST_H
#define NACRE_TOOLS_PROCESSLIST_H

/* The processes of a container that runs, as this machine's /proc tells of them (proc(5)). */

#include "store/base/diag.h"

#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid, parent; /* as they are called here */
	pid_t inside;	   /* in the container */
	uid_t uid;	   /* in the container */
	int64_t started;   /* seconds since the epoch */
	uint64_t cpu_ms;
	char *command; /* owned; its words, or in brackets the name of one that has none */
};

struct process_list {
	struct process *all; /* owned */
	size_t count;
};

/**
 * process_list_read() - the container's first process, a child of @monitor, and all in its process namespace or below
 *
 * Those that end meanwhile are left out.  Return: 0; -EINVAL: it is not running; -errno, with the reason in @diag.
 */
int process_list_read(pid_t monitor, struct diag *diag, struct process_list *ret);
void process_list_release(struct process_list *list);

#endif
