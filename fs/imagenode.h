/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_IMAGENODE_H
#define NACRE_FS_IMAGENODE_H

/* The nodes of an image store (imagestore.c) that belong to one image or layer: what they are and hold. */

#include "fs/layertrees.h"
#include "store/base/buf.h"
#include "store/podmanindex.h"
#include "store/tarsplit.h"

#define IMAGE_NODE_SPLIT_END ".tar-split.gz"

enum node_kind { NODE_IMAGE, NODE_LAYER, NODE_EMPTY, NODE_FILE, NODE_SYMLINK, NODE_SPLIT };

struct image_node {
	fuse_ino_t ino;
	uint64_t lookups;
	enum node_kind kind;
	fuse_ino_t parent;
	char *name; /* owned */
	char *text; /* owned: of a file or symlink */
	size_t bytes;
	int64_t mtime;			/* of what it belongs to: the same whenever it is looked up */
	char id[PODMANINDEX_ID_BYTES];	/* of an image or layer */
	struct podmanindex_layer layer; /* of a layer */
	struct tarsplit split;		/* of an archive; see imagestore_read() */
	struct shown_layer shown;	/* of a layer: its tree */
};

struct image_node *image_node_new(fuse_ino_t parent, const char *name);
void image_node_free(struct image_node *node);
/** image_node_order() - for tsearch(3): equal are those that show the same by the same name. */
int image_node_order(const void *a, const void *b);
/** image_node_order_by_ino() - likewise, by number alone. */
int image_node_order_by_ino(const void *a, const void *b);

/* What is called @name, into @ret. Return: 0; -ENOENT; -ENOMEM. */
int image_node_image(const struct podmanindex *index, const char *name, struct image_node *ret);
int image_node_layer(const struct podmanindex *index, const char *name, struct image_node *ret);
int image_node_split(const struct podmanindex *index, const char *name, struct image_node *ret);
int image_node_link(const struct podmanindex *index, const char *name, struct image_node *ret);
/** image_node_below() - in the folder @in, but for a layer's tree. Return: the same; -EIO: the store is damaged. */
int image_node_below(struct store *store, const struct podmanindex *index, const struct image_node *in,
		     const char *name, struct image_node *ret);

/** image_node_names() - what is in a folder. */
int image_node_names(struct store *store, const struct podmanindex *index, const struct image_node *node,
		     struct buf *names);
/** image_node_add_name() - with its NUL */
void image_node_add_name(struct buf *names, const char *name);
/** image_node_add_link() - the short name of layer @id, without a NUL */
void image_node_add_link(struct buf *text, const char *id);

#endif
