/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_FOREST_INTERNAL_H
#define NACRE_FS_FOREST_INTERNAL_H

/*
 * What the parts of the forest share.
 *
 * Locks, in this order, before those of fs/internal.h: forest->lock; a tree's; forest->idle_lock.
 */

#include "fs/catalog.h"
#include "fs/forest.h"
#include "fs/internal.h"

#include <string.h>
#include <xxhash.h>

enum { SLOT_COUNT = 65536 };

#define SECOND_NS 1000000000ll
#define NODE_MASK ((1ull << FOREST_NODE_BITS) - 1)

/* A folder that leads to trees, known to the kernel. */
struct place {
	char *path; /* owned */
	uint64_t lookups;
};

struct tree {
	struct leaf leaf; /* owned; fixed, as is the slot */
	uint32_t slot;
	struct forest *forest;	  /* borrowed */
	_Atomic uint64_t lookups; /* that the kernel has of anything in it, and one for each request in it */
	bool replaced;		  /* dead, and not in forest->trees any more; the forest's lock guards it */
	_Atomic bool dead;	  /* for good; set with the tree's lock held */

	pthread_mutex_t lock;
	struct fs *fs;	     /* owned; NULL until somebody enters it */
	struct lease *lease; /* owned; NULL: nobody was in it for a while */
	unsigned busy;	     /* requests in it */
	int64_t left_ns;     /* when the last was done */
	bool has_stat;
	struct stat root_stat; /* what stat(2) says of its root, which never changes */
};

struct forest {
	struct fs_options whole, single; /* borrowed from the caller: for merged trees; for one layer each */
	struct fs_shared shared;	 /* owned */
	struct watch *watch;		 /* owned; NULL: the catalog never changes */
	struct lease *lease;		 /* owned; of the image, where there is only one */
	uid_t owner_uid;
	gid_t owner_gid;

	pthread_mutex_t lock;
	struct catalog catalog;
	struct timespec changed; /* when it did last */
	struct place root;
	void *places;	     /* owned: a tsearch(3) tree of struct place */
	void *trees;	     /* owned: of struct tree */
	struct tree **slots; /* owned; read without the lock: of what the kernel knows it does not change */
	uint32_t last_slot;

	pthread_mutex_t idle_lock;
	pthread_cond_t idle_cond;
	unsigned leased; /* trees */
	bool ending;
	pthread_t idler;
	bool has_idler;
};

/* --- foresttree.c --- */

/** tree_get_locked() - the tree of @leaf, a new one if there is none; forest->lock is held, and the caller counts a lookup. */
int tree_get_locked(struct forest *forest, const struct leaf *leaf, struct tree **ret);
/** tree_root_stat() - of its root; no lease is taken for that. Return: 0, -ESTALE if it is not there any more. */
int tree_root_stat(struct tree *tree, struct stat *st);
/** tree_forget() - so many lookups fewer: with the last it is freed. No lock is held. */
void tree_forget(struct forest *forest, struct tree *tree, uint64_t lookups);
/** forest_trees_free() - all of them, for forest_free(). */
void forest_trees_free(struct forest *forest);
/** idler_start() - the thread that gives leases up when nobody came for a while. idler_stop(): before forest_trees_free(). */
int idler_start(struct forest *forest);
void idler_stop(struct forest *forest);

/* --- numbers --- */

static inline uint32_t slot_of(uint64_t id)
{
	return (uint32_t)(id >> FOREST_NODE_BITS);
}

static inline int id_of(const struct tree *tree, const struct node *node, uint64_t *ret)
{
	uint64_t address = (uint64_t)(uintptr_t)node;

	if (address > NODE_MASK)
		return -EOVERFLOW;
	*ret = (uint64_t)tree->slot << FOREST_NODE_BITS | (node == fs_root(tree->fs) ? 0 : address);
	return 0;
}

static inline struct tree *tree_of(const struct forest *forest, uint64_t id)
{
	return forest->slots[slot_of(id)];
}

static inline struct place *place_of(struct forest *forest, uint64_t id)
{
	return id == FOREST_ROOT ? &forest->root : (struct place *)(uintptr_t)id;
}

/* Two trees that share a layer must not show the same folder: their contents are not the same. */
static inline ino_t ino_of(const struct tree *tree, ino_t ino)
{
	uint64_t mixed = (uint64_t)ino ^ (uint64_t)tree->slot << FOREST_NODE_BITS;

	if (tree->forest->whole.ino32)
		mixed = (uint32_t)ino ^ tree->slot * 0x9e3779b1u;
	return mixed ? mixed : 1;
}

static inline ino_t ino_of_path(const struct forest *forest, const char *path)
{
	uint64_t ino = XXH3_64bits(path, strlen(path)) | 1ull << 63;

	return forest->whole.ino32 ? (uint32_t)ino | 1 : ino;
}

#endif
