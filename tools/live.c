// SPDX-License-Identifier: Apache-2.0
#include "tools/live.h"

#include "store/base/auto.h"
#include "store/frozen.h"
#include "tools/control.h"
#include "tools/driver.h"
#include "tools/ui.h"

#include <string.h>

/* @err: of driver_switch_upper() */
static const char *why_no_switch(int err)
{
	switch (err) {
	case -ENOTTY:
	case -ENOSYS:
		return "its driver cannot do that; unmount it and mount it again";
	case -EPERM:
		return "only the user who mounted it may, and not from within a container";
	case -EOPNOTSUPP:
		return "it was mounted with io=passthrough, so that the kernel writes to its files by itself";
	case -EMFILE:
		return "it has done so too often; unmount it and mount it again";
	case -ESRCH:
		return "it has ended meanwhile";
	case -EBUSY:
		return "too much is going on in it; try again";
	default:
		return strerror(-err);
	}
}

/* The driver of a container that runs is its monitor's, as is the mount. */
static int ask_driver(const struct target *target, struct diag *diag)
{
	AUTO(closep) int control = -1;
	int r;

	if (target->run.status == RUN_RUNNING) {
		control = control_connect(target->container.dir);
		r = control < 0 ? control : control_ask(control, CONTROL_SWITCH, 0);
	} else {
		r = driver_switch_upper(target->container.mountpoint);
	}
	return r < 0 ? diag_set(diag, r, "it cannot go on with a fresh upper: %s", why_no_switch(r)) : 0;
}

static bool is_in_use(const struct target *target)
{
	return target->mounted || target->run.status == RUN_RUNNING;
}

/* The layer of what is frozen, and the container's image with it. */
static int make_layer(struct store *store, struct container_info *container, const struct commit_options *options,
		      struct diag *diag, struct image_id *ret)
{
	int r = upper_commit(store, container->image, container->frozen, options, diag, ret, NULL);

	if (r < 0)
		return r;
	r = container_set_image(store, container, *ret);
	return r < 0 ? diag_errno(diag, r, "container %s cannot be made one of the new image", container->id) : 0;
}

static int resume(struct store *store, struct target *target, struct diag *diag)
{
	const struct commit_options options = { .message = "a live commit that was interrupted", .created = -1 };
	struct container_info *container = &target->container;
	struct image_id image;
	int r = 0;

	if (!container->frozen)
		return 0;
	ui_note("A live commit of container %s was interrupted: what it had put aside becomes a layer now.",
		container->id);
	if (is_in_use(target)) /* it may not have come to that */
		r = ask_driver(target, diag);
	return r < 0 ? r : make_layer(store, container, &options, diag, &image);
}

int live_lock(struct store *store, struct target *target, struct diag *diag, int *ret_lock)
{
	char id[CONTAINER_ID_HEX + 1];
	AUTO(closep) int lock = -1;
	struct diag why = { 0 };
	int r;

	memcpy(id, target->container.id, sizeof(id));
	r = container_lock(store, id, &why, &lock);
	if (r < 0 && r != -ENOENT)
		return diag_set(diag, r, "%s", diag_text(&why, r));
	target_release(target);
	r = target_of_container(store, id, diag, target);
	if (r == 0)
		*ret_lock = TAKE_FD(lock);
	return r;
}

int live_remove(struct store *store, const char *container_id, struct diag *diag)
{
	AUTO(target_release) struct target target = { 0 };
	AUTO(closep) int lock = -1;
	int r = target_of_container(store, container_id, diag, &target);

	if (r == 0)
		r = live_lock(store, &target, diag, &lock);
	if (r == 0 && is_in_use(&target))
		r = diag_set(diag, -EBUSY, "somebody else uses it now");
	return r < 0 ? r : container_remove(store, target.container.id, diag);
}

int live_begin(struct store *store, struct target *target, struct diag *diag, int *ret_lock)
{
	AUTO(closep) int lock = -1;
	int r = live_lock(store, target, diag, &lock);

	if (r == 0 && lock < 0)
		r = diag_set(diag, -EIO, "the folder of container %s is lost", target->container.id);
	if (r == 0)
		r = resume(store, target, diag);
	if (r == 0 && !is_in_use(target))
		(void)container_sweep(store, &target->container);
	if (r == 0)
		*ret_lock = TAKE_FD(lock);
	return r;
}

int live_commit(struct store *store, struct target *target, const struct commit_options *options, struct diag *diag,
		struct image_id *ret)
{
	struct container_info *container = &target->container;
	int r;

	if (!is_in_use(target))
		return diag_set(diag, -EINVAL, "it is not mounted");
	r = upper_commit_check(store, container->image, options, diag);
	if (r == 0)
		r = container_freeze(store, container, diag);
	if (r < 0)
		return r;
	r = target_sync(target, diag);
	if (r == 0)
		r = ask_driver(target, diag);
	if (r < 0) {
		(void)container_thaw(store, container); /* if that fails too, the next one goes on from here */
		return r;
	}
	return make_layer(store, container, options, diag, ret);
}

void live_end(struct store *store, const char *container_id)
{
	AUTO(target_release) struct target target = { 0 };
	struct diag ignored = { 0 };
	AUTO(closep) int lock = -1;

	if (container_lock(store, container_id, &ignored, &lock) == 0 &&
	    target_of_container(store, container_id, &ignored, &target) == 0 && !is_in_use(&target))
		(void)container_sweep(store, &target.container);
}
