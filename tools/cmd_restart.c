// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/lifecycle.h"
#include "tools/ui.h"

/* One that has ended is started only, as docker does. */
static int restart_one(struct cli *cli, const char *what, int seconds)
{
	struct diag diag = { 0 };

	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	int r = lifecycle_stop(cli, what, seconds, &diag);
	store_close(TAKE(cli->store));
	if (r < 0)
		return ui_fail(r, &diag, lifecycle_hint(r), "cannot restart %s", what);
	return lifecycle_start(cli, "restart", what, false);
}

int cmd_restart(struct cli *cli, const struct args *args)
{
	const char *time = args_get(args, "time");
	int seconds, status = DONE;

	if (!lifecycle_seconds(time, &seconds))
		return args_misused(args->command, "--time %s is no number of seconds", time);
	for (size_t i = 0; i < args->operand_count; i++) {
		int r = restart_one(cli, args->operands[i], seconds);

		status = r != DONE ? r : status;
	}
	return status;
}
