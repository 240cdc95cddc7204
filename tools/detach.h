/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_DETACH_H
#define NACRE_TOOLS_DETACH_H

/* Ending a mount and forgetting where it was: umount and rm -f. */

#include "store/container.h"

struct cli;

/** detach_container() - unmount it where it is mounted, and record that it is not. */
int detach_container(struct cli *cli, const struct container_info *container, struct diag *diag);

/** detach_hint() - what helps against @err. */
const char *detach_hint(int err);

#endif
