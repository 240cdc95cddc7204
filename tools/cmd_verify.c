// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/check.h"
#include "store/repair.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/remote.h"
#include "tools/table.h"
#include "tools/ui.h"

struct verify {
	struct table *table;	    /* owned */
	json_t *faults;		    /* owned; NULL: no JSON is wanted */
	json_t *repairs;	    /* owned; likewise */
	struct content_list damage; /* owned */
	struct layer_list rows;	    /* owned: layers whose rows are wrong */
	bool whole;
};

static const char *const headings[] = { "IMAGE", "LAYER", "PATH", "FAULT" };

static void verify_init(struct verify *v, bool json, bool whole)
{
	*v = (struct verify){
		.table = table_new(ARRAY_SIZE(headings), headings, NULL),
		.faults = json ? json_new_array() : NULL,
		.repairs = json ? json_new_array() : NULL,
		.whole = whole,
	};
}

static void verify_release(struct verify *v)
{
	table_freep(&v->table);
	json_decref(v->faults);
	json_decref(v->repairs);
	content_list_release(&v->damage);
	layer_list_release(&v->rows);
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

static void on_bad(struct content_id id, void *arg)
{
	struct verify *v = arg;

	if (content_list_add(&v->damage, id) < 0)
		ui_out_of_memory();
}

static void on_bad_rows(struct layer_id id, void *arg)
{
	struct verify *v = arg;

	if (layer_list_add(&v->rows, id) < 0)
		ui_out_of_memory();
}

/* @repairs: NULL: none was asked for */
static void print_json(json_t *faults, json_t *repairs, const struct check_result *result)
{
	AUTO(json_freep) json_t *object = json_new_object();

	if (repairs)
		json_put(object, "Repairs", json_incref(repairs));
	json_put(object, "Faults", json_incref(faults));
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
		.bad = on_bad,
		.bad_rows = on_bad_rows,
		.progress = progress_update,
		.progress_arg = &progress,
	};
	progress_begin(&progress, "verify", bytes, args_has(args, "quiet"));
	int r = store_check(cli->store, &options, on_fault, v, &diag, ret);
	progress_end(&progress);
	return r < 0 ? ui_fail(r, &diag, NULL, "cannot verify the store") : DONE;
}

/* ---- repair ---- */

static void add_repair(json_t *list, const struct repair_report *report)
{
	json_t *row = json_new_object();

	if (report->layer)
		json_put_digest(row, "Layer", report->layer);
	if (report->image)
		json_put_digest(row, "Image", report->image);
	if (report->image)
		json_put_bool(row, "Manifest", report->manifest);
	if (report->subject)
		json_put_text(row, "Subject", report->subject);
	json_put_bool(row, "Whole", report->whole);
	json_put_number(row, "Contents", report->contents);
	json_put_text(row, "Text", report->text);
	json_push(list, row);
}

static void print_repair(const struct verify *v, const struct repair_report *report)
{
	const struct digest *digest = report->layer ? report->layer : report->image;
	const char *what = report->layer ? "layer" : report->manifest ? "manifest of image" : "config of image";
	const char *how = report->whole ? "Repaired" : report->contents > 0 ? "Repaired in part" : "Not repaired";
	char id[DIGEST_TEXT_BYTES];

	if (digest)
		printf("%s: %s %s: %s\n", how, what, ui_id(digest, v->whole, id), report->text);
	else
		printf("%s: %s: %s\n", how, report->subject, report->text);
}

static void on_repair(const struct repair_report *report, void *arg)
{
	const struct verify *v = arg;

	if (v->repairs)
		add_repair(v->repairs, report);
	else
		print_repair(v, report);
}

/* What --from names. Before anything is checked: a name may be wrong, and a check takes its time. */
struct supplies {
	struct image_archive **archives; /* owned, and each of them */
	size_t count;
	struct registry_options registry;
};

static void supplies_release(struct supplies *s)
{
	for (size_t i = 0; i < s->count; i++)
		image_archive_close(s->archives[i]);
	free(s->archives);
}

static int open_archives(struct cli *cli, const struct args *args, struct supplies *s)
{
	AUTO(freep) const char **paths = args_all(args, "from");
	size_t count = 0;

	while (paths[count])
		count++;
	s->archives = ui_need(calloc(count + 1, sizeof(*s->archives)));
	while (s->count < count) {
		struct diag diag = { 0 };
		int r = image_archive_open(cli->store, paths[s->count], &diag, &s->archives[s->count]);

		if (r < 0)
			return ui_fail(r, &diag, NULL, "cannot repair from %s", paths[s->count]);
		s->count++;
	}
	return DONE;
}

static int repair(struct cli *cli, const struct args *args, struct verify *v, const struct supplies *supplies)
{
	AUTO(bars_freep) struct bars *bars = bars_new("repairing", v->repairs || args_has(args, "quiet"));
	struct remote_view view = { bars, { "read again" } };
	struct transfer_events events = remote_events(&view);
	const struct repair_options options = {
		.registry = &supplies->registry,
		.archives = supplies->archives,
		.archive_count = supplies->count,
		.events = &events,
		.rows = &v->rows,
		.all = args->operand_count == 0,
		.report = on_repair,
		.arg = v,
	};
	struct diag diag = { 0 };
	int r = store_repair(cli->store, &v->damage, &options, &diag);

	bars_free(TAKE(bars));
	return r < 0 ? ui_fail(r, &diag, NULL, "cannot repair the store") : DONE;
}

static int damaged(const struct check_result *result, const char *hint)
{
	return ui_error("the store is damaged: %llu fault%s%s", (unsigned long long)result->faults,
			result->faults == 1 ? "" : "s", hint);
}

/* What is left after it is found as the damage was: by reading. */
static int repair_and_check(struct cli *cli, const struct args *args, struct verify *v, const struct supplies *supplies,
			    struct check_result *result)
{
	AUTO(verify_release) struct verify after = { 0 };
	uint64_t before = result->faults;

	if (!v->faults)
		table_print(v->table, "   ");
	verify_init(&after, v->faults, v->whole);
	if (repair(cli, args, v, supplies) != DONE || check(cli, args, &after, result) != DONE)
		return FAILED;
	if (v->faults)
		print_json(after.faults, v->repairs, result);
	else if (result->faults && result->faults < before)
		table_print(after.table, "   ");
	if (!v->faults && !args_has(args, "quiet"))
		print_summary(result);
	if (result->faults == 0)
		return DONE;
	return damaged(result, result->faults == before ? "" : result->faults == 1 ? " is left" : " are left");
}

static int verify(struct cli *cli, const struct args *args, const struct supplies *supplies)
{
	AUTO(verify_release) struct verify v = { 0 };
	bool repairing = args_has(args, "repair");
	struct check_result result = { 0 };

	verify_init(&v, args_has(args, "json"), args_has(args, "no-trunc"));
	if (check(cli, args, &v, &result) != DONE)
		return FAILED;
	if (repairing && result.faults)
		return ui_finish(repair_and_check(cli, args, &v, supplies, &result));
	if (v.faults)
		print_json(v.faults, repairing ? v.repairs : NULL, &result);
	else if (result.faults)
		table_print(v.table, "   ");
	if (!v.faults && !args_has(args, "quiet"))
		print_summary(&result);
	return result.faults == 0
		       ? DONE
		       : damaged(&result, repairing ? "" : "; 'nacre verify --repair' brings back what it can");
}

int cmd_verify(struct cli *cli, const struct args *args)
{
	AUTO(supplies_release) struct supplies supplies = { 0 };
	bool repairing = args_has(args, "repair");
	int r = remote_options(args, &supplies.registry);

	if (r != DONE)
		return r;
	if (args_get(args, "from") && !repairing)
		return args_misused(args->command, "--from says what --repair takes from");
	if (cli_open(cli, repairing ? STORE_WRITE : STORE_READ) < 0 || open_archives(cli, args, &supplies) != DONE)
		return FAILED;
	return verify(cli, args, &supplies);
}
