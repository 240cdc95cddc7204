/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_INUMBER_H
#define NACRE_FS_INUMBER_H

/* st_ino: see inumber.c. */

#include "fs/internal.h"

#define INO_OF_ROW (1ull << 62) /* in st_ino: it is made from a layer of the store, and the number there */

/** ino_is_passing() - may another file have the number of @node, which is in a lower, when this mount has ended? */
bool ino_is_passing(const struct fs *fs, const struct node *node);
/** ino_of_backing() - st_ino of an inode that is its own origin. */
uint64_t ino_of_backing(struct fs *fs, const struct stat *st);
/** ino_of_row() - st_ino of one that is a row. */
uint64_t ino_of_row(struct fs *fs, const struct node *node);
/** ino_covered() - of a file that is not resolved: 1 + the index of the topmost lower that has its name; 0: not known. */
uint32_t ino_covered(const struct fs *fs, const struct node *node);
/**
 * ino_of_upper() - st_ino of what is in the upper, or was when that was one
 * @covered: as ino_covered() had it before index_join()
 *
 * The directory of @link is locked, names_lock is not.
 */
uint64_t ino_of_upper(struct fs *fs, struct link *link, uint32_t covered, const struct stat *st);
/** ino_keep_home() - @link's node is about to get another name. names_lock is held. */
void ino_keep_home(struct fs *fs, const struct link *link);
/** backing_identity() - device and number on disk of a node that is there. names_lock is held. */
int backing_identity(struct fs *fs, struct node *node, uint64_t *dev, uint64_t *ino);

#endif
