/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_TABLE_H
#define NACRE_TOOLS_TABLE_H

/* Columns that are as wide as what is in them, three spaces apart, as docker prints them. */

#include <stdbool.h>
#include <stddef.h>

struct table;

/**
 * table_new() - of @columns columns
 * @headings: borrowed; NULL: a table without a heading
 * @align: a letter for each column, 'l' or 'r'; NULL: all left
 */
struct table *table_new(size_t columns, const char *const *headings, const char *align);
void table_freep(struct table **table);

/** table_cell() - the next cell, row after row; copied, unprintable bytes escaped. NULL is "". */
void table_cell(struct table *table, const char *text);
/** table_cellf() - the same, formatted. */
void table_cellf(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * table_fit() - on a terminal lines are no longer than it is wide, as far as that goes
 * @fit: borrowed; a letter for each column: 's', its cells may be shortened; 'h', also left out where none has more than "-"
 * in it; 'd', it may be left out where nothing else helps; '-', none of these
 */
void table_fit(struct table *table, const char *fit);

/** table_print() - on stdout. */
void table_print(const struct table *table, const char *gap);

#endif
