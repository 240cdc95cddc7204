/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_SCHEMA_H
#define NACRE_STORE_SCHEMA_H

#include "store/db.h"

#include <stdbool.h>

/**
 * schema_check() - is this index ours, and of a version that we know?
 * @ret_version: of the index; below STORE_VERSION schema_migrate() has work to do
 * Return: 0, -EPROTO: newer than this program; -EBADMSG: damaged or no index of a store.
 */
int schema_check(struct db *db, struct diag *diag, int *ret_version);

/**
 * schema_compare() - are the tables declared as they were made?
 * @ret: the name of one that is not, owned; NULL: they are
 *
 * As they were made in the index's own version.  A changed bit in a declaration is a valid one of a column that nobody
 * asks for.
 */
int schema_compare(struct db *db, char **ret);

/** schema_migrate() - bring an empty or older index to STORE_VERSION, in one transaction. */
int schema_migrate(struct db *db, struct diag *diag);

#endif
