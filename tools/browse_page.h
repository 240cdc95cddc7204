/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_PAGE_H
#define NACRE_TOOLS_BROWSE_PAGE_H

/* Lines to scroll in, over the rest of the screen: a file's content, a path's history, the help. */

#include "store/base/buf.h"
#include "store/layer.h"

struct browse_page;

/** browse_page_new() - without lines. @title: escaped here; copied */
struct browse_page *browse_page_new(const char *title);
void browse_page_free(struct browse_page *page);
const char *browse_page_title(const struct browse_page *page);

/** browse_page_add() - one more line, escaped here */
void browse_page_add(struct browse_page *page, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * browse_page_content() - the bytes of a regular file, below the lines that are there; as text or in hexadecimal
 *
 * Text is read up to BROWSE_TEXT_MAX_BYTES, and a last line tells where more was left out; in hexadecimal all is
 * shown.  Return: 0; what content_open() returns; -EIO.
 */
enum { BROWSE_TEXT_MAX_BYTES = 16 * 1024 * 1024 };
int browse_page_content(struct browse_page *page, struct store *store, const struct layer_entry *entry);

/** browse_page_has_content(), browse_page_is_hex(), browse_page_set_hex() */
bool browse_page_has_content(const struct browse_page *page);
bool browse_page_is_hex(const struct browse_page *page);
void browse_page_set_hex(struct browse_page *page, bool hex);

size_t browse_page_count(const struct browse_page *page);
/** browse_page_line() - line @n of browse_page_count(), to be shown as it is; what cannot be read is said in it. */
void browse_page_line(const struct browse_page *page, size_t n, struct buf *ret);

/** browse_page_search() - the next line from @from on, or backwards, that has @text in it. Return: browse_page_count(): none. */
size_t browse_page_search(const struct browse_page *page, const char *text, size_t from, bool backwards);

#endif
