/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/diag.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Control bytes become \ooo; bytes over 0x7f stay, they may be UTF-8. */
static void escape_into(char *dst, size_t dst_bytes, const char *src)
{
	size_t n = 0;

	for (; *src && n + 5 < dst_bytes; src++) {
		unsigned char c = (unsigned char)*src;

		if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(dst + n, dst_bytes - n, "\\%03o", c);
		else
			dst[n++] = (char)c;
	}
	dst[n] = '\0';
}

__attribute__((format(printf, 3, 0))) static void diag_vset(struct diag *diag, const char *suffix, const char *fmt,
							    va_list ap)
{
	char raw[sizeof(diag->text)];
	int n;

	if (!diag || diag->text[0])
		return;
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	if (n >= 0 && (size_t)n < sizeof(raw) && suffix)
		snprintf(raw + n, sizeof(raw) - (size_t)n, ": %s", suffix);
	escape_into(diag->text, sizeof(diag->text), raw);
}

int diag_set(struct diag *diag, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_vset(diag, NULL, fmt, ap);
	va_end(ap);
	return err;
}

/* EBADMSG is what SQLite's word for a damaged file has become; whoever finds another thing damaged says so himself. */
const char *diag_strerror(int err)
{
	if (err == -EBADMSG)
		return "the store's index is damaged (" DIAG_VERIFY ")";
	return strerror(err < 0 ? -err : err);
}

int diag_errno(struct diag *diag, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_vset(diag, diag_strerror(err), fmt, ap);
	va_end(ap);
	return err;
}

int diag_context(struct diag *diag, int err, const char *fmt, ...)
{
	char old[sizeof(diag->text)];
	struct diag fresh = { 0 };
	va_list ap;

	if (!diag || err == 0)
		return err;
	snprintf(old, sizeof(old), "%s", diag_text(diag, err));
	va_start(ap, fmt);
	diag_vset(&fresh, old, fmt, ap);
	va_end(ap);
	*diag = fresh;
	return err;
}

const char *diag_text(const struct diag *diag, int err)
{
	if (diag && diag->text[0])
		return diag->text;
	return diag_strerror(err);
}
