// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/check.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/table.h"
#include "tools/ui.h"

struct verify {
	struct table *table; /* owned */
	json_t *faults;	     /* owned; NULL: no JSON is wanted */
	bool whole;
};

static void verify_release(struct verify *v)
{
	table_freep(&v->table);
	json_decref(v->faults);
}

static void add_json(json_t *list, const struct check_fault *fault)
{
	json_t *row = json_new_object(), *images = json_new_array();

	for (size_t i = 0; i < fault->image_count; i++)
		json_push(images, json_text(fault->images[i]));
	json_put(row, "Images", images);
	if (fault->layer)
		json_put_digest(row, "Layer", fault->layer);
	else
		json_put_text(row, "Layer", NULL);
	if (fault->path)
		json_put_path(row, "Path", fault->path);
	else
		json_put_text(row, "Path", NULL);
	json_put_text(row, "Fault", fault->text);
	json_push(list, row);
}

/* All that there is no room for is "-": a fault of the index is in no image, one of a framing in no file. */
static void add_cells(const struct verify *v, const struct check_fault *fault)
{
	AUTO(buf_release) struct buf images = { 0 };
	char id[DIGEST_TEXT_BYTES];

	for (size_t i = 0; i < fault->image_count; i++)
		buf_addf(&images, "%s%s", i ? "," : "", fault->images[i]);
	table_cell(v->table, images.len ? buf_str(&images) : "-");
	table_cell(v->table, fault->layer ? ui_id(fault->layer, v->whole, id) : "-");
	table_cellf(v->table, "%s%s", fault->path ? "/" : "-", fault->path ? fault->path : "");
	table_cell(v->table, fault->text);
}

static void on_fault(const struct check_fault *fault, void *arg)
{
	const struct verify *v = arg;

	if (v->faults)
		add_json(v->faults, fault);
	else
		add_cells(v, fault);
}

static void print_json(struct verify *v, const struct check_result *result)
{
	AUTO(json_freep) json_t *object = json_new_object();

	json_put(object, "Faults", json_incref(v->faults));
	json_put_number(object, "Images", result->images);
	json_put_number(object, "Layers", result->layers);
	json_put_number(object, "Contents", result->contents);
	json_put_number(object, "Bytes", result->bytes);
	json_put_number(object, "Leftovers", result->leftovers);
	json_put_number(object, "LeftoverBytes", result->leftover_bytes);
	json_print(object);
}

static void print_summary(const struct check_result *result)
{
	char size[UI_SIZE_BYTES];

	printf("Verified: %llu images, %llu layers, %llu contents, %s\n", (unsigned long long)result->images,
	       (unsigned long long)result->layers, (unsigned long long)result->contents, ui_size(result->bytes, size));
	if (result->leftovers)
		printf("Left over: %llu files, %s; 'nacre gc' removes them\n", (unsigned long long)result->leftovers,
		       ui_size(result->leftover_bytes, size));
}

/* The named images' ids. @ret: owned. */
static int find_images(struct cli *cli, const struct args *args, struct image_id **ret)
{
	*ret = ui_need(calloc(args->operand_count + 1, sizeof(**ret)));
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r = image_find(cli->store, args->operands[i], &diag, &(*ret)[i]);

		if (r < 0)
			return ui_fail(r, &diag, image_hint(r), "cannot verify %s", args->operands[i]);
	}
	return DONE;
}

static int check(struct cli *cli, const struct args *args, struct verify *v, struct check_result *ret)
{
	AUTO(freep) struct image_id *images = NULL;
	struct progress progress = { 0 };
	struct diag diag = { 0 };
	uint64_t bytes = 0;

	if (find_images(cli, args, &images) != DONE)
		return FAILED;
	/* Of some images only, it is not known before. */
	if (args->operand_count == 0)
		(void)store_check_bytes(cli->store, &bytes);
	struct check_options options = {
		.bytes = true,
		.images = images,
		.image_count = args->operand_count,
		.progress = progress_update,
		.progress_arg = &progress,
	};
	progress_begin(&progress, "verify", bytes, args_has(args, "quiet"));
	int r = store_check(cli->store, &options, on_fault, v, &diag, ret);
	progress_end(&progress);
	return r < 0 ? ui_fail(r, &diag, NULL, "cannot verify the store") : DONE;
}

int cmd_verify(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "IMAGE", "LAYER", "PATH", "FAULT" };
	AUTO(verify_release)
	struct verify v = {
		.table = table_new(ARRAY_SIZE(headings), headings, NULL),
		.faults = args_has(args, "json") ? json_new_array() : NULL,
		.whole = args_has(args, "no-trunc"),
	};
	struct check_result result = { 0 };

	if (cli_open(cli, STORE_READ) < 0 || check(cli, args, &v, &result) != DONE)
		return FAILED;
	if (v.faults)
		print_json(&v, &result);
	else if (result.faults)
		table_print(v.table, "   ");
	if (!v.faults && !args_has(args, "quiet"))
		print_summary(&result);
	if (result.faults == 0)
		return DONE;
	return ui_error("the store is damaged: %llu fault%s", (unsigned long long)result.faults,
			result.faults == 1 ? "" : "s");
}
