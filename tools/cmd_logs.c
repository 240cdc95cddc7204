// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/runlog.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <ctype.h>
#include <string.h>

enum { TAIL_MAX = 10000000 };

/* As docker's: "all", or a number. */
static bool read_tail(const char *text, long *ret)
{
	char *end;

	*ret = -1;
	if (!text || strcmp(text, "all") == 0)
		return true;
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ret = strtol(text, &end, 10);
	return !*end && errno == 0 && *ret <= TAIL_MAX;
}

int cmd_logs(struct cli *cli, const struct args *args)
{
	AUTO(target_release) struct target target = { 0 };
	const char *what = args_operand(args, 0);
	struct diag diag = { 0 };
	struct runlog_reader reader = {
		.follow = args_has(args, "follow"),
		.timestamps = args_has(args, "timestamps"),
	};

	if (!read_tail(args_get(args, "tail"), &reader.tail))
		return args_misused(args->command, "--tail %s is no number of lines", args_get(args, "tail"));
	if (cli_open(cli, STORE_READ) < 0)
		return FAILED;
	int r = target_of_container(cli->store, what, &diag, &target);
	const char *hint = r < 0 ? target_hint(r) : NULL;
	if (r == 0 && target.run.status == RUN_NEVER)
		r = diag_set(&diag, -EINVAL, "it is not one of nacre run's: it has written nothing");
	reader.dir = target.container.dir;
	if (r == 0)
		r = runlog_print(&reader);
	return r < 0 ? ui_fail(r, &diag, hint, "cannot show the log of %s", what) : DONE;
}
