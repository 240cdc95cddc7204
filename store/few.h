/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_FEW_H
#define NACRE_STORE_FEW_H

/*
 * The rows of a staged layer while they are few, in arrays: most commits change ten files, and a database that is made,
 * filled, attached and dropped for fourteen rows takes longer than all else that is done with them.
 *
 * What is done to the rows of nearly all layers is done here.  Whatever else comes (a name that is taken away, a hard
 * link, an object, more rows than FEW_MAX) goes to stage.db first, with stage_spill(), and so does what is asked of rows
 * in SQL.  What the functions do is what the statements of rows.c and publish.c do, and has the same meaning.
 */

#include "store/content.h"
#include "store/layer.h"
#include "store/rows.h"

enum { FEW_MAX = 256 }; /* of each kind: they are looked through from end to end */

struct few;

struct few *few_new(void);
void few_free(struct few *few);
void few_freep(struct few **few);

/** few_is_full() - there may be no room for one more of something. */
bool few_is_full(const struct few *few);
/** few_find(), few_put(), few_put_xattr(), few_add_links() - as those of rows.h; -ENOBUFS: it is full. */
int few_find(const struct few *few, int64_t dir, const char *name, size_t len, struct row *ret);
int few_put(struct few *few, int64_t dir, const char *name, size_t len, uint32_t no, unsigned flags,
	    const struct tree_entry *e);
int few_put_xattr(struct few *few, uint32_t no, const struct tree_xattr *x);
int few_add_links(struct few *few, uint32_t no, int delta);
/** few_entries() - how many rows are no hidden ones. */
uint64_t few_entries(const struct few *few);

/** few_add_content() - a content in the pack at @offset. */
int few_add_content(struct few *few, int64_t local, const struct content_hash *hash, uint64_t size, int64_t offset);
/**
 * few_next_content() - contents of one hash and size
 * @at: 0 for the first one; set for the next
 * Return: 1, and which it is and where; 0: no more.
 */
int few_next_content(const struct few *few, const struct content_hash *hash, uint64_t size, size_t *at,
		     int64_t *ret_local, int64_t *ret_offset);

/** few_spill() - all of them into the empty tables of stage.db. */
int few_spill(const struct few *few, struct db *db);

/* What publish.c knows of the layer. */
struct few_publish {
	int64_t base; /* local content n has the id base + n */
	int64_t pack; /* 0: there is none */
	int64_t pack_bytes;
	int64_t framing; /* as in struct tar_result */
};

/** few_publish_contents() - rows of the pack and of the contents, and more references to those that are shared; -ESTALE: one of
 * these is gone. */
int few_publish_contents(const struct few *few, struct db *db, const struct few_publish *p);
/** few_publish_entries() - rows of entry and xattr, in the order of their keys. */
int few_publish_entries(struct few *few, struct db *db, struct layer_id layer, int64_t base);

#endif
