// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/container.h"
#include "store/frozen.h"
#include "tools/imageconf.h"
#include "tools/launch.h"
#include "tools/live.h"
#include "tools/runspec.h"
#include "tools/runstate.h"
#include "tools/runtime.h"
#include "tools/ui.h"
#include "tools/userns.h"

#include <string.h>

/* What must be so before anything is made. */
static int check(const struct args *args, const json_t *spec, struct diag *diag)
{
	bool limits = runspec_number(spec, "Memory") || runspec_number(spec, "PidsLimit");

	if (args_has(args, "tty") && args_has(args, "interactive") && !args_has(args, "detach") &&
	    !isatty(STDIN_FILENO))
		return diag_set(diag, -ENOTTY, "-t and -i need a terminal, and standard input is none");
	if (geteuid() == 0)
		return 0;
	if (limits)
		return diag_set(
			diag, -EPERM, "--memory and --pids-limit need control groups, which are root's; %s",
			runtime_cgroups_are_v2()
				? "'systemd-run --user --scope -p MemoryMax=512M -p TasksMax=100 nacre run ...' "
				  "sets limits for it where the machine lets users do so"
				: "of their version 1, which this machine has, users cannot be given a part: run "
				  "it as root");
	return userns_check(diag);
}

/* A container and what it will be run with. */
static int make(struct cli *cli, const struct args *args, struct diag *diag, struct container_info *ret_container,
		json_t **ret_spec, const char **ret_hint)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	struct image_id id = { 0 };
	int r = image_find(cli->store, args_operand(args, 0), diag, &id);

	*ret_hint = r == -ENOENT ? "'nacre images' lists those that are here, 'nacre pull' fetches one" : NULL;
	if (r < 0 && r != -ENOENT)
		*ret_hint = image_hint(r);
	if (r == 0)
		r = image_info(cli->store, id, diag, &image);
	if (r == 0)
		r = runspec_new(args, &image, store_dir(cli->store), diag, ret_spec);
	if (r == 0)
		r = check(args, *ret_spec, diag);
	if (r == 0)
		r = container_new(cli->store, id, args_get(args, "name"), geteuid() != 0, diag, ret_container);
	if (r < 0)
		return r;
	if (!*runspec_text(*ret_spec, "Hostname"))
		json_put_text(*ret_spec, "Hostname", ret_container->id);
	r = run_spec_write(ret_container->dir, *ret_spec);
	if (r < 0)
		container_remove(cli->store, ret_container->id, NULL);
	return r < 0 ? diag_errno(diag, r, "cannot keep what it is run with") : 0;
}

static void remove_unstarted(struct cli *cli, const char *id)
{
	struct diag ignored = { 0 };

	if (cli_open(cli, STORE_WRITE) == 0)
		live_remove(cli->store, id, &ignored);
}

int cmd_run(struct cli *cli, const struct args *args)
{
	AUTO(container_info_release) struct container_info container = { 0 };
	AUTO(json_freep) json_t *spec = NULL;
	AUTO(freep) char *action = ui_format("run %s", args_operand(args, 0));
	bool detach = args_has(args, "detach"), started = false;
	const char *hint = NULL;
	AUTO(closep) int lock = -1;
	struct diag diag = { 0 };

	if (cli_open(cli, STORE_WRITE) < 0)
		return LAUNCH_FAILED;
	int r = make(cli, args, &diag, &container, &spec, &hint);
	if (r == 0)
		r = container_lock(cli->store, container.id, &diag, &lock);
	if (r < 0) {
		ui_fail(r, &diag, hint, "cannot %s", action);
		return LAUNCH_FAILED;
	}
	store_close(TAKE(cli->store));
	int status = launch(&container, spec, detach, action, TAKE_FD(lock), &started);
	if (!started && args_has(args, "rm"))
		remove_unstarted(cli, container.id);
	if (detach && started)
		printf("%s\n", container.id);
	return status;
}
