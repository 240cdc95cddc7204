// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/detach.h"
#include "tools/driver.h"
#include "tools/live.h"
#include "tools/mounts.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <string.h>

const char *detach_hint(int err)
{
	switch (err) {
	case -EBUSY:
		return "a program has its working directory or an open file in it; 'fuser -vm DIR' tells which";
	case -ENOSPC:
	case -EDQUOT:
	case -EIO:
		return "free some space and try again; 'fusermount3 -u DIR' gives up what is not written";
	case -ENOENT:
	case -EINVAL:
		return "'nacre mount' lists what is mounted";
	default:
		return NULL;
	}
}

int detach_container(struct cli *cli, const struct container_info *container, struct diag *diag)
{
	int r = driver_stop(container->mountpoint, diag);

	if (r < 0)
		return r;
	r = container_set_mountpoint(cli->store, container->id, NULL);
	live_end(cli->store, container->id);
	return r < 0 ? diag_errno(diag, r, "it is unmounted, but the store cannot record it") : 0;
}

/*
 * A mount must end even when its store is not the one of this call, is damaged
 * or gone: without a store there is only no container to look after.
 */
static void open_quietly(struct cli *cli)
{
	struct diag ignored = { 0 };
	AUTO(freep) char *dir = cli->store_option ? NULL : ui_need(store_default_dir());
	const char *path = dir ? dir : cli->store_option;

	/* STORE_WRITE would make a store that is not there. */
	if (store_open(path, STORE_READ, &ignored, &cli->store) < 0)
		return;
	store_close(cli->store);
	cli->store = NULL;
	store_open(path, STORE_WRITE, &ignored, &cli->store);
}

/* A word that is a container's name and no path: where it is mounted. */
static int path_of(struct cli *cli, const char *what, char **ret, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	struct diag ignored = { 0 };

	if (cli->store && !target_is_path(what) && target_of_container(cli->store, what, &ignored, &target) == 0) {
		if (!target.mounted)
			return diag_set(diag, -EINVAL, "the container is not mounted");
		*ret = ui_need(strdup(target.container.mountpoint));
		return 0;
	}
	int r = mount_point_path(what, ret);
	if (r < 0)
		return diag_set(diag, r, "%s", r == -ENOENT ? "there is no such directory or container" : strerror(-r));
	r = nacre_mounted_at(*ret);
	if (r == 0)
		return diag_set(diag, -EINVAL, "nothing of nacre is mounted there");
	return r < 0 ? diag_errno(diag, r, "cannot read what is mounted") : 0;
}

static int umount_container(struct cli *cli, const struct container_info *container, bool rm, struct diag *diag)
{
	int r = detach_container(cli, container, diag);

	if (r < 0)
		return r;
	if (rm)
		return live_remove(cli->store, container->id, diag);
	ui_note("The changes are kept in container %s, which 'nacre ps -a' lists;", container->id);
	ui_note("'nacre mount --container %s DIR' mounts it again.", container->id);
	return 0;
}

static int umount_one(struct cli *cli, const char *what, bool rm, struct diag *diag)
{
	AUTO(container_info_release) struct container_info container = { 0 };
	AUTO(freep) char *path = NULL;
	int r = path_of(cli, what, &path, diag);

	if (r < 0)
		return r;
	if (cli->store && container_find_mount(cli->store, path, &container) == 0)
		return umount_container(cli, &container, rm, diag);
	return driver_stop(path, diag);
}

int cmd_umount(struct cli *cli, const struct args *args)
{
	int status = DONE;

	open_quietly(cli);
	for (size_t i = 0; i < args->operand_count; i++) {
		struct diag diag = { 0 };
		int r = umount_one(cli, args->operands[i], args_has(args, "rm"), &diag);

		if (r < 0)
			status = ui_fail(r, &diag, detach_hint(r), "cannot unmount %s", args->operands[i]);
	}
	return status;
}
