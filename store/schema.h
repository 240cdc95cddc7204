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

/**
 * The checksum of a row of blob, in SQL: of all its other columns, so that no flipped bit in one of them goes unseen.
 * quote() keeps NULL and the empty text apart.  Never changed once released.
 */
#define SCHEMA_BLOB_CHECKSUM                                                                               \
	"sha256(quote(no) || ' ' || quote(layer) || ' ' || quote(digest) || ' ' || quote(bytes) || ' ' ||" \
	" quote(media_type) || ' ' || quote(source))"

/** Of a row with a layer, in SQL: that layer has no row of its own, and no image waits for one (repair_lost.c). */
#define SCHEMA_OF_NO_LAYER "layer NOT IN (SELECT id FROM layer UNION SELECT layer FROM image_layer)"

/**
 * schema_has_blob_checksums() - does the index have that column?
 *
 * One of an older version does not, which on a medium that cannot be written is read as it is.
 * Return: 1, 0, -errno.
 */
int schema_has_blob_checksums(struct db *db);

/** schema_migrate() - bring an empty or older index to STORE_VERSION, in one transaction. */
int schema_migrate(struct db *db, struct diag *diag);

#endif
