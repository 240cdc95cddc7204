// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/imageconf.h"
#include "tools/launch.h"
#include "tools/live.h"
#include "tools/runspec.h"
#include "tools/target.h"
#include "tools/ui.h"

static int find(struct cli *cli, const char *what, struct diag *diag, struct target *ret)
{
	int r = target_of_container(cli->store, what, diag, ret);

	if (r < 0)
		return r;
	if (ret->run.status == RUN_NEVER)
		return diag_set(diag, -EINVAL, "it is not one of nacre run's: it is there to be mounted");
	if (ret->run.status == RUN_RUNNING)
		return diag_set(diag, -EBUSY, "it is running already");
	if (ret->mounted)
		return diag_set(diag, -EBUSY, "it is mounted on %s", ret->container.mountpoint);
	return 0;
}

/* A live commit has given it another image than it was made of. */
static int use_image(struct store *store, struct target *target, struct diag *diag)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	char text[DIGEST_TEXT_BYTES];
	int r = image_info(store, target->container.image, diag, &image);

	if (r == 0)
		json_put_text(target->run.spec, "Image", digest_format(&image.digest, text));
	return r;
}

static int start_one(struct cli *cli, const char *what, bool attach)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(freep) char *action = ui_format("start %s", what);
	struct diag diag = { 0 };
	AUTO(closep) int lock = -1;
	bool started;

	if (cli_open(cli, STORE_WRITE) < 0)
		return attach ? LAUNCH_FAILED : FAILED;
	int r = find(cli, what, &diag, &target);
	if (r == 0)
		r = live_begin(cli->store, &target, &diag, &lock);
	if (r == 0)
		r = use_image(cli->store, &target, &diag);
	store_close(TAKE(cli->store));
	if (r < 0) {
		ui_fail(r, &diag, target_hint(r), "cannot %s", action);
		return attach ? LAUNCH_FAILED : FAILED;
	}
	int status = launch(&target.container, target.run.spec, !attach, action, &started);
	if (attach)
		return status;
	if (started)
		puts(what);
	return started ? DONE : FAILED;
}

int cmd_start(struct cli *cli, const struct args *args)
{
	bool attach = args_has(args, "attach");
	int status = DONE;

	if (attach && args->operand_count > 1)
		return args_misused(args->command, "--attach is for one container");
	for (size_t i = 0; i < args->operand_count; i++) {
		int r = start_one(cli, args->operands[i], attach);

		status = r != DONE ? r : status;
	}
	return status;
}
