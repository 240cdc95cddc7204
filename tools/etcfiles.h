/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_ETCFILES_H
#define NACRE_TOOLS_ETCFILES_H

/*
 * /etc/resolv.conf, hosts and hostname of a container: files in its folder that are
 * mounted over those of its root.  Where the root has none, empty ones are put
 * there to be mounted on, and taken away in the end.  They are no change of the user's: marked in the
 * upper as placeholders, they are in no diff and no commit of a container that runs either.
 */

#include "tools/json.h"

#include <time.h>

enum { ETC_FILES = 3 };
/** The names, in /etc and in the container's folder. */
extern const char *const etc_files[ETC_FILES];

struct etc_places {
	bool mounted[ETC_FILES]; /* by us: the user has given none */
	bool made[ETC_FILES];
	struct timespec mtime; /* of /etc before */
};

/** etc_files_write() - into folder @dir, for what is run with @spec. Return: 0 or -errno. */
int etc_files_write(const char *dir, const json_t *spec);

/**
 * etc_files_place() - let there be files to mount on
 * @rootfd: the mounted root
 * @upper: the folder of what changes in it, where those that are made are marked
 */
void etc_files_place(int rootfd, const char *upper, const json_t *spec, struct etc_places *ret);
/** etc_files_remove() - those of ours that are as they were. */
void etc_files_remove(int rootfd, const struct etc_places *places);

#endif
