/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/loop.h"
#include "fs/options.h"

/*
 * nacrefs: starts the file system and gets out of the way.
 *
 * The parent stays until the mount is live or has failed, and says so by its exit
 * status: whoever called it goes on at once into the mount.  The child is the
 * daemon.  It writes its failure to the caller's standard error and lets go of
 * that once it serves, since podman reads it until its end.  The fork comes first:
 * neither threads nor SQLite connections survive one.
 */

#include "fs/ahead.h"
#include "fs/basemount.h"
#include "fs/baseview.h"
#include "fs/forest.h"
#include "fs/jobs.h"
#include "fs/layerstore.h"
#include "fs/listing.h"
#include "fs/passthrough.h"
#include "fs/ring.h"
#include "fs/stats.h"
#include "fs/stopped.h"
#include "fs/trees.h"
#include "store/base/auto.h"
#include "store/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

#define FUSE_SUPER_MAGIC     0x65735546
#define NACRE_MS_NOSYMFOLLOW 256ul /* libc has no name for it everywhere */

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_MISUSED = 2,
	FOR_EVER_SECONDS = 1000000000,
	LARGE_BLOCK_BYTES = 8 * 1024 * 1024,
	HEAP_STEP_BYTES = 1024 * 1024,
};

static int fail(const struct diag *diag, int err)
{
	fprintf(stderr, "nacrefs: %s\n", diag_text(diag, err));
	return EXIT_FAILED;
}

/* --- the caller's side --- */

/* Return: in the child 0, with *ret_ready to be told; in the parent the exit status, negative: -errno. */
static int daemonize(int *ret_ready, bool *ret_child)
{
	int ready[2];
	char status;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	*ret_child = pid == 0;
	if (pid == 0) {
		close(ready[0]);
		*ret_ready = ready[1];
		setsid();
		return chdir("/") < 0 ? -errno : 0;
	}
	close(ready[1]);
	/* No byte: the daemon ended before it was ready, and has said why. */
	return read(ready[0], &status, 1) == 1 ? EXIT_DONE : EXIT_FAILED;
}

static void now_ready(int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (ready < 0)
		return;
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(ready, "y", 1) != 1)
		return; /* nobody waits any more */
	close(ready);
}

/* --- the mount --- */

static void add_flag(struct buf *list, const char *flag)
{
	buf_addf(list, "%s%s", list->len ? "," : "", flag);
}

/*
 * As root the mount is everybody's, with setuid and devices, and the kernel checks
 * permissions: like any other file system.  As a user it is his own; under fakeroot
 * he may do in it what root may, so no permission is checked.
 */
static int mount_flags(const struct mount_options *o, struct buf *list)
{
	bool root = geteuid() == 0;

	if (o->kernel.len)
		add_flag(list, buf_str(&o->kernel));
	if (!strstr(buf_str(&o->kernel), "fsname="))
		add_flag(list, "fsname=nacrefs");
	if (!strstr(buf_str(&o->kernel), "subtype="))
		add_flag(list, "subtype=nacrefs");
	if (!o->fs.fakeroot && !strstr(buf_str(&o->kernel), "default_permissions"))
		add_flag(list, "default_permissions");
	if (o->allow_other || (root && !o->fs.fakeroot))
		add_flag(list, "allow_other");
	if (o->read_only)
		add_flag(list, "ro");
	if ((root || o->suid) && !o->no_suid)
		add_flag(list, "suid");
	if ((root || o->dev) && !o->no_dev)
		add_flag(list, "dev");
	return buf_error(list);
}

static struct fuse_session *session_new(const struct mount_options *o, struct mount *mount)
{
	struct buf flags = { 0 };
	struct fuse_session *session = NULL;

	if (mount_flags(o, &flags) == 0) {
		char *argv[] = { (char *)"nacrefs", (char *)"-o", (char *)buf_str(&flags), (char *)"-d", NULL };
		struct fuse_lowlevel_ops ops = nacrefs_ops;
		struct fuse_args args = { .argc = o->debug ? 4 : 3, .argv = argv };

		if (mount->forest)
			ops = forest_ops;
		else if (mount->layerstore)
			layerstore_ops(&ops);
		session = fuse_session_new(&args, &ops, sizeof(ops), mount);
		fuse_opt_free_args(&args);
	}
	buf_release(&flags);
	return session;
}

/* INIT, the first request, says what the kernel has; who asked for that wants to know before he goes on. */
static int negotiate(struct fuse_session *session, const struct mount *mount, struct diag *diag)
{
	struct fuse_buf buf = { 0 };
	int n = fuse_session_receive_buf(session, &buf);

	if (n > 0) {
		stats_request(mount->stats, FUSE_INIT);
		if (mount->rings)
			rings_see_init(mount->rings, buf.mem, (size_t)n);
		fuse_session_process_buf(session, &buf);
	}
	free(buf.mem);
	if (n <= 0)
		return diag_set(diag, n < 0 ? n : -EIO, "the kernel does not start the mount");
	return 0;
}

static int check_passthrough(const struct mount_options *o, const struct mount *mount, struct diag *diag)
{
	if (!o->passthrough || mount->passthrough)
		return 0;
	return diag_set(
		diag, -EOPNOTSUPP,
		"option io=passthrough: this kernel has no passthrough for FUSE (6.9 and newer have it, if built with "
		"CONFIG_FUSE_PASSTHROUGH)");
}

/* SIGUSR1: to standard error, or, in the background, where there is none, to the system's log. */
struct service {
	const struct mount *mount; /* borrowed */
	bool foreground;
	int ready; /* for now_ready() */
};

static void report_ready(void *arg)
{
	const struct service *service = arg;

	now_ready(service->ready);
}

static void report_stats(void *arg)
{
	const struct service *service = arg;
	struct buf text = { 0 };

	mount_describe(service->mount, false, &text);
	if (service->foreground) {
		fputs(buf_str(&text), stderr);
	} else {
		char *at = text.data, *line;

		openlog("nacrefs", LOG_PID, LOG_DAEMON);
		while (buf_error(&text) == 0 && at && (line = strsep(&at, "\n")))
			if (*line)
				syslog(LOG_INFO, "%s", line);
		closelog();
	}
	buf_release(&text);
}

/* Who works for the mount by himself may be looking something up in it, and tells the kernel: so he ends before it does. */
static void end_helpers(void *arg)
{
	const struct service *service = arg;

	if (service->mount->layerstore)
		layerstore_stop(service->mount->layerstore);
}

static int rings_add(const struct mount_options *o, struct mount *mount, struct diag *diag)
{
	if (o->threads == 1)
		return diag_set(diag, -ENOTSUP, "one thread is asked for, and it needs some for each processor");
	return rings_new(mount, diag, &mount->rings);
}

/* Requests come through the device at least: that is what is asked for, however it is done. */
static int rings_missed(const struct diag *why, int r)
{
	if (r == -ENOTSUP)
		fprintf(stderr, "nacrefs: warning: option io_uring is left out: %s\n", diag_text(why, r));
	return r == -ENOTSUP ? 0 : r;
}

/* What must be known of the mount before anybody uses it. */
static int prepare(const struct mount_options *o, struct mount *mount, struct diag *diag)
{
	struct diag why = { 0 };
	int r = 0;

	if (o->io_uring)
		r = rings_missed(&why, rings_add(o, mount, &why));
	if (r == 0 && (o->passthrough || mount->rings))
		r = negotiate(mount->session, mount, diag);
	if (r == 0)
		r = check_passthrough(o, mount, diag);
	if (r == 0 && mount->rings)
		r = rings_missed(&why, rings_await(mount->rings, &why));
	return r;
}

static int serve_session(const struct mount_options *o, struct mount *mount, int ready)
{
	struct service service = { .mount = mount, .foreground = o->foreground, .ready = ready };
	struct loop_options options = {
		.max_threads = o->threads,
		.serving = report_ready,
		.asked = report_stats,
		.ending = end_helpers,
		.arg = &service,
	};
	struct fuse_session *session = mount->session;
	struct diag diag = { 0 };
	int r, status;

	if (fuse_session_mount(session, o->mountpoint) < 0)
		return fail(&diag, diag_set(&diag, -EIO, "cannot mount on %s", o->mountpoint));
	r = prepare(o, mount, &diag);
	if (r < 0) {
		if (mount->rings)
			rings_stop(mount->rings);
		end_helpers(&service);
		fuse_session_unmount(session);
		return fail(&diag, r);
	}
	r = loop_run(mount, &options);
	status = r < 0 ? fail(&diag, diag_errno(&diag, r, "cannot serve %s", o->mountpoint)) : EXIT_DONE;
	jobs_free(TAKE(mount->controls)); /* they answer through the session */
	fuse_session_unmount(session);
	return status;
}

/* Each layer is shown by itself, as a lower of overlayfs. */
static int layers_of_store(const struct mount_options *o, struct mount *mount, struct diag *diag)
{
	mount->layer_options = o->fs;
	mount->layer_options.lowers = NULL;
	mount->layer_options.lower_count = 0;
	mount->layer_options.store = o->layerstore;
	mount->layer_options.mountpoint = o->mountpoint;
	mount->layer_options.whiteouts = FS_WHITEOUTS_DEVICE;
	mount->trees = trees_new();
	return mount->trees ? layerstore_new(o->layerstore, mount, diag, &mount->layerstore) : -ENOMEM;
}

/* Everything that is made, beside the session. */
static int mount_more(const struct mount_options *o, const uint8_t *offered, struct mount *mount, struct diag *diag)
{
	if (!mount->jobs || !mount->controls || (o->passthrough && !mount->opens) ||
	    pthread_key_create(&mount->read_buffer, free) != 0)
		return -ENOMEM;
	if (o->layerstore)
		return layers_of_store(o, mount, diag);
	/* Neither where other processors are not there, nor where files change without a request. */
	if (mount->fs && o->threads != 1 && ahead_is_of_use() && mount->lasting) {
		mount->ahead = ahead_new(mount);
		if (!mount->ahead)
			return -ENOMEM;
	}
	if (offered) {
		mount->trees = trees_new();
		mount->baseviews = mount->trees ? baseviews_new(o, mount, offered) : NULL;
	}
	return 0;
}

/* One of @fs and @forest is NULL. @offered: of base_keys(), NULL: nothing. */
static int serve(const struct mount_options *o, struct fs *fs, struct forest *forest, const uint8_t *offered, int ready)
{
	struct mount mount = {
		.fs = fs,
		.forest = forest,
		.stats = forest ? forest_stats(forest) : fs_stats(fs),
		.jobs = jobs_new(),
		.controls = jobs_new(),
		.opens = o->passthrough ? opens_new() : NULL,
		.passthrough = o->passthrough,
		.stacked = o->passthrough && passthrough_is_stacked(&o->fs),
		.timeout = o->timeout < 0 ? FOR_EVER_SECONDS : o->timeout,
		.lasting = o->timeout < 0,
		.max_read = o->max_read,
		.writeback = o->writeback,
		.posix_acl = !o->fs.noacl && !o->fs.noxattrs && !o->fs.fakeroot && (forest || fs_has_xattrs(fs)),
	};
	struct diag diag = { 0 };
	int r, status;

	told_init(&mount.told);
	r = mount_more(o, offered, &mount, &diag);
	if (r == 0 && !(mount.session = session_new(o, &mount)))
		r = diag_set(&diag, -EINVAL, "cannot set up the mount on %s", o->mountpoint);
	status = r < 0 ? fail(&diag, r) : serve_session(o, &mount, ready);
	ahead_free(mount.ahead);
	listing_release(&mount);
	jobs_free(mount.jobs);
	jobs_free(mount.controls);
	if (mount.session)
		fuse_session_destroy(mount.session);
	opens_free(mount.opens);
	rings_free(mount.rings);
	baseviews_free(mount.baseviews);
	trees_free(mount.trees);
	layerstore_free(mount.layerstore);
	told_release(&mount.told);
	return status;
}

static int check_mountpoint(const struct mount_options *o, struct diag *diag)
{
	struct stat st;

	if (stat(o->mountpoint, &st) < 0)
		return diag_errno(diag, -errno, "mount point %s", o->mountpoint);
	if (!S_ISDIR(st.st_mode))
		return diag_set(diag, -ENOTDIR, "mount point %s is not a directory", o->mountpoint);
	return 0;
}

static int run(const struct mount_options *o, const uint8_t *offered, int ready)
{
	struct diag diag = { 0 };
	struct forest *forest = NULL;
	struct fs *fs = NULL;
	int r = check_mountpoint(o, &diag);
	int status;

	loop_block_signals();
	/* libfuse's own words for it: its rings would take the requests that ours or the loop are there for. */
	unsetenv("FUSE_URING_ENABLE");
	unsetenv("FUSE_URING_QUEUE_DEPTH");
	umask(0);				      /* modes come complete with the requests */
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES); /* else each read of 1 MiB maps and unmaps its buffer */
	/* One heap, which grows in few steps and can be given back as a whole: mostly one thread serves. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TOP_PAD, HEAP_STEP_BYTES);
	if (r == 0 && o->passthrough && passthrough_refusal())
		r = diag_set(&diag, -EPERM, "option io=passthrough: %s", passthrough_refusal());
	if (r == 0 && o->fs.trees != FS_TREES_ONE)
		r = forest_new(&o->fs, &diag, &forest);
	else if (r == 0)
		r = fs_new(&o->fs, &diag, &fs);
	if (r < 0)
		return fail(&diag, r);
	status = serve(o, fs, forest, offered, ready);
	forest_free(forest);
	fs_free(fs);
	return status;
}

static bool has_flag(const struct mount_options *o, const char *name)
{
	AUTO(freep) char *list = strdup(buf_str(&o->kernel));
	char *at = list, *word;

	while (at && (word = strsep(&at, ","))) {
		if (strcmp(word, name) == 0)
			return true;
	}
	return false;
}

/* mount(8) leaves a remount to the driver, with all flags that the mount is to have.  Its daemon need not know. */
static int remount(const struct mount_options *o)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} flags[] = {
		{ "noexec", MS_NOEXEC },   { "sync", MS_SYNCHRONOUS },	    { "dirsync", MS_DIRSYNC },
		{ "noatime", MS_NOATIME }, { "nodiratime", MS_NODIRATIME }, { "nosymfollow", NACRE_MS_NOSYMFOLLOW },
	};
	unsigned long all = MS_REMOUNT;
	struct diag diag = { 0 };
	struct statfs st;

	if (statfs(o->mountpoint, &st) < 0)
		return fail(&diag, diag_errno(&diag, -errno, "mount point %s", o->mountpoint));
	if (st.f_type != FUSE_SUPER_MAGIC)
		return fail(&diag, diag_set(&diag, -EINVAL, "%s is no mount of this driver", o->mountpoint));
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		all |= has_flag(o, flags[i].name) ? flags[i].flag : 0;
	all |= o->read_only ? MS_RDONLY : 0;
	all |= o->no_suid ? MS_NOSUID : 0;
	all |= o->no_dev ? MS_NODEV : 0;
	if (mount("nacrefs", o->mountpoint, NULL, all, NULL) < 0)
		return fail(&diag, diag_errno(&diag, -errno, "cannot remount %s", o->mountpoint));
	return EXIT_DONE;
}

/* Another process's statistics: its driver is asked through the mount. */
static int show_stats(const struct mount_options *o)
{
	AUTO(closep) int fd = open(o->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct diag diag = { 0 };
	char text[STATS_ROOM];
	int n;

	if (fd < 0)
		return fail(&diag, diag_errno(&diag, -errno, "mount point %s", o->mountpoint));
	n = ioctl(fd, o->json ? STATS_IOC_JSON : STATS_IOC_TEXT, text);
	if (n < 0 && (errno == ENOTTY || errno == ENOSYS))
		return fail(&diag, diag_set(&diag, -EINVAL, "%s is no mount of this driver", o->mountpoint));
	if (n < 0)
		return fail(&diag, diag_errno(&diag, -errno, "cannot ask the driver of %s", o->mountpoint));
	return fwrite(text, 1, (size_t)n, stdout) == (size_t)n && fflush(stdout) == 0
		       ? EXIT_DONE
		       : fail(&diag, diag_errno(&diag, -errno, "cannot write"));
}

static int start(struct mount_options *o)
{
	bool has_keys, child = true;
	struct base_keys keys;
	int ready = -1;
	int r = stopped_options(o);

	if (r < 0)
		return fail(NULL, r);
	/* Before anything leaves this folder, which paths may be relative to. */
	has_keys = base_keys(o, &keys) > 0;
	if (has_keys && !o->fs.upper && !o->foreground && basemount(o, keys.own))
		return EXIT_DONE;
	if (!o->foreground) {
		r = daemonize(&ready, &child);
		if (r < 0)
			return fail(NULL, r);
		if (!child)
			return r;
	}
	return run(o, has_keys && keys.offers ? keys.offered : NULL, ready);
}

int main(int argc, char **argv)
{
	struct mount_options options;
	struct diag diag = { 0 };
	int status, r;

	io_keep_standard();
	r = options_parse(argc, argv, &options, &diag);
	if (r < 0) {
		fail(&diag, r);
		status = r == -EINVAL ? EXIT_MISUSED : EXIT_FAILED;
	} else if (options.help) {
		fputs(options_help(), stdout);
		status = EXIT_DONE;
	} else if (options.version) {
		printf("nacrefs %s (libfuse %s)\n", NACRE_VERSION, fuse_pkgversion());
		status = EXIT_DONE;
	} else {
		if (options.ignored.len)
			fprintf(stderr, "nacrefs: warning: unknown options ignored: %s\n", buf_str(&options.ignored));
		status = options.stats ? show_stats(&options) : options.remount ? remount(&options) : start(&options);
	}
	options_release(&options);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "nacrefs: cannot write to standard output: %s\n", strerror(errno));
		status = EXIT_FAILED;
	}
	return status;
}
