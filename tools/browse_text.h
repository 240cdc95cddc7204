/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_TEXT_H
#define NACRE_TOOLS_BROWSE_TEXT_H

/* Text in columns of a terminal, some characters taking two of them and some none. */

#include "store/base/buf.h"

#include <stdint.h>
#include <wchar.h>

/** browse_text_is_utf8() - does the locale's terminal show all of Unicode?  Else what is not ASCII is shown as '?'. */
bool browse_text_is_utf8(void);

/**
 * browse_text_fit() - as much of @text as @width columns take, from column @skip on
 * @text: escaped, as ui_escape() does it
 * @ret: room for 5 * @width + 2 wide characters; ended by 0.  Where something was cut off behind, its last
 *       column says so.
 *
 * Return: the columns it takes.
 */
int browse_text_fit(const char *text, size_t skip, int width, wchar_t *ret);

/** browse_text_columns() - how many columns escaped text takes */
size_t browse_text_columns(const char *text);

/** browse_text_bytes() - how many bytes of escaped text @width columns take; at least those of one character */
size_t browse_text_bytes(const char *text, size_t width);

/** browse_text_expand() - a line of a file, without its end, as it can be shown: tabs are spaces, the rest is escaped. */
void browse_text_expand(const char *line, size_t len, struct buf *ret);

enum { BROWSE_HEX_BYTES = 16 };
/** browse_text_hex() - @len of at most BROWSE_HEX_BYTES bytes as hexdump -C shows them */
void browse_text_hex(uint64_t offset, const unsigned char *bytes, size_t len, struct buf *ret);

/** browse_text_is_binary() - is it better shown in hexadecimal?  @bytes: a file's first. */
bool browse_text_is_binary(const char *bytes, size_t len);

#endif
