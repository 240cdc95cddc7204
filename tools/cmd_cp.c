// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/imageconf.h"
#include "tools/treepath.h"
#include "tools/ui.h"
#include "tools/copyout.h"

#include <fcntl.h>
#include <string.h>

static void warn(const char *path, const char *why, void *arg)
{
	ui_error("cannot copy %s of %s: %s", path, (const char *)arg, why);
}

/* As cp(1): into @dest if it is a directory, else to it.  Return: a descriptor of the folder, or -errno. */
static int open_dest(const char *dest, const char *basename, char **ret_name)
{
	AUTO(freep) char *copy = ui_need(strdup(dest)), *dir = NULL;
	char *slash;
	int fd = open(dest, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		*ret_name = ui_need(strdup(basename));
		return fd;
	}
	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	slash = strrchr(copy, '/');
	*ret_name = ui_need(strdup(slash ? slash + 1 : copy));
	dir = slash ? ui_need(strndup(copy, slash == copy ? 1 : (size_t)(slash - copy))) : ui_need(strdup("."));
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int copy(struct cli *cli, struct view *view, const char *ref, const char *path, const char *dest,
		struct diag *diag, bool *ret_told)
{
	AUTO(copyout_freep) struct copyout *copyout = copyout_new(cli->store, view, warn, (void *)ref);
	AUTO(freep) char *resolved = NULL, *shown = NULL, *name = NULL;
	const struct view_node *node = NULL;
	int r = tree_resolve(view, path, false, &node, &resolved);

	if (r < 0)
		return diag_set(diag, r, "%s", strerror(-r));
	/* The root has no name: its files go into the folder itself. */
	AUTO(closep)
	int dirfd = open_dest(dest, *resolved ? strrchr(resolved, '/') ? strrchr(resolved, '/') + 1 : resolved : ".",
			      &name);
	if (dirfd < 0)
		return diag_set(diag, dirfd, "the folder of %s cannot be opened: %s", dest, strerror(-dirfd));
	if (asprintf(&shown, "/%s", resolved) < 0)
		ui_out_of_memory();
	*ret_told = true;
	return copyout_node(copyout, node, shown, dirfd, name);
}

int cmd_cp(struct cli *cli, const struct args *args)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(view_closep) struct view *view = NULL;
	const char *ref = args_operand(args, 0), *path = args_operand(args, 1), *dest = args_operand(args, 2);
	struct diag diag = { 0 };
	bool told = false;

	if (cli_open(cli, STORE_READ) < 0 || image_open_at(cli->store, ref, "copy from", &image) < 0)
		return FAILED;
	int r = view_open(cli->store, image.id, image.layer_count, &diag, &view);
	if (r == 0)
		r = copy(cli, view, ref, path, dest, &diag, &told);
	if (r < 0 && told)
		return FAILED;
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot copy %s of %s to %s", path, ref, dest);
	return DONE;
}
