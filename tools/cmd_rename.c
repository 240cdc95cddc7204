// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/target.h"
#include "tools/ui.h"

int cmd_rename(struct cli *cli, const struct args *args)
{
	AUTO(target_release) struct target target = { 0 };
	const char *what = args_operand(args, 0);
	struct diag diag = { 0 };

	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	int r = target_of_container(cli->store, what, &diag, &target);
	const char *hint = r == -ENOENT || r == -ENOTUNIQ ? target_hint(r) : NULL;
	if (r == 0)
		r = container_rename(cli->store, target.container.id, args_operand(args, 1), &diag);
	return r < 0 ? ui_fail(r, &diag, hint, "cannot rename %s", what) : DONE;
}
