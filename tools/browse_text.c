// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_text.h"

#include "tools/ui.h"

#include <ctype.h>
#include <langinfo.h>
#include <string.h>

enum { TAB_COLUMNS = 8, LOOKED_AT_BYTES = 8000 };

bool browse_text_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* The next character as it can be shown, and its columns. Return: its bytes. */
static size_t next_char(const char *text, wchar_t *ret, int *ret_columns)
{
	uint32_t code = 0;
	size_t n = ui_utf8_next(text, strnlen(text, 4), &code);

	*ret = (wchar_t)code;
	*ret_columns = n > 0 ? wcwidth(*ret) : -1;
	if (*ret_columns < 0 || (code >= 0x80 && !browse_text_is_utf8())) {
		*ret = L'?';
		*ret_columns = 1;
	}
	return n > 0 ? n : 1;
}

size_t browse_text_columns(const char *text)
{
	size_t sum = 0;

	while (*text) {
		wchar_t wide;
		int columns;

		text += next_char(text, &wide, &columns);
		sum += (size_t)columns;
	}
	return sum;
}

size_t browse_text_bytes(const char *text, size_t width)
{
	size_t used = 0, bytes = 0;

	while (text[bytes]) {
		wchar_t wide;
		int columns;
		size_t n = next_char(text + bytes, &wide, &columns);

		used += (size_t)columns;
		if (bytes > 0 && used > width)
			break;
		bytes += n;
	}
	return bytes;
}

int browse_text_fit(const char *text, size_t skip, int width, wchar_t *ret)
{
	size_t at = 0, count = 0, mark = 0;
	int used = 0, used_at_mark = 0;

	while (*text) {
		wchar_t wide;
		int columns;
		size_t n = next_char(text, &wide, &columns);

		if (at < skip) { /* half of a wide character is left out too */
			at += (size_t)columns;
			text += n;
			continue;
		}
		if (used + columns > width)
			break;
		/* What can stay if the last column is needed to say that there is more. */
		if (used + columns < width) {
			mark = count + 1;
			used_at_mark = used + columns;
		}
		if (columns > 0 || count < 4 * (size_t)width) {
			ret[count++] = wide;
			used += columns;
		}
		text += n;
	}
	if (*text && width > 0) {
		count = mark;
		used = used_at_mark;
		ret[count++] = browse_text_is_utf8() ? L'\u2026' : L'>';
		used++;
	}
	ret[count] = L'\0';
	return used;
}

void browse_text_expand(const char *line, size_t len, struct buf *ret)
{
	size_t column = 0;

	while (len > 0) {
		uint32_t code;
		size_t n = ui_utf8_next(line, len, &code);

		n = n > 0 ? n : 1;
		if (*line == '\t') {
			size_t spaces = TAB_COLUMNS - column % TAB_COLUMNS;

			buf_addf(ret, "%*s", (int)spaces, "");
			column += spaces;
		} else {
			size_t before = ret->len;

			ui_escape(ret, line, n);
			column += ret->data ? browse_text_columns(ret->data + before) : 0;
		}
		line += n;
		len -= n;
	}
}

void browse_text_hex(uint64_t offset, const unsigned char *bytes, size_t len, struct buf *ret)
{
	buf_addf(ret, "%08llx ", (unsigned long long)offset);
	for (size_t i = 0; i < BROWSE_HEX_BYTES; i++) {
		buf_adds(ret, i == BROWSE_HEX_BYTES / 2 ? "  " : " ");
		if (i < len)
			buf_addf(ret, "%02x", bytes[i]);
		else
			buf_adds(ret, "  ");
	}
	buf_adds(ret, "  |");
	for (size_t i = 0; i < len; i++)
		buf_addf(ret, "%c", bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
	buf_adds(ret, "|");
}

bool browse_text_is_binary(const char *bytes, size_t len)
{
	return len > 0 && memchr(bytes, 0, len < LOOKED_AT_BYTES ? len : LOOKED_AT_BYTES) != NULL;
}
