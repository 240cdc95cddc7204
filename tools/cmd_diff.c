// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/commit.h"
#include "tools/json.h"
#include "tools/target.h"
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

int cmd_diff(struct cli *cli, const struct args *args)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(json_freep) json_t *list = args_has(args, "json") ? json_new_array() : NULL;
	const char *what = args_operand(args, 0);
	struct diag diag = { 0 };

	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	int r = target_find(cli->store, what, &diag, &target);
	const char *hint = target_hint(r);
	if (r == 0)
		r = target_flush(&target, &diag);
	if (r == 0)
		r = upper_diff(cli->store, target.container.image, target.container.upper, list ? add_json : print_line,
			       list, &diag);
	if (r < 0)
		return ui_fail(r, &diag, hint, "cannot list the changes in %s", what);
	if (list)
		json_print(list);
	return DONE;
}
