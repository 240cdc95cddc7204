// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/oci.h"
#include "tools/limitargs.h"
#include "tools/progress.h"
#include "tools/ui.h"

#include <string.h>

struct load {
	struct progress progress;
	char layer[UI_SHORT_ID + 1]; /* what the bar calls the layer under way */
	bool quiet;
};

/* "sha256:HEX" as people see it: the first digits. */
static void short_digest(const char *digest, char *text)
{
	const char *hex = strchr(digest, ':');

	snprintf(text, UI_SHORT_ID + 1, "%s", hex ? hex + 1 : digest);
}

static void on_layer_begin(const char *digest, uint64_t bytes, void *arg)
{
	struct load *load = arg;

	short_digest(digest, load->layer);
	progress_begin(&load->progress, load->layer, bytes, load->quiet);
}

static void on_layer_progress(uint64_t bytes, void *arg)
{
	struct load *load = arg;

	progress_update(bytes, &load->progress);
}

static void on_layer_end(const char *digest, enum layer_outcome outcome, void *arg)
{
	static const char *const words[] = { "loaded", "already exists", "repaired" };
	struct load *load = arg;
	char text[UI_SHORT_ID + 1];

	progress_end(&load->progress);
	if (load->quiet)
		return;
	short_digest(digest, text);
	AUTO(freep) char *line = ui_format("%s: %s", text, words[outcome]);
	puts(line);
	fflush(stdout);
}

static void on_left_out(const char *digest, uint64_t xattrs, void *arg)
{
	struct load *load = arg;
	char text[UI_SHORT_ID + 1];

	progress_end(&load->progress);
	short_digest(digest, text);
	ui_warn("layer %s: %llu xattrs were left out, which are marks of an overlay file system", text,
		(unsigned long long)xattrs);
}

static void on_image(const char *tag, const struct digest *id, void *arg)
{
	char text[DIGEST_TEXT_BYTES];

	if (*tag) {
		AUTO(freep) char *line = ui_format("Loaded image: %s", tag);
		puts(line);
	} else {
		printf("Loaded image ID: %s\n", digest_format(id, text));
	}
}

static void on_no_name(const char *name, size_t more, const struct digest *id, void *arg)
{
	char digest[DIGEST_TEXT_BYTES], text[UI_SHORT_ID + 1];

	short_digest(digest_format(id, digest), text);
	if (name)
		ui_warn("image %s does not get the name \"%s\", which is not a valid one", text, name);
	else
		ui_warn("image %s does not get %zu more names, which are not valid", text, more);
}

/* Which source: the option or the operand; neither means standard input, unless somebody would have to type it. */
static const char *source_of(const struct args *args)
{
	const char *input = args_get(args, "input"), *operand = args_operand(args, 0);

	if (input && operand)
		return NULL;
	if (input || operand)
		return input ? input : operand;
	return isatty(STDIN_FILENO) ? NULL : "-";
}

int cmd_load(struct cli *cli, const struct args *args)
{
	const char *source = source_of(args);
	struct load load = { .quiet = args_has(args, "quiet") };
	struct load_events events = {
		.layer_begin = on_layer_begin,
		.layer_progress = on_layer_progress,
		.layer_end = on_layer_end,
		.left_out = on_left_out,
		.image = on_image,
		.no_name = on_no_name,
		.arg = &load,
	};
	struct store_limits limits;
	struct diag diag = { 0 };

	if (!source)
		return args_misused(args->command, "give one file or folder to load, or - for standard input");
	if (limit_args(args, &limits) != DONE)
		return MISUSED;
	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	store_set_limits(cli->store, &limits);
	int r = image_load(cli->store, source, args_get(args, "platform"), &events, &diag);
	progress_end(&load.progress);
	return r < 0 ? ui_fail(r, &diag, limit_hint(r), "cannot load %s", source) : DONE;
}
