// SPDX-License-Identifier: Apache-2.0
#include "tools/lifecycle.h"

#include "store/base/auto.h"
#include "tools/cli.h"
#include "tools/imageconf.h"
#include "tools/launch.h"
#include "tools/live.h"
#include "tools/runspec.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <ctype.h>
#include <limits.h>

enum { SECONDS_MAX = INT_MAX / 1000 };

int lifecycle_find(struct cli *cli, const char *what, struct diag *diag, struct target *ret)
{
	int r = target_of_container(cli->store, what, diag, ret);

	if (r == 0 && ret->run.status == RUN_NEVER)
		r = diag_set(
			diag, -EINVAL,
			"it is not one of nacre run's: it is there to be mounted, and 'nacre umount' ends its mount");
	return r;
}

const char *lifecycle_hint(int err)
{
	return err == -ENOENT || err == -ENOTUNIQ ? target_hint(err) : NULL;
}

bool lifecycle_seconds(const char *text, int *ret)
{
	char *end;

	*ret = STOP_SECONDS;
	if (!text)
		return true;
	long seconds = strtol(text, &end, 10);
	*ret = (int)seconds;
	return (isdigit((unsigned char)*text) || *text == '-') && !*end && seconds >= -1 && seconds <= SECONDS_MAX;
}

int lifecycle_stop(struct cli *cli, const char *what, int seconds, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	int r = lifecycle_find(cli, what, diag, &target);

	if (r == 0)
		r = launch_stop(target.container.dir, (int)runspec_number(target.run.spec, "StopSignal"), seconds);
	return r;
}

static int check_not_running(const struct target *target, struct diag *diag)
{
	return target->run.status == RUN_RUNNING ? diag_set(diag, -EBUSY, "it is running already") : 0;
}

/* Nobody else starts or mounts it when we have the lock, and who copies has unmounted it. */
static int find_startable(struct cli *cli, const char *what, struct diag *diag, struct target *ret, int *ret_lock)
{
	int r = lifecycle_find(cli, what, diag, ret);

	if (r == 0)
		r = check_not_running(ret, diag);
	if (r == 0)
		r = live_begin(cli->store, ret, diag, ret_lock);
	if (r == 0)
		r = check_not_running(ret, diag);
	if (r == 0 && ret->mounted)
		r = diag_set(diag, -EBUSY, "it is mounted on %s", ret->container.mountpoint);
	return r;
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

int lifecycle_start(struct cli *cli, const char *verb, const char *what, bool attach)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(freep) char *action = ui_format("%s %s", verb, what);
	struct diag diag = { 0 };
	AUTO(closep) int lock = -1;
	bool started;

	if (cli_open(cli, STORE_WRITE) < 0)
		return attach ? LAUNCH_FAILED : FAILED;
	int r = find_startable(cli, what, &diag, &target, &lock);
	if (r == 0)
		r = use_image(cli->store, &target, &diag);
	store_close(TAKE(cli->store));
	if (r < 0) {
		ui_fail(r, &diag, target_hint(r), "cannot %s", action);
		return attach ? LAUNCH_FAILED : FAILED;
	}
	int status = launch(&target.container, target.run.spec, !attach, action, TAKE_FD(lock), &started);
	if (attach)
		return status;
	if (started)
		puts(what);
	return started ? DONE : FAILED;
}
