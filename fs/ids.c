/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ids.h"

#include <errno.h>

/*
 * Owners: what is shown for an owner on disk, and the other way round.
 *
 * Under fakeroot what root owns in the image is the mounting user's in the mount, as
 * in a rootless container: the kernel, which lets only the owner it sees set an ACL,
 * link to a special file or remove from a sticky folder, lets him.
 *
 *   in the image           shown          given to chown(2)      in the image
 *   root (image_uid)       the user       the user, or 0         root
 *   the user's number      PARKED_ID      PARKED_ID              the user's number
 *   another                the same       another                the same
 *
 * An image that he made of files of his own has him where others have root: then
 * every owner is shown as it is.
 *
 * A mapping DISK:SHOWN:COUNT shows DISK+i as SHOWN+i: the files of an image keep its
 * owners, and a user namespace sees them as its own.  An owner that no mapping has is
 * shown as the overflow ID, as there.  Squashing is for the eye only: what is written
 * is who asked, as far as the mounting user may.
 */

static const uint32_t PARKED_ID = 0xfffffffe; /* nobody's: (uint32_t)-1 means no change */

static uint32_t map_shown(const struct fs_idmap *maps, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++) {
		if (id >= maps[i].disk && id - maps[i].disk < maps[i].count)
			return maps[i].shown + (id - maps[i].disk);
	}
	return count ? IDS_OVERFLOW : id;
}

static int map_disk(const struct fs_idmap *maps, size_t count, uint32_t id, uint32_t *ret)
{
	for (size_t i = 0; i < count; i++) {
		if (id >= maps[i].shown && id - maps[i].shown < maps[i].count) {
			*ret = maps[i].disk + (id - maps[i].shown);
			return 0;
		}
	}
	*ret = id;
	return count ? -EINVAL : 0;
}

bool ids_are_squashed(const struct fs *fs)
{
	return fs->options->squash_uid >= 0 || fs->options->squash_gid >= 0;
}

bool ids_are_mapped(const struct fs *fs)
{
	return ids_are_squashed(fs) || fs->options->uid_map_count + fs->options->gid_map_count > 0;
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
	int r = map_disk(fs->options->uid_maps, fs->options->uid_map_count, shown, ret);

	return ids_are_squashed(fs) ? 0 : r;
}

int ids_gid_disk(const struct fs *fs, gid_t shown, gid_t *ret)
{
	int r = map_disk(fs->options->gid_maps, fs->options->gid_map_count, shown, ret);

	return ids_are_squashed(fs) ? 0 : r;
}

static uint32_t fake_shown(uint32_t id, uint32_t image, uint32_t owner)
{
	if (image == owner)
		return id;
	if (id == image)
		return owner;
	return id == owner ? PARKED_ID : id;
}

static uint32_t fake_image(uint32_t id, uint32_t image, uint32_t owner)
{
	if (image == owner)
		return id;
	if (id == owner || id == 0)
		return image;
	return id == PARKED_ID ? owner : id;
}

uid_t ids_uid_recorded_shown(const struct fs *fs, uid_t recorded)
{
	if (!fs->options->fakeroot || fs->options->squash_uid >= 0)
		return ids_uid_shown(fs, recorded);
	return fake_shown(recorded, fs->image_uid, fs->owner_uid);
}

gid_t ids_gid_recorded_shown(const struct fs *fs, gid_t recorded)
{
	if (!fs->options->fakeroot || fs->options->squash_gid >= 0)
		return ids_gid_shown(fs, recorded);
	return fake_shown(recorded, fs->image_gid, fs->owner_gid);
}

uint32_t ids_fake_uid_image(const struct fs *fs, uint32_t uid)
{
	return fs->options->fakeroot ? fake_image(uid, fs->image_uid, fs->owner_uid) : uid;
}

uint32_t ids_fake_gid_image(const struct fs *fs, uint32_t gid)
{
	return fs->options->fakeroot ? fake_image(gid, fs->image_gid, fs->owner_gid) : gid;
}
