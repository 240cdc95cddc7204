// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/driver.h"
#include "tools/process.h"
#include "tools/storageconf.h"
#include "tools/ui.h"
#include "tools/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONF_LIMIT = 1024 * 1024 };

/* --- what is missing --- */

static void check_user(void)
{
	static const char *const maps[] = { "newuidmap", "newgidmap" };
	static const char *const ranges[] = { "/etc/subuid", "/etc/subgid" };
	const struct passwd *user = getpwuid(geteuid());
	const char *name = user ? user->pw_name : NULL;
	unsigned first, count;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (!process_can_run(maps[i]))
			ui_warn("%s is missing: install the package uidmap", maps[i]);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (!subid_range(ranges[i], name, geteuid(), &first, &count))
			ui_warn("%s has no range for %s: as root, usermod --add-sub%cids 100000-165535 %s, with numbers that "
				"are nobody else's",
				ranges[i], name ? name : "this user", i == 0 ? 'u' : 'g', name ? name : "USER");
}

static void check_machine(const char *driver)
{
	if (!process_can_run(driver))
		ui_warn("nacrefs is missing: install it, or say in $NACREFS where it is");
	if (!process_can_run("podman"))
		ui_warn("podman is missing: install the package podman");
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		ui_warn("/dev/fuse cannot be opened: as root, modprobe fuse && chmod 666 /dev/fuse");
	if (geteuid() != 0)
		check_user();
}

/* "podman version 5.4.2", "crio version 1.31.0": the first two numbers. */
static bool ask_version(const char *program, unsigned version[2])
{
	char *argv[] = { (char *)program, (char *)"--version", NULL };
	AUTO(freep) char *said = NULL;
	const char *found;

	if (!process_can_run(program) || process_ask(argv, &said) != 0)
		return false;
	found = strstr(said, "version ");
	return found && sscanf(found, "version %u.%u", &version[0], &version[1]) == 2;
}

/* Programs whose containers/storage is 1.54 or newer ask for no layer that nacre can vouch for. */
static void check_layers(const char *dir)
{
	static const struct {
		const char *program;
		unsigned since[2];
	} newer[] = { { "podman", { 5, 1 } }, { "buildah", { 1, 36 } }, { "crio", { 1, 31 } } };
	unsigned has[2];

	for (size_t i = 0; i < ARRAY_SIZE(newer); i++) {
		const unsigned *since = newer[i].since;

		if (ask_version(newer[i].program, has) && (has[0] != since[0] ? has[0] > since[0] : has[1] >= since[1]))
			ui_warn("%s %u.%u takes no layers from %s: --images %s gives it the images", newer[i].program,
				has[0], has[1], dir, dir);
	}
}

/* Owners are written there as the user who mounted it has them. */
static void check_images(const char *images)
{
	struct stat found;

	if (stat(images, &found) == 0 && found.st_uid != geteuid())
		ui_warn("%s is shown by another user, whose files have owners that this one's podman does not know: "
			"'nacre serve-layers' a folder of your own",
			images);
}

/* --- the file --- */

/* The name that counts, whatever links lead to it, and whether there is such a file. */
static char *real_file(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : ui_need(strdup(path));
}

static int make_folder(const char *path)
{
	AUTO(freep) char *folder = ui_need(strdup(path));
	char *slash = strrchr(folder, '/');

	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	return io_mkdirs(folder, 0755);
}

/* Beside it first: what was there stays whole whatever happens. */
static int replace_file(const char *path, const char *text)
{
	AUTO(freep) char *beside = NULL;
	AUTO(closep) int fd = -1;
	struct stat old;
	int r = make_folder(path);

	if (r == 0 && asprintf(&beside, "%s.nacre-new", path) < 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, text, strlen(text));
	if (r == 0 && stat(path, &old) == 0 && fchmod(fd, old.st_mode & 07777) < 0)
		r = -errno;
	if (r == 0 && (fsync(fd) < 0 || rename(beside, path) < 0))
		r = -errno;
	if (r < 0)
		unlink(beside);
	return r;
}

static char *driver_file(void)
{
	AUTO(freep) char *driver = driver_path();
	AUTO(freep) char *found = process_find(driver);
	char *real = found ? realpath(found, NULL) : NULL;

	return real ? real : TAKE(driver);
}

/* Podman does not start without its image stores, so one that is not there is refused. */
static int find_images(const char *served, char **ret_images)
{
	AUTO(freep) char *inside = NULL;
	struct stat found;
	int r = 0;

	if (asprintf(&inside, "%s/images", served) < 0)
		ui_out_of_memory();
	*ret_images = realpath(inside, NULL);
	if (!*ret_images || stat(*ret_images, &found) < 0)
		r = -errno;
	else if (!S_ISDIR(found.st_mode))
		r = -ENOTDIR;
	if (r == 0)
		return DONE;
	return ui_fail(r, NULL,
		       "podman would not start: 'systemctl enable --now nacre-layers' first, or 'nacre serve-layers'",
		       "cannot use %s", inside);
}

/* Those that the options name. */
static int find_folders(const struct args *args, char **ret_layers, char **ret_images)
{
	const char *layers = args_get(args, "layers"), *served = args_get(args, "images");

	if (layers && !(*ret_layers = realpath(layers, NULL)))
		return ui_fail(-errno, NULL, "make it, and 'nacre serve-layers' there", "cannot use %s", layers);
	return served ? find_images(served, ret_images) : DONE;
}

static int setup_podman(const struct args *args)
{
	AUTO(freep) char *path = storageconf_path(), *file = NULL, *old = NULL, *text = NULL;
	AUTO(freep) char *driver = driver_file(), *layers = NULL, *images = NULL;
	struct diag diag = { 0 };
	size_t bytes;
	int r;

	r = find_folders(args, &layers, &images);
	if (r != DONE)
		return r;
	if (!path)
		return ui_error("there is no home for storage.conf: $HOME is not set");
	file = real_file(path);
	r = io_read_file(AT_FDCWD, file, CONF_LIMIT, &old, &bytes);
	if (r < 0 && r != -ENOENT)
		return ui_fail(r, NULL, NULL, "cannot read %s", file);
	r = storageconf_edit(old, &(struct storageconf){ driver, layers, images }, &diag, &text);
	if (r < 0)
		return ui_fail(r, &diag, NULL, "cannot change %s", file);
	check_machine(driver);
	if (layers)
		check_layers(layers);
	if (images)
		check_images(images);
	if (!args_has(args, "write")) {
		printf("# %s\n%s", file, text);
		return DONE;
	}
	if (old && strcmp(old, text) == 0) {
		ui_note("%s is as it has to be", file);
		return DONE;
	}
	r = replace_file(file, text);
	if (r < 0)
		return ui_fail(r, NULL, NULL, "cannot write %s", file);
	printf("%s\n", file);
	return DONE;
}

int cmd_setup(struct cli *cli, const struct args *args)
{
	(void)cli;
	if (strcmp(args_operand(args, 0), "podman") != 0)
		return args_misused(args->command, "nothing is known of %s: podman", args_operand(args, 0));
	return setup_podman(args);
}
