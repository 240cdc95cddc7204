/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_ACCOUNT_H
#define NACRE_TOOLS_ACCOUNT_H

/* Who a container's process is: an image's "User", by the passwd and group files of its own root. */

#include "store/base/diag.h"

#include <stddef.h>
#include <sys/types.h>

struct account {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned: the further ones */
	size_t group_count;
	char *home; /* owned */
};

/**
 * account_find() - @user as in OCI image-spec config.md: USER[:GROUP], each a name or a number; "": root
 *
 * A number needs no line in passwd; then it has group 0 and the home "/", as with docker.
 * Return: 0; -ENOENT: there is no such name; ... .
 */
int account_find(int rootfd, const char *user, struct diag *diag, struct account *ret);
void account_release(struct account *account);

#endif
