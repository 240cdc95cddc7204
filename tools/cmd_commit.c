// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/commit.h"
#include "tools/imageconf.h"
#include "tools/live.h"
#include "tools/progress.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <ctype.h>

/*
 * When the new image says it was made: $SOURCE_DATE_EPOCH
 * (reproducible-builds.org), so that the same changes give the same image ID.
 */
static int read_epoch(int64_t *ret)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end = NULL;

	*ret = -1;
	if (!text || !*text)
		return 0;
	errno = 0;
	long long seconds = strtoll(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno)
		return -EINVAL;
	*ret = seconds;
	return 0;
}

static const char *hint_of(int err)
{
	if (err == -EAGAIN)
		return "stop what writes to it, and commit again";
	return target_hint(err);
}

static int commit(struct cli *cli, struct target *target, bool live, struct commit_options *options, struct diag *diag)
{
	AUTO(image_info_releasep) struct image_info info = { 0 };
	struct image_id id = { 0 };
	char text[DIGEST_TEXT_BYTES];
	int r;

	if (live)
		r = live_commit(cli->store, target, options, diag, &id);
	else
		r = upper_commit(cli->store, target->container.image, target->container.upper, options, diag, &id,
				 NULL);
	if (r == 0)
		r = image_info(cli->store, id, diag, &info);
	if (r == 0)
		printf("%s\n", digest_format(&info.digest, text));
	return r;
}

int cmd_commit(struct cli *cli, const struct args *args)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(freep) const char **changes = args_all(args, "change");
	const char *what = args_operand(args, 0);
	bool live = args_has(args, "live");
	struct diag diag = { 0 };
	AUTO(closep) int lock = -1;
	struct progress progress;
	struct commit_options options = {
		.message = args_get(args, "message"),
		.author = args_get(args, "author"),
		.tag = args_operand(args, 1),
		.changes = changes,
		.squash = args_has(args, "squash"),
		.progress = progress_update,
		.progress_arg = &progress,
	};

	if (read_epoch(&options.created) < 0)
		return ui_error("cannot commit %s: $SOURCE_DATE_EPOCH is not a number of seconds: %s", what,
				getenv("SOURCE_DATE_EPOCH"));
	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	progress_begin(&progress, what, 0, args_has(args, "quiet"));
	int r = target_find(cli->store, what, &diag, &target);
	if (r == 0)
		r = live_begin(cli->store, &target, &diag, &lock);
	if (r == 0 && !live)
		r = target_flush(&target, &diag);
	/* -EINVAL means "no mount" here only: of the commit it is a bad --change or name. */
	const char *hint = r < 0 ? hint_of(r) : NULL;
	if (r == 0) {
		r = commit(cli, &target, live, &options, &diag);
		hint = live && !target.mounted && target.run.status != RUN_RUNNING
			       ? "without --live it is committed as it is"
		       : r == -EAGAIN ? hint_of(r)
				      : NULL;
	}
	progress_end(&progress);
	return r < 0 ? ui_fail(r, &diag, hint, "cannot commit %s", what) : DONE;
}
