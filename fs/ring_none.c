/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ring.h"

/* In place of ring.c where there is no liburing: the option is known, and left out with a warning. */

#include <errno.h>

int rings_new(struct mount *mount, struct diag *diag, struct rings **ret)
{
	return diag_set(diag, -ENOTSUP, "this program was built without liburing");
}

void rings_see_request(struct rings *rings)
{
}

void rings_see_init(struct rings *rings, const struct fuse_in_header *in, size_t bytes)
{
}

int rings_await(struct rings *rings, struct diag *diag)
{
	return 0;
}

void *rings_buffer(struct rings *rings, size_t bytes)
{
	return NULL;
}

void rings_stop(struct rings *rings)
{
}

void rings_free(struct rings *rings)
{
}
