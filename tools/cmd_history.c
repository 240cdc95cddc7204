// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/ui.h"

enum { CREATED_BY_MAX = 45 }; /* as docker */

struct row {
	const struct history_step *step;
	const struct digest *image; /* of the newest step; NULL: of no image that is known */
	struct layer_info layer;    /* of a step that made one */
};

static void add_json(json_t *list, const struct row *row)
{
	const struct history_step *step = row->step;
	json_t *object = json_new_object();

	if (row->image)
		json_put_digest(object, "Id", row->image);
	else
		json_put(object, "Id", json_null());
	json_put_text(object, "Created", step->created);
	json_put_text(object, "CreatedBy", step->created_by ? step->created_by : "");
	json_put_text(object, "Author", step->author ? step->author : "");
	json_put_text(object, "Comment", step->comment ? step->comment : "");
	json_put_bool(object, "EmptyLayer", step->layer < 0);
	json_put_number(object, "Size", step->layer < 0 ? 0 : row->layer.content_bytes);
	if (step->layer < 0)
		json_put(object, "DiffId", json_null());
	else
		json_put_digest(object, "DiffId", &row->layer.diff_id);
	json_push(list, object);
}

static void add_cells(struct table *table, const struct row *row, bool whole, bool authors)
{
	const struct history_step *step = row->step;
	char id[DIGEST_TEXT_BYTES], age[UI_AGE_BYTES], size[UI_SIZE_BYTES];
	const char *by = step->created_by ? step->created_by : "";
	AUTO(freep) char *cut = ui_shorten(by, CREATED_BY_MAX);

	table_cell(table, row->image ? ui_id(row->image, whole, id) : "<missing>");
	table_cell(table, ui_age(ui_parse_rfc3339(step->created), age));
	table_cell(table, whole ? by : cut);
	table_cell(table, ui_size(step->layer < 0 ? 0 : row->layer.content_bytes, size));
	table_cell(table, step->comment);
	if (authors)
		table_cell(table, step->author);
}

/* A column that is empty on nearly every image is shown where it is not. */
static bool has_authors(const struct history *history)
{
	for (size_t i = 0; i < history->count; i++)
		if (history->steps[i].author && *history->steps[i].author)
			return true;
	return false;
}

static int row_read(struct store *store, const struct image_info *image, const struct history *history, size_t n,
		    struct row *ret)
{
	*ret = (struct row){
		.step = &history->steps[n],
		.image = n + 1 == history->count ? &image->digest : NULL,
	};
	if (ret->step->layer < 0)
		return 0;
	return layer_info(store, image->layers[ret->step->layer], &ret->layer);
}

static int print_history(struct store *store, const struct image_info *image, const struct args *args,
			 const struct format *format, int *ret_status)
{
	static const char *const headings[] = { "IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT", "AUTHOR" };
	AUTO(history_release) struct history history = { 0 };
	AUTO(json_freep) json_t *json = format || args_has(args, "json") ? json_new_array() : NULL;
	char id[DIGEST_TEXT_BYTES];

	history_read(image, &history);
	bool authors = has_authors(&history), whole = args_has(args, "no-trunc");
	AUTO(table_freep) struct table *table = table_new(authors ? 6 : 5, headings, NULL);
	for (size_t n = history.count; n-- > 0;) {
		struct row row;
		int r = row_read(store, image, &history, n, &row);

		if (r < 0)
			return r;
		if (json)
			add_json(json, &row);
		else if (args_has(args, "quiet"))
			puts(row.image ? ui_id(row.image, whole, id) : "<missing>");
		else
			add_cells(table, &row, whole, authors);
	}
	if (!args_has(args, "no-trunc"))
		table_fit(table, "--s-ss");
	if (json)
		*ret_status = format_print(format, json);
	else if (!args_has(args, "quiet"))
		table_print(table, "   ");
	return 0;
}

int cmd_history(struct cli *cli, const struct args *args)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(format_freep) struct format *format = NULL;
	const char *ref = args_operand(args, 0);
	int status = format_new(args, &format);

	if (status != DONE)
		return status;
	if (cli_open(cli, STORE_READ) < 0 || image_open(cli->store, ref, "show the history of", &image) < 0)
		return FAILED;
	int r = print_history(cli->store, &image, args, format, &status);
	return r < 0 ? ui_fail(r, NULL, NULL, "cannot show the history of %s", ref) : status;
}
