// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/commit.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/rowformat.h"
#include "tools/target.h"
#include "tools/treediff.h"
#include "tools/ui.h"

static enum ui_colour colour_of(char kind)
{
	return kind == 'A' ? UI_GREEN : kind == 'D' ? UI_RED : UI_YELLOW;
}

static int print_line(char kind, const char *path, void *arg)
{
	AUTO(freep) char *safe = ui_format("%s", path);

	printf("%s%c %s%s\n", ui_colour(colour_of(kind)), kind, safe, ui_colour(UI_PLAIN));
	return 0;
}

static int add_json(char kind, const char *path, void *arg)
{
	json_t *list = arg, *row = json_new_object();
	char text[2] = { kind, '\0' };

	json_put_text(row, "Kind", text);
	json_put_path(row, "Path", path);
	json_push(list, row);
	return 0;
}

/*
 * A container, or a folder where one is mounted.
 */

static int diff_upper(struct cli *cli, const char *what, json_t *list)
{
	AUTO(target_release) struct target target = { 0 };
	struct diag diag = { 0 };
	int r = target_find(cli->store, what, &diag, &target);
	const char *hint = target_hint(r);

	if (r == 0)
		r = target_flush(&target, &diag);
	if (r == 0)
		r = upper_diff(cli->store, target.container.image, target.container.upper, list ? add_json : print_line,
			       list, &diag);
	return r < 0 ? ui_fail(r, &diag, hint, "cannot list the changes in %s", what) : DONE;
}

/*
 * Images.
 */

static const struct {
	unsigned bit;
	const char *word;
} changed_words[] = {
	{ TREE_TYPE, "type" },	 { TREE_CONTENT, "content" }, { TREE_TARGET, "target" }, { TREE_MODE, "mode" },
	{ TREE_OWNER, "owner" }, { TREE_TIME, "time" },	      { TREE_XATTRS, "xattrs" },
};

static char change_kind(const struct tree_change *change)
{
	if (!change->old || !change->new)
		return change->new ? 'A' : 'D';
	return change->what & TREE_DATA ? 'C' : 'M';
}

/* "+1.05MB", "-15B", "=" where the size stayed, "" where nothing has one. */
static const char *growth(const struct tree_change *change, char *text)
{
	bool less = change->new_bytes < change->old_bytes;

	*text = '\0';
	if (change->old_bytes == change->new_bytes)
		return change->what & TREE_CONTENT ? "=" : "";
	*text = less ? '-' : '+';
	ui_size(less ? change->old_bytes - change->new_bytes : change->new_bytes - change->old_bytes, text + 1);
	return text;
}

static int print_change(const struct tree_change *change, void *arg)
{
	AUTO(freep) char *safe = ui_format("%s", change->path);
	char kind = change_kind(change), size[UI_SIZE_BYTES + 1];
	const char *lead = " (";

	printf("%s%c %8s %s%s", ui_colour(colour_of(kind)), kind, growth(change, size), safe, ui_colour(UI_PLAIN));
	for (size_t i = 0; i < ARRAY_SIZE(changed_words); i++) {
		if (change->what & changed_words[i].bit) {
			printf("%s%s", lead, changed_words[i].word);
			lead = ", ";
		}
	}
	puts(change->what ? ")" : "");
	return 0;
}

static int add_change(const struct tree_change *change, void *arg)
{
	json_t *list = arg, *row = json_new_object(), *what = json_new_array();
	char kind[2] = { change_kind(change), '\0' };

	for (size_t i = 0; i < ARRAY_SIZE(changed_words); i++)
		if (change->what & changed_words[i].bit)
			json_push(what, json_text(changed_words[i].word));
	json_put_text(row, "Kind", kind);
	json_put_path(row, "Path", change->path);
	json_put(row, "Changed", what);
	json_put_number(row, "OldSize", change->old_bytes);
	json_put_number(row, "NewSize", change->new_bytes);
	json_push(list, row);
	return 0;
}

/* @layers: the lowest so many; 0: none, which is the empty tree. */
static int open_tree(struct store *store, struct image_id image, size_t layers, struct diag *diag, struct view **ret)
{
	return layers == 0 ? 0 : view_open(store, image, layers, diag, ret);
}

static int compare_trees(struct store *store, const struct image_info *old, const struct image_info *new, json_t *list,
			 struct diag *diag)
{
	AUTO(view_closep) struct view *before = NULL, *after = NULL;
	int r = open_tree(store, old->id, old->layer_count, diag, &before);

	if (r == 0)
		r = open_tree(store, new->id, new->layer_count, diag, &after);
	if (r < 0)
		return r;
	if (!after)
		return diag_set(diag, -ENODATA, "the image has no layers");
	r = tree_diff(store, before, after, list ? add_change : print_change, list);
	return r < 0 ? diag_errno(diag, r, "the trees cannot be compared") : 0;
}

static int diff_images(struct cli *cli, const char *old_ref, const char *new_ref, json_t *list)
{
	AUTO(image_info_releasep) struct image_info old = { 0 }, new = { 0 };
	struct diag diag = { 0 };

	if (image_open_at(cli->store, old_ref, "compare", &old) < 0 ||
	    image_open_at(cli->store, new_ref, "compare", &new) < 0)
		return FAILED;
	int r = compare_trees(cli->store, &old, &new, list, &diag);
	return r < 0 ? ui_fail(r, &diag, NULL, "cannot compare %s with %s", old_ref, new_ref) : DONE;
}

/* What a layer changed in the image as it was below it. */
static int diff_layer(struct cli *cli, const char *id, json_t *list)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	struct image_id found = { 0 };
	struct diag diag = { 0 };
	size_t number = 0;
	int r = image_layer_find(cli->store, id, &diag, &found, &number);

	if (r == 0)
		r = image_info(cli->store, found, &diag, &image);
	if (r == 0) {
		struct image_info below = image;

		image.layer_count = number;
		below.layer_count = number - 1;
		r = compare_trees(cli->store, &below, &image, list, &diag);
	}
	if (r < 0)
		return ui_fail(r, &diag, r == -ENOENT ? "'nacre layers IMAGE' lists their diff IDs" : NULL,
			       "cannot list the changes of layer %s", id);
	return DONE;
}

int cmd_diff(struct cli *cli, const struct args *args)
{
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *list = NULL;
	const char *layer = args_get(args, "layer"), *one = args_operand(args, 0), *other = args_operand(args, 1);
	int status;

	if (layer && one)
		return args_misused(args->command, "--layer says all: there is nothing to compare it with");
	if (!layer && !one)
		return args_misused(args->command, "which container, images or layer?");
	if (format_new(args, &format) != DONE)
		return MISUSED;
	if (format || args_has(args, "json"))
		list = json_new_array();
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	if (layer)
		status = diff_layer(cli, layer, list);
	else
		status = other ? diff_images(cli, one, other, list) : diff_upper(cli, one, list);
	return status == DONE && list ? format_print(format, list) : status;
}
