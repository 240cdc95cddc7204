/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_RELAY_H
#define NACRE_TOOLS_RELAY_H

/*
 * Bytes on their way between a container and whoever started it.  Each relay holds
 * one small piece at a time: whoever does not read makes the writer wait, and
 * nobody else.
 */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

/* A pipe that poll(2) calls writable takes that much without blocking. */
enum { RELAY_BYTES = 4096 };

struct relay {
	int from;	    /* owned; -1: it has ended, or never was */
	int to;		    /* borrowed */
	int log;	    /* borrowed; -1: none */
	const char *stream; /* in the log */
	size_t at, len;	    /* what of @data is still to be written */
	char data[RELAY_BYTES];
};

/** relay_poll() - what to wait for. */
struct pollfd relay_poll(const struct relay *relay);
/**
 * relay_step() - after poll(2) said @events
 *
 * At the end of what it reads the relay closes it.  Return: 0; -errno: @to cannot be written any more.
 */
int relay_step(struct relay *relay, short events);
/** relay_is_done() - nothing comes any more, and all is written. */
bool relay_is_done(const struct relay *relay);
void relay_close(struct relay *relay);

#endif
