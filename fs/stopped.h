/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_STOPPED_H
#define NACRE_FS_STOPPED_H

#include "fs/options.h"

/**
 * stopped_options() - a read-only mount of a container that does not run: make it show all that the running one showed
 *
 * Return: 0, also where nothing need be changed; -ENOMEM.
 */
int stopped_options(struct mount_options *options);

#endif
