/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_MONITOR_PRIV_H
#define NACRE_TOOLS_MONITOR_PRIV_H

/* Between monitor_spawn.c, which makes the monitor's process, and monitor.c, which is what it does. */

#include "store/container.h"
#include "tools/etcfiles.h"
#include "tools/json.h"
#include "tools/relay.h"
#include "tools/runtime.h"

enum { PEER_STARTER, PEERS_MAX = 64 };
enum { RELAY_IN, RELAY_OUT, RELAY_ERR, RELAYS };

struct peer {
	int fd;	    /* owned; -1: none */
	bool waits; /* for the end */
};

struct monitor {
	const struct container_info *container; /* borrowed */
	const json_t *spec;			/* borrowed */
	const char *rootfs;			/* borrowed */
	struct runtime runtime;
	bool user;	       /* in a user namespace */
	bool attached;	       /* descriptors 0 to 2 are those of who started it */
	pid_t init;	       /* the container's first process; 0: it has ended */
	int status;	       /* what it ended with */
	bool ended;	       /* there is no mount any more */
	struct etc_places etc; /* what was put into its /etc to be mounted on */
	int lock, log, listen, signals;
	int terminal; /* owned: the other end of the container's; -1: it has none */
	int held;     /* owned: the end of a pipe that nobody writes to */
	struct peer peers[PEERS_MAX];
	struct relay relays[RELAYS];
};

/** monitor_main() - all of a container's life, in a process made for it. Return: the process's exit status. */
int monitor_main(struct monitor *monitor);
void monitor_resize(const struct monitor *monitor);
/** monitor_detach() - go on without who started it. */
void monitor_detach(struct monitor *monitor);

#endif
