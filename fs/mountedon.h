/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_MOUNTEDON_H
#define NACRE_FS_MOUNTEDON_H

/* On what in a mount something else is mounted, by anybody whom we may look at: in a container, say, its /etc/hosts. */

#include <stdbool.h>
#include <stddef.h>

struct mounted_on {
	char **paths; /* owned: "etc/hosts" */
	size_t count, room;
};

/** mounted_on_read() - of what is mounted at @mountpoint. Never within fs_enter(). Return: 0 or -ENOMEM. */
int mounted_on_read(const char *mountpoint, struct mounted_on *ret);
bool mounted_on_has(const struct mounted_on *list, const char *path);
void mounted_on_release(struct mounted_on *list);

#endif
