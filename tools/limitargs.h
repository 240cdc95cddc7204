/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_LIMITARGS_H
#define NACRE_TOOLS_LIMITARGS_H

/* --max-size, --max-entries and --max-ratio, of the commands that read archives from outside. */

#include "store/limits.h"
#include "tools/cli.h"

/** size_arg() - a size with K, M, G or T behind it; *@ret stays as it is if there is none. Return: DONE or MISUSED. */
int size_arg(const struct args *args, const char *name, uint64_t *ret);

/** limit_args() - what they say, else the defaults. Return: DONE, or MISUSED with the reason on stderr. */
int limit_args(const struct args *args, struct store_limits *ret);

/** limit_hint() - for an error of theirs; NULL for another one. */
const char *limit_hint(int err);

#endif
