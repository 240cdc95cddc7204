// SPDX-License-Identifier: Apache-2.0
#include "tools/table.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/ioctl.h>

/* One after the other, until a line fits. */
static const struct fit {
	const char *gap; /* between columns */
	size_t cell_min; /* how short a cell may become */
	bool drops;	 /* columns that may be left out */
} fits[] = { { "  ", 12, false }, { "  ", 12, true }, { " ", 8, true } };

struct table {
	size_t columns;
	const char *const *headings; /* borrowed; may be NULL */
	const char *align;	     /* borrowed; may be NULL */
	const char *fit;	     /* borrowed; NULL: it is printed as it is */
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

/*
 * Fitting.
 */

void table_fit(struct table *table, const char *fit)
{
	table->fit = fit;
}

/* 0: no terminal. */
static size_t terminal_width(void)
{
	struct winsize size;

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static size_t line_width(const struct table *table, const size_t *widths, const char *gap)
{
	size_t width = 0;

	for (size_t c = 0; c < table->columns; c++)
		width += widths[c] + (c > 0 && widths[c] > 0 ? strlen(gap) : 0);
	return width;
}

static bool is_empty(const struct table *table, size_t column)
{
	for (size_t i = column; i < table->count; i += table->columns)
		if (table->cells[i][0] && strcmp(table->cells[i], "-") != 0)
			return false;
	return true;
}

/* The widest of those that may; its heading stays. Return: false when there is none. */
static bool shrink_one(const struct table *table, size_t cell_min, size_t *widths)
{
	size_t widest = table->columns, least;

	for (size_t c = 0; c < table->columns; c++) {
		least = table->headings ? width_of(table->headings[c]) : 0;
		if (strchr("sh", table->fit[c]) && widths[c] > cell_min && widths[c] > least &&
		    (widest == table->columns || widths[c] > widths[widest]))
			widest = c;
	}
	if (widest < table->columns)
		widths[widest]--;
	return widest < table->columns;
}

/* A column that is left out has a width of 0. */
static void try_fit(const struct table *table, const struct fit *fit, size_t room, size_t *widths)
{
	for (size_t c = 0; c < table->columns; c++)
		if ((table->fit[c] == 'h' && is_empty(table, c)) || (table->fit[c] == 'd' && fit->drops))
			widths[c] = 0;
	while (line_width(table, widths, fit->gap) > room && shrink_one(table, fit->cell_min, widths))
		;
}

/* Return: the gap. */
static const char *fit_widths(const struct table *table, size_t *widths, const char *gap)
{
	size_t room = table->fit ? terminal_width() : 0, bytes = table->columns * sizeof(*widths);
	AUTO(freep) size_t *natural = ui_need(malloc(bytes));

	memcpy(natural, widths, bytes);
	for (size_t i = 0; room > 0 && i < ARRAY_SIZE(fits) && line_width(table, widths, gap) > room; i++) {
		memcpy(widths, natural, bytes);
		gap = fits[i].gap;
		try_fit(table, &fits[i], room, widths);
	}
	return gap;
}

static char *fitted(const char *cell, size_t width)
{
	static const char dots[] = "...";

	return ui_shorten(cell, width_of(cell) > width ? width - strlen(dots) : SIZE_MAX);
}

static void print_row(const struct table *table, const char *const *cells, const size_t *widths, const char *gap)
{
	for (size_t c = 0; c < table->columns; c++) {
		bool right = table->align && table->align[c] == 'r', last = c + 1 == table->columns;
		AUTO(freep) char *cell = widths[c] > 0 ? fitted(cells[c], widths[c]) : NULL;

		/* Nothing behind the last column: lines that end in spaces wrap. */
		if (cell) {
			int pad = (int)(widths[c] - width_of(cell));

			printf("%s%*s%s%*s", c > 0 ? gap : "", right ? pad : 0, "", cell, right || last ? 0 : pad, "");
		}
	}
	putchar('\n');
}

void table_print(const struct table *table, const char *gap)
{
	AUTO(freep) size_t *widths = column_widths(table);

	gap = fit_widths(table, widths, gap);
	if (table->headings) {
		fputs(ui_colour(UI_BOLD), stdout);
		print_row(table, table->headings, widths, gap);
		fputs(ui_colour(UI_PLAIN), stdout);
	}
	for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
		print_row(table, (const char *const *)table->cells + i, widths, gap);
}
