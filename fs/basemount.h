/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_BASEMOUNT_H
#define NACRE_FS_BASEMOUNT_H

#include "fs/options.h"

/**
 * basemount() - a read-only mount of a container's lowers: make it a part of the container's own mount, if there is one
 * @key: what base_keys() says of all its lowers
 *
 * Return: whether it was done; where not, for whatever reason, a mount of its own shows the same.
 */
bool basemount(const struct mount_options *options, const uint8_t *key);

#endif
