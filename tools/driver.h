/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_DRIVER_H
#define NACRE_TOOLS_DRIVER_H

/* Starting nacrefs(1), and ending its mounts. */

#include "store/base/diag.h"
#include "store/base/digest.h"

#include <stdbool.h>

struct driver_mount {
	const char *store_dir;
	const struct digest *image;	/* NULL: trees are of all */
	const char *trees;		/* several: "all" or "layers"; NULL: one */
	size_t first_layer, last_layer; /* of the image, from 1; 0: all */
	bool all_layers;		/* of the store, for other programs, rather than of one image */
	const char *whiteouts;		/* of one layer: how they are shown; NULL: not */
	const char *upper, *work;	/* NULL: read-only */
	bool fakeroot;
	const char *user_options; /* as the user gave them; NULL: none */
	const char *mountpoint;	  /* absolute */
};

/**
 * driver_path() - which nacrefs is run
 *
 * $NACREFS, else the one beside this program, else ../fs/nacrefs from there
 * (a build folder), else the one in PATH.  Return: a string to free().
 */
char *driver_path(void);

/**
 * driver_start() - mount, and return once the mount is live
 *
 * What the driver says on success (warnings) goes to stderr; on failure it is in @diag.
 * Return: 0; -EIO: it failed; -ENOENT: there is no driver; ... .
 */
int driver_start(const struct driver_mount *mount, struct diag *diag);

/**
 * driver_stop() - unmount, and return once the daemon is gone
 *
 * What the kernel still keeps of written data is handed to the daemon first; if it
 * cannot be kept (a full disk), the mount stays.
 * Return: 0; -EBUSY: something in it is in use; ... .
 */
int driver_stop(const char *mountpoint, struct diag *diag);

/**
 * driver_sync() - make the upper of a live mount hold all that was written
 *
 * The kernel keeps written pages for a while (write-back cache).  Return: 0; -EBUSY: so much
 * is written or read all the time that it cannot be told; or -errno.
 */
int driver_sync(const char *mountpoint);

/**
 * driver_switch_upper() - have a live mount take the folder that stands where its upper stood for its upper
 *
 * Return: 0, also if it has done so before; -ENOTTY, -EPERM, -EOPNOTSUPP, -EBUSY, ... (fs/control.h, fs/live.h).
 */
int driver_switch_upper(const char *mountpoint);

/**
 * driver_layers() - ask a live mount to add or remove a layer, or for its layers
 * @verb: CONTROL_ADD_LAYER, CONTROL_REMOVE_LAYER or CONTROL_LIST_LAYERS (tools/control.h)
 * @layer: what is asked, and answered: see fs/control.h
 *
 * Return: 0; CONTROL_REFUSED; CONTROL_USED; -ENOTTY, -EPERM, -EOPNOTSUPP, ... .
 */
struct control_layer;
int driver_layers(const char *mountpoint, unsigned verb, struct control_layer *layer);

#endif
