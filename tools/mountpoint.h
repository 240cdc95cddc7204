/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_MOUNTPOINT_H
#define NACRE_TOOLS_MOUNTPOINT_H

#include "store/base/diag.h"

#include <stdbool.h>

/**
 * mountpoint_check() - may something be mounted on @path?
 * @nonempty: also where something is in it
 * @ret: the path resolved, to free(); also set on some errors
 * @ret_hint: set where there is something that helps
 *
 * Return: 0, or -errno with the reason in @diag.
 */
int mountpoint_check(const char *path, bool nonempty, char **ret, struct diag *diag, const char **ret_hint);

#endif
