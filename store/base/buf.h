/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BASE_BUF_H
#define NACRE_BASE_BUF_H

/*
 * A growing run of bytes.  Zero-initialised it is empty and valid.  A failed
 * allocation is remembered, so that a row of additions is checked once, with
 * buf_error().
 */

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;	/* owned; NUL-terminated whenever it is not NULL */
	size_t len;	/* without the NUL */
	size_t room;
	bool failed;
};

void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_adds(struct buf *buf, const char *text);
void buf_addf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** buf_reserve() - room for @len more bytes. Return: where they go, or NULL. */
char *buf_reserve(struct buf *buf, size_t len);
/** buf_error() - 0, or -ENOMEM if an addition failed. */
static inline int buf_error(const struct buf *buf)
{
	return buf->failed ? -ENOMEM : 0;
}
/** buf_str() - the text, "" if there is none; borrowed until the next change. */
const char *buf_str(const struct buf *buf);
/** buf_take() - the bytes, now the caller's to free(); NULL after a failure. */
char *buf_take(struct buf *buf);
void buf_release(struct buf *buf);

#endif
