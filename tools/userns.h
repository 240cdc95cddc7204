/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_USERNS_H
#define NACRE_TOOLS_USERNS_H

/*
 * User namespaces of users other than root: their own number is root there, and
 * the others come from the ranges that /etc/subuid and /etc/subgid give them.
 */

#include "store/base/diag.h"

#include <stdbool.h>
#include <sys/types.h>

/** subid_range() - does the file give the user (of @uid; @name may be NULL) a range? The first one. */
bool subid_range(const char *path, const char *name, uid_t uid, unsigned *ret_first, unsigned *ret_count);

/**
 * userns_podman_ids() - the driver's options with which files have, in the user namespace that podman makes for this user,
 * the owners that they have in their image
 *
 * Who has no ranges has one number there, and all files are his.
 * Return: to free(); NULL: for root, and within a user namespace, owners are right as they are.
 */
char *userns_podman_ids(void);

/** userns_check() - are newuidmap(1), newgidmap(1) and the ranges there?  Else @diag says what to do. */
int userns_check(struct diag *diag);

/** userns_map() - give the new user namespace of process @pid its numbers. */
int userns_map(pid_t pid, struct diag *diag);

/**
 * userns_join() - go into the mount namespace of @pid, a user other than root also into its user
 * namespace, as root there; children will be in its process namespace
 */
int userns_join(pid_t pid);

#endif
