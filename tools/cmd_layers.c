// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/layeruse.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/ui.h"

enum { MADE_BY_MAX = 50 };

static void add_json(json_t *list, size_t number, const struct layer_info *layer, const struct layer_use *use,
		     const struct history_step *step)
{
	json_t *row = json_new_object();

	json_put_number(row, "Layer", number);
	json_put_digest(row, "DiffId", &layer->diff_id);
	json_put_number(row, "Size", layer->content_bytes);
	json_put_number(row, "TarSize", layer->tar_bytes);
	json_put_number(row, "Entries", layer->entries);
	json_put_number(row, "Added", use->added);
	json_put_number(row, "Changed", use->changed);
	json_put_number(row, "Removed", use->removed);
	json_put_number(row, "Wasted", use->wasted_bytes);
	json_put_text(row, "CreatedBy", step->created_by ? step->created_by : "");
	json_put_text(row, "Comment", step->comment ? step->comment : "");
	json_push(list, row);
}

static void add_cells(struct table *table, size_t number, const struct layer_info *layer, const struct layer_use *use,
		      const struct history_step *step, bool whole)
{
	char id[DIGEST_TEXT_BYTES], size[UI_SIZE_BYTES];

	table_cellf(table, "%zu", number);
	table_cell(table, ui_id(&layer->diff_id, whole, id));
	table_cell(table, ui_size(layer->content_bytes, size));
	table_cellf(table, "%llu", (unsigned long long)use->added);
	table_cellf(table, "%llu", (unsigned long long)use->changed);
	table_cellf(table, "%llu", (unsigned long long)use->removed);
	table_cell(table, ui_size(use->wasted_bytes, size));
	AUTO(freep) char *cut = ui_shorten(history_made_by(step), whole ? SIZE_MAX : MADE_BY_MAX);
	table_cell(table, cut);
}

int cmd_layers(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "LAYER",   "DIFF ID", "SIZE",	"ADDED",
						"CHANGED", "REMOVED", "WASTED", "CREATED BY" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, NULL);
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(history_release) struct history history = { 0 };
	AUTO(freep) struct layer_use *uses = NULL;
	const char *ref = args_operand(args, 0);
	char id[DIGEST_TEXT_BYTES];

	if (format_begin(args, &format, &json) != DONE)
		return MISUSED;
	if (cli_open(cli, STORE_READ) < 0 || image_open(cli->store, ref, "list the layers of", &image) < 0)
		return FAILED;
	history_read(&image, &history);
	uses = ui_need(calloc(image.layer_count + 1, sizeof(*uses)));
	int r = image_layer_use(cli->store, &image, uses);
	for (size_t i = 0; r == 0 && i < image.layer_count; i++) {
		const struct history_step *step = history_of_layer(&history, i);
		struct layer_info layer = { 0 };

		r = layer_info(cli->store, image.layers[i], &layer);
		if (r == 0 && json)
			add_json(json, i + 1, &layer, &uses[i], step);
		else if (r == 0 && args_has(args, "quiet"))
			puts(ui_id(&layer.diff_id, args_has(args, "no-trunc"), id));
		else if (r == 0)
			add_cells(table, i + 1, &layer, &uses[i], step, args_has(args, "no-trunc"));
	}
	if (r < 0)
		return ui_fail(r, NULL, NULL, "cannot list the layers of %s", ref);
	if (json)
		return format_print(format, json);
	if (!args_has(args, "no-trunc"))
		table_fit(table, "-------s");
	if (!args_has(args, "quiet"))
		table_print(table, "   ");
	return DONE;
}
