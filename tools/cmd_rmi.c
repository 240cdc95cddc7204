// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/podmanindex.h"
#include "tools/imageconf.h"
#include "tools/podmanuse.h"
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
		return "'nacre umount' its mounts, and 'nacre rm' the containers that 'nacre ps -a' shows, 'podman rm' those of podman";
	if (err == -ENOTUNIQ)
		return "give more digits, or use -f to remove all names of the image";
	return image_hint(err);
}

/* Would the image go from under what podman has made of it? Then that is said. */
static bool is_of_podman(struct cli *cli, const char *ref)
{
	AUTO(image_info_releasep) struct image_info info = { 0 };
	AUTO(freep) char *user = NULL;
	char top[PODMANINDEX_ID_BYTES];
	struct image_id id;

	if (image_find(cli->store, ref, NULL, &id) < 0 || image_info_rest(cli->store, id, NULL, &info) < 0 ||
	    info.tag_count > 1 || podmanindex_top(cli->store, id, top) < 0)
		return false;
	user = podman_user_of(top);
	if (user)
		ui_error(
			"cannot remove %s: podman's %s stands on it, and could not be used any more (remove that in podman, "
			"or use -f)",
			ref, user);
	return user != NULL;
}

int cmd_rmi(struct cli *cli, const struct args *args)
{
	bool force = args_has(args, "force");
	int status = DONE;

	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r;

		if (!force && is_of_podman(cli, args->operands[i])) {
			status = FAILED;
			continue;
		}
		r = image_remove(cli->store, args->operands[i], force, on_removed, NULL, &diag);

		if (r < 0 && !(force && r == -ENOENT))
			status = ui_fail(r, &diag, hint_of(r), "cannot remove %s", args->operands[i]);
	}
	return status;
}
