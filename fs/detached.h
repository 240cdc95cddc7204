/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_DETACHED_H
#define NACRE_FS_DETACHED_H

/* Folders opened in such a way that what they are on can be unmounted meanwhile (detached.c). */

#include <stdbool.h>

struct mounts;

/** mounts_read() - where things are mounted now. Return: owned; NULL, which is as good as any, if nobody knows. */
struct mounts *mounts_read(void);
void mounts_free(struct mounts *mounts);
static inline void mounts_freep(struct mounts **mounts)
{
	mounts_free(*mounts);
}

/** mounts_are_idmapped() - does what @path is on show other owners than the disk has? */
bool mounts_are_idmapped(const struct mounts *mounts, const char *path);

/** path_is_within() - is @path @folder, or in it? Both absolute and without symlinks. */
bool path_is_within(const char *path, const char *folder);
/** mounts_between() - is something mounted below @outer on @inner, or on a folder that it is in? Both without symlinks. */
bool mounts_between(const struct mounts *mounts, const char *outer, const char *inner);

/** detached_open() - a folder. Return: its descriptor, or -errno. */
int detached_open(const struct mounts *mounts, const char *path);

/**
 * detached_open_two() - two folders between which names can be moved, if they are on one mount
 * @ret: their descriptors
 *
 * Return: 0, or -errno with the index of the path that it is about in *@ret_failed.
 */
int detached_open_two(const struct mounts *mounts, const char *const paths[2], int ret[2], int *ret_failed);

#endif
