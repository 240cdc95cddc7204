/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_RELAY_H
#define NACRE_TOOLS_RELAY_H

/*
 * Bytes on their way between a container and whoever started it.  Each relay holds
 * one piece at a time: whoever does not read makes the writer wait, and nobody else.
 */

#include "store/base/buf.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

enum { RELAY_BYTES = 16384 };

struct relay {
	int from;	    /* owned; -1: it has ended, or never was */
	int to;		    /* borrowed; -1: the log is all that gets it */
	int log;	    /* borrowed; -1: none */
	const char *stream; /* in the log */
	bool hoards;
	struct buf data; /* owned: what was read */
	size_t at;	 /* of that, what is written */
};

/** relay_poll() - what to wait for. */
struct pollfd relay_poll(const struct relay *relay);
/**
 * relay_step() - after poll(2) said @events
 *
 * At the end of what it reads the relay closes it.  Return: 0; -errno: @to cannot be written any more.
 */
int relay_step(struct relay *relay, short events);
/** relay_hoard() - from now on, or no longer: read on, up to some megabytes, and write nothing. */
void relay_hoard(struct relay *relay, bool hoards);
/** relay_has_ended() - nothing comes any more. */
bool relay_has_ended(const struct relay *relay);
/** relay_is_done() - nothing comes any more, and all is written. */
bool relay_is_done(const struct relay *relay);
/** relay_close() - read no more. */
void relay_close(struct relay *relay);
/** relay_drop() - what was read and is not written. */
void relay_drop(struct relay *relay);

#endif
