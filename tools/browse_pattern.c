// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_pattern.h"

#include "tools/ui.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool has_capital(const char *text)
{
	for (; *text; text++)
		if (isupper((unsigned char)*text))
			return true;
	return false;
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

static bool compile(struct browse_pattern *pattern, const char *text)
{
	pattern->bytes = is_ascii(text) ? newlocale(LC_ALL_MASK, "C", (locale_t)0) : (locale_t)0;
	locale_t before = pattern->bytes ? uselocale(pattern->bytes) : (locale_t)0;
	int r = regcomp(&pattern->regex, text, REG_EXTENDED | REG_NOSUB | (pattern->any_case ? REG_ICASE : 0));

	if (before)
		uselocale(before);
	return r == 0;
}

void browse_pattern_init(struct browse_pattern *pattern, const char *text, bool plain)
{
	*pattern = (struct browse_pattern){ 0 };
	if (!*text)
		return;
	pattern->text = ui_need(strdup(text));
	pattern->any_case = !has_capital(text);
	/* Half typed, as "a(", it may be no expression yet. */
	if (!plain && text[strcspn(text, "\\^$*+?()[]{}|.")])
		pattern->is_regex = compile(pattern, text);
}

void browse_pattern_release(struct browse_pattern *pattern)
{
	if (pattern->is_regex)
		regfree(&pattern->regex);
	if (pattern->bytes)
		freelocale(pattern->bytes);
	free(pattern->text);
	*pattern = (struct browse_pattern){ 0 };
}

bool browse_pattern_match(const struct browse_pattern *pattern, const char *subject)
{
	if (!pattern->text)
		return true;
	if (!pattern->is_regex)
		return (pattern->any_case ? strcasestr(subject, pattern->text) : strstr(subject, pattern->text)) !=
		       NULL;
	locale_t before = pattern->bytes ? uselocale(pattern->bytes) : (locale_t)0;
	int r = regexec(&pattern->regex, subject, 0, NULL, 0);
	if (before)
		uselocale(before);
	return r == 0;
}
