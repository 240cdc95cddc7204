// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/image.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/ui.h"

#include <string.h>

struct image_array {
	struct image_info *images; /* owned */
	size_t count;
};

static void image_array_release(struct image_array *array)
{
	image_list_free(array->images, array->count);
}

/* "registry:5000/name:tag": the last ':' divides, a reference in the store has its tag. */
static void split_tag(const char *tag, struct buf *name, const char **ret_tag)
{
	const char *colon = strrchr(tag, ':');

	*ret_tag = colon ? colon + 1 : "";
	buf_add(name, tag, colon ? (size_t)(colon - tag) : strlen(tag));
}

static bool is_below(const struct image_info *lower, const struct image_info *upper)
{
	if (lower->layer_count >= upper->layer_count)
		return false;
	for (size_t i = 0; i < lower->layer_count; i++)
		if (lower->layers[i].value != upper->layers[i].value)
			return false;
	return true;
}

/* Without a name of its own, and there only because another is built on it. */
static bool is_intermediate(const struct image_array *all, const struct image_info *image)
{
	if (image->tag_count > 0)
		return false;
	for (size_t i = 0; i < all->count; i++)
		if (is_below(image, &all->images[i]))
			return true;
	return false;
}

/* What the operand asks for: all images, those of one name, or one name with its tag. */
static bool is_wanted(const char *tag, const char *pattern)
{
	if (!pattern)
		return true;
	if (!tag)
		return false;
	size_t len = strlen(pattern);
	return strcmp(tag, pattern) == 0 ||
	       (strncmp(tag, pattern, len) == 0 && tag[len] == ':' && !strchr(tag + len + 1, '/'));
}

struct listing {
	struct table *table; /* owned; one of the three is used */
	json_t *json;	     /* owned */
	bool ids;
	bool whole; /* --no-trunc */
};

static void add_json(json_t *list, const struct image_info *image, const char *name, const char *tag)
{
	json_t *row = json_new_object();

	json_put_text(row, "Repository", name);
	json_put_text(row, "Tag", tag);
	json_put_digest(row, "Id", &image->digest);
	json_put_time(row, "Created", image->created, 0);
	json_put_number(row, "Size", image->content_bytes);
	json_put_number(row, "Layers", image->layer_count);
	json_push(list, row);
}

static void add_row(struct listing *listing, const struct image_info *image, const char *full_tag)
{
	char id[DIGEST_TEXT_BYTES], age[UI_AGE_BYTES], size[UI_SIZE_BYTES];
	AUTO(buf_release) struct buf name = { 0 };
	const char *tag = NULL;

	if (full_tag)
		split_tag(full_tag, &name, &tag);
	if (listing->json) {
		add_json(listing->json, image, full_tag ? buf_str(&name) : NULL, tag);
		return;
	}
	table_cell(listing->table, full_tag ? buf_str(&name) : "<none>");
	table_cell(listing->table, tag ? tag : "<none>");
	table_cell(listing->table, ui_id(&image->digest, listing->whole, id));
	table_cell(listing->table, ui_age(image->created, age));
	table_cell(listing->table, ui_size(image->content_bytes, size));
	table_cellf(listing->table, "%zu", image->layer_count);
}

static void add_image(struct listing *listing, const struct image_info *image, const char *pattern)
{
	char id[DIGEST_TEXT_BYTES];
	bool wanted = false;

	for (size_t t = 0; t < image->tag_count; t++) {
		if (!is_wanted(image->tags[t], pattern))
			continue;
		wanted = true;
		if (!listing->ids)
			add_row(listing, image, image->tags[t]);
	}
	if (image->tag_count == 0 && !pattern) {
		wanted = true;
		if (!listing->ids)
			add_row(listing, image, NULL);
	}
	if (wanted && listing->ids)
		printf("%s\n", ui_id(&image->digest, listing->whole, id));
}

int cmd_images(struct cli *cli, const struct args *args)
{
	static const char *const headings[] = { "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "LAYERS" };
	AUTO(image_array_release) struct image_array all = { 0 };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, NULL);
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;
	struct diag diag = { 0 };

	if (format_begin(args, &format, &json) != DONE)
		return MISUSED;
	struct listing listing = { table, json, args_has(args, "quiet") && !json, args_has(args, "no-trunc") };
	if (cli_open_listing(cli) < 0)
		return FAILED;
	int r = cli->store ? image_list(cli->store, &diag, &all.images, &all.count) : 0;
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot list the images");
	for (size_t i = 0; i < all.count; i++)
		if (args_has(args, "all") || !is_intermediate(&all, &all.images[i]))
			add_image(&listing, &all.images[i], args_operand(args, 0));
	if (json)
		return format_print(format, json);
	if (!listing.ids)
		table_print(table, "   ");
	return DONE;
}
