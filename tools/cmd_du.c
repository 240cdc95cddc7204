// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/usage.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/ui.h"

static void add_json(json_t *list, const struct usage_item *item, bool is_image)
{
	json_t *row = json_new_object();

	json_put_digest(row, is_image ? "Id" : "DiffId", &item->digest);
	if (is_image)
		json_put_text(row, "Name", item->name);
	json_put_number(row, is_image ? "Layers" : "Images", is_image ? item->layers : item->images);
	json_put_number(row, "Size", item->size_bytes);
	json_put_number(row, "Alone", item->alone_bytes);
	json_put_number(row, "Shared", item->shared_bytes);
	json_push(list, row);
}

static json_t *json_of_images(const struct usage *usage)
{
	json_t *images = json_new_array();

	for (size_t i = 0; i < usage->image_count; i++)
		add_json(images, &usage->images[i], true);
	return images;
}

static void print_json(const struct usage *usage)
{
	AUTO(json_freep) json_t *object = json_new_object();
	json_t *images = json_of_images(usage), *layers = json_new_array();

	for (size_t i = 0; i < usage->layer_count; i++)
		add_json(layers, &usage->layers[i], false);
	json_put(object, "Images", images);
	json_put(object, "Layers", layers);
	json_put_number(object, "Contents", usage->contents);
	json_put_number(object, "Stored", usage->stored_bytes);
	json_put_number(object, "Unshared", usage->unshared_bytes);
	json_put_number(object, "Saved", usage->unshared_bytes - usage->stored_bytes);
	json_put_number(object, "Index", usage->index_bytes);
	json_print(object);
}

static void add_sizes(struct table *table, const struct usage_item *item)
{
	char size[UI_SIZE_BYTES];

	table_cell(table, ui_size(item->size_bytes, size));
	table_cell(table, ui_size(item->alone_bytes, size));
	table_cell(table, ui_size(item->shared_bytes, size));
}

static void print_images(const struct usage *usage, bool whole)
{
	static const char *const headings[] = { "IMAGE", "IMAGE ID", "LAYERS", "SIZE", "ALONE", "SHARED" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, "llrrrr");
	char id[DIGEST_TEXT_BYTES];

	for (size_t i = 0; i < usage->image_count; i++) {
		const struct usage_item *item = &usage->images[i];

		table_cell(table, item->name ? item->name : "<none>");
		table_cell(table, ui_id(&item->digest, whole, id));
		table_cellf(table, "%llu", (unsigned long long)item->layers);
		add_sizes(table, item);
	}
	table_print(table, "   ");
}

static void print_layers(const struct usage *usage, bool whole)
{
	static const char *const headings[] = { "DIFF ID", "IMAGES", "SIZE", "ALONE", "SHARED" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, "lrrrr");
	char id[DIGEST_TEXT_BYTES];

	for (size_t i = 0; i < usage->layer_count; i++) {
		table_cell(table, ui_id(&usage->layers[i].digest, whole, id));
		table_cellf(table, "%llu", (unsigned long long)usage->layers[i].images);
		add_sizes(table, &usage->layers[i]);
	}
	putchar('\n');
	table_print(table, "   ");
}

static void print_totals(const struct usage *usage)
{
	uint64_t saved = usage->unshared_bytes - usage->stored_bytes;
	char stored[UI_SIZE_BYTES], unshared[UI_SIZE_BYTES], saving[UI_SIZE_BYTES], index[UI_SIZE_BYTES];

	printf("\nStored:  %s in %llu contents, and %s of index\n", ui_size(usage->stored_bytes, stored),
	       (unsigned long long)usage->contents, ui_size(usage->index_bytes, index));
	printf("Saved:   %s of %s (%.0f %%), by keeping equal contents once\n", ui_size(saved, saving),
	       ui_size(usage->unshared_bytes, unshared),
	       usage->unshared_bytes ? 100.0 * (double)saved / (double)usage->unshared_bytes : 0.0);
}

int cmd_du(struct cli *cli, const struct args *args)
{
	AUTO(usage_release) struct usage usage = { 0 };
	AUTO(format_freep) struct format *format = NULL;
	struct diag diag = { 0 };
	bool whole = args_has(args, "no-trunc");

	if (format_new(args, &format) != DONE)
		return MISUSED;
	if (cli_open_listing(cli) < 0)
		return FAILED;
	int r = cli->store ? store_usage(cli->store, &diag, &usage) : 0;
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot tell what the store's images cost");
	if (format) {
		AUTO(json_freep) json_t *images = json_of_images(&usage);

		return format_print(format, images);
	}
	if (args_has(args, "json")) {
		print_json(&usage);
		return DONE;
	}
	print_images(&usage, whole);
	print_layers(&usage, whole);
	print_totals(&usage);
	return DONE;
}
