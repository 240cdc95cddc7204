// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/oci.h"
#include "tools/imageconf.h"
#include "tools/limitargs.h"
#include "tools/progress.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/stat.h>

static uint64_t size_of(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") == 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return (uint64_t)st.st_size;
}

/* The image ID, as docker's import prints it. */
static int print_id(struct cli *cli, struct image_id id)
{
	AUTO(image_info_releasep) struct image_info info = { 0 };
	struct diag diag = { 0 };
	char text[DIGEST_TEXT_BYTES];
	int r = image_info(cli->store, id, &diag, &info);

	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot show the new image");
	printf("%s\n", digest_format(&info.digest, text));
	return DONE;
}

static void on_left_out(const char *name, uint64_t xattrs, void *arg)
{
	progress_end(arg);
	ui_warn("%s: %llu xattrs were left out, which are marks of an overlay file system", name,
		(unsigned long long)xattrs);
}

static void on_layer_end(const char *digest, enum layer_outcome outcome, void *arg)
{
	progress_end(arg);
	if (outcome == LAYER_REPAIRED)
		ui_note("The store had its layer already, but damaged: it is repaired.");
}

int cmd_import(struct cli *cli, const struct args *args)
{
	AUTO(freep) const char **changes = args_all(args, "change");
	const char *path = args_operand(args, 0);
	const struct import_options options = { args_operand(args, 1), args_get(args, "message"), changes };
	struct diag diag = { 0 };
	struct image_id id = { 0 };
	struct progress progress;
	struct store_limits limits;

	if (limit_args(args, &limits) != DONE)
		return MISUSED;
	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	store_set_limits(cli->store, &limits);
	progress_begin(&progress, path, size_of(path), args_has(args, "quiet"));
	struct load_events events = {
		.layer_progress = progress_update, .layer_end = on_layer_end, .left_out = on_left_out, .arg = &progress
	};
	int r = image_import(cli->store, path, &options, &events, &diag, &id);
	progress_end(&progress);
	if (r < 0)
		return ui_fail(r, &diag, limit_hint(r), "cannot import %s", path);
	return print_id(cli, id);
}
