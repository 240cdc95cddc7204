// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/container.h"
#include "store/frozen.h"
#include "tools/driver.h"
#include "tools/imageconf.h"
#include "tools/live.h"
#include "tools/mountlist.h"
#include "tools/mountpoint.h"
#include "tools/mounts.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <string.h>

/* What one call asks for. */
struct request {
	const char *ref;       /* the image; NULL with --container */
	const char *container; /* --container */
	const char *layer;     /* --layer */
	const char *trees;     /* of --layers: "layers", of --all: "all" */
	const char *whiteouts; /* --whiteouts */
	const char *dir;       /* as given */
	bool rw;
	const char *name;
	size_t first_layer, last_layer; /* of the image; 0: all */
	char *options;			/* owned: for the driver */
	bool nonempty;
	char *mountpoint; /* owned: resolved */
};

static void request_release(struct request *request)
{
	free(request->options);
	free(request->mountpoint);
}

/*
 * The command line.
 */

/* Length of the option at @text, up to the next ',' that no backslash protects. */
static size_t option_length(const char *text)
{
	size_t n = 0;

	while (text[n] && text[n] != ',')
		n += text[n] == '\\' && text[n + 1] ? 2 : 1;
	return n;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncmp(text, word, len) == 0;
}

/* All -o together, without "nonempty", which is for us. Return: is "ro" among them? */
static bool collect_options(struct request *request, const char *const *lists)
{
	struct buf all = { 0 };
	bool ro = false;

	for (; *lists; lists++)
		for (const char *p = *lists; *p;) {
			size_t len = option_length(p);

			if (is_word(p, len, "nonempty")) {
				request->nonempty = true;
			} else if (len > 0) {
				ro |= is_word(p, len, "ro");
				buf_adds(&all, all.len ? "," : "");
				buf_add(&all, p, len);
			}
			p += len + (p[len] == ',');
		}
	request->options = all.len ? ui_need(buf_take(&all)) : NULL;
	return ro;
}

static bool is_whiteout_form(const char *word)
{
	return strcmp(word, "hide") == 0 || strcmp(word, "mark") == 0 || strcmp(word, "device") == 0;
}

static bool is_of_list(const struct option_desc *option)
{
	return strcmp(option->name, "json") == 0 || strcmp(option->name, "format") == 0 ||
	       strcmp(option->name, "no-trunc") == 0;
}

/* As mount(8): without an operand, and without an option that is about a new mount. */
static bool wants_list(const struct args *args)
{
	for (size_t i = 0; i < args->value_count; i++)
		if (!is_of_list(args->values[i].option))
			return false;
	return args->operand_count == 0;
}

/* What is shown is said once: by an image, or by one of the options in its place. */
static int check_choice(const struct args *args, const struct request *request, bool all)
{
	for (size_t i = 0; i < args->value_count; i++)
		if (is_of_list(args->values[i].option))
			return args_misused(args->command, "--%s is for the list of mounts, without operands",
					    args->values[i].option->name);
	int chosen = !!request->container + !!request->layer + all + args_has(args, "layers");

	if (chosen > 1)
		return args_misused(args->command, "--container, --layer, --layers and --all exclude each other");
	if (!request->dir)
		return args_misused(args->command, "the mount point is missing");
	if (request->container && args->operand_count > 1)
		return args_misused(args->command, "--container has its image: give the mount point only");
	if (request->layer && args->operand_count > 1)
		return args_misused(args->command, "--layer shows one layer: give the mount point only");
	if (all && args->operand_count > 1)
		return args_misused(args->command, "--all shows all images: give the mount point only");
	return DONE;
}

static int read_request(const struct args *args, struct request *ret)
{
	AUTO(freep) const char **lists = args_all(args, "options");
	bool ro = collect_options(ret, lists), all = args_has(args, "all");
	int r;

	ret->container = args_get(args, "container");
	ret->rw = args_has(args, "rw") || ret->container;
	ret->name = args_get(args, "name");
	ret->layer = args_get(args, "layer");
	ret->whiteouts = args_get(args, "whiteouts");
	ret->trees = all ? "all" : args_has(args, "layers") ? "layers" : NULL;
	bool other = ret->container || ret->layer || all;
	ret->ref = other ? NULL : args_operand(args, 0);
	ret->dir = args_operand(args, other ? 0 : 1);
	r = check_choice(args, ret, all);
	if (r != DONE)
		return r;
	if (ret->rw && (ret->layer || ret->trees))
		return args_misused(args->command, "--%s and a writable mount exclude each other",
				    ret->trees ? ret->trees : "layer");
	if (ret->whiteouts && !ret->layer && !ret->trees)
		return args_misused(args->command,
				    "--whiteouts is about single layers: it needs --layer, --layers or --all");
	if (ret->whiteouts && !is_whiteout_form(ret->whiteouts))
		return args_misused(args->command, "--whiteouts is hide, mark or device");
	if (ret->name && (!ret->rw || ret->container))
		return args_misused(args->command, "--name is for a new container: it needs --rw and an image");
	if (ret->rw && ro)
		return args_misused(args->command, "writable and -o ro exclude each other");
	return DONE;
}

/*
 * Mounting.
 */

/*
 * A user may read all that is in his own store, so he is root in his mounts, also
 * to look.  Not where he lets others in: then the kernel checks permissions.
 */
static bool private_view(const struct request *request)
{
	return geteuid() != 0 && !(request->options && strstr(request->options, "allow_other"));
}

static int start(struct cli *cli, const struct request *request, const struct image_info *image,
		 const struct container_info *container, struct diag *diag)
{
	struct driver_mount mount = {
		.store_dir = store_dir(cli->store),
		.image = image ? &image->digest : NULL,
		.trees = request->trees,
		.first_layer = request->first_layer,
		.last_layer = request->last_layer,
		.whiteouts = request->whiteouts,
		.upper = container ? container->upper : NULL,
		.work = container ? container->work : NULL,
		.fakeroot = container ? container->fakeroot : private_view(request),
		.user_options = request->options,
		.mountpoint = request->mountpoint,
	};

	return driver_start(&mount, diag);
}

/*
 * A container may be recorded at this mount point when its mount was ended by
 * other means than ours.  It is not there any more: nothing of nacre was mounted
 * at the check.  A store that cannot be written keeps its record; ps and rm ask
 * the kernel anyway.
 */
static void forget_stale(struct store *store, const char *mountpoint)
{
	AUTO(container_info_release) struct container_info stale = { 0 };
	AUTO(store_closep) struct store *writable = NULL;
	struct diag ignored = { 0 };

	if (container_find_mount(store, mountpoint, &stale) < 0)
		return;
	/* A read-only mount has its store open for reading only. */
	if (store_open(store_dir(store), STORE_WRITE, &ignored, &writable) == 0)
		container_set_mountpoint(writable, stale.id, NULL);
}

static int mount_container(struct cli *cli, const struct request *request, const struct image_info *image,
			   const struct container_info *container, struct diag *diag)
{
	int r = start(cli, request, image, container, diag);

	if (r < 0)
		return r;
	r = container_set_mountpoint(cli->store, container->id, request->mountpoint);
	if (r == 0)
		return 0;
	/* A mount nobody could find again: better none. */
	driver_stop(request->mountpoint, NULL);
	return diag_errno(diag, r, "cannot record the mount point of container %s", container->id);
}

static int mount_new(struct cli *cli, const struct request *request, const struct image_info *image, struct diag *diag)
{
	AUTO(container_info_release) struct container_info container = { 0 };
	AUTO(closep) int lock = -1;
	int r = container_new(cli->store, image->id, request->name, geteuid() != 0, diag, &container);

	if (r == 0)
		r = container_lock(cli->store, container.id, diag, &lock);
	if (r < 0)
		return r;
	r = mount_container(cli, request, image, &container, diag);
	if (r < 0)
		container_remove(cli->store, container.id, NULL);
	else
		printf("%s\n", container.id);
	return r;
}

static int mount_again(struct cli *cli, const struct request *request, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(closep) int lock = -1;
	int r = target_of_container(cli->store, request->container, diag, &target);

	if (r < 0)
		return r;
	if (target.run.status == RUN_RUNNING)
		return diag_set(diag, -EBUSY, "it is running");
	r = live_begin(cli->store, &target, diag, &lock);
	if (r < 0)
		return r;
	if (target.run.status == RUN_RUNNING) /* by another, while we waited for him */
		return diag_set(diag, -EBUSY, "it is running");
	if (target.mounted)
		return diag_set(diag, -EBUSY, "it is mounted already, on %s", target.container.mountpoint);
	r = image_info(cli->store, target.container.image, diag, &image);
	if (r == 0)
		r = mount_container(cli, request, &image, &target.container, diag);
	if (r == 0)
		printf("%s\n", target.container.id);
	return r;
}

/* The image with the one layer, or the lowest layers, that are to be seen. */
static int find_image(struct store *store, struct request *request, struct diag *diag, struct image_info *ret)
{
	struct image_id id = { 0 };
	bool limited = false;
	int r;

	if (!request->layer) {
		r = image_find_at(store, request->ref, diag, ret, &limited);
		if (r < 0 || !limited)
			return r;
		request->first_layer = 1;
		request->last_layer = ret->layer_count;
		return request->rw ? diag_set(diag, -EINVAL, "a container is of a whole image") : 0;
	}
	r = image_layer_find(store, request->layer, diag, &id, &request->first_layer);
	request->last_layer = request->first_layer;
	return r < 0 ? r : image_info(store, id, diag, ret);
}

static int mount_image(struct cli *cli, struct request *request, struct diag *diag)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	int r;

	if (request->trees && !request->ref)
		return start(cli, request, NULL, NULL, diag);
	r = find_image(cli->store, request, diag, &image);
	if (r == 0 && request->trees && request->last_layer)
		r = diag_set(diag, -EINVAL, "--layers shows all of an image's: leave out the @");
	if (r < 0)
		return r;
	return request->rw ? mount_new(cli, request, &image, diag) : start(cli, request, &image, NULL, diag);
}

static const char *not_found_hint(const struct request *request, int err)
{
	if (request->container)
		return target_hint(err);
	return request->layer ? "'nacre layers IMAGE' lists their diff IDs" : image_hint(err);
}

static int fail(const struct request *request, int r, const struct diag *diag, const char *hint)
{
	const char *what = request->container ? "container " : request->layer ? "layer " : "";
	const char *name = request->container ? request->container : request->layer ? request->layer : request->ref;

	return ui_fail(r, diag, hint, "cannot mount %s%s on %s", what, name ? name : "all images", request->dir);
}

int cmd_mount(struct cli *cli, const struct args *args)
{
	AUTO(request_release) struct request request = { 0 };
	struct diag diag = { 0 };
	const char *hint = NULL;

	if (wants_list(args))
		return mount_list(cli, args);
	int r = read_request(args, &request);

	if (r != DONE)
		return r;
	if (cli_open(cli, request.rw ? STORE_WRITE : STORE_READ) < 0)
		return FAILED;
	r = mountpoint_check(request.dir, request.nonempty, &request.mountpoint, &diag, &hint);
	if (r == 0) {
		forget_stale(cli->store, request.mountpoint);
		r = request.container ? mount_again(cli, &request, &diag) : mount_image(cli, &request, &diag);
		if (r == -ENOENT || r == -ENOTUNIQ || r == -ERANGE)
			hint = not_found_hint(&request, r);
	}
	if (r < 0)
		return fail(&request, r, &diag, hint);
	return DONE;
}
