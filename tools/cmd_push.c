// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/imageconf.h"
#include "tools/json.h"
#include "tools/limitargs.h"
#include "tools/remote.h"
#include "tools/ui.h"

#include <string.h>

static void print_result(const char *name, const struct push_result *result, bool quiet)
{
	char text[DIGEST_TEXT_BYTES];

	if (!quiet) {
		AUTO(freep) char *line = ui_format("Pushed image: %s", name);
		puts(line);
	}
	printf("%s\n", digest_format(&result->manifest, text));
}

static void print_json(const char *name, const struct push_result *result)
{
	AUTO(json_freep) json_t *json = json_new_object();

	json_put_text(json, "Reference", name);
	json_put_digest(json, "Digest", &result->manifest);
	json_put_bool(json, "SameManifest", result->kept);
	json_print(json);
}

/* A registry too may know nothing of what it is asked for. */
static const char *hint_of(int err, const struct diag *diag)
{
	return strncmp(diag->text, "no such image", strlen("no such image")) == 0 ? image_hint(err) : remote_hint(err);
}

int cmd_push(struct cli *cli, const struct args *args)
{
	const char *image = args_operand(args, 0), *name = args_operand(args, 1);
	bool json = args_has(args, "json"), quiet = args_has(args, "quiet");
	AUTO(bars_freep) struct bars *bars = bars_new("pushing", quiet || json);
	struct remote_view view = { bars, { "pushed", "already exists", NULL, "taken from another repository" } };
	struct transfer_events events = remote_events(&view);
	struct registry_options options;
	struct push_result result;
	struct diag diag = { 0 };
	int r = remote_options(args, &options);

	if (r == DONE)
		r = size_arg(args, "chunk-size", &options.chunk_bytes);
	if (r != DONE)
		return r;
	if (!name)
		name = image;
	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	r = image_push(cli->store, image, name, &options, &events, &diag, &result);
	bars_free(TAKE(bars));
	if (r < 0)
		return ui_fail(r, &diag, hint_of(r, &diag), "cannot push %s", name);
	if (json)
		print_json(name, &result);
	else
		print_result(name, &result, quiet);
	return ui_finish(DONE);
}
