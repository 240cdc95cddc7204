// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "tools/lifecycle.h"
#include "tools/ui.h"

int cmd_stop(struct cli *cli, const struct args *args)
{
	const char *time = args_get(args, "time");
	int seconds, status = DONE;

	if (!lifecycle_seconds(time, &seconds))
		return args_misused(args->command, "--time %s is no number of seconds", time);
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r = lifecycle_stop(cli, args->operands[i], seconds, &diag);

		if (r == 0)
			puts(args->operands[i]);
		else
			status = ui_fail(r, &diag, lifecycle_hint(r), "cannot stop %s", args->operands[i]);
	}
	return status;
}
