// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/launch.h"
#include "tools/lifecycle.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <unistd.h>

enum { RETRY_US = 100 * 1000 };

/* What `nacre run --rm` made is gone when it has ended: then only those who were waiting learn how. */
static int wait_one(struct cli *cli, const char *what, struct diag *diag, int *ret_status)
{
	AUTO(target_release) struct target target = { 0 };
	int r = lifecycle_find(cli, what, diag, &target);

	while (r == 0 && target.run.status == RUN_RUNNING) {
		r = launch_wait(target.container.dir, ret_status);
		if (r != -ESRCH)
			return r;
		/* Its monitor was killed, or has too many to talk to. */
		usleep(RETRY_US);
		run_state_release(&target.run);
		r = run_state_read(target.container.dir, &target.run);
	}
	if (r == 0 && target.run.status == RUN_NEVER)
		return diag_set(diag, -ENOENT, "it has removed itself when it ended: nobody knows how");
	*ret_status = target.run.exit_code;
	return r;
}

int cmd_wait(struct cli *cli, const struct args *args)
{
	int status = DONE;

	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int exit_code = 0;
		int r = wait_one(cli, args->operands[i], &diag, &exit_code);

		if (r == 0) {
			printf("%d\n", exit_code);
			fflush(stdout);
		} else {
			status = ui_fail(r, &diag, lifecycle_hint(r), "cannot wait for %s", args->operands[i]);
		}
	}
	return status;
}
