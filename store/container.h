/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_CONTAINER_H
#define NACRE_STORE_CONTAINER_H

/*
 * Writable containers: an image, and an upper with its work folder in
 * STORE/containers/ID/.  A container outlives its mount: its upper is removed
 * by container_remove() only.
 */

#include "store/image.h"

enum { CONTAINER_ID_HEX = 12 };

struct container_info {
	char id[CONTAINER_ID_HEX + 1];
	struct image_id image;
	char *name;	    /* owned; may be NULL */
	char *mountpoint;   /* owned; absolute; NULL when not mounted as far as is recorded */
	char *dir;	    /* owned; absolute: its folder, with all that is only its own */
	char *upper, *work; /* owned; absolute; in @dir */
	char *frozen;	    /* owned; absolute: a former upper that is to become a layer (frozen.h); NULL: none */
	bool fakeroot;	    /* owners are kept in user.containers.override_stat */
	int64_t created;    /* seconds */
};

void container_info_release(struct container_info *info);

/** container_new() - make the folders and the row. @name may be NULL. -EINVAL: it is no name; -EEXIST: another has it. */
int container_new(struct store *store, struct image_id image, const char *name, bool fakeroot, struct diag *diag,
		  struct container_info *ret);
/** container_find() - by ID, unique prefix of it, or name. -ENOENT, -ENOTUNIQ. */
int container_find(struct store *store, const char *what, struct diag *diag, struct container_info *ret);
/** container_find_mount() - by the mount point it was last mounted on (absolute, resolved). -ENOENT. */
int container_find_mount(struct store *store, const char *mountpoint, struct container_info *ret);
/** container_frozen_path() - where @frozen is, whether there is one or not; to be freed. NULL: out of memory. */
char *container_frozen_path(struct store *store, const struct container_info *container);
int container_set_mountpoint(struct store *store, const char *id, const char *mountpoint_or_null);
int container_list(struct store *store, struct diag *diag, struct container_info **ret, size_t *ret_count);
void container_list_free(struct container_info *list, size_t count);
/** container_rename() - -EINVAL: @name is no name; -EEXIST: another container has it; -ENOENT. */
int container_rename(struct store *store, const char *id, const char *name, struct diag *diag);
/** container_remove() - with its upper. Locked (frozen.h), unless nobody else knows of it yet, and not mounted. */
int container_remove(struct store *store, const char *id, struct diag *diag);

#endif
