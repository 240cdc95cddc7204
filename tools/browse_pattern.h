/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_PATTERN_H
#define NACRE_TOOLS_BROWSE_PATTERN_H

/*
 * What a user types to find something: an extended regular expression, or plain text that is met much faster.  An
 * expression in ASCII is compared with bytes, which is several times as fast as characters.
 */

#include <locale.h>
#include <regex.h>
#include <stdbool.h>

struct browse_pattern {
	char *text; /* owned; NULL: matches everything */
	regex_t regex;
	locale_t bytes; /* owned: where one byte is one character; 0: as the user's */
	bool is_regex;
	bool any_case; /* there is no capital letter in it */
};

/** browse_pattern_init() - @plain: nothing in @text is special */
void browse_pattern_init(struct browse_pattern *pattern, const char *text, bool plain);
void browse_pattern_release(struct browse_pattern *pattern);
bool browse_pattern_match(const struct browse_pattern *pattern, const char *subject);

#endif
