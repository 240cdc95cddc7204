// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/container.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/mounts.h"
#include "tools/runspec.h"
#include "tools/runstate.h"
#include "tools/table.h"
#include "tools/ui.h"

#include <string.h>

enum { COMMAND_WIDTH = 20 };

struct container_array {
	struct container_info *list; /* owned */
	size_t count;
};

static void container_array_release(struct container_array *array)
{
	container_list_free(array->list, array->count);
}

static void add_json(json_t *list, const struct container_info *container, const struct image_info *image,
		     const struct run_state *run, bool mounted)
{
	json_t *row = json_new_object();

	json_put_text(row, "Id", container->id);
	json_put_text(row, "Image", image->tag_count ? image->tags[0] : NULL);
	json_put_digest(row, "ImageId", &image->digest);
	json_put_time(row, "Created", container->created, 0);
	json_put_bool(row, "Mounted", mounted);
	if (mounted)
		json_put_path(row, "MountPoint", container->mountpoint);
	else
		json_put(row, "MountPoint", json_null());
	json_put_text(row, "Name", container->name);
	json_put(row, "Command", run->spec ? json_incref(json_object_get(run->spec, "Args")) : json_null());
	json_put_text(row, "State", run_status_word(run));
	json_put(row, "ExitCode", run->status == RUN_EXITED ? json_integer(run->exit_code) : json_null());
	json_put_path(row, "UpperDir", container->upper);
	json_push(list, row);
}

static void add_cells(struct table *table, const struct container_info *container, const struct image_info *image,
		      const struct run_state *run, bool mounted, bool whole)
{
	char id[DIGEST_TEXT_BYTES], age[UI_AGE_BYTES], status[RUN_STATUS_BYTES];
	AUTO(freep) char *command = run->spec ? runspec_command(run->spec) : ui_need(strdup("-"));
	AUTO(freep) char *safe = ui_format("%s", command), *shown = ui_shorten(safe, whole ? SIZE_MAX : COMMAND_WIDTH);

	table_cell(table, container->id);
	table_cell(table, image->tag_count ? image->tags[0] : ui_id(&image->digest, whole, id));
	table_cell(table, shown);
	table_cell(table, ui_age(container->created, age));
	table_cell(table, run->status == RUN_NEVER ? mounted ? "Mounted" : "-" : run_status_text(run, status));
	table_cell(table, mounted ? container->mountpoint : "-");
	table_cell(table, container->name);
}

static int list_containers(struct store *store, const struct args *args, struct table *table, json_t *json,
			   struct diag *diag)
{
	AUTO(container_array_release) struct container_array all = { 0 };
	AUTO(mount_table_release) struct mount_table mounts = { 0 };
	int r = container_list(store, diag, &all.list, &all.count);

	if (r == 0 && (r = mount_table_read(&mounts)) < 0)
		return diag_errno(diag, r, "cannot read what is mounted");
	for (size_t i = 0; r == 0 && i < all.count; i++) {
		AUTO(image_info_releasep) struct image_info image = { 0 };
		AUTO(run_state_release) struct run_state run = { 0 };
		bool mounted = mount_is_nacre(mount_table_at(&mounts, all.list[i].mountpoint));

		r = run_state_read(all.list[i].dir, &run);
		if (r < 0)
			return diag_errno(diag, r, "the state of container %s cannot be read", all.list[i].id);
		if (!mounted && run.status != RUN_RUNNING && !args_has(args, "all"))
			continue;
		r = image_info(store, all.list[i].image, diag, &image);
		if (r < 0)
			break;
		if (json)
			add_json(json, &all.list[i], &image, &run, mounted);
		else if (args_has(args, "quiet"))
			puts(all.list[i].id);
		else
			add_cells(table, &all.list[i], &image, &run, mounted, args_has(args, "no-trunc"));
	}
	return r;
}

int cmd_ps(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "CONTAINER ID", "IMAGE",      "COMMAND", "CREATED",
						"STATUS",	"MOUNTED ON", "NAME" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, NULL);
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;
	struct diag diag = { 0 };

	if (format_begin(args, &format, &json) != DONE)
		return MISUSED;
	if (cli_open_listing(cli) < 0)
		return FAILED;
	int r = cli->store ? list_containers(cli->store, args, table, json, &diag) : 0;
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot list the containers");
	if (json)
		return format_print(format, json);
	if (!args_has(args, "no-trunc"))
		table_fit(table, "-ssd-hs");
	if (!args_has(args, "quiet"))
		table_print(table, "   ");
	return DONE;
}
