// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/entrytext.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/sysmacros.h>

struct listing {
	struct view *view;
	json_t *json; /* owned by the caller; NULL: text */
	bool long_form, recursive;
};

static char *joined(const char *dir, const char *name)
{
	char *ret = NULL;

	if (asprintf(&ret, "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		ui_out_of_memory();
	return ret;
}

/*
 * One entry.
 */

static void add_json(const struct listing *listing, const struct view_node *node, const char *path)
{
	const struct layer_entry *entry = view_entry(node);
	AUTO(freep) char *absolute = NULL;
	json_t *row = json_new_object();
	AUTO(freep) char *mode = ui_format("%04o", entry->mode & 07777);
	int64_t seconds;
	long ns;

	if (asprintf(&absolute, "/%s", path) < 0)
		ui_out_of_memory();
	entry_time(entry->mtime_ns, &seconds, &ns);
	json_put_path(row, "Path", absolute);
	json_put_text(row, "Type", entry_type(entry->mode));
	json_put_text(row, "Mode", mode);
	json_put_number(row, "Uid", entry->uid);
	json_put_number(row, "Gid", entry->gid);
	json_put_number(row, "Size", S_ISREG(entry->mode) ? entry->size : 0);
	json_put_time(row, "Modified", seconds, ns);
	if (S_ISLNK(entry->mode))
		json_put_path(row, "Target", entry->target);
	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode)) {
		json_put_number(row, "Major", major(entry->rdev));
		json_put_number(row, "Minor", minor(entry->rdev));
	}
	json_put_number(row, "Layer", view_layer(node) + 1);
	json_push(listing->json, row);
}

static void add_cells(struct table *table, const struct view_node *node, const char *name)
{
	const struct layer_entry *entry = view_entry(node);
	char mode[ENTRY_MODE_BYTES], date[ENTRY_DATE_BYTES];
	bool device = S_ISCHR(entry->mode) || S_ISBLK(entry->mode), link = S_ISLNK(entry->mode);

	table_cell(table, entry_mode(entry->mode, mode));
	table_cellf(table, "%u", entry->uid);
	table_cellf(table, "%u", entry->gid);
	if (device)
		table_cellf(table, "%u,%u", major(entry->rdev), minor(entry->rdev));
	else
		table_cellf(table, "%llu", S_ISREG(entry->mode) ? (unsigned long long)entry->size : 0ULL);
	table_cell(table, entry_date(entry->mtime_ns, date));
	table_cellf(table, "%zu", view_layer(node) + 1);
	table_cellf(table, "%s%s%s", name, link ? " -> " : "", link ? entry->target : "");
}

static void show(const struct listing *listing, struct table *table, const struct view_node *node, const char *name,
		 const char *path)
{
	if (listing->json) {
		add_json(listing, node, path);
	} else if (table) {
		add_cells(table, node, name);
	} else {
		AUTO(freep) char *safe = ui_format("%s", name);
		puts(safe);
	}
}

static struct table *table_of(const struct listing *listing)
{
	return listing->long_form && !listing->json ? table_new(7, NULL, "lrrrlrl") : NULL;
}

/*
 * A folder.
 */

/* As ls -R has it: the path above each folder, a blank line between two. */
static void print_heading(const struct listing *listing, const char *path, bool first)
{
	if (listing->json || !listing->recursive)
		return;
	AUTO(freep) char *safe = ui_format("/%s:", path);
	printf("%s%s\n", first ? "" : "\n", safe);
}

static int list_folder(const struct listing *listing, const struct view_node *dir, const char *path, bool first)
{
	AUTO(tree_children_release) struct tree_children list = { 0 };
	AUTO(table_freep) struct table *table = table_of(listing);
	int r = tree_children(listing->view, dir, &list);

	if (r == 0)
		print_heading(listing, path, first);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		const char *name = view_entry(list.nodes[i])->name;
		AUTO(freep) char *child = joined(path, name);

		show(listing, table, list.nodes[i], name, child);
	}
	if (r == 0 && table)
		table_print(table, " ");
	for (size_t i = 0; r == 0 && listing->recursive && i < list.count; i++) {
		AUTO(freep) char *child = joined(path, view_entry(list.nodes[i])->name);

		if (S_ISDIR(view_entry(list.nodes[i])->mode))
			r = list_folder(listing, list.nodes[i], child, false);
	}
	return r;
}

static int list_path(const struct listing *listing, const char *path, struct diag *diag)
{
	AUTO(freep) char *resolved = NULL;
	const struct view_node *node = NULL;
	/* As ls(1): with -l a symlink is shown, without it what it leads to. */
	int r = tree_resolve(listing->view, path, !listing->long_form, &node, &resolved);

	if (r < 0)
		return diag_set(diag, r, "%s", strerror(-r));
	if (!S_ISDIR(view_entry(node)->mode)) {
		AUTO(table_freep) struct table *table = table_of(listing);

		show(listing, table, node, path, resolved);
		if (table)
			table_print(table, " ");
		return 0;
	}
	r = list_folder(listing, node, resolved, true);
	return r < 0 ? diag_errno(diag, r, "cannot read a folder") : 0;
}

int cmd_ls(struct cli *cli, const struct args *args)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(view_closep) struct view *view = NULL;
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;
	const char *ref = args_operand(args, 0), *path = args_operand(args, 1) ? args_operand(args, 1) : "/";
	struct diag diag = { 0 };

	if (format_begin(args, &format, &json) != DONE)
		return MISUSED;
	if (cli_open(cli, STORE_READ) < 0 || image_open_at(cli->store, ref, "list", &image) < 0)
		return FAILED;
	int r = view_open(cli->store, image.id, image.layer_count, &diag, &view);
	struct listing listing = { view, json, args_has(args, "long"), args_has(args, "recursive") };
	if (r == 0)
		r = list_path(&listing, path, &diag);
	if (r < 0)
		return ui_fail(r, &diag, r == -ENOENT ? "'nacre ls' of a folder above shows what is there" : NULL,
			       "cannot list %s of %s", path, ref);
	return json ? format_print(format, json) : DONE;
}
