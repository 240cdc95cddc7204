/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_ROWS_H
#define NACRE_STORE_ROWS_H

/*
 * The rows of a staged layer (stage.h), one statement each, or, while they are few, a place in arrays (few.h); what they
 * mean is tree.c's.  A row is named by the number of its directory and its name.
 */

#include "store/tree.h"

#include <limits.h>

/* What of a row decides about the entries that come after it. */
struct row {
	uint32_t no, mode;
	unsigned flags;
	int64_t content;
	uint64_t size;
};

/** row_find() - Return: 1 and *@ret, 0 if there is none, -errno. */
int row_find(struct stage *stage, int64_t dir, const char *name, size_t len, struct row *ret);
/** row_first_child() - any child of directory @no. Return: 1, *@ret and its name; 0: it is empty; -errno. */
int row_first_child(struct stage *stage, uint32_t no, char name[NAME_MAX + 1], size_t *len, struct row *ret);
/** row_put() - over what has its name. */
int row_put(struct stage *stage, int64_t dir, const char *name, size_t len, uint32_t no, unsigned flags,
	    const struct tree_entry *e);
/** row_copy() - one more name for an inode; the new name must be free. */
int row_copy(struct stage *stage, int64_t from_dir, const char *from, size_t from_len, int64_t dir, const char *name,
	     size_t len);
int row_set_flags(struct stage *stage, int64_t dir, const char *name, size_t len, unsigned flags);
int row_delete(struct stage *stage, int64_t dir, const char *name, size_t len);

int row_put_xattr(struct stage *stage, uint32_t no, const struct tree_xattr *x);
int row_delete_xattrs(struct stage *stage, uint32_t no);

/** row_add_links() - add @delta to the number of names of an inode; one with a single name has no row.
 * Return: the new number, -errno. */
int row_add_links(struct stage *stage, uint32_t no, int delta);
/** row_count() - how many of them are no hidden ones. */
int row_count(struct stage *stage, uint64_t *ret);

/* Into the tables of stage.db, whatever is elsewhere: */
int db_row_put(struct db *db, int64_t dir, const char *name, size_t len, uint32_t no, unsigned flags,
	       const struct tree_entry *e);
int db_row_put_xattr(struct db *db, uint32_t no, const struct tree_xattr *x);
/** db_row_put_content() - @offset < 0: it is an object. */
int db_row_put_content(struct db *db, int64_t local, const struct content_hash *hash, uint64_t size, int64_t offset);

#endif
