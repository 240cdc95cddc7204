/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_OUTPUT_H
#define NACRE_TOOLS_OUTPUT_H

/*
 * Passing on what a container writes to our standard output and error.  They may be
 * anybody's, and block for as long as nobody reads there: so it is done by a thread
 * of its own, and holds up neither the container's monitor nor our signals.
 */

#include <pthread.h>
#include <stdbool.h>

struct output {
	int ends[2];  /* owned: where the two outputs are to be written to; they do not block */
	int done;     /* owned: comes to its end when the thread does */
	bool running; /* the thread */
	pthread_t thread;
};

#define OUTPUT_NONE                            \
	{                                      \
		.ends = { -1, -1 }, .done = -1 \
	}

/** output_start() - pass on what comes from now on. Return: 0; -errno. */
int output_start(struct output *output);
/** output_given() - others have @ends now: ours are closed, so that theirs are the last. */
void output_given(struct output *output);
/** output_done() - to be waited for with poll(2): all is written, or cannot be. -1: it was not started. */
int output_done(const struct output *output);
/** output_close() - whatever is not written by now is left. */
void output_close(struct output *output);

#endif
