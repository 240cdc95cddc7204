// SPDX-License-Identifier: Apache-2.0
#include "tools/table.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <string.h>

struct table {
	size_t columns;
	const char *const *headings; /* borrowed; may be NULL */
	const char *align;	     /* borrowed; may be NULL */
	char **cells;		     /* owned, each owned too */
	size_t count, room;
};

struct table *table_new(size_t columns, const char *const *headings, const char *align)
{
	struct table *table = ui_need(calloc(1, sizeof(*table)));

	*table = (struct table){ .columns = columns, .headings = headings, .align = align };
	return table;
}

void table_freep(struct table **table)
{
	if (!*table)
		return;
	for (size_t i = 0; i < (*table)->count; i++)
		free((*table)->cells[i]);
	free((*table)->cells);
	free(*table);
}

static void add_cell(struct table *table, char *text)
{
	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->cells = ui_need(realloc(table->cells, table->room * sizeof(*table->cells)));
	}
	table->cells[table->count++] = text;
}

void table_cell(struct table *table, const char *text)
{
	add_cell(table, ui_format("%s", text ? text : ""));
}

void table_cellf(struct table *table, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_cell(table, ui_vformat(fmt, ap));
	va_end(ap);
}

/* Code points; cells are valid UTF-8, since they were escaped. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static size_t *column_widths(const struct table *table)
{
	size_t *widths = ui_need(calloc(table->columns, sizeof(*widths)));

	for (size_t c = 0; table->headings && c < table->columns; c++)
		widths[c] = width_of(table->headings[c]);
	for (size_t i = 0; i < table->count; i++) {
		size_t width = width_of(table->cells[i]);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	return widths;
}

static void print_row(const struct table *table, const char *const *cells, const size_t *widths, const char *gap)
{
	for (size_t c = 0; c < table->columns; c++) {
		bool right = table->align && table->align[c] == 'r', last = c + 1 == table->columns;
		int pad = (int)(widths[c] - width_of(cells[c]));

		/* Nothing behind the last column: lines that end in spaces wrap. */
		printf("%*s%s%*s%s", right ? pad : 0, "", cells[c], right || last ? 0 : pad, "", last ? "" : gap);
	}
	putchar('\n');
}

void table_print(const struct table *table, const char *gap)
{
	AUTO(freep) size_t *widths = column_widths(table);

	if (table->headings) {
		fputs(ui_colour(UI_BOLD), stdout);
		print_row(table, table->headings, widths, gap);
		fputs(ui_colour(UI_PLAIN), stdout);
	}
	for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
		print_row(table, (const char *const *)table->cells + i, widths, gap);
}
