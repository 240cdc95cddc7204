/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_UI_H
#define NACRE_TOOLS_UI_H

/*
 * How things are said to people: errors, sizes, ages, names with strange bytes
 * in them, colours.  Scripts get the same words without colours.
 */

#include "store/base/buf.h"
#include "store/base/diag.h"
#include "store/base/digest.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * ui_need() - @p, which is not NULL
 *
 * Without memory a command line tool can only say so and leave: exit 1.
 */
void *ui_need(void *p) __attribute__((returns_nonnull));
void ui_out_of_memory(void) __attribute__((noreturn));

/** ui_format(), ui_vformat() - a string to free(), with unprintable bytes escaped. Never NULL. */
char *ui_format(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
char *ui_vformat(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0), returns_nonnull));

/** ui_shorten() - the first @max characters of @text and "...", or all of it; a string to free(). Never NULL. */
char *ui_shorten(const char *text, size_t max) __attribute__((returns_nonnull));

/**
 * ui_escape() - @text of @len bytes behind @buf, safe to show
 *
 * UTF-8 stays.  Control characters, marks that turn the direction of writing,
 * and bytes that are no UTF-8 become \n, \t, \xHH or \uHHHH: a file name from
 * a stranger's image must not steer the terminal or forge a line.
 */
void ui_escape(struct buf *buf, const char *text, size_t len);

/** ui_utf8_next() - length of the valid UTF-8 character at @text, 0 if it is none; its code in *@ret. */
size_t ui_utf8_next(const char *text, size_t len, uint32_t *ret);

/**
 * ui_fail() - "nacre: ACTION AND OBJECT: REASON (HINT)" on stderr
 * @diag: what the library said; NULL or empty: strerror(-@err)
 * @hint: what the user can do about it; NULL: what is known for @err, if anything
 * Return: FAILED, so that a command can return it.
 */
int ui_fail(int err, const struct diag *diag, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** ui_error() - "nacre: TEXT" on stderr. Return: FAILED. */
int ui_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** ui_warn() - "nacre: warning: TEXT" on stderr; the command goes on. */
void ui_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** ui_note() - a line on stderr for a person at a terminal; nothing for a script. */
void ui_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** ui_finish() - flush stdout; @status, or FAILED if what was printed could not be written. */
int ui_finish(int status);

enum ui_colour {
	UI_PLAIN,
	UI_BOLD,
	UI_RED,
	UI_GREEN,
	UI_YELLOW,
};
/** ui_colour() - the sequence for stdout; "" when it is no terminal or $NO_COLOR is set. */
const char *ui_colour(enum ui_colour colour);

enum { UI_SIZE_BYTES = 16, UI_AGE_BYTES = 32, UI_TIME_BYTES = 40, UI_SHORT_ID = 12 };
/** ui_size() - "7.33MB" into @text of UI_SIZE_BYTES; powers of 1000, as docker. Returns @text. */
char *ui_size(uint64_t bytes, char *text);
/** ui_age() - "3 hours ago" into @text of UI_AGE_BYTES; "N/A" for 0, which says no time. */
char *ui_age(int64_t seconds, char *text);
/** ui_rfc3339() - "2024-02-29T12:00:00Z" into @text of UI_TIME_BYTES; @ns is added when it is not 0. */
char *ui_rfc3339(int64_t seconds, long ns, char *text);
/** ui_parse_rfc3339() - seconds since the epoch; 0: no time. */
int64_t ui_parse_rfc3339(const char *text);
/** ui_id() - a digest into @text of DIGEST_TEXT_BYTES: "sha256:HEX", or its first 12 digits. */
char *ui_id(const struct digest *digest, bool whole, char *text);

#endif
