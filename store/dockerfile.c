/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dockerfile.h"

#include "store/base/auto.h"

#include <ctype.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void dockerfile_words_release(struct dockerfile_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
	*words = (struct dockerfile_words){ 0 };
}

static int words_add(struct dockerfile_words *words, const char *text, size_t len)
{
	char **items = realloc(words->items, (words->count + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	words->items = items;
	items[words->count] = strndup(text, len);
	return items[words->count] ? (words->count++, 0) : -ENOMEM;
}

/* Where the word at @p ends; NULL: a quote does not. */
static const char *word_end(const char *p)
{
	char quote = '\0';

	for (; *p && (quote || !is_blank(*p)); p++) {
		if (*p == '\\' && quote != '\'' && p[1])
			p++;
		else if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? '\0' : *p;
	}
	return quote ? NULL : p;
}

int dockerfile_split(const char *text, struct dockerfile_words *ret)
{
	AUTO(dockerfile_words_release) struct dockerfile_words words = { 0 };

	for (;;) {
		const char *end;
		int r;

		while (is_blank(*text))
			text++;
		if (!*text)
			break;
		end = word_end(text);
		if (!end)
			return -EINVAL;
		r = words_add(&words, text, (size_t)(end - text));
		if (r < 0)
			return r;
		text = end;
	}
	*ret = words;
	words = (struct dockerfile_words){ 0 };
	return 0;
}

struct expansion {
	const char *p; /* what is left of the text */
	dockerfile_variable_fn variable;
	void *arg;
	struct buf *out;
	unsigned depth; /* of braces within braces */
};

enum { EXPANSION_DEPTH_MAX = 16 };

static int expand_until(struct expansion *x, char end);

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static int take_name(struct expansion *x, char *name, size_t room)
{
	size_t len = 0;

	while (is_name_char(x->p[len]))
		len++;
	if (len == 0 || len >= room)
		return -EINVAL;
	memcpy(name, x->p, len);
	name[len] = '\0';
	x->p += len;
	return 0;
}

/* After "${NAME:": the word is always read, and used where the modifier says so. */
static int expand_modifier(struct expansion *x, const char *value)
{
	AUTO(buf_release) struct buf word = { 0 };
	struct buf *out = x->out;
	char modifier = *x->p;
	int r;

	if (modifier != '-' && modifier != '+')
		return -EINVAL;
	x->p++;
	x->out = &word;
	r = ++x->depth > EXPANSION_DEPTH_MAX ? -EINVAL : expand_until(x, '}');
	x->depth--;
	x->out = out;
	if (r < 0)
		return r;
	if (modifier == '+')
		buf_adds(out, value && *value ? buf_str(&word) : "");
	else
		buf_adds(out, value && *value ? value : buf_str(&word));
	return 0;
}

/* At the byte behind '$'. */
static int expand_variable(struct expansion *x)
{
	char name[256];
	const char *value;
	bool brace = *x->p == '{';

	if (!brace && !is_name_char(*x->p)) {
		buf_adds(x->out, "$");
		return 0;
	}
	x->p += brace;
	if (take_name(x, name, sizeof(name)) < 0)
		return -EINVAL;
	value = x->variable(name, x->arg);
	if (brace && *x->p == ':') {
		x->p++;
		return expand_modifier(x, value);
	}
	if (brace && *x->p++ != '}')
		return -EINVAL;
	buf_adds(x->out, value ? value : "");
	return 0;
}

static int expand_single_quoted(struct expansion *x)
{
	const char *end = strchr(x->p, '\'');

	if (!end)
		return -EINVAL;
	buf_add(x->out, x->p, (size_t)(end - x->p));
	x->p = end + 1;
	return 0;
}

/* In double quotes a backslash only escapes what would have a meaning there. */
static int expand_double_quoted(struct expansion *x)
{
	while (*x->p && *x->p != '"') {
		char c = *x->p++;
		int r = 0;

		if (c == '$') {
			r = expand_variable(x);
		} else {
			if (c == '\\' && *x->p && strchr("\"$\\", *x->p))
				c = *x->p++;
			buf_add(x->out, &c, 1);
		}
		if (r < 0)
			return r;
	}
	return *x->p ? (x->p++, 0) : -EINVAL;
}

static int expand_until(struct expansion *x, char end)
{
	while (*x->p && *x->p != end) {
		char c = *x->p++;
		int r = 0;

		if (c == '\'') {
			r = expand_single_quoted(x);
		} else if (c == '"') {
			r = expand_double_quoted(x);
		} else if (c == '$') {
			r = expand_variable(x);
		} else {
			if (c == '\\' && *x->p)
				c = *x->p++;
			buf_add(x->out, &c, 1);
		}
		if (r < 0)
			return r;
	}
	if (end == '\0')
		return 0;
	return *x->p ? (x->p++, 0) : -EINVAL;
}

int dockerfile_expand(const char *text, dockerfile_variable_fn variable, void *arg, struct buf *ret)
{
	struct expansion x = { .p = text, .variable = variable, .arg = arg, .out = ret };
	int r = expand_until(&x, '\0');

	return r < 0 ? r : buf_error(ret);
}

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {
	{ "ns", 1 },	       { "us", 1000 },	       { "\xc2\xb5s", 1000 },	 { "ms", 1000000 },
	{ "s", 1000000000ll }, { "m", 60000000000ll }, { "h", 3600000000000ll },
};

static const struct unit *find_unit(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0)
			return &units[i];
	return NULL;
}

/* "12.5ms" at *@text: one term. */
static int take_term(const char **text, int64_t *total)
{
	const struct unit *unit;
	char *end;
	size_t len;
	double number, ns;

	if (!isdigit((unsigned char)**text) && **text != '.')
		return -EINVAL; /* strtod() takes signs, "inf" and hexadecimal too */
	if ((*text)[0] == '0' && ((*text)[1] == 'x' || (*text)[1] == 'X'))
		return -EINVAL;
	number = strtod(*text, &end);
	len = strcspn(end, ".0123456789");
	unit = find_unit(end, len);
	ns = unit ? number * (double)unit->ns : 0;
	if (end == *text || !unit || ns > 9e18 - (double)*total)
		return -EINVAL;
	*total += (int64_t)ns;
	*text = end + len;
	return 0;
}

int dockerfile_duration(const char *text, int64_t *ret)
{
	int64_t total = 0;

	if (strcmp(text, "0") == 0) {
		*ret = 0;
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text)
		if (take_term(&text, &total) < 0)
			return -EINVAL;
	*ret = total;
	return 0;
}
