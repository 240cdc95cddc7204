// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/image.h"
#include "tools/imageconf.h"
#include "tools/ui.h"

int cmd_tag(struct cli *cli, const struct args *args)
{
	const char *ref = args_operand(args, 0), *tag = args_operand(args, 1);
	struct diag diag = { 0 };

	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	int r = image_tag(cli->store, ref, tag, &diag);
	return r < 0 ? ui_fail(r, &diag, image_hint(r), "cannot tag %s as %s", ref, tag) : DONE;
}
