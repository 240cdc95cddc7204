/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TREE_H
#define NACRE_STORE_TREE_H

/*
 * From archive entries to the rows of a layer: names are taken apart, missing
 * parents made, whiteouts understood, later entries put over earlier ones, hard
 * links resolved.  Source: OCI image-spec, layer.md ("Applying Changesets").
 *
 * For each entry: tree_place() says where it goes and what it is, then (with
 * the content read, if it is a file) tree_put() makes the row.
 */

#include "store/layer.h"
#include "store/stage.h"

struct tree;

enum tree_kind {
	TREE_ENTRY,   /* an entry of the layer: tree_put() it */
	TREE_DONE,    /* a whiteout or opaque mark; it is in the tree already */
	TREE_IGNORED, /* AUFS's own bookkeeping */
};

struct tree_place {
	enum tree_kind kind;
	uint32_t parent;  /* index of the directory; for the root, its own */
	const char *name; /* last component; "" for the root; borrowed until the next tree_place() */
	size_t name_len;
	uint32_t no; /* the number that the inode will have, should it be a new one */
};

struct tree_xattr {
	const char *name;  /* borrowed */
	const void *value; /* borrowed */
	size_t bytes;
};

/* All borrowed for the call. */
struct tree_entry {
	uint32_t mode; /* with type bits */
	uint32_t uid, gid;
	uint64_t rdev;
	int64_t mtime_ns;
	uint64_t size;
	int64_t content;    /* stage.h: local, negative or 0 */
	const char *target; /* of a symlink */
	const struct tree_xattr *xattrs;
	size_t xattr_count;
};

struct tree_totals {
	uint64_t entries;
	uint64_t content_bytes;
	bool has_xattrs;
};

int tree_new(struct stage *stage, struct tree **ret);
void tree_free(struct tree *tree);
void tree_freep(struct tree **tree);

/**
 * tree_place() - @path as in the archive, any bytes
 * @is_dir: the archive calls it a directory
 * Return: 0; -EBADMSG with the reason in @diag, without the entry's name.
 */
int tree_place(struct tree *tree, const char *path, bool is_dir, struct diag *diag, struct tree_place *ret);
int tree_put(struct tree *tree, const struct tree_place *place, const struct tree_entry *entry, struct diag *diag);
/** tree_link() - a hard link to the entry that the archive calls @target. */
int tree_link(struct tree *tree, const struct tree_place *place, const char *target, struct diag *diag);
/** tree_whiteout() - for 0:0 devices. */
int tree_whiteout(struct tree *tree, const struct tree_place *place);

/** tree_finish() - write what is only in memory. */
int tree_finish(struct tree *tree, struct tree_totals *ret);

#endif
