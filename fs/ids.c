/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

#include <errno.h>

/*
 * Owners: what is shown for an owner on disk, and the other way round.
 *
 * A mapping INSIDE:OUTSIDE:COUNT shows OUTSIDE+i of the disk as INSIDE+i.  An
 * owner that no mapping has is shown as the overflow ID, as in a user namespace.
 */

enum { OVERFLOW_ID = 65534 };

static uint32_t map_shown(const struct fs_idmap *maps, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++) {
		if (id >= maps[i].outside && id - maps[i].outside < maps[i].count)
			return maps[i].inside + (id - maps[i].outside);
	}
	return count ? OVERFLOW_ID : id;
}

static int map_disk(const struct fs_idmap *maps, size_t count, uint32_t id, uint32_t *ret)
{
	for (size_t i = 0; i < count; i++) {
		if (id >= maps[i].inside && id - maps[i].inside < maps[i].count) {
			*ret = maps[i].outside + (id - maps[i].inside);
			return 0;
		}
	}
	*ret = id;
	return count ? -EINVAL : 0;
}

uid_t ids_uid_shown(const struct fs *fs, uid_t on_disk)
{
	if (fs->options->squash_uid >= 0)
		return (uid_t)fs->options->squash_uid;
	return map_shown(fs->options->uid_maps, fs->options->uid_map_count, on_disk);
}

gid_t ids_gid_shown(const struct fs *fs, gid_t on_disk)
{
	if (fs->options->squash_gid >= 0)
		return (gid_t)fs->options->squash_gid;
	return map_shown(fs->options->gid_maps, fs->options->gid_map_count, on_disk);
}

int ids_uid_disk(const struct fs *fs, uid_t shown, uid_t *ret)
{
	if (fs->options->squash_uid >= 0)
		shown = (uid_t)fs->options->squash_uid;
	return map_disk(fs->options->uid_maps, fs->options->uid_map_count, shown, ret);
}

int ids_gid_disk(const struct fs *fs, gid_t shown, gid_t *ret)
{
	if (fs->options->squash_gid >= 0)
		shown = (gid_t)fs->options->squash_gid;
	return map_disk(fs->options->gid_maps, fs->options->gid_map_count, shown, ret);
}

void ids_caller(const struct fs *fs, const struct fs_cred *cred, uid_t *uid, gid_t *gid)
{
	*uid = cred->uid;
	*gid = cred->gid;
	if (fs->options->fakeroot && cred->uid == fs->owner_uid)
		*uid = 0;
	if (fs->options->fakeroot && cred->gid == fs->owner_gid)
		*gid = 0;
}
