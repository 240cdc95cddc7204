/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_PROGRESS_H
#define NACRE_TOOLS_PROGRESS_H

/*
 * How far work has come, on stderr: on a terminal a bar, from one second on;
 * elsewhere a plain line every ten seconds.
 */

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;	    /* borrowed: what is worked on */
	uint64_t total_bytes;	    /* 0: not known */
	int64_t begun_ms, shown_ms; /* monotonic */
	bool quiet, terminal, drawn;
};

void progress_begin(struct progress *progress, const char *what, uint64_t total_bytes, bool quiet);
/** progress_update() - of the type progress_fn, with the struct progress as @arg. */
void progress_update(uint64_t bytes, void *arg);
/** progress_end() - the bar is wiped away; what follows is printed in its place. */
void progress_end(struct progress *progress);

/*
 * Of what a bar is made; bars.h has several.
 */

/** progress_now_ms() - monotonic */
int64_t progress_now_ms(void);
/** progress_numbers() - "3.1MB/10MB  1.2MB/s", to free(). @total_bytes: 0: not known; @ms: since the beginning. */
char *progress_numbers(uint64_t bytes, uint64_t total_bytes, int64_t ms);
/** progress_draw_line() - a bar from the beginning of the terminal's line on, which is wiped */
void progress_draw_line(const char *what, uint64_t bytes, uint64_t total_bytes, int64_t ms);

#endif
