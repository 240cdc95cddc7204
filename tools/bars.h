/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BARS_H
#define NACRE_TOOLS_BARS_H

/*
 * Several transfers at once, as docker shows them: what is done is a line on
 * stdout; what is under way has a bar each below, on stderr, where that is a terminal.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bars;

/** bars_new() - @verb: what a bar says is done: "pulling". Borrowed. */
struct bars *bars_new(const char *verb, bool quiet);
void bars_free(struct bars *bars); /* the bars are wiped away */
void bars_freep(struct bars **bars);

/** bars_begin() - @digest: "sha256:HEX", shown by its first digits; @bytes: 0: not known. Of one under way: it begins anew. */
void bars_begin(struct bars *bars, size_t no, const char *digest, uint64_t bytes);
void bars_progress(struct bars *bars, size_t no, uint64_t bytes);
/** bars_end() - its bar goes; "DIGEST: @word" is printed unless @quiet */
void bars_end(struct bars *bars, size_t no, const char *word);

#endif
