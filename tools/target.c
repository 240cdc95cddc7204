// SPDX-License-Identifier: Apache-2.0
#include "tools/target.h"

#include "store/base/auto.h"
#include "tools/control.h"
#include "tools/driver.h"
#include "tools/mounts.h"
#include "tools/ui.h"

#include <string.h>

bool target_is_path(const char *what)
{
	return strchr(what, '/') || strcmp(what, ".") == 0 || strcmp(what, "..") == 0;
}

int target_of_container(struct store *store, const char *what, struct diag *diag, struct target *ret)
{
	int r = container_find(store, what, diag, &ret->container);

	if (r < 0)
		return r;
	if (ret->container.mountpoint)
		r = nacre_mounted_at(ret->container.mountpoint);
	ret->mounted = r == 1;
	if (r < 0)
		return diag_errno(diag, r, "cannot read what is mounted");
	r = run_state_read(ret->container.dir, &ret->run);
	return r < 0 ? diag_errno(diag, r, "the state of container %s cannot be read", ret->container.id) : 0;
}

static int target_of_path(struct store *store, const char *what, struct diag *diag, struct target *ret)
{
	AUTO(freep) char *path = NULL;
	int r = mount_point_path(what, &path);

	if (r < 0)
		return diag_set(diag, r, "%s", strerror(-r));
	r = nacre_mounted_at(path);
	if (r < 0)
		return diag_errno(diag, r, "cannot read what is mounted");
	if (r == 0)
		return diag_set(diag, -EINVAL, "nothing of nacre is mounted there");
	r = container_find_mount(store, path, &ret->container);
	if (r == -ENOENT)
		return diag_set(diag, -EINVAL,
				"it is mounted read-only, or from another store: nothing was changed in it");
	ret->mounted = r == 0;
	return r < 0 ? diag_errno(diag, r, "cannot look up the mount") : 0;
}

int target_find(struct store *store, const char *what, struct diag *diag, struct target *ret)
{
	struct diag not_found = { 0 };

	*ret = (struct target){ 0 };
	if (target_is_path(what))
		return target_of_path(store, what, diag, ret);
	int r = target_of_container(store, what, &not_found, ret);
	if (r == -ENOENT && access(what, F_OK) == 0)
		return target_of_path(store, what, diag, ret);
	return r < 0 ? diag_set(diag, r, "%s", diag_text(&not_found, r)) : 0;
}

void target_release(struct target *target)
{
	container_info_release(&target->container);
	run_state_release(&target->run);
}

/* Its mount is the monitor's: nobody else sees it. */
static int flush_running(const char *dir, struct diag *diag)
{
	AUTO(closep) int control = control_connect(dir);
	int r = control < 0 ? control : control_ask(control, CONTROL_SYNC, 0);

	/* Where it has ended meanwhile all is written. */
	if (r == 0 || r == -ESRCH)
		return 0;
	return diag_errno(diag, r, "what it wrote last cannot be kept");
}

int target_sync(const struct target *target, struct diag *diag)
{
	if (target->run.status == RUN_RUNNING)
		return flush_running(target->container.dir, diag);
	if (!target->mounted)
		return 0;
	int r = driver_sync(target->container.mountpoint);
	/* A mount whose driver is dead keeps nothing; one of another user cannot be asked. */
	if (r == 0 || r == -ENOTCONN || r == -EACCES)
		return 0;
	return diag_errno(diag, r, "what was written last to %s cannot be kept", target->container.mountpoint);
}

int target_flush(const struct target *target, struct diag *diag)
{
	if (target->container.frozen)
		return diag_set(diag, -EBUSY,
				"a live commit of it is under way, or was interrupted: 'nacre commit' ends that");
	return target_sync(target, diag);
}

const char *target_hint(int err)
{
	if (err == -ENOENT)
		return "'nacre ps -a' lists the containers";
	if (err == -EINVAL)
		return "'nacre ps' shows what is mounted writable and where";
	if (err == -ENOTUNIQ)
		return "give more digits of the ID";
	return NULL;
}
