/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_IDS_H
#define NACRE_FS_IDS_H

/* Owners: on disk, in the image, and as they are shown. */

#include "fs/internal.h"

enum { IDS_OVERFLOW = 65534 }; /* nobody, as in a user namespace */
uid_t ids_uid_shown(const struct fs *fs, uid_t on_disk);
gid_t ids_gid_shown(const struct fs *fs, gid_t on_disk);
/** ids_are_squashed() - are owners not shown? ids_are_mapped() - does what is shown not tell the owner on disk? */
bool ids_are_squashed(const struct fs *fs);
bool ids_are_mapped(const struct fs *fs);
/** ids_uid_disk() - Return: -EINVAL if no mapping has it. */
int ids_uid_disk(const struct fs *fs, uid_t shown, uid_t *ret);
int ids_gid_disk(const struct fs *fs, gid_t shown, gid_t *ret);
/** ids_*_recorded_shown() - for an owner of an index row or a record. */
uid_t ids_uid_recorded_shown(const struct fs *fs, uid_t recorded);
gid_t ids_gid_recorded_shown(const struct fs *fs, gid_t recorded);
/** ids_fake_*_image() - under fakeroot, the owner in the image of one that is shown. */
uint32_t ids_fake_uid_image(const struct fs *fs, uint32_t uid);
uint32_t ids_fake_gid_image(const struct fs *fs, uint32_t gid);

#endif
