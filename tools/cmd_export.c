// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/export.h"
#include "tools/imageconf.h"
#include "tools/progress.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <signal.h>
#include <string.h>

static int export_container(struct cli *cli, const struct target *target, const struct export_options *options,
			    struct diag *diag, const char **ret_hint)
{
	int r = target_flush(target, diag);

	if (r == 0)
		r = image_export(cli->store, target->container.image, 0, target->container.upper, options, diag);
	if (r == -EAGAIN)
		*ret_hint = "stop what writes to it, and export again";
	return r;
}

static int export_image(struct cli *cli, const struct image_info *image, const struct export_options *options,
			struct diag *diag)
{
	return image_export(cli->store, image->id, image->layer_count, NULL, options, diag);
}

/* A container's name and whole ID come before an image's name, which has one more form with its tag. */
static bool is_named(const struct target *target, const char *what)
{
	const struct container_info *container = &target->container;

	return (container->name && strcmp(container->name, what) == 0) || strcmp(container->id, what) == 0;
}

static int export_what(struct cli *cli, const char *what, const struct export_options *options, struct diag *diag,
		       const char **ret_hint)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(image_info_releasep) struct image_info image = { 0 };
	struct diag no_target = { 0 }, no_image = { 0 };
	int found = target_find(cli->store, what, &no_target, &target);
	int r;

	if (found == 0 && (target_is_path(what) || is_named(&target, what)))
		return export_container(cli, &target, options, diag, ret_hint);
	r = image_find_at(cli->store, what, &no_image, &image, NULL);
	if (r == 0)
		return export_image(cli, &image, options, diag);
	if (found == 0)
		return export_container(cli, &target, options, diag, ret_hint);
	/* An image's name may look like a path; what is neither is called what it looks like. */
	if (target_is_path(what)) {
		*ret_hint = target_hint(found);
		return diag_set(diag, found, "%s", diag_text(&no_target, found));
	}
	*ret_hint = image_hint(r);
	return diag_set(diag, r, "%s", diag_text(&no_image, r));
}

static int export_layer(struct cli *cli, const char *id, const struct export_options *options, struct diag *diag,
			const char **ret_hint)
{
	struct image_id image = { 0 };
	size_t number = 0;
	int r = image_layer_find(cli->store, id, diag, &image, &number);

	if (r < 0) {
		*ret_hint = r == -ENOENT ? "'nacre layers IMAGE' lists their diff IDs" : NULL;
		return r;
	}
	return layer_export(cli->store, image, number, options, diag);
}

int cmd_export(struct cli *cli, const struct args *args)
{
	const char *path = args_get(args, "output"), *layer = args_get(args, "layer"), *what = args_operand(args, 0);
	struct progress progress;
	struct export_options options = {
		.path = path ? path : "-",
		.progress = progress_update,
		.progress_arg = &progress,
	};
	const char *hint = NULL;
	struct diag diag = { 0 };
	int r;

	if (layer && what)
		return args_misused(args->command, "--layer says all: no image is needed");
	if (!layer && !what)
		return args_misused(args->command, "which image, container or layer?");
	if (!path && isatty(STDOUT_FILENO))
		return args_misused(args->command,
				    "an archive is nothing for a terminal: give -o FILE, or redirect it");
	/* A reader that has gone is an error like others, so that nothing is left behind. */
	signal(SIGPIPE, SIG_IGN);
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	progress_begin(&progress, layer ? layer : what, 0, args_has(args, "quiet"));
	r = layer ? export_layer(cli, layer, &options, &diag, &hint) : export_what(cli, what, &options, &diag, &hint);
	progress_end(&progress);
	return r < 0 ? ui_fail(r, &diag, hint, "cannot export %s", layer ? layer : what) : DONE;
}
