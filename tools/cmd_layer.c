// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/layer.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/layerstack.h"
#include "tools/mounts.h"
#include "tools/rowformat.h"
#include "tools/table.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { ID_DIGITS_MIN = 4 };

/* --- where --- */

static void place_release(struct layer_place *place)
{
	free(place->mountpoint);
	free(place->monitor);
}

/* A mount of folders needs no store; without one there are no containers and no layers to name. */
static void open_quietly(struct cli *cli)
{
	struct diag ignored = { 0 };
	AUTO(freep) char *dir = cli->store_option ? NULL : ui_need(store_default_dir());

	(void)store_open(dir ? dir : cli->store_option, STORE_READ, &ignored, &cli->store);
}

static int place_of_container(struct cli *cli, const char *what, struct diag *diag, struct layer_place *ret)
{
	AUTO(target_release) struct target target = { 0 };
	int r = target_of_container(cli->store, what, diag, &target);

	if (r < 0)
		return r;
	if (target.run.status == RUN_RUNNING)
		ret->monitor = ui_need(strdup(target.container.dir));
	else if (target.mounted)
		ret->mountpoint = ui_need(strdup(target.container.mountpoint));
	else
		return diag_set(diag, -EINVAL, "the container is neither mounted nor running");
	return 0;
}

static int find_place(struct cli *cli, const char *what, struct diag *diag, struct layer_place *ret)
{
	int r = -ENOENT;

	if (cli->store && !target_is_path(what))
		r = place_of_container(cli, what, diag, ret);
	if (r != -ENOENT)
		return r;
	*diag = (struct diag){ 0 };
	r = mount_point_path(what, &ret->mountpoint);
	if (r < 0)
		return diag_set(diag, r, "%s", r == -ENOENT ? "there is no such directory or container" : strerror(-r));
	r = nacre_mounted_at(ret->mountpoint);
	if (r == 0)
		return diag_set(diag, -EINVAL, "nothing of nacre is mounted there");
	return r < 0 ? diag_errno(diag, r, "cannot read what is mounted") : 0;
}

static const char *place_hint(int err)
{
	return err == -ENOENT || err == -EINVAL
		       ? "'nacre ps' lists what is mounted writable or runs, findmnt -t fuse.nacrefs all mounts"
		       : target_hint(err);
}

/* --- which --- */

static bool is_path(const char *what)
{
	return what[0] == '/' || what[0] == '.';
}

static int folder_path(const char *what, struct diag *diag, char **ret)
{
	struct stat st;

	*ret = realpath(what, NULL);
	if (!*ret)
		return diag_errno(diag, -errno, "the folder cannot be used");
	return stat(*ret, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : diag_set(diag, -ENOTDIR, "it is no folder");
}

static bool is_folder(const char *what)
{
	struct stat st;

	return stat(what, &st) == 0 && S_ISDIR(st.st_mode);
}

/* By its ID, or the top one of IMAGE or IMAGE@N. */
static int store_layer(struct store *store, const char *what, struct diag *diag, struct digest *ret_diff,
		       struct digest *ret_image)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	struct layer_info layer;
	struct image_id id;
	size_t number = 0;
	bool limited;
	int r = image_layer_find(store, what, diag, &id, &number);

	if (r == 0) {
		r = image_info(store, id, diag, &image);
	} else if (r == -ENOENT || r == -EINVAL) {
		*diag = (struct diag){ 0 };
		r = image_find_at(store, what, diag, &image, &limited);
		number = image.layer_count;
	}
	if (r == 0 && number == 0)
		r = diag_set(diag, -EINVAL, "the image has no layers");
	if (r == 0)
		r = layer_info(store, image.layers[number - 1], &layer);
	if (r < 0)
		return r;
	*ret_diff = layer.diff_id;
	*ret_image = image.digest;
	return 0;
}

/* What the driver is to add. */
static int what_to_add(struct cli *cli, const char *what, struct diag *diag, char **ret)
{
	char diff_text[DIGEST_TEXT_BYTES], image_text[DIGEST_TEXT_BYTES];
	struct digest diff, image;
	int r = -ENOENT;

	if (is_path(what))
		return folder_path(what, diag, ret);
	if (cli->store)
		r = store_layer(cli->store, what, diag, &diff, &image);
	if (r < 0 && is_folder(what))
		return folder_path(what, diag, ret);
	if (r < 0)
		return cli->store ? r : diag_set(diag, r, "there is no such folder, and no store");
	*ret = ui_format("%s %s", digest_format(&diff, diff_text), digest_format(&image, image_text));
	return 0;
}

/* The layer of the mount whose ID begins so. Return: 0; -ENOENT; -ENOTUNIQ. */
static int find_by_id(const char *list, const char *what, char **ret)
{
	static const char algorithm[] = "sha256:";
	const char *digits = strncmp(what, algorithm, strlen(algorithm)) == 0 ? what + strlen(algorithm) : what;
	size_t len = strlen(digits);
	int r = -ENOENT;

	if (len < ID_DIGITS_MIN)
		return r;
	for (const char *line = list; *line; line = strchr(line, '\n') + 1) {
		const char *name = strchr(line, ' ') + 1;

		if (strncmp(name, algorithm, strlen(algorithm)) != 0 ||
		    strncmp(name + strlen(algorithm), digits, len) != 0)
			continue;
		if (r == 0)
			return -ENOTUNIQ;
		*ret = ui_need(strndup(name, strcspn(name, "\n")));
		r = 0;
	}
	return r;
}

/* A folder may have gone meanwhile: then it is called what it was. */
static int what_to_remove(struct cli *cli, const struct layer_place *place, const char *what, struct diag *diag,
			  char **ret)
{
	char text[DIGEST_TEXT_BYTES];
	struct diag not_found = { 0 };
	struct digest diff, image;
	struct buf list = { 0 };
	int r;

	if (is_path(what) || is_folder(what)) {
		*ret = realpath(what, NULL);
		if (!*ret)
			*ret = ui_need(strdup(what));
	}
	if (is_path(what))
		return 0;
	r = layerstack_list(place, &list, diag);
	if (r == 0) {
		AUTO(freep) char *found = NULL;

		r = find_by_id(buf_str(&list), what, &found);
		if (r == -ENOTUNIQ)
			diag_set(diag, r, "several of its layers begin so");
		if (r == 0) {
			free(*ret);
			*ret = TAKE(found);
		}
	}
	buf_release(&list);
	if (r == -ENOENT && cli->store && store_layer(cli->store, what, &not_found, &diff, &image) == 0) {
		free(*ret);
		*ret = ui_need(strdup(digest_format(&diff, text)));
		r = 0;
	}
	if (r == -ENOENT)
		return *ret ? 0 : diag_set(diag, r, "it is none of its layers");
	return r;
}

/* --- what is done --- */

static int add(struct cli *cli, const struct layer_place *place, const char *where, const char *layer)
{
	AUTO(freep) char *what = NULL;
	AUTO(freep) char *used = NULL;
	struct diag diag = { 0 };
	const char *hint = NULL;
	int r = what_to_add(cli, layer, &diag, &what);

	if (r < 0)
		hint = "it is a layer's ID, an image, IMAGE@N or a folder";
	else
		r = layerstack_change(place, LAYER_ADD, what, &used, &diag);
	return r < 0 ? ui_fail(r, &diag, hint, "cannot add %s to %s", layer, where) : DONE;
}

static int take_off(struct cli *cli, const struct layer_place *place, const char *where, const char *layer)
{
	AUTO(freep) char *what = NULL;
	AUTO(freep) char *used = NULL;
	AUTO(freep) char *user = NULL;
	struct diag diag = { 0 };
	const char *hint = NULL;
	int r = what_to_remove(cli, place, layer, &diag, &what);

	if (r == 0)
		r = layerstack_change(place, LAYER_REMOVE, what, &used, &diag);
	else
		hint = "'nacre layer ls' lists them";
	if (used) {
		user = place->mountpoint ? layerstack_user(place->mountpoint, used) : NULL;
		diag_set(&diag, r, "/%s of it is in use%s%s", used, user ? " by " : "", user ? user : "");
		hint = user ? "end that and try again"
			    : "it is open, mapped, somebody's working directory, watched or mounted on";
	}
	return r < 0 ? ui_fail(r, &diag, hint, "cannot remove %s from %s", layer, where) : DONE;
}

static void list_line(const char *line, struct table *table, json_t *json, bool whole)
{
	size_t len = strcspn(line, "\n");
	const char *space = strchr(line, ' ');
	AUTO(freep) char *kind = ui_need(strndup(line, (size_t)(space - line)));
	AUTO(freep) char *name = ui_need(strndup(space + 1, len - (size_t)(space + 1 - line)));
	bool added = strcmp(kind, "added") == 0;
	char id[DIGEST_TEXT_BYTES];
	struct digest digest;

	if (json) {
		json_t *row = json_new_object();

		json_put_path(row, "Layer", name);
		json_put_bool(row, "Added", added);
		json_push(json, row);
		return;
	}
	table_cell(table, digest_parse(name, &digest) == 0 ? ui_id(&digest, whole, id) : name);
	table_cell(table, added ? "true" : "false");
}

static int list(const struct layer_place *place, const char *where, const struct args *args)
{
	static const char *const headings[] = { "LAYER", "ADDED" };
	AUTO(table_freep) struct table *table = table_new(ARRAY_SIZE(headings), headings, NULL);
	AUTO(format_freep) struct format *format = NULL;
	AUTO(json_freep) json_t *json = NULL;
	struct buf lines = { 0 };
	struct diag diag = { 0 };

	if (format_begin(args, &format, &json) != DONE)
		return MISUSED;
	int r = layerstack_list(place, &lines, &diag);
	for (const char *line = buf_str(&lines); r == 0 && *line; line = strchr(line, '\n') + 1)
		list_line(line, table, json, args_has(args, "no-trunc"));
	buf_release(&lines);
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot list the layers of %s", where);
	if (json)
		return format_print(format, json);
	table_print(table, "   ");
	return DONE;
}

int cmd_layer(struct cli *cli, const struct args *args)
{
	AUTO(place_release) struct layer_place place = { 0 };
	const char *verb = args_operand(args, 0), *where = args_operand(args, 1), *layer = args_operand(args, 2);
	bool lists = strcmp(verb, "ls") == 0, adds = strcmp(verb, "add") == 0;
	struct diag diag = { 0 };

	if (!lists && !adds && strcmp(verb, "remove") != 0)
		return args_misused(args->command, "add, remove or ls, not '%s'", verb);
	if (lists ? layer != NULL : layer == NULL)
		return args_misused(args->command, lists ? "too many operands: %s" : "which layer is to be %s?",
				    lists  ? layer
				    : adds ? "added"
					   : "removed");
	if (!lists && args->value_count > 0)
		return args_misused(args->command, "--%s is for ls", args->values[0].option->name);
	open_quietly(cli);
	int r = find_place(cli, where, &diag, &place);
	if (r < 0)
		return ui_fail(r, &diag, place_hint(r), "cannot change or list the layers of %s", where);
	if (lists)
		return list(&place, where, args);
	return adds ? add(cli, &place, where, layer) : take_off(cli, &place, where, layer);
}
