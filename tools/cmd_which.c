// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/trace.h"
#include "tools/entrytext.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <string.h>

enum { MADE_BY_MAX = 50 };

struct listing {
	const struct image_info *image;
	struct store *store;
	struct history history;
	struct table *table; /* NULL: JSON */
	json_t *json;	     /* NULL: a table */
	bool whole;
	size_t count;
};

static void add_json(struct listing *listing, const struct trace_step *step, const struct layer_info *layer,
		     const struct history_step *made)
{
	json_t *row = json_new_object();

	json_put_number(row, "Layer", step->layer + 1);
	json_put_digest(row, "DiffId", &layer->diff_id);
	json_put_text(row, "State", trace_kind_text(step->kind));
	if (step->entry) {
		AUTO(freep) char *mode = ui_format("%04o", step->entry->mode & 07777);
		int64_t seconds;
		long ns;

		entry_time(step->entry->mtime_ns, &seconds, &ns);
		json_put_text(row, "Type", entry_type(step->entry->mode));
		json_put_text(row, "Mode", mode);
		json_put_number(row, "Size", S_ISREG(step->entry->mode) ? step->entry->size : 0);
		json_put_time(row, "Modified", seconds, ns);
	} else {
		AUTO(freep) char *at = NULL;

		if (asprintf(&at, "/%s", step->at) < 0)
			ui_out_of_memory();
		json_put_path(row, "At", at);
	}
	json_put_text(row, "CreatedBy", made && made->created_by ? made->created_by : "");
	json_put_text(row, "Comment", made && made->comment ? made->comment : "");
	json_push(listing->json, row);
}

static void add_cells(struct listing *listing, const struct trace_step *step, const struct history_step *made)
{
	AUTO(freep) char *cut = ui_shorten(history_made_by(made), listing->whole ? SIZE_MAX : MADE_BY_MAX);
	const struct layer_entry *entry = step->entry;
	char size[UI_SIZE_BYTES], date[ENTRY_DATE_BYTES];

	table_cellf(listing->table, "%zu", step->layer + 1);
	if (entry)
		table_cell(listing->table, trace_kind_text(step->kind));
	else
		table_cellf(listing->table, "%s, by /%s", trace_kind_text(step->kind), step->at);
	table_cell(listing->table, entry ? entry_type(entry->mode) : "");
	table_cell(listing->table, entry && S_ISREG(entry->mode) ? ui_size(entry->size, size) : "");
	table_cell(listing->table, entry ? entry_date(entry->mtime_ns, date) : "");
	table_cell(listing->table, cut);
}

static int add_step(const struct trace_step *step, void *arg)
{
	struct listing *listing = arg;
	const struct history_step *made = history_of_layer(&listing->history, step->layer);
	struct layer_info layer = { 0 };
	int r = layer_info(listing->store, listing->image->layers[step->layer], &layer);

	if (r < 0)
		return r;
	listing->count++;
	if (listing->json)
		add_json(listing, step, &layer, made);
	else
		add_cells(listing, step, made);
	return 0;
}

/* What is not there any more has no links to follow in it: only those on the way to it. */
static int removed_path(struct view *view, const char *path, char **ret)
{
	AUTO(freep) char *copy = ui_need(strdup(path)), *parent = NULL;
	const struct view_node *node;
	char *name;

	for (size_t len = strlen(copy); len > 0 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	name = strrchr(copy, '/');
	if (name)
		*name++ = '\0';
	if (tree_resolve(view, name ? copy : "", true, &node, &parent) < 0) {
		/* The folder is gone too: as it is written. */
		*ret = ui_need(strdup(path + strspn(path, "/")));
		return 0;
	}
	if (asprintf(ret, "%s%s%s", parent, *parent ? "/" : "", name ? name : copy) < 0)
		ui_out_of_memory();
	return 0;
}

static int traced_path(struct store *store, const struct image_info *image, const char *path, struct diag *diag,
		       char **ret)
{
	AUTO(view_closep) struct view *view = NULL;
	const struct view_node *node;
	int r = view_open(store, image->id, image->layer_count, diag, &view);

	if (r < 0)
		return r;
	r = tree_resolve(view, path, false, &node, ret);
	if (r == -ENOENT || r == -ENOTDIR)
		r = removed_path(view, path, ret);
	return r < 0 ? diag_set(diag, r, "%s", strerror(-r)) : 0;
}

int cmd_which(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "LAYER", "STATE", "TYPE", "SIZE", "MODIFIED", "CREATED BY" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, NULL);
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(freep) char *path = NULL;
	const char *ref = args_operand(args, 0), *given = args_operand(args, 1);
	struct listing listing = { .table = table, .whole = args_has(args, "no-trunc") };
	struct diag diag = { 0 };

	if (format_new(args, &format) != DONE)
		return MISUSED;
	if (format || args_has(args, "json"))
		listing.json = json = json_new_array();
	if (cli_open(cli, STORE_READ) < 0 || image_open_at(cli->store, ref, "look into", &image) < 0)
		return FAILED;
	listing.image = &image;
	listing.store = cli->store;
	history_read(&image, &listing.history);
	int r = traced_path(cli->store, &image, given, &diag, &path);
	if (r == 0)
		r = path_trace(cli->store, &image, path, add_step, &listing);
	history_release(&listing.history);
	if (r == 0 && listing.count == 0)
		r = diag_set(&diag, -ENOENT, "no layer has it");
	if (r < 0)
		return ui_fail(r, &diag, r == -ENOENT ? "'nacre ls' shows what is there" : NULL,
			       "cannot tell which layer of %s has %s", ref, given);
	if (json)
		return format_print(format, json);
	if (!args_has(args, "no-trunc"))
		table_fit(table, "-----s");
	table_print(table, "   ");
	return DONE;
}
