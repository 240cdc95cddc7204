/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_MOUNTS_H
#define NACRE_TOOLS_MOUNTS_H

/* What is mounted, as the kernel says it: /proc/self/mountinfo (proc_pid_mountinfo(5)). */

#include <stdbool.h>
#include <stddef.h>

struct mount_entry {
	char *point;  /* owned; absolute, unescaped */
	char *type;   /* owned */
	char *source; /* owned, unescaped */
	bool read_only;
};

struct mount_table {
	struct mount_entry *entries; /* owned; in the kernel's order, so later ones cover earlier ones */
	size_t count;
};

/** mount_table_read() - Return: 0 or -errno. */
int mount_table_read(struct mount_table *ret);
void mount_table_release(struct mount_table *table);

/** mount_table_at() - the mount that is seen at exactly @path; NULL: none. Borrowed. */
const struct mount_entry *mount_table_at(const struct mount_table *table, const char *path);
/** mount_is_nacre() - is it the driver's?  NULL is not. */
bool mount_is_nacre(const struct mount_entry *entry);

/** nacre_mounted_at() - is a mount of ours seen at @path right now?  Return: 1, 0, or -errno. */
int nacre_mounted_at(const char *path);

/**
 * mount_point_path() - @path resolved, even if the mount there is dead
 * @ret: a string to free()
 *
 * realpath(3) asks the mounted file system; when its daemon is gone, or it is
 * another user's, that fails.  Then only the parent is resolved.
 * Return: 0 or -errno.
 */
int mount_point_path(const char *path, char **ret);

#endif
