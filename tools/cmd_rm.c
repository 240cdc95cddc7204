// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/detach.h"
#include "tools/launch.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <signal.h>

/* One of run --rm may have removed itself when it was ended. */
static int remove_stopped(struct store *store, const struct target *target, struct diag *diag)
{
	struct diag reason = { 0 };
	bool ran = target->run.status == RUN_RUNNING;
	int r = container_remove(store, target->container.id, &reason);

	return r == 0 || (ran && r == -ENOENT) ? 0 : diag_set(diag, r, "%s", diag_text(&reason, r));
}

static int remove_one(struct cli *cli, const char *what, bool force, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	int r = target_of_container(cli->store, what, diag, &target);

	if (r < 0)
		return r;
	if (target.run.status == RUN_RUNNING && !force)
		return diag_set(diag, -EBUSY, "it is running");
	if (target.run.status == RUN_RUNNING)
		r = launch_stop(target.container.dir, SIGKILL, 0);
	if (r < 0)
		return diag_errno(diag, r, "it cannot be ended");
	launch_tidy(target.container.id);
	if (target.mounted && !force)
		return diag_set(diag, -EBUSY, "it is mounted on %s", target.container.mountpoint);
	if (target.mounted)
		r = detach_container(cli, &target.container, diag);
	if (r == 0)
		r = remove_stopped(cli->store, &target, diag);
	if (r == 0)
		puts(what);
	return r;
}

static const char *hint_of(int err, bool force)
{
	if (err == -EBUSY && !force)
		return "'nacre stop' or 'nacre umount' it first, or use -f";
	return err == -EBUSY ? detach_hint(err) : target_hint(err);
}

int cmd_rm(struct cli *cli, const struct args *args)
{
	bool force = args_has(args, "force");
	int status = DONE;

	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r = remove_one(cli, args->operands[i], force, &diag);

		if (r < 0 && !(force && r == -ENOENT))
			status = ui_fail(r, &diag, hint_of(r, force), "cannot remove container %s", args->operands[i]);
	}
	return status;
}
