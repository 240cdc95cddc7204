// SPDX-License-Identifier: Apache-2.0
#include "tools/mountlist.h"

#include "store/base/auto.h"
#include "store/container.h"
#include "tools/cli.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/mounts.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/ui.h"

#include <string.h>

/* One mount, for people and for programs. */
struct row {
	const struct mount_entry *mount; /* borrowed */
	char *digits;			 /* owned: of the image's ID; NULL: it is of all */
	unsigned first, last;		 /* layers; 0: all */
	const char *kind;		 /* for programs */
	struct container_info container; /* owned; id "": none */
	struct image_info image;	 /* owned */
	bool known;			 /* the image is in this store */
};

static void row_release(struct row *row)
{
	free(row->digits);
	container_info_release(&row->container);
	if (row->known)
		image_info_release(&row->image);
}

/* What is behind the prefix. */
static void read_source(const char *source, struct row *row)
{
	if (strcmp(source, MOUNT_SOURCE_ALL) == 0 || strcmp(source, MOUNT_SOURCE_SERVED) == 0) {
		row->kind = strcmp(source, MOUNT_SOURCE_ALL) == 0 ? "store" : "served";
		return;
	}
	row->digits = ui_need(strndup(source, strcspn(source, "@/")));
	source += strlen(row->digits);
	row->kind = "image";
	if (strcmp(source, MOUNT_SOURCE_LAYERS) == 0)
		row->kind = "layers";
	else if (sscanf(source, "@%u-%u", &row->first, &row->last) == 2)
		row->kind = row->first == row->last && row->first > 1 ? "layer" : "lowest";
}

/* The names are of this call's store; a mount of another one has only its ID. */
static void find_names(struct store *store, struct row *row)
{
	struct diag ignored = { 0 };
	struct image_id id;

	if (!store)
		return;
	if (container_find_mount(store, row->mount->point, &row->container) == 0) {
		row->kind = "container";
		id = row->container.image;
	} else if (!row->digits || image_find(store, row->digits, &ignored, &id) < 0) {
		return;
	}
	row->known = image_info(store, id, &ignored, &row->image) == 0;
}

static void add_json(json_t *list, const struct row *row)
{
	json_t *object = json_new_object();

	json_put_path(object, "MountPoint", row->mount->point);
	json_put_text(object, "Kind", row->kind);
	json_put_text(object, "Image", row->known && row->image.tag_count ? row->image.tags[0] : NULL);
	if (row->known)
		json_put_digest(object, "ImageId", &row->image.digest);
	else
		json_put_text(object, "ImageId", row->digits);
	json_put(object, "FirstLayer", row->last ? json_integer(row->first) : json_null());
	json_put(object, "LastLayer", row->last ? json_integer(row->last) : json_null());
	json_put_text(object, "Container", *row->container.id ? row->container.id : NULL);
	json_put_text(object, "Name", row->container.name);
	json_put_bool(object, "ReadOnly", row->mount->read_only);
	json_push(list, object);
}

static char *shows(const struct row *row)
{
	if (strcmp(row->kind, "store") == 0)
		return ui_format("the whole store");
	if (strcmp(row->kind, "served") == 0)
		return ui_format("layers for others");
	if (strcmp(row->kind, "layers") == 0)
		return ui_format("each layer");
	if (strcmp(row->kind, "layer") == 0)
		return ui_format("layer %u", row->last);
	if (strcmp(row->kind, "lowest") == 0)
		return ui_format("lowest %u layer%s", row->last, row->last == 1 ? "" : "s");
	return ui_format("%s", row->kind);
}

static void add_cells(struct table *table, const struct row *row, bool whole)
{
	AUTO(freep) char *what = shows(row);
	char id[DIGEST_TEXT_BYTES];

	table_cell(table, row->mount->point);
	if (row->known)
		table_cell(table, row->image.tag_count ? row->image.tags[0] : ui_id(&row->image.digest, whole, id));
	else
		table_cell(table, row->digits ? row->digits : "-");
	table_cell(table, what);
	table_cell(table, row->mount->read_only ? "ro" : "rw");
	table_cell(table, *row->container.id ? row->container.id : "-");
	table_cell(table, row->container.name ? row->container.name : "-");
}

int mount_list(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "MOUNTED ON", "IMAGE", "SHOWS", "MODE", "CONTAINER ID", "NAME" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, NULL);
	AUTO(mount_table_release) struct mount_table mounts = { 0 };
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;

	if (format_begin(args, &format, &json) != DONE)
		return MISUSED;
	if (cli_open_listing(cli) < 0)
		return FAILED;
	int r = mount_table_read(&mounts);
	if (r < 0)
		return ui_fail(r, NULL, NULL, "cannot read what is mounted");
	for (size_t i = 0; i < mounts.count; i++) {
		AUTO(row_release) struct row row = { .mount = &mounts.entries[i] };

		if (!mount_is_nacre(row.mount) ||
		    strncmp(row.mount->source, MOUNT_SOURCE_PREFIX, strlen(MOUNT_SOURCE_PREFIX)) != 0)
			continue;
		read_source(row.mount->source + strlen(MOUNT_SOURCE_PREFIX), &row);
		find_names(cli->store, &row);
		if (json)
			add_json(json, &row);
		else
			add_cells(table, &row, args_has(args, "no-trunc"));
	}
	if (json)
		return format_print(format, json);
	table_print(table, "   ");
	return DONE;
}
