// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/detach.h"
#include "tools/target.h"
#include "tools/ui.h"

static int remove_one(struct cli *cli, const char *what, bool force, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	int r = target_of_container(cli->store, what, diag, &target);

	if (r < 0)
		return r;
	if (target.mounted && !force)
		return diag_set(diag, -EBUSY, "it is mounted on %s", target.container.mountpoint);
	if (target.mounted)
		r = detach_container(cli, &target.container, diag);
	if (r == 0)
		r = container_remove(cli->store, target.container.id, diag);
	if (r == 0)
		puts(what);
	return r;
}

static const char *hint_of(int err, bool force)
{
	if (err == -EBUSY && !force)
		return "'nacre umount' it first, or use -f";
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
