/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_TREES_H
#define NACRE_FS_TREES_H

/*
 * Several trees in one mount, each a struct fs of its own.
 *
 * The kernel names a node by a number that is ours to choose: the node's address, which has no more than 48 bits, and
 * above it the number of the tree.  Tree 0 is what was mounted.  The others are read-only, and what names lead into them
 * is the affair of whoever adds them.  A tree stays until the mount ends, or whoever added it knows that no request is in it:
 * one on its last node may still be under way when the kernel has forgotten that.
 */

#include "fs/fs.h"

enum { TREES_MAX = 1 << 14, TREES_SHIFT = 48 };

struct trees;

/** trees_new() - with no tree but number 0, which is not kept here; NULL: out of memory. */
struct trees *trees_new(void);
/** trees_free() - and all trees with it; NULL is fine. */
void trees_free(struct trees *trees);
/** trees_add() - @fs: the trees' from now on, if it succeeds. Any thread. Return: its number; -ENFILE: there are too many. */
int trees_add(struct trees *trees, struct fs *fs);
/** trees_remove() - it is the caller's again, and its number may be another's. No request is in it. */
void trees_remove(struct trees *trees, unsigned number);
/** trees_get() - borrowed as long as the tree is there; NULL: it is not. Any thread. */
struct fs *trees_get(const struct trees *trees, unsigned number);

/* Of the numbers that the kernel has. */
static inline unsigned trees_number(uint64_t ino)
{
	return (unsigned)(ino >> TREES_SHIFT);
}
static inline struct node *trees_node(uint64_t ino)
{
	return (struct node *)(uintptr_t)(ino & ((1ull << TREES_SHIFT) - 1));
}
static inline uint64_t trees_ino(unsigned number, const struct node *node)
{
	return node ? (uint64_t)number << TREES_SHIFT | (uint64_t)(uintptr_t)node : 0;
}

#endif
