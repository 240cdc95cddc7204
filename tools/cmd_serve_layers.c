// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/driver.h"
#include "tools/mountpoint.h"
#include "tools/ui.h"
#include "tools/userns.h"

#include <string.h>

/* Owners are shown as this user's podman needs them, unless he says himself how; before his options, to free(). */
static char *options_with_ids(const char *options)
{
	AUTO(freep) char *ids = NULL;

	if (options && (strstr(options, "idmapping=") || strstr(options, "squash_to_")))
		return ui_need(strdup(options));
	ids = userns_podman_ids();
	if (!ids || !options || !*options)
		return ids ? TAKE(ids) : options ? ui_need(strdup(options)) : NULL;
	return ui_format("%s,%s", ids, options);
}

int cmd_serve_layers(struct cli *cli, const struct args *args)
{
	AUTO(freep) char *mountpoint = NULL, *options = options_with_ids(args_get(args, "options"));
	const char *dir = args_operand(args, 0), *hint = NULL;
	struct driver_mount mount = { .all_layers = true, .user_options = options };
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
