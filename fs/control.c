/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control.h"

#include "fs/ahead.h"
#include "fs/jobs.h"
#include "fs/listing.h"
#include "fs/live.h"
#include "fs/ops_internal.h"
#include "fs/stack.h"
#include "fs/stats.h"
#include "fs/yield.h"
#include "store/base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- who may --- */

static bool is_same(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/*
 * A container's root has the uid of who mounted its root file system, and sees it, but
 * in a mount namespace of its own.  Who asks waits for our answer, so his number is nobody else's.
 */
static bool may_control(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	char path[64];

	if (!ops_may_ask(req) || ctx->pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)ctx->pid);
	if (!is_same(path, "/proc/self/ns/mnt"))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)ctx->pid);
	return is_same(path, "/proc/self/root");
}

/* --- the upper --- */

static void switch_run(void *arg)
{
	fuse_req_t req = arg;
	uint64_t pause_ns, pause_us;
	int r = fs_switch_upper(mount_of(req)->fs, &pause_ns);

	pause_us = (pause_ns + 999) / 1000;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_ioctl(req, pause_us < INT32_MAX ? (int)pause_us : INT32_MAX, NULL, 0);
}

/* What is waited for are the other requests, so this one must not be served by who serves them. */
static void switch_upper(fuse_req_t req)
{
	struct mount *mount = mount_of(req);
	int r;

	if (!may_control(req))
		r = -EPERM;
	else if (mount->opens) /* the kernel writes to files of the upper without asking, for as long as they are open */
		r = -EOPNOTSUPP;
	else
		r = jobs_start(mount->controls, switch_run, req);
	if (r < 0)
		fuse_reply_err(req, -r);
}

/* --- what is written back --- */

uint64_t mount_writes_taken(const struct mount *mount)
{
	return stats_count(mount->stats, STAT_REQUESTS + FUSE_WRITE);
}

/* The kernel's background requests, and some more: it reads ahead with others than it reads with. */
static bool may_wait(uint32_t opcode)
{
	return opcode == FUSE_READ || opcode == FUSE_WRITE || opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR;
}

void mount_answered(struct mount *mount, uint32_t opcode)
{
	if (opcode == FUSE_WRITE)
		atomic_fetch_add(&mount->writes_done, 1);
	if (may_wait(opcode))
		atomic_fetch_add(&mount->later_done, 1);
}

uint64_t mount_later_taken(const struct mount *mount)
{
	uint64_t taken = 0;

	for (uint32_t opcode = FUSE_READ; opcode <= FUSE_RELEASEDIR; opcode++) {
		if (may_wait(opcode))
			taken += stats_count(mount->stats, STAT_REQUESTS + opcode);
	}
	return taken;
}

/* One that sleeps has read nothing that it has not counted. */
static bool others_run(void)
{
	AUTO(closedirp) DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		pid_t thread = (pid_t)atoi(entry->d_name);

		if (thread > 0 && thread != gettid() && yield_wants_to_run(thread))
			return true;
	}
	return !dir;
}

static void tell_writes(fuse_req_t req)
{
	const struct mount *mount = mount_of(req);
	struct control_writes writes = { 0 };

	if (!ops_may_ask(req)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	writes.hidden = (mount->rings || atomic_load(&mount->readers) != 0) && others_run();
	writes.taken = mount_writes_taken(mount);
	writes.done = atomic_load(&mount->writes_done);
	writes.later_taken = mount_later_taken(mount);
	writes.later_done = atomic_load(&mount->later_done);
	fuse_reply_ioctl(req, 0, &writes, sizeof(writes));
}

/* --- layers --- */

struct layer_request {
	fuse_req_t req;
	unsigned cmd;
	struct control_layer layer;
};

enum { ATTRIBUTES_ONLY = -1 };

static void tell(const struct stale *stale, void *arg)
{
	const struct mount *mount = arg;
	fuse_ino_t ino = stale->dir == fs_root(mount->fs) ? FUSE_ROOT_ID : trees_ino(0, stale->dir);

	/* -ENOENT: the kernel did not know it. */
	if (stale->name)
		fuse_lowlevel_notify_inval_entry(mount->session, ino, stale->name, strlen(stale->name));
	else
		fuse_lowlevel_notify_inval_inode(mount->session, ino, stale->listing ? 0 : ATTRIBUTES_ONLY, 0);
}

/* What is kept of listings knows nodes as the kernel does. */
static void let_go(void *arg)
{
	struct mount *mount = arg;

	fs_enter(mount->fs);
	listing_let_go(mount);
	fs_leave(mount->fs);
}

static int layers_change(struct mount *mount, unsigned cmd, struct control_layer *layer)
{
	struct stack_change change = { .tell = tell, .let_go = let_go, .arg = mount };
	AUTO(freep) char *what = strdup(layer->text);
	struct diag diag = { 0 };
	int r = -ENOMEM;

	ahead_change_begin(mount); /* the request itself has been served */
	let_go(mount);
	if (what && cmd == CONTROL_IOC_ADD_LAYER)
		r = fs_stack_add(mount->fs, what, &change, &diag);
	else if (what)
		r = fs_stack_remove(mount->fs, what, &change, &diag);
	ahead_change_end(mount);
	layer->number = (change.pause_ns + 999) / 1000;
	if (r < 0)
		snprintf(layer->text, sizeof(layer->text), "%s", change.used ? change.used : diag_text(&diag, r));
	if (change.used)
		r = CONTROL_USED;
	else if (r < 0)
		r = CONTROL_REFUSED;
	free(change.used);
	return r;
}

static void layers_run(void *arg)
{
	struct layer_request *request = arg;
	struct mount *mount = mount_of(request->req);
	struct control_layer *layer = &request->layer;
	int r;

	if (request->cmd != CONTROL_IOC_LIST_LAYERS) {
		r = layers_change(mount, request->cmd, layer);
	} else {
		r = fs_stack_list(mount->fs, layer->number, layer->text, sizeof(layer->text));
		layer->number = r > 0 ? (uint64_t)r : 0;
	}
	if (r < 0)
		fuse_reply_err(request->req, -r);
	else
		fuse_reply_ioctl(request->req, r <= CONTROL_USED && request->cmd != CONTROL_IOC_LIST_LAYERS ? r : 0,
				 layer, sizeof(*layer));
	free(request);
}

static void layers(fuse_req_t req, unsigned cmd, const void *in, size_t bytes)
{
	struct mount *mount = mount_of(req);
	struct layer_request *request = NULL;
	int r = 0;

	if (!may_control(req))
		r = -EPERM;
	else if (!mount->fs || mount->trees ||
		 mount->opens) /* others stand on it; the kernel reads its files by itself */
		r = -EOPNOTSUPP;
	else if (bytes != sizeof(request->layer))
		r = -ENOTTY;
	else if (!(request = malloc(sizeof(*request))))
		r = -ENOMEM;
	if (r == 0) {
		request->req = req;
		request->cmd = cmd;
		memcpy(&request->layer, in, bytes);
		request->layer.text[CONTROL_TEXT_BYTES - 1] = '\0';
		r = jobs_start(mount->controls, layers_run, request);
	}
	if (r < 0) {
		free(request);
		fuse_reply_err(req, -r);
	}
}

bool control_ioctl(fuse_req_t req, unsigned cmd, const void *in, size_t in_bytes, size_t out_bytes)
{
	switch (cmd) {
	case CONTROL_IOC_SWITCH_UPPER:
		switch_upper(req);
		return true;
	case CONTROL_IOC_ADD_LAYER:
	case CONTROL_IOC_REMOVE_LAYER:
	case CONTROL_IOC_LIST_LAYERS:
		layers(req, cmd, in, in_bytes);
		return true;
	case CONTROL_IOC_WRITES:
		if (out_bytes < sizeof(struct control_writes))
			return false;
		tell_writes(req);
		return true;
	default:
		return false;
	}
}
