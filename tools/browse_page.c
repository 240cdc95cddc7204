// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_page.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/browse_pattern.h"
#include "tools/browse_text.h"
#include "tools/ui.h"

#include <string.h>

/* So that no line of a file without any costs more than a screen can show of it. */
enum { LINE_MAX_BYTES = 16 * 1024 };

struct browse_page {
	char *title;  /* owned */
	char **lines; /* owned, each owned too */
	size_t line_count, line_room;
	struct content_place place; /* owned, as content_open() has it; fd -1: no content */
	char *text;		    /* owned: the first of the content */
	size_t text_bytes;
	size_t *starts; /* owned: of the lines in @text, and its end */
	size_t start_count, start_room;
	bool hex;
};

struct browse_page *browse_page_new(const char *title)
{
	struct browse_page *page = ui_need(calloc(1, sizeof(*page)));

	page->title = ui_format("%s", title);
	page->place.fd = -1;
	return page;
}

void browse_page_free(struct browse_page *page)
{
	if (!page)
		return;
	for (size_t i = 0; i < page->line_count; i++)
		free(page->lines[i]);
	free(page->lines);
	if (page->place.owned)
		closep(&page->place.fd);
	free(page->text);
	free(page->starts);
	free(page->title);
	free(page);
}

const char *browse_page_title(const struct browse_page *page)
{
	return page->title;
}

void browse_page_add(struct browse_page *page, const char *fmt, ...)
{
	va_list ap;

	if (page->line_count == page->line_room) {
		page->line_room = page->line_room ? 2 * page->line_room : 32;
		page->lines = ui_need(realloc(page->lines, page->line_room * sizeof(char *)));
	}
	va_start(ap, fmt);
	page->lines[page->line_count++] = ui_vformat(fmt, ap);
	va_end(ap);
}

/* --- content --- */

static void add_start(struct browse_page *page, size_t start)
{
	if (page->start_count == page->start_room) {
		page->start_room = page->start_room ? 2 * page->start_room : 1024;
		page->starts = ui_need(realloc(page->starts, page->start_room * sizeof(*page->starts)));
	}
	page->starts[page->start_count++] = start;
}

static void split(struct browse_page *page)
{
	for (size_t at = 0; at < page->text_bytes;) {
		size_t left = page->text_bytes - at, most = left < LINE_MAX_BYTES ? left : LINE_MAX_BYTES;
		const char *end = memchr(page->text + at, '\n', most);

		add_start(page, at);
		at += end ? (size_t)(end - (page->text + at)) + 1 : most;
	}
	add_start(page, page->text_bytes);
}

int browse_page_content(struct browse_page *page, struct store *store, const struct layer_entry *entry)
{
	int r = entry->size > 0 ? content_open(store, entry->content, &page->place) : 0;

	if (r < 0 || entry->size == 0)
		return r;
	page->text_bytes = page->place.bytes < BROWSE_TEXT_MAX_BYTES ? (size_t)page->place.bytes
								     : BROWSE_TEXT_MAX_BYTES;
	page->text = ui_need(malloc(page->text_bytes));
	ssize_t n = io_pread_full(page->place.fd, page->text, page->text_bytes, (off_t)page->place.offset);
	if (n < 0)
		return (int)n;
	if ((size_t)n < page->text_bytes)
		return -EIO;
	page->hex = browse_text_is_binary(page->text, page->text_bytes);
	split(page);
	return 0;
}

bool browse_page_has_content(const struct browse_page *page)
{
	return page->text != NULL;
}

bool browse_page_is_hex(const struct browse_page *page)
{
	return page->hex;
}

void browse_page_set_hex(struct browse_page *page, bool hex)
{
	page->hex = hex && page->text;
}

static bool is_cut(const struct browse_page *page)
{
	return page->place.bytes > page->text_bytes;
}

static size_t content_lines(const struct browse_page *page)
{
	if (!page->text)
		return 0;
	if (page->hex)
		return (size_t)((page->place.bytes + BROWSE_HEX_BYTES - 1) / BROWSE_HEX_BYTES);
	return page->start_count - 1 + is_cut(page);
}

size_t browse_page_count(const struct browse_page *page)
{
	return page->line_count + content_lines(page);
}

static void hex_line(const struct browse_page *page, size_t n, struct buf *ret)
{
	unsigned char bytes[BROWSE_HEX_BYTES];
	uint64_t offset = (uint64_t)n * BROWSE_HEX_BYTES, left = page->place.bytes - offset;
	ssize_t got = io_pread_full(page->place.fd, bytes, left < sizeof(bytes) ? (size_t)left : sizeof(bytes),
				    (off_t)(page->place.offset + offset));

	if (got < 0)
		buf_addf(ret, "%08llx  cannot be read: %s", (unsigned long long)offset, strerror((int)-got));
	else
		browse_text_hex(offset, bytes, (size_t)got, ret);
}

static void text_line(const struct browse_page *page, size_t n, struct buf *ret)
{
	char size[UI_SIZE_BYTES];

	if (n + 1 == page->start_count) {
		buf_addf(ret, "[The first %s are shown; 'x' shows all in hexadecimal.]",
			 ui_size(page->text_bytes, size));
		return;
	}
	const char *line = page->text + page->starts[n];
	size_t len = page->starts[n + 1] - page->starts[n];
	if (len > 0 && line[len - 1] == '\n')
		len--;
	browse_text_expand(line, len, ret);
}

void browse_page_line(const struct browse_page *page, size_t n, struct buf *ret)
{
	if (n < page->line_count)
		buf_adds(ret, page->lines[n]);
	else if (page->hex)
		hex_line(page, n - page->line_count, ret);
	else
		text_line(page, n - page->line_count, ret);
}

size_t browse_page_search(const struct browse_page *page, const char *text, size_t from, bool backwards)
{
	AUTO(buf_release) struct buf line = { 0 };
	size_t count = browse_page_count(page), found = count;
	struct browse_pattern pattern;

	browse_pattern_init(&pattern, text, true);
	for (size_t n = from; n < count && found == count; n += backwards ? (size_t)-1 : 1) {
		line.len = 0;
		if (line.data)
			line.data[0] = '\0';
		browse_page_line(page, n, &line);
		if (browse_pattern_match(&pattern, buf_str(&line)))
			found = n;
	}
	browse_pattern_release(&pattern);
	return found;
}
