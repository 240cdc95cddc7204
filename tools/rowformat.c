// SPDX-License-Identifier: Apache-2.0
#include "tools/rowformat.h"

#include "store/base/auto.h"
#include "tools/table.h"
#include "tools/ui.h"

#include <ctype.h>
#include <string.h>

enum piece_kind {
	PIECE_TEXT,
	PIECE_FIELD,
	PIECE_JSON,
	PIECE_UPPER,
	PIECE_LOWER,
};

struct piece {
	enum piece_kind kind;
	char *text; /* owned; of a field its name, "" is the row */
};

struct format {
	struct piece *pieces; /* owned */
	size_t count;
	bool in_columns;
	bool whole; /* --no-trunc */
	bool exact; /* sizes are numbers */
};

void format_freep(struct format **format)
{
	if (!*format)
		return;
	for (size_t i = 0; i < (*format)->count; i++)
		free((*format)->pieces[i].text);
	free((*format)->pieces);
	free(*format);
}

/*
 * Reading a template.
 */

static void piece_add(struct format *format, enum piece_kind kind, char *text)
{
	format->pieces = ui_need(realloc(format->pieces, (format->count + 1) * sizeof(*format->pieces)));
	format->pieces[format->count++] = (struct piece){ kind, text };
}

static void text_add(struct format *format, const char *text, size_t len)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < len; i++) {
		bool escape = text[i] == '\\' && i + 1 < len && strchr("tn\\", text[i + 1]);

		if (escape)
			i++;
		buf_add(&out, !escape ? &text[i] : text[i] == 't' ? "\t" : text[i] == 'n' ? "\n" : "\\", 1);
	}
	if (len)
		piece_add(format, PIECE_TEXT, ui_need(buf_take(&out)));
}

/* "[json|upper|lower] .Field", between the braces. Return: is it one? */
static bool action_add(struct format *format, const char *text, size_t len)
{
	static const char *const functions[] = {
		[PIECE_JSON] = "json",
		[PIECE_UPPER] = "upper",
		[PIECE_LOWER] = "lower",
	};
	AUTO(freep) char *copy = ui_need(strndup(text, len));
	char *save = NULL, *word = strtok_r(copy, " \t", &save);
	enum piece_kind kind = PIECE_FIELD;

	for (size_t i = PIECE_JSON; word && i < ARRAY_SIZE(functions); i++) {
		if (strcmp(word, functions[i]) == 0) {
			kind = (enum piece_kind)i;
			word = strtok_r(NULL, " \t", &save);
		}
	}
	if (!word || word[0] != '.' || strtok_r(NULL, " \t", &save))
		return false;
	for (const char *p = word + 1; *p; p++)
		if (!isalnum((unsigned char)*p) && (*p != '.' || !isalnum((unsigned char)p[1])))
			return false;
	if (word[1] == '.')
		return false;
	if (!word[1])
		kind = PIECE_JSON;
	piece_add(format, kind, ui_need(strdup(word + 1)));
	return true;
}

static int template_read(const struct args *args, const char *text, struct format *format)
{
	while (*text) {
		const char *open = strstr(text, "{{"), *close = open ? strstr(open, "}}") : NULL;

		text_add(format, text, open ? (size_t)(open - text) : strlen(text));
		if (!open)
			break;
		if (!close)
			return args_misused(args->command, "--format: '{{' without '}}'");
		if (!action_add(format, open + 2, (size_t)(close - open - 2)))
			return args_misused(args->command,
					    "--format: '%.*s' is none of {{.FIELD}}, {{json .FIELD}}, {{json .}}, "
					    "{{upper .FIELD}}, {{lower .FIELD}}",
					    (int)(close - open + 2), open);
		text = close + 2;
	}
	return DONE;
}

static bool was_given(const struct args *args, const char *name)
{
	for (size_t i = 0; i < args->value_count; i++)
		if (strcmp(args->values[i].option->name, name) == 0)
			return true;
	return false;
}

int format_new(const struct args *args, struct format **ret)
{
	static const char table_word[] = "table";
	AUTO(format_freep) struct format *format = NULL;
	const char *text = args_get(args, "format");
	int r;

	*ret = NULL;
	if (!text)
		return DONE;
	if (was_given(args, "json") || was_given(args, "quiet"))
		return args_misused(args->command, "--format and --%s exclude each other",
				    was_given(args, "json") ? "json" : "quiet");
	if (strcmp(text, table_word) == 0)
		return DONE; /* the columns that there are anyway */
	format = ui_need(calloc(1, sizeof(*format)));
	format->whole = was_given(args, "no-trunc");
	if (strcmp(text, "json") == 0)
		text = "{{json .}}";
	format->in_columns = strncmp(text, table_word, strlen(table_word)) == 0 && text[strlen(table_word)] == ' ';
	if (format->in_columns)
		text += strlen(table_word) + 1;
	r = template_read(args, text, format);
	if (r == DONE)
		*ret = TAKE(format);
	return r;
}

int format_begin(const struct args *args, struct format **ret, json_t **ret_rows)
{
	int status = format_new(args, ret);

	*ret_rows = status == DONE && (*ret || args_has(args, "json")) ? json_new_array() : NULL;
	return status;
}

/*
 * Fields.
 */

/* What docker calls them, where the JSON has another name. */
static const struct {
	const char *alias, *key;
	bool age;
} aliases[] = {
	{ "CreatedAt", "Created", false }, { "CreatedSince", "Created", true }, { "RunningFor", "Created", true },
	{ "Names", "Name", false },	   { "Digest", "DiffId", false },
};

static const char *key_of(const json_t *row, const char *name)
{
	void *at = json_object_iter((json_t *)row);

	for (; at; at = json_object_iter_next((json_t *)row, at))
		if (strcasecmp(json_object_iter_key(at), name) == 0)
			return json_object_iter_key(at);
	return NULL;
}

static json_t *name_find(const json_t *row, const char *name, const char **ret_key, bool *ret_age)
{
	const char *key = key_of(row, name);

	*ret_age = false;
	for (size_t i = 0; !key && i < ARRAY_SIZE(aliases); i++) {
		if (strcasecmp(aliases[i].alias, name) == 0) {
			key = key_of(row, aliases[i].key);
			*ret_age = aliases[i].age;
		}
	}
	*ret_key = key;
	return key ? json_object_get(row, key) : NULL;
}

/* "State.Status": a name in an object that has a name. */
static json_t *field_find(const json_t *row, const char *path, const char **ret_key, bool *ret_age)
{
	AUTO(freep) char *copy = ui_need(strdup(path));
	const json_t *value = row;
	char *at = copy;

	for (const char *name; value && (name = strsep(&at, "."));)
		value = name_find(value, name, ret_key, ret_age);
	return (json_t *)value;
}

static bool is_size(const char *key)
{
	static const char *const keys[] = { "Size", "TarSize", "Wasted", "Alone", "Shared", "OldSize", "NewSize" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

static void text_show(const struct format *format, const char *text, bool age, struct buf *out)
{
	struct digest digest;
	char id[DIGEST_TEXT_BYTES], since[UI_AGE_BYTES];

	if (age)
		text = ui_age(ui_parse_rfc3339(text), since);
	else if (!format->whole && strncmp(text, "sha256:", 7) == 0 && digest_parse(text, &digest) == 0)
		text = ui_id(&digest, false, id);
	ui_escape(out, text, strlen(text));
}

/* As the listing itself shows it. */
static void value_show(const struct format *format, const char *key, const json_t *value, bool age, struct buf *out)
{
	char size[UI_SIZE_BYTES];

	if (json_is_string(value)) {
		text_show(format, json_string_value(value), age, out);
	} else if (json_is_integer(value) && is_size(key) && !format->exact) {
		buf_adds(out, ui_size((uint64_t)json_integer_value(value), size));
	} else if (json_is_null(value)) {
		buf_adds(out, strcmp(key, "Repository") == 0 || strcmp(key, "Tag") == 0 ? "<none>" : "");
	} else {
		AUTO(freep) char *text = ui_need(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT));

		buf_adds(out, text);
	}
}

static void change_case(struct buf *out, size_t from, enum piece_kind kind)
{
	for (size_t i = from; i < out->len; i++)
		out->data[i] = (char)(kind == PIECE_UPPER ? toupper((unsigned char)out->data[i])
							  : tolower((unsigned char)out->data[i]));
}

static int no_field(const json_t *row, const char *name)
{
	void *at = json_object_iter((json_t *)row);
	AUTO(buf_release) struct buf keys = { 0 };

	for (; at; at = json_object_iter_next((json_t *)row, at))
		buf_addf(&keys, "%s%s", keys.len ? " " : "", json_object_iter_key(at));
	return ui_error("--format: there is no field '%s' (there are: %s)", name, buf_str(&keys));
}

static int piece_show(const struct format *format, const struct piece *piece, const json_t *row, struct buf *out)
{
	size_t from = out->len;
	const char *key = NULL;
	const json_t *value = row;
	bool age = false;

	if (piece->kind == PIECE_TEXT) {
		buf_adds(out, piece->text);
		return DONE;
	}
	if (*piece->text)
		value = field_find(row, piece->text, &key, &age);
	if (!value)
		return no_field(row, piece->text);
	if (piece->kind == PIECE_JSON) {
		AUTO(freep) char *text = ui_need(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT));

		buf_adds(out, text);
		return DONE;
	}
	value_show(format, key, value, age, out);
	if (piece->kind != PIECE_FIELD)
		change_case(out, from, piece->kind);
	return DONE;
}

/*
 * Printing.
 */

/* "CreatedBy" -> "CREATED BY" */
static void heading_show(const char *name, struct buf *out)
{
	for (const char *p = name; *p; p++) {
		char c = (char)toupper((unsigned char)*p);

		if (p > name && isupper((unsigned char)*p) && islower((unsigned char)p[-1]))
			buf_adds(out, " ");
		buf_add(out, &c, 1);
	}
}

static int row_show(const struct format *format, const json_t *row, struct buf *out)
{
	int r = DONE;

	for (size_t i = 0; r == DONE && i < format->count; i++) {
		const struct piece *piece = &format->pieces[i];

		if (row || piece->kind == PIECE_TEXT)
			r = piece_show(format, piece, row, out);
		else
			heading_show(piece->text, out);
	}
	return r;
}

static size_t columns_of(const struct format *format)
{
	size_t columns = 1;

	for (size_t i = 0; i < format->count; i++)
		for (const char *p = format->pieces[i].text; format->pieces[i].kind == PIECE_TEXT && *p; p++)
			columns += *p == '\t';
	return columns;
}

/* What a field has does not hold a tab: it was escaped. */
static void cells_add(struct table *table, char *text)
{
	for (char *cell; (cell = strsep(&text, "\t"));)
		table_cell(table, cell);
}

static int print_columns(const struct format *format, const json_t *rows)
{
	AUTO(table_freep) struct table *table = table_new(columns_of(format), NULL, NULL);

	for (size_t i = 0; i <= json_array_size(rows); i++) {
		AUTO(buf_release) struct buf line = { 0 };
		int r = row_show(format, i == 0 ? NULL : json_array_get(rows, i - 1), &line);

		if (r != DONE)
			return r;
		buf_add(&line, "", 1);
		if (buf_error(&line) < 0)
			ui_out_of_memory();
		cells_add(table, line.data);
	}
	table_print(table, "   ");
	return DONE;
}

static int print_lines(const struct format *format, const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		AUTO(buf_release) struct buf line = { 0 };
		int r = row_show(format, json_array_get(rows, i), &line);

		if (r != DONE)
			return r;
		if (buf_error(&line) < 0)
			ui_out_of_memory();
		puts(buf_str(&line));
	}
	return DONE;
}

void format_set_exact(struct format *format)
{
	format->whole = format->exact = true;
}

int format_print(const struct format *format, const json_t *rows)
{
	if (!format) {
		json_print(rows);
		return DONE;
	}
	return format->in_columns ? print_columns(format, rows) : print_lines(format, rows);
}
