// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/launch.h"
#include "tools/runspec.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <ctype.h>
#include <limits.h>

enum { STOP_SECONDS = 10, SECONDS_MAX = INT_MAX / 1000 };

/* docker's: -1 waits for ever. */
static bool read_seconds(const char *text, int *ret)
{
	char *end;
	long seconds = strtol(text, &end, 10);

	*ret = (int)seconds;
	return (isdigit((unsigned char)*text) || *text == '-') && !*end && seconds >= -1 && seconds <= SECONDS_MAX;
}

static int stop_one(struct cli *cli, const char *what, int seconds, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	int r = target_of_container(cli->store, what, diag, &target);

	if (r == 0 && target.run.status == RUN_NEVER)
		return diag_set(diag, -EINVAL, "it is not one of nacre run's: 'nacre umount' ends its mount");
	if (r == 0)
		r = launch_stop(target.container.dir, (int)runspec_number(target.run.spec, "StopSignal"), seconds);
	if (r == 0)
		puts(what);
	return r;
}

int cmd_stop(struct cli *cli, const struct args *args)
{
	const char *time = args_get(args, "time");
	int seconds = STOP_SECONDS, status = DONE;

	if (time && !read_seconds(time, &seconds))
		return args_misused(args->command, "--time %s is no number of seconds", time);
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r = stop_one(cli, args->operands[i], seconds, &diag);

		if (r < 0)
			status = ui_fail(r, &diag, r == -ENOENT || r == -ENOTUNIQ ? target_hint(r) : NULL,
					 "cannot stop %s", args->operands[i]);
	}
	return status;
}
