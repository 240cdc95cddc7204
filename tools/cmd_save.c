// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/save.h"
#include "tools/imageconf.h"
#include "tools/ui.h"

#include <signal.h>
#include <string.h>

static const struct {
	const char *name;
	enum save_format format;
} formats[] = {
	{ "docker-archive", SAVE_DOCKER },
	{ "oci-archive", SAVE_OCI },
	{ "oci-dir", SAVE_OCI_FOLDER },
};

static int read_format(const struct args *args, struct save_options *ret)
{
	const char *name = args_get(args, "format");

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!name || strcmp(name, formats[i].name) == 0) {
			ret->format = formats[i].format;
			return DONE;
		}
	}
	return args_misused(args->command, "--format is docker-archive, oci-archive or oci-dir, not '%s'", name);
}

/* What failed may be the file that is written: that images are listed helps only where one is not there. */
static const char *save_hint(struct cli *cli, const struct args *args, int error)
{
	for (size_t i = 0; i < args->operand_count; i++) {
		struct image_id image;
		struct diag diag = { 0 };

		if (image_find(cli->store, args_operand(args, i), &diag, &image) == error)
			return image_hint(error);
	}
	return NULL;
}

int cmd_save(struct cli *cli, const struct args *args)
{
	const char *path = args_get(args, "output");
	struct save_options options = { .gzip = args_has(args, "gzip") };
	struct diag diag = { 0 };
	int r = read_format(args, &options);

	if (r != DONE)
		return r;
	if (options.gzip && options.format == SAVE_DOCKER)
		return args_misused(args->command, "--gzip is for the OCI formats; docker's has no compressed layers");
	if (!path && options.format == SAVE_OCI_FOLDER)
		return args_misused(args->command, "--format oci-dir needs a folder: -o DIR");
	if (!path && isatty(STDOUT_FILENO))
		return args_misused(args->command,
				    "an archive is nothing for a terminal: give -o FILE, or redirect it");
	/* A reader that has gone is an error like others, so that nothing is left behind. */
	signal(SIGPIPE, SIG_IGN);
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	r = image_save(cli->store, (const char *const *)args->operands, args->operand_count, path ? path : "-",
		       &options, &diag);
	return r < 0 ? ui_fail(r, &diag, save_hint(cli, args, r), "cannot save %s", args_operand(args, 0)) : DONE;
}
