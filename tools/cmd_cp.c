// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/containercp.h"
#include "tools/copyout.h"
#include "tools/imageconf.h"
#include "tools/imagetar.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
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

/* The archive has the last name of what is copied; of the root, and of what ends in "/.", only what is in it. */
static const char *name_in_archive(const char *path, const char *resolved)
{
	size_t len = strlen(path);
	const char *slash = strrchr(resolved, '/');

	if (!*resolved || (len >= 2 && strcmp(path + len - 2, "/.") == 0))
		return NULL;
	return slash ? slash + 1 : resolved;
}

static int stream(struct cli *cli, struct view *view, const char *ref, const char *path, struct diag *diag,
		  bool *ret_told)
{
	AUTO(freep) char *resolved = NULL, *shown = NULL;
	const struct view_node *node = NULL;
	int r = tree_resolve(view, path, false, &node, &resolved);

	if (r < 0)
		return diag_set(diag, r, "%s", strerror(-r));
	if (asprintf(&shown, "/%s", resolved) < 0)
		ui_out_of_memory();
	r = image_tar(cli->store, view, node, shown, name_in_archive(path, resolved), STDOUT_FILENO, warn, (void *)ref,
		      diag);
	*ret_told = r < 0 && !*diag->text;
	return r;
}

static int copy_of_image(struct cli *cli, const char *ref, const char *path, const char *dest)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	AUTO(view_closep) struct view *view = NULL;
	struct diag diag = { 0 };
	bool told = false;

	if (cli_open(cli, STORE_READ) < 0 || image_open_at(cli->store, ref, "copy from", &image) < 0)
		return FAILED;
	int r = view_open(cli->store, image.id, image.layer_count, &diag, &view);
	if (r == 0 && strcmp(dest, "-") == 0)
		r = stream(cli, view, ref, path, &diag, &told);
	else if (r == 0)
		r = copy(cli, view, ref, path, dest, &diag, &told);
	/* Once, whatever the number of files that it was said of. */
	if (r == -EIO && told)
		return ui_error("not all of %s could be read (" DIAG_VERIFY ")", ref);
	if (r < 0 && told)
		return FAILED;
	if (r < 0)
		return ui_fail(r, &diag, r == -ENOENT ? "'nacre ls' shows what is there" : NULL,
			       "cannot copy %s of %s to %s", path, ref, dest);
	return DONE;
}

/* "NAME:PATH": what is before the first ':', unless that is a path on this machine. NULL: it is one. */
static const char *colon_of(const char *operand)
{
	const char *colon = strchr(operand, ':');

	return *operand == '/' || *operand == '.' || colon == operand ? NULL : colon;
}

static int copy_of_container(struct cli *cli, const struct args *args, const char *from, const char *to)
{
	const char *colon = colon_of(from);
	bool out = colon != NULL;

	if (out && colon_of(to))
		return args_misused(args->command,
				    "from one container to another: 'nacre cp A:PATH - | nacre cp - B:FOLDER'");
	if (!out && !(colon = colon_of(to)))
		return args_misused(args->command, "neither %s nor %s is CONTAINER:PATH", from, to);
	AUTO(freep) char *name = ui_need(strndup(out ? from : to, (size_t)(colon - (out ? from : to))));
	struct container_cp cp = {
		.name = name,
		.path = colon + 1,
		.here = out ? to : from,
		.stream = strcmp(out ? to : from, "-") == 0,
		.out = out,
		.owners = args_has(args, "archive"),
		.follow = args_has(args, "follow-link"),
	};
	if (cp.stream && isatty(out ? STDOUT_FILENO : STDIN_FILENO))
		return args_misused(args->command, "an archive is nothing for a terminal: redirect it");
	return container_cp(cli, &cp);
}

int cmd_cp(struct cli *cli, const struct args *args)
{
	const char *one = args_operand(args, 0), *two = args_operand(args, 1), *three = args_operand(args, 2);

	if (!three)
		return copy_of_container(cli, args, one, two);
	if (args_has(args, "archive") || args_has(args, "follow-link"))
		return args_misused(args->command, "-a and -L are for containers");
	if (strcmp(three, "-") == 0 && isatty(STDOUT_FILENO))
		return args_misused(args->command,
				    "an archive is nothing for a terminal: redirect it; './-' is a file");
	/* A reader that has gone is an error like others. */
	if (strcmp(three, "-") == 0)
		signal(SIGPIPE, SIG_IGN);
	return copy_of_image(cli, one, two, three);
}
