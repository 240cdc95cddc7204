/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_OVERLAP_H
#define NACRE_FS_OVERLAP_H

struct diag;
struct fs;
struct mounts;

/**
 * overlap_check() - are lowers, upper and workdir such that writing to the one changes none of the others?
 * @workdir: its descriptor; nothing in it was touched yet
 *
 * Return: 0; -ELOOP or -EINVAL with diag naming both paths; -errno.
 */
int overlap_check(struct fs *fs, const struct mounts *mounts, int workdir, struct diag *diag);

#endif
