// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/launch.h"
#include "tools/lifecycle.h"
#include "tools/runspec.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <signal.h>

static int kill_one(struct cli *cli, const char *what, int signal, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	int r = lifecycle_find(cli, what, diag, &target);

	if (r == 0)
		r = launch_signal(target.container.dir, signal);
	return r == -ESRCH ? diag_set(diag, -EINVAL, "it is not running") : r;
}

int cmd_kill(struct cli *cli, const struct args *args)
{
	const char *name = args_get(args, "signal");
	int signal = name ? runspec_signal(name) : SIGKILL, status = DONE;

	if (signal == 0)
		return args_misused(args->command, "there is no signal '%s'", name);
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r = kill_one(cli, args->operands[i], signal, &diag);

		if (r == 0)
			puts(args->operands[i]);
		else
			status = ui_fail(r, &diag, lifecycle_hint(r), "cannot kill %s", args->operands[i]);
	}
	return status;
}
