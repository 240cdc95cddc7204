// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/json.h"
#include "tools/limitargs.h"
#include "tools/remote.h"
#include "tools/ui.h"

static void print_json(const char *name, const struct pull_result *result)
{
	AUTO(json_freep) json_t *json = json_new_object();

	json_put_text(json, "Reference", name);
	json_put_text(json, "RepoTag", result->tag);
	json_put_digest(json, "Id", &result->id);
	json_put_digest(json, "Digest", &result->manifest);
	json_put_bool(json, "Existed", result->existed);
	json_print(json);
}

static void print_result(const struct pull_result *result, bool quiet)
{
	char text[DIGEST_TEXT_BYTES];

	if (!quiet) {
		printf("Digest: %s\n", digest_format(&result->manifest, text));
		if (result->tag) {
			AUTO(freep)
			char *line = ui_format("%s: %s", result->existed ? "Image is up to date" : "Pulled image",
					       result->tag);
			puts(line);
		}
	}
	printf("%s\n", digest_format(&result->id, text));
}

static int pull(struct cli *cli, const struct args *args, const char *name, const struct registry_options *options)
{
	bool json = args_has(args, "json"), quiet = args_has(args, "quiet");
	AUTO(bars_freep) struct bars *bars = bars_new("pulling", quiet || json);
	AUTO(pull_result_release) struct pull_result result = { 0 };
	struct remote_view view = { bars, { "pulled", "already exists", "repaired" } };
	struct transfer_events events = remote_events(&view);
	struct diag diag = { 0 };
	int r = image_pull(cli->store, name, options, &events, &diag, &result);

	bars_free(TAKE(bars));
	if (r < 0)
		return ui_fail(r, &diag, r == -EFBIG ? limit_hint(r) : remote_hint(r), "cannot pull %s", name);
	if (result.left_out)
		ui_warn("%s: %llu xattrs were left out, which are marks of an overlay file system", name,
			(unsigned long long)result.left_out);
	if (json)
		print_json(name, &result);
	else
		print_result(&result, quiet);
	return DONE;
}

int cmd_pull(struct cli *cli, const struct args *args)
{
	struct registry_options options;
	struct store_limits limits;
	int r = remote_options(args, &options);

	if (r == DONE)
		r = limit_args(args, &limits);
	if (r != DONE)
		return r;
	options.platform = args_get(args, "platform");
	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	store_set_limits(cli->store, &limits);
	return ui_finish(pull(cli, args, args_operand(args, 0), &options));
}
