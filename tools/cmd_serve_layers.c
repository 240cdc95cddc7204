// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/driver.h"
#include "tools/mountpoint.h"
#include "tools/ui.h"

int cmd_serve_layers(struct cli *cli, const struct args *args)
{
	AUTO(freep) char *mountpoint = NULL;
	const char *dir = args_operand(args, 0), *hint = NULL;
	struct driver_mount mount = { .all_layers = true, .user_options = args_get(args, "options") };
	struct diag diag = { 0 };
	int r;

	/* One that is not there is made: what comes into it is shown from then on. */
	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	r = mountpoint_check(dir, false, &mountpoint, &diag, &hint);
	if (r == 0) {
		mount.store_dir = store_dir(cli->store);
		mount.mountpoint = mountpoint;
		r = driver_start(&mount, &diag);
	}
	return r < 0 ? ui_fail(r, &diag, hint, "cannot show the layers on %s", dir) : DONE;
}
