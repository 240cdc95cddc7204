/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_ROWFORMAT_H
#define NACRE_TOOLS_ROWFORMAT_H

/*
 * --format of the listings, as docker's users write it: a part of Go's text/template.
 *
 *	json			each row as JSON on a line
 *	[table ]TEMPLATE	with "table" in columns, divided by \t, under headings
 *
 * In a template {{.Field}} is what the listing shows in that column, {{json .Field}} and {{json .}} are exact,
 * {{upper .Field}} and {{lower .Field}} change case; \t and \n are a tab and a newline.  Fields are the keys of the
 * listing's JSON, in any case, and a few by docker's name for them; {{.Field.Field}} is one of an object in it.
 */

#include "tools/cli.h"
#include "tools/json.h"

struct format;

/** format_new() - from --format; *@ret is NULL if it was not given. Return: DONE; MISUSED, which was said. */
int format_new(const struct args *args, struct format **ret);
void format_freep(struct format **format);

/** format_begin() - the same, and of --json: *@ret_rows is an array for the rows, or NULL if columns are wanted. */
int format_begin(const struct args *args, struct format **ret, json_t **ret_rows);

/** format_set_exact() - {{.Field}} is whole and exact too. */
void format_set_exact(struct format *format);

/** format_print() - an array of objects; without @format as JSON. Return: DONE; FAILED, which was said. */
int format_print(const struct format *format, const json_t *rows);

#endif
