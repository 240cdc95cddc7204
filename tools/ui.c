// SPDX-License-Identifier: Apache-2.0
#include "tools/ui.h"

#include "store/base/auto.h"
#include "tools/cli.h"

#include <string.h>
#include <time.h>

void ui_out_of_memory(void)
{
	fputs("nacre: out of memory\n", stderr);
	exit(FAILED);
}

void *ui_need(void *p)
{
	if (!p)
		ui_out_of_memory();
	return p;
}

static char *escaped_take(struct buf *raw)
{
	struct buf safe = { 0 };

	ui_need(raw->failed ? NULL : raw);
	ui_escape(&safe, buf_str(raw), raw->len);
	buf_release(raw);
	return safe.data ? ui_need(buf_take(&safe)) : ui_need(strdup(""));
}

char *ui_vformat(const char *fmt, va_list ap)
{
	struct buf raw = { 0 };
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		ui_out_of_memory();
	buf_adds(&raw, text);
	free(text);
	return escaped_take(&raw);
}

char *ui_format(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = ui_vformat(fmt, ap);
	va_end(ap);
	return text;
}

/*
 * Characters and bytes.
 */

size_t ui_utf8_next(const char *text, size_t len, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text;
	size_t n = *p < 0x80 ? 1 : (*p & 0xe0) == 0xc0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : (*p & 0xf8) == 0xf0 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	uint32_t code = n == 1 ? *p : *p & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	/* Overlong forms, surrogates and what is beyond Unicode are no UTF-8. */
	if (code < least[n] || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff)
		return 0;
	*ret = code;
	return n;
}

static bool is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

static void add_escape(struct buf *buf, uint32_t code)
{
	if (code == '\n')
		buf_adds(buf, "\\n");
	else if (code == '\t')
		buf_adds(buf, "\\t");
	else if (code == '\r')
		buf_adds(buf, "\\r");
	else if (code < 0x80)
		buf_addf(buf, "\\x%02x", code);
	else
		buf_addf(buf, "\\u%04x", code);
}

void ui_escape(struct buf *buf, const char *text, size_t len)
{
	uint32_t code = 0;

	for (size_t n; len > 0; text += n, len -= n) {
		n = ui_utf8_next(text, len, &code);
		if (n == 0) {
			n = 1;
			buf_addf(buf, "\\x%02x", (unsigned char)*text);
		} else if (is_unsafe(code)) {
			add_escape(buf, code);
		} else {
			buf_add(buf, text, n);
		}
	}
}

/*
 * Messages.
 */

/* What helps whichever command met it. */
static const char *hint_of(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
		return "free some space ('nacre gc' may, and 'nacre rmi'), or use a store elsewhere with --store DIR";
	case -EROFS:
		return "the store is on a read-only file system; --store DIR names another";
	default:
		return NULL;
	}
}

/*
 * The library's texts begin with the object they are about; where the action
 * named it already it is not said twice.
 */
static const char *without_object(const char *reason, const char *what)
{
	const char *colon = strstr(reason, ": ");
	size_t len = colon ? (size_t)(colon - reason) : 0, what_len = strlen(what);

	if (len == 0 || len >= what_len || what[what_len - len - 1] != ' ')
		return reason;
	return memcmp(what + what_len - len, reason, len) == 0 ? colon + strlen(": ") : reason;
}

int ui_fail(int err, const struct diag *diag, const char *hint, const char *fmt, ...)
{
	const char *reason = diag_text(diag, err);
	va_list ap;

	va_start(ap, fmt);
	AUTO(freep) char *what = ui_vformat(fmt, ap);
	va_end(ap);
	if (!hint)
		hint = hint_of(err);
	AUTO(freep)
	char *why = ui_format("%s%s%s%s", without_object(reason, what), hint ? " (" : "", hint ? hint : "",
			      hint ? ")" : "");
	fflush(stdout);
	fprintf(stderr, "nacre: %s: %s\n", what, why);
	return FAILED;
}

int ui_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	AUTO(freep) char *text = ui_vformat(fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "nacre: %s\n", text);
	return FAILED;
}

void ui_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	AUTO(freep) char *text = ui_vformat(fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "nacre: warning: %s\n", text);
}

void ui_note(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	AUTO(freep) char *text = ui_vformat(fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "%s\n", text);
}

int ui_finish(int status)
{
	int r = fflush(stdout) == 0 ? 0 : -errno;

	if (r == 0 && ferror(stdout))
		r = -EIO;
	if (r < 0 && status == DONE)
		return ui_error("cannot write to standard output: %s", strerror(-r));
	return status;
}

const char *ui_colour(enum ui_colour colour)
{
	static const char *const sequences[] = {
		[UI_PLAIN] = "\033[0m",	 [UI_BOLD] = "\033[1m",	   [UI_RED] = "\033[31m",
		[UI_GREEN] = "\033[32m", [UI_YELLOW] = "\033[33m",
	};
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if ((no_color && *no_color) || (term && strcmp(term, "dumb") == 0) || !isatty(STDOUT_FILENO))
		return "";
	return sequences[colour];
}

/*
 * Numbers and times.
 */

char *ui_size(uint64_t bytes, char *text)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;

	/* 999.5 would be rounded to 1000, which the next unit says as 1. */
	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(text, UI_SIZE_BYTES, "%.3g%s", value, units[unit]);
	return text;
}

char *ui_age(int64_t seconds, char *text)
{
	static const struct {
		int64_t from, unit;
		const char *name;
	} steps[] = {
		{ 2 * 365 * 86400LL, 365 * 86400LL, "years" },
		{ 60 * 86400LL, 30 * 86400LL, "months" },
		{ 14 * 86400LL, 7 * 86400LL, "weeks" },
		{ 48 * 3600LL, 86400LL, "days" },
		{ 7200, 3600, "hours" },
		{ 120, 60, "minutes" },
		{ 2, 1, "seconds" },
	};
	int64_t age = (int64_t)time(NULL) - seconds;

	snprintf(text, UI_AGE_BYTES, "%s", seconds == 0 ? "N/A" : "just now");
	for (size_t i = 0; seconds != 0 && i < ARRAY_SIZE(steps); i++)
		if (age >= steps[i].from) {
			snprintf(text, UI_AGE_BYTES, "%lld %s ago", (long long)(age / steps[i].unit), steps[i].name);
			break;
		}
	return text;
}

char *ui_rfc3339(int64_t seconds, long ns, char *text)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	size_t n = 0;

	if (gmtime_r(&t, &tm))
		n = strftime(text, UI_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns)
		n += (size_t)snprintf(text + n, UI_TIME_BYTES - n, ".%09ld", ns);
	snprintf(text + n, UI_TIME_BYTES - n, "Z");
	return text;
}

int64_t ui_parse_rfc3339(const char *text)
{
	struct tm tm = { 0 };
	int hours, minutes;
	char sign;
	const char *p = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!p)
		return 0;
	int64_t seconds = timegm(&tm);
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (sscanf(p, "%c%2d:%2d", &sign, &hours, &minutes) == 3 && (sign == '+' || sign == '-'))
		seconds -= (sign == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
	return seconds;
}

char *ui_id(const struct digest *digest, bool whole, char *text)
{
	digest_format(digest, text);
	if (!whole) {
		memmove(text, text + strlen("sha256:"), UI_SHORT_ID);
		text[UI_SHORT_ID] = '\0';
	}
	return text;
}

/* Characters, so that none is cut in two. */
char *ui_shorten(const char *text, size_t max)
{
	size_t characters = 0, i = 0;

	while (text[i] && characters < max) {
		i++;
		while (((unsigned char)text[i] & 0xc0) == 0x80)
			i++;
		characters++;
	}
	if (!text[i])
		return ui_need(strdup(text));
	char *ret = ui_need(calloc(1, i + sizeof("...")));
	memcpy(ret, text, i);
	return strcat(ret, "...");
}
