// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/image.h"
#include "tools/imageconf.h"
#include "tools/ui.h"

#include <ctype.h>

/* docker's lines: "Untagged: base:1", "Deleted: sha256:...". */
static void on_removed(const char *what, const char *name, void *arg)
{
	AUTO(freep) char *line = ui_format("%c%s: %s", toupper((unsigned char)what[0]), what + 1, name);

	puts(line);
}

static const char *hint_of(int err)
{
	if (err == -EBUSY)
		return "'nacre umount' its mounts, and 'nacre rm' the containers that 'nacre ps -a' shows";
	if (err == -ENOTUNIQ)
		return "give more digits, or use -f to remove all names of the image";
	return image_hint(err);
}

int cmd_rmi(struct cli *cli, const struct args *args)
{
	bool force = args_has(args, "force");
	int status = DONE;

	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r = image_remove(cli->store, args->operands[i], force, on_removed, NULL, &diag);

		if (r < 0 && !(force && r == -ENOENT))
			status = ui_fail(r, &diag, hint_of(r), "cannot remove %s", args->operands[i]);
	}
	return status;
}
