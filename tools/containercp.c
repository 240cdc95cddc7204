// SPDX-License-Identifier: Apache-2.0
#include "tools/containercp.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/libarchive.h"
#include "tools/cli.h"
#include "tools/copytar.h"
#include "tools/copytree.h"
#include "tools/driver.h"
#include "tools/imageconf.h"
#include "tools/inside.h"
#include "tools/live.h"
#include "tools/rootdir.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/*
 * One side: the container, whose root bounds all its names, or this machine.  Its root and working directory are
 * kept from before: in the namespaces of a container both are the monitor's.
 */
struct side {
	bool inside;
	int root, cwd; /* borrowed; @cwd of this machine only */
	const char *path;
};

/* One copy under way. */
struct copying {
	const struct container_cp *cp;
	struct side from, to;
	int root, cwd;	 /* borrowed: of this machine */
	const char *dir; /* of a container that runs: its folder */
	int in;		 /* borrowed: the archive that comes in */
	struct diag *diag;
};

static int side_open(const struct side *side, const char *path, int flags)
{
	const char *below = path + strspn(path, "/");

	if (side->inside)
		return rootdir_open(side->root, *path ? path : "/", flags);
	int fd = openat(*path == '/' ? side->root : side->cwd, *below ? below : ".", flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* "a/b/": "b"; the folder of it, "a", into *@ret_parent. */
static const char *last_name(const char *path, char **ret_copy, const char **ret_parent)
{
	char *copy = *ret_copy = ui_need(strdup(path));

	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	char *slash = strrchr(copy, '/');
	*ret_parent = !slash ? "." : slash == copy ? "/" : copy;
	if (slash)
		*slash = '\0';
	return slash ? slash + 1 : copy;
}

/* What has no name of its own: of such a folder what is in it is copied. */
static bool is_nameless(const char *name)
{
	return !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void warn(const char *path, const char *why, void *arg)
{
	const struct container_cp *cp = arg;

	ui_error("cannot copy %s %s %s: %s", path, cp->out ? "of" : "to", cp->name, why);
}

/* Where the copy goes. */
struct place {
	int dirfd; /* owned */
	char *name;
	int file; /* owned: it goes over this file; -1: it gets a name */
};

static void place_release(struct place *place)
{
	closep(&place->dirfd);
	closep(&place->file);
	free(place->name);
}

static int not_there(const struct copying *c, int err, const struct side *side)
{
	return diag_set(c->diag, err, "%s%s: %s", side->inside ? "in it, " : "", side->path, strerror(-err));
}

/* There is nothing of that name yet: in the folder above. */
static int place_new(const struct copying *c, bool directory, struct place *ret)
{
	AUTO(freep) char *copy = NULL;
	const char *parent, *name = last_name(c->to.path, &copy, &parent);
	size_t len = strlen(c->to.path);

	if (!directory && len > 0 && c->to.path[len - 1] == '/')
		return diag_set(c->diag, -ENOENT, "there is no folder %s", c->to.path);
	ret->dirfd = side_open(&c->to, parent, O_PATH | O_DIRECTORY);
	if (ret->dirfd < 0)
		return not_there(c, ret->dirfd, &c->to);
	ret->name = ui_need(strdup(name));
	return 0;
}

/* docker's rules, which are mostly those of cp(1). */
static int find_place(const struct copying *c, const char *name, bool directory, struct place *ret)
{
	AUTO(closep) int fd = side_open(&c->to, c->to.path, O_PATH);
	AUTO(closep) int link = -1;
	struct stat st;

	if (fd == -ENOENT)
		return place_new(c, directory, ret);
	if (fd < 0)
		return not_there(c, fd, &c->to);
	if (is_directory(fd)) {
		ret->dirfd = TAKE_FD(fd);
		ret->name = is_nameless(name) ? NULL : ui_need(strdup(name));
		return 0;
	}
	if (directory)
		return diag_set(c->diag, -ENOTDIR, "%s is a file, and what is copied is a folder", c->to.path);
	/* A symlink's file is written over, where it leads to; any other is replaced. */
	link = side_open(&c->to, c->to.path, O_PATH | O_NOFOLLOW);
	if (link >= 0 && fstat(link, &st) == 0 && S_ISLNK(st.st_mode))
		ret->file = TAKE_FD(fd);
	return place_new(c, directory, ret);
}

static int copy_to(const struct copying *c, int from, const struct place *place)
{
	struct copytree copy = { .owners = c->cp->owners, .warn = warn, .arg = (void *)c->cp };
	struct stat st;

	if (fstat(place->dirfd, &st) == 0) {
		copy.target_dev = st.st_dev;
		copy.target_ino = st.st_ino;
	}
	if (place->file >= 0)
		copytree_onto(&copy, from, c->from.path, place->file);
	else if (place->name)
		copytree_node(&copy, from, c->from.path, place->dirfd, place->name);
	else
		copytree_children(&copy, from, c->from.path, place->dirfd);
	linkset_release(&copy.links);
	return copy.status < 0 ? FAILED : DONE;
}

static int open_source(const struct copying *c, const char *name)
{
	size_t len = strlen(c->from.path);
	/* "link/" means what the link leads to, as everywhere. */
	bool slash = len > 0 && c->from.path[len - 1] == '/';
	bool follow = c->cp->follow || slash || is_nameless(name);
	int from = side_open(&c->from, c->from.path, O_PATH | (follow ? 0 : O_NOFOLLOW));

	return from < 0 ? not_there(c, from, &c->from) : from;
}

/* Return: DONE or FAILED; -errno: nothing was copied, and @c->diag says why. */
static int copy_sides(const struct copying *c)
{
	AUTO(place_release) struct place place = { .dirfd = -1, .file = -1 };
	AUTO(freep) char *copy = NULL;
	const char *parent, *name = last_name(c->from.path, &copy, &parent);
	AUTO(closep) int from = open_source(c, name);

	if (from < 0)
		return from;
	int r = find_place(c, name, is_directory(from), &place);
	return r < 0 ? r : copy_to(c, from, &place);
}

/* The same with an archive for what is here. A user's mount shows root's files as the user's. */
static int copy_stream(const struct copying *c)
{
	struct copytar copy = { .warn = warn, .arg = (void *)c->cp, .own_is_root = geteuid() != 0 };
	AUTO(freep) char *path = NULL;
	const char *parent, *name = last_name(c->cp->path, &path, &parent);
	AUTO(closep) int fd = c->cp->out ? open_source(c, name) : side_open(&c->to, c->to.path, O_PATH);
	int r;

	if (fd < 0)
		return c->cp->out ? fd : not_there(c, fd, &c->to);
	if (c->cp->out)
		r = copytar_out(&copy, fd, c->cp->path, is_nameless(name) ? NULL : name, STDOUT_FILENO, c->diag);
	else if (!is_directory(fd))
		r = diag_set(c->diag, -ENOTDIR, "an archive is copied into a folder, and %s is none", c->cp->path);
	else
		r = copytar_in(&copy, c->in, c->to.root, c->to.path, c->diag);
	return r < 0 ? r : copy.status < 0 ? FAILED : DONE;
}

static int complain(const struct container_cp *cp, int err, const struct diag *diag, const char *hint)
{
	const char *here = !cp->stream ? cp->here : cp->out ? "standard output" : "standard input";

	if (cp->out)
		return ui_fail(err, diag, hint, "cannot copy %s of %s to %s", cp->path, cp->name, here);
	return ui_fail(err, diag, hint, "cannot copy %s to %s of %s", here, cp->path, cp->name);
}

/*
 * The container's root.
 */

static int copy_at(struct copying *c, int root)
{
	struct side inside = { true, root, -1, c->cp->path }, here = { false, c->root, c->cwd, c->cp->here };

	c->from = c->cp->out ? inside : here;
	c->to = c->cp->out ? here : inside;
	return c->cp->stream ? copy_stream(c) : copy_sides(c);
}

static int copy_in_mount(struct copying *c, const char *mountpoint)
{
	AUTO(closep) int root = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return root < 0 ? diag_errno(c->diag, -errno, "its mount on %s cannot be entered", mountpoint)
			: copy_at(c, root);
}

/* In the namespaces of its monitor. Return: an exit status. */
static int copy_inside(void *arg)
{
	struct copying *c = arg;
	AUTO(closep) int root = inside_root(c->dir, c->diag);
	int r = root < 0 ? root : copy_at(c, root);

	return r < 0 ? complain(c->cp, r, c->diag, NULL) : r;
}

static int copy_running(struct cli *cli, struct copying *c, const struct target *target)
{
	pid_t monitor;
	int r = inside_find(target, c->diag, &monitor);

	store_close(TAKE(cli->store));
	c->dir = target->container.dir;
	return r < 0 ? r : inside_call(monitor, copy_inside, c, c->diag);
}

/* Its root, as it will be when it is started again.  Whoever looks meanwhile sees it as mounted. */
static int mount_for_copy(struct cli *cli, const struct container_info *container, const char *mountpoint,
			  struct diag *diag)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	struct driver_mount mount = {
		.store_dir = store_dir(cli->store),
		.image = &image.digest,
		.upper = container->upper,
		.work = container->work,
		.fakeroot = container->fakeroot,
		.mountpoint = mountpoint,
	};
	int r = image_info(cli->store, container->image, diag, &image);

	if (r == 0 && mkdir(mountpoint, 0755) < 0 && errno != EEXIST)
		r = diag_errno(diag, -errno, "cannot make %s", mountpoint);
	if (r == 0)
		r = container_set_mountpoint(cli->store, container->id, mountpoint);
	if (r == 0)
		r = driver_start(&mount, diag);
	if (r < 0)
		(void)container_set_mountpoint(cli->store, container->id, NULL);
	return r;
}

static int unmount_after_copy(struct cli *cli, const struct container_info *container, const char *mountpoint,
			      struct diag *diag)
{
	int r = driver_stop(mountpoint, diag);

	if (r == 0)
		r = container_set_mountpoint(cli->store, container->id, NULL);
	return r;
}

/*
 * An archive may come out of the same container, from one who has the lock until all of it has been taken from him, or who
 * waits for it before he begins: so it is put by before we have it.
 */
static int put_by(const struct copying *c, const char *dir)
{
	AUTO(closep) int spool = io_unnamed_file(dir);
	int r;

	if (spool < 0)
		return diag_errno(c->diag, spool, "cannot make a file in %s", dir);
	r = io_copy_to_end(c->in, spool);
	if (r == 0 && lseek(spool, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? diag_errno(c->diag, r, "cannot put the archive by in %s", dir) : TAKE_FD(spool);
}

static bool comes_from_somebody(const struct copying *c)
{
	struct stat st;

	return c->cp->stream && !c->cp->out && fstat(c->in, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static bool is_mounted_elsewhere(const struct target *target, const char *own)
{
	return target->mounted && strcmp(target->container.mountpoint, own) != 0;
}

/*
 * Neither running nor mounted by anybody else: others who come to copy wait for the lock, and what one left who was
 * killed is used and unmounted.
 */
static int copy_mounted(struct cli *cli, struct copying *c, struct target *target, const char *mountpoint)
{
	AUTO(closep) int lock = -1;
	AUTO(closep) int spool = -1;
	struct diag why = { 0 };
	int r, ended;

	if (comes_from_somebody(c)) {
		c->in = spool = put_by(c, target->container.dir);
		if (spool < 0)
			return spool;
	}
	r = live_begin(cli->store, target, c->diag, &lock);
	if (r < 0)
		return r;
	/* Somebody may have started or mounted it while we waited for him. */
	if (target->run.status == RUN_RUNNING) {
		close(TAKE_FD(lock));
		return copy_running(cli, c, target);
	}
	if (is_mounted_elsewhere(target, mountpoint)) {
		close(TAKE_FD(lock));
		return copy_in_mount(c, target->container.mountpoint);
	}
	if (!target->mounted)
		r = mount_for_copy(cli, &target->container, mountpoint, c->diag);
	if (r < 0)
		return r;
	r = copy_in_mount(c, mountpoint);
	ended = unmount_after_copy(cli, &target->container, mountpoint, &why);
	close(TAKE_FD(lock));
	live_end(cli->store, target->container.id);
	return ended < 0 && r >= 0 ? diag_set(c->diag, ended, "%s", diag_text(&why, ended)) : r;
}

static int copy_either(struct cli *cli, struct copying *c)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(freep) char *own = NULL;
	int r = target_of_container(cli->store, c->cp->name, c->diag, &target);

	if (r < 0)
		return r;
	if (target.run.status == RUN_RUNNING)
		return copy_running(cli, c, &target);
	if (asprintf(&own, "%s/rootfs", target.container.dir) < 0)
		ui_out_of_memory();
	if (is_mounted_elsewhere(&target, own))
		return copy_in_mount(c, target.container.mountpoint);
	return copy_mounted(cli, c, &target, own);
}

static const char *hint_of(int err, const struct diag *diag)
{
	/* -ENOENT may be of a file too. */
	if (strncmp(diag->text, "no such container", strlen("no such container")) == 0)
		return "'nacre ps -a' lists the containers; of an image it is 'nacre cp IMAGE PATH DEST'";
	return err == -ENOTUNIQ ? target_hint(err) : NULL;
}

int container_cp(struct cli *cli, const struct container_cp *cp)
{
	AUTO(closep) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(closep) int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct diag diag = { 0 };
	struct copying c = { .cp = cp, .root = root, .cwd = cwd, .in = STDIN_FILENO, .diag = &diag };

	if (root < 0 || cwd < 0)
		return complain(cp, -errno, &diag, NULL);
	/* A reader that has gone is an error like others. */
	signal(SIGPIPE, SIG_IGN);
	/* In the namespaces of a container there may be none. */
	int r = cp->stream && !cp->out ? libarchive_load(&diag) : 0;
	if (r < 0)
		return complain(cp, r, &diag, NULL);
	if (cli_open(cli, STORE_WRITE) < 0)
		return FAILED;
	r = copy_either(cli, &c);
	return r < 0 ? complain(cp, r, &diag, hint_of(r, &diag)) : r;
}
