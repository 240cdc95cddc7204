// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/image.h"
#include "tools/json.h"
#include "tools/ui.h"

static void print_json(const struct gc_result *result)
{
	AUTO(json_freep) json_t *object = json_new_object();

	json_put_number(object, "Layers", result->layers);
	json_put_number(object, "Contents", result->contents);
	json_put_number(object, "Bytes", result->bytes);
	json_print(object);
}

int cmd_gc(struct cli *cli, const struct args *args)
{
	struct gc_result result = { 0 };
	struct diag diag = { 0 };
	char size[UI_SIZE_BYTES];

	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	int r = store_gc(cli->store, &diag, &result);
	if (r < 0)
		return ui_fail(r, &diag, r == -EBUSY ? "try again when it is done" : NULL, "cannot collect garbage");
	if (args_has(args, "json"))
		print_json(&result);
	else
		printf("Removed: %llu layers, %llu contents, %s\n", (unsigned long long)result.layers,
		       (unsigned long long)result.contents, ui_size(result.bytes, size));
	return DONE;
}
