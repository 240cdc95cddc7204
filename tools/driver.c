// SPDX-License-Identifier: Apache-2.0
#include "tools/driver.h"

#include "fs/control.h"
#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/control.h"
#include "tools/mountlist.h"
#include "tools/mounts.h"
#include "tools/process.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long a daemon may take to leave after its mount is gone. */
enum {
	DRIVER_LEAVE_MS = 10000,
	DRIVER_SYNC_MS =
		30000, /* as long as a live commit waits for requests that take long (fs/gate.h), or a little more */
	DRIVER_END_SYNC_MS = 3000, /* what is in use cannot be unmounted anyway */
};

/*
 * Which driver.
 */

static char *beside_us(const char *name)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *path = NULL;

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	if (asprintf(&path, "%s/%s", self, name) < 0)
		ui_out_of_memory();
	/* Resolved, since it is shown to people: not tools/../fs/nacrefs. */
	char *resolved = access(path, X_OK) == 0 ? realpath(path, NULL) : NULL;
	free(path);
	return resolved;
}

char *driver_path(void)
{
	const char *named = getenv("NACREFS");
	char *path = NULL;

	if (named && *named)
		return ui_need(strdup(named));
	path = beside_us("nacrefs");
	if (!path)
		path = beside_us("../fs/nacrefs");
	return path ? path : ui_need(strdup("nacrefs"));
}

/*
 * Its options.
 */

static void add_option(struct buf *options, const char *name, const char *value)
{
	if (options->len)
		buf_adds(options, ",");
	buf_adds(options, name);
	if (!value)
		return;
	buf_adds(options, "=");
	for (const char *p = value; *p; p++) {
		if (*p == ',' || *p == ':' || *p == '\\')
			buf_add(options, "\\", 1);
		buf_add(options, p, 1);
	}
}

static void add_user_options(struct buf *options, const struct driver_mount *mount)
{
	if (mount->user_options && *mount->user_options)
		add_option(options, mount->user_options, NULL);
}

/* What mount_list() reads back.  Its colon is no separator, so it needs no escape. */
static void add_source(struct buf *options, const struct driver_mount *mount)
{
	char image[DIGEST_TEXT_BYTES];

	if (mount->user_options && strstr(mount->user_options, "fsname="))
		return;
	buf_adds(options, ",fsname=" MOUNT_SOURCE_PREFIX);
	if (mount->image)
		buf_adds(options, ui_id(mount->image, false, image));
	else
		buf_adds(options, mount->all_layers ? MOUNT_SOURCE_SERVED : MOUNT_SOURCE_ALL);
	if (mount->image && mount->trees)
		buf_adds(options, MOUNT_SOURCE_LAYERS);
	if (mount->last_layer)
		buf_addf(options, "@%zu-%zu", mount->first_layer, mount->last_layer);
}

static char *driver_options(const struct driver_mount *mount)
{
	char image[DIGEST_TEXT_BYTES];
	struct buf options = { 0 };

	if (mount->all_layers) {
		add_option(&options, "layerstore", mount->store_dir);
		add_source(&options, mount);
		add_user_options(&options, mount);
		return ui_need(buf_take(&options));
	}
	add_option(&options, "store", mount->store_dir);
	/* "sha256:HEX": its colon is no separator, so it needs no escape. */
	if (mount->image)
		buf_addf(&options, ",image=%s", digest_format(mount->image, image));
	if (mount->trees)
		add_option(&options, "trees", mount->trees);
	if (mount->last_layer)
		buf_addf(&options, ",layers=%zu-%zu", mount->first_layer, mount->last_layer);
	if (mount->whiteouts)
		add_option(&options, "whiteouts", mount->whiteouts);
	if (mount->upper) {
		add_option(&options, "upperdir", mount->upper);
		add_option(&options, "workdir", mount->work);
	} else {
		add_option(&options, "layer_xattr", NULL);
		add_option(&options, "ro", NULL);
	}
	if (mount->fakeroot)
		add_option(&options, "fakeroot", NULL);
	add_source(&options, mount);
	add_user_options(&options, mount);
	return ui_need(buf_take(&options));
}

/*
 * Starting.
 */

/* "nacrefs: text\n" without the name and the newline: it is quoted in our own message. */
static void quote_driver(char *text, int status, struct diag *diag)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (strncmp(text, "nacrefs: ", strlen("nacrefs: ")) == 0)
		text += strlen("nacrefs: ");
	for (char *p = text; (p = strchr(p, '\n'));)
		*p = ';';
	if (*text)
		diag_set(diag, -EIO, "%s", text);
	else
		diag_set(diag, -EIO, "nacrefs ended with status %d and said nothing", status);
}

int driver_start(const struct driver_mount *mount, struct diag *diag)
{
	AUTO(freep) char *path = driver_path();
	AUTO(freep) char *options = driver_options(mount);
	AUTO(freep) char *said = NULL;
	char *const argv[] = { path, (char *)"-o", options, (char *)mount->mountpoint, NULL };
	int status = process_run(argv, &said);

	if (status < 0)
		return diag_set(diag, status, "cannot run the driver %s: %s (set $NACREFS to where nacrefs is)", path,
				strerror(-status));
	if (status > 0) {
		quote_driver(said, status, diag);
		return -EIO;
	}
	fputs(said, stderr);
	if (nacre_mounted_at(mount->mountpoint) == 0)
		return diag_set(diag, -EIO, "the driver %s ended without a mount", path);
	return 0;
}

/*
 * What the kernel holds.
 *
 * syncfs(2) on FUSE has the kernel send what was written to the driver. It does not always wait for the answers:
 * before 6.16 a page counted as written once it was sent, and later releases of 6.18, and what followed, only begin
 * (SB_I_NO_DATA_INTEGRITY). And what it begins so it leaves undone where it finds much under way: no page of a file
 * is sent while CONTROL_CONGESTED background requests are, of which many are reads ahead, nor one that is being
 * written already. So the driver is asked before and after:
 *
 * A call of syncfs() passes over nothing if none of the writes that had come before was still at work, and if all
 * the requests that could be under way meanwhile were few. Those are what had come afterwards, without what was
 * answered before: as long as they are fewer than that, none waits in the kernel for its turn (it lets in 12 at a
 * time), and they stood before our question in the queue. A thread of the driver that runs may have taken one that
 * is not counted yet; then it is asked again. If no write has come in such a call there was nothing to write. A
 * program that goes on writing makes some come each time; after a few such calls what it had written before the
 * first is there, since what they brought is done before the next.
 */
enum {
	CALM_PASSES = 5,
	HIDDEN_ASKS = 20,
	PASS_PAUSE_NS = 500 * 1000,
};

struct sync_state {
	unsigned calm, hidden;
};

/* One call between two questions. Return: 1: all is there; 0: once more; -errno. */
static int sync_pass(int fd, const struct control_writes *before, struct sync_state *state)
{
	struct control_writes after;

	if (syncfs(fd) < 0 || ioctl(fd, CONTROL_IOC_WRITES, &after) < 0)
		return -errno;
	state->hidden = after.hidden ? state->hidden + 1 : 0;
	if (after.hidden && state->hidden < HIDDEN_ASKS)
		return 0;
	if (after.later_taken >= before->later_done + CONTROL_CONGESTED)
		return 0;
	state->calm++;
	return after.taken == before->taken || state->calm >= CALM_PASSES;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int sync_told(int fd, unsigned patience_ms)
{
	uint64_t end = now_ms() + patience_ms;
	struct sync_state state = { 0 };

	for (;;) {
		struct control_writes before;
		int r = ioctl(fd, CONTROL_IOC_WRITES, &before) < 0 ? -errno : 0;

		if (r == 0 && before.done >= before.taken)
			r = sync_pass(fd, &before, &state);
		if (r != 0)
			return r < 0 ? r : 0;
		if (now_ms() >= end)
			return -EBUSY;
		nanosleep(&(struct timespec){ .tv_nsec = PASS_PAUSE_NS }, NULL);
	}
}

static int sync_for(const char *mountpoint, unsigned patience_ms)
{
	AUTO(closep) int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct control_writes writes;

	if (fd < 0)
		return -errno;
	/* Other drivers, and those of other users, do not tell. */
	if (ioctl(fd, CONTROL_IOC_WRITES, &writes) == 0)
		return sync_told(fd, patience_ms);
	return syncfs(fd) < 0 ? -errno : 0;
}

int driver_sync(const char *mountpoint)
{
	return sync_for(mountpoint, DRIVER_SYNC_MS);
}

int driver_switch_upper(const char *mountpoint)
{
	AUTO(closep) int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return ioctl(fd, CONTROL_IOC_SWITCH_UPPER) < 0 ? -errno : 0;
}

int driver_layers(const char *mountpoint, unsigned verb, struct control_layer *layer)
{
	AUTO(closep) int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned long request = verb == CONTROL_ADD_LAYER      ? CONTROL_IOC_ADD_LAYER
				: verb == CONTROL_REMOVE_LAYER ? CONTROL_IOC_REMOVE_LAYER
							       : CONTROL_IOC_LIST_LAYERS;
	int r;

	if (fd < 0)
		return -errno;
	r = ioctl(fd, request, layer);
	return r < 0 ? -errno : r;
}

/*
 * Ending.
 */

/* Is @pid the daemon of @mountpoint?  It is called as driver_start() calls it: the mount point is last. */
static bool is_daemon_of(const char *pid, const char *mountpoint)
{
	AUTO(freep) char *path = ui_format("/proc/%s/cmdline", pid);
	AUTO(freep) char *args = NULL;
	size_t bytes = 0, len = strlen(mountpoint);

	if (io_read_file(AT_FDCWD, path, 1 << 20, &args, &bytes) < 0 || bytes < len + 2)
		return false;
	const char *last = args + bytes - 1 - len;
	const char *name = strrchr(args, '/') ? strrchr(args, '/') + 1 : args;
	return strcmp(name, "nacrefs") == 0 && last[-1] == '\0' && strcmp(last, mountpoint) == 0;
}

/* A descriptor of the daemon's process, -1 if it is not found (it may be another user's). */
static int daemon_pidfd(const char *mountpoint)
{
	AUTO(closedirp) DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_daemon_of(entry->d_name, mountpoint))
			return pidfd_open(atoi(entry->d_name), 0);
	return -1;
}

static int unmount_by_helper(const char *mountpoint, struct diag *diag)
{
	AUTO(freep) char *said = NULL;
	char *argv[] = { (char *)"fusermount3", (char *)"-u", (char *)"--", (char *)mountpoint, NULL };
	int status = process_run(argv, &said);

	if (status == 0)
		return 0;
	if (status < 0)
		return diag_errno(diag, status, "cannot run fusermount3");
	if (strcasestr(said, strerror(EBUSY)) || strcasestr(said, "resource busy"))
		return -EBUSY;
	said[strcspn(said, "\n")] = '\0';
	return diag_set(diag, -EPERM, "%s", *said ? said : "fusermount3 failed and said nothing");
}

static int unmount(const char *mountpoint, struct diag *diag)
{
	if (geteuid() == 0 && umount2(mountpoint, UMOUNT_NOFOLLOW) == 0)
		return 0;
	int r = geteuid() == 0 ? -errno : -EPERM;
	/* Root of a user namespace may not unmount what was mounted outside of it; the helper might. */
	return r == -EPERM ? unmount_by_helper(mountpoint, diag) : r;
}

int driver_stop(const char *mountpoint, struct diag *diag)
{
	AUTO(closep) int daemon = daemon_pidfd(mountpoint);
	int r = sync_for(mountpoint, DRIVER_END_SYNC_MS);

	/* Other errors are of a mount that is dead or not ours to open: nothing waits there. */
	if (r == -ENOSPC || r == -EDQUOT || (r == -EIO && daemon >= 0))
		return diag_set(diag, r, "what was written last cannot be kept: %s", strerror(-r));
	r = unmount(mountpoint, diag);
	if (r == -EINVAL)
		return diag_set(diag, r, "somebody else has just unmounted it");
	if (r < 0)
		return r;
	struct pollfd gone = { .fd = daemon, .events = POLLIN };
	if (daemon >= 0 && poll(&gone, 1, DRIVER_LEAVE_MS) == 0)
		ui_warn("%s is unmounted, but its driver has not ended yet", mountpoint);
	return 0;
}
