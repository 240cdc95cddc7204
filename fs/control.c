/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control.h"

#include "fs/jobs.h"
#include "fs/live.h"
#include "fs/ops_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

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

/* --- what --- */

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
void control_switch_upper(fuse_req_t req)
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
