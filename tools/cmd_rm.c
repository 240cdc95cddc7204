// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/detach.h"
#include "tools/driver.h"
#include "tools/launch.h"
#include "tools/live.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <signal.h>

/* With the lock, so that nobody starts or mounts it any more. */
static int remove_locked(struct cli *cli, const struct target *target, bool force, struct diag *diag)
{
	int r = 0;

	launch_tidy(target->container.id);
	if (target->mounted && !force)
		return diag_set(diag, -EBUSY, "it is mounted on %s", target->container.mountpoint);
	if (target->mounted)
		r = driver_stop(target->container.mountpoint, diag);
	return r < 0 ? r : container_remove(cli->store, target->container.id, diag);
}

static int end(const struct target *target, bool force, struct diag *diag)
{
	if (!force)
		return diag_set(diag, -EBUSY, "it is running");
	int r = launch_stop(target->container.dir, SIGKILL, 0);
	return r < 0 ? diag_errno(diag, r, "it cannot be ended") : 0;
}

static int remove_one(struct cli *cli, const char *what, bool force, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	struct diag reason = { 0 };
	bool ran = false;
	int r = target_of_container(cli->store, what, diag, &target);

	while (r == 0) {
		AUTO(closep) int lock = -1;

		if (target.run.status == RUN_RUNNING)
			r = end(&target, force, diag);
		if (r < 0)
			return r;
		ran |= target.run.status == RUN_RUNNING;
		r = live_lock(cli->store, &target, &reason, &lock);
		/* Another may have started it meanwhile. */
		if (r == 0 && target.run.status == RUN_RUNNING)
			continue;
		if (r == 0)
			r = remove_locked(cli, &target, force, &reason);
		/* One of run --rm may have removed itself when it was ended. */
		if (r < 0 && !(ran && r == -ENOENT))
			return diag_set(diag, r, "%s", diag_text(&reason, r));
		puts(what);
		return 0;
	}
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
