// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "tools/lifecycle.h"

int cmd_start(struct cli *cli, const struct args *args)
{
	bool attach = args_has(args, "attach");
	int status = DONE;

	if (attach && args->operand_count > 1)
		return args_misused(args->command, "--attach is for one container");
	for (size_t i = 0; i < args->operand_count; i++) {
		int r = lifecycle_start(cli, "start", args->operands[i], attach);

		status = r != DONE ? r : status;
	}
	return status;
}
