/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_FOREST_H
#define NACRE_FS_FOREST_H

/*
 * One mount of many read-only trees: all of a store, or an image's layers one by one (catalog.h says what is where).
 * As fs.h, it never talks to the kernel's FUSE device.
 *
 * What the kernel knows has a number, in which the upper bits say of which tree it is:
 *	0	a place: a folder that leads to trees; the rest is its address
 *	else	a node of that tree; the rest is its address, and 0 the tree's root
 * No program's memory is at an address of more than FOREST_NODE_BITS bits, unless it asks for that.
 */

#include "fs/fs.h"

enum { FOREST_NODE_BITS = 48, FOREST_ROOT = 1 /* the number of the mount's root, as FUSE has it */ };

struct forest;

/** forest_new() - @options: borrowed; its trees says which. */
int forest_new(const struct fs_options *options, struct diag *diag, struct forest **ret);
/** forest_free() - NULL is fine; no other call may be under way. */
void forest_free(struct forest *forest);
struct stats *forest_stats(struct forest *forest);
void forest_describe(struct forest *forest, bool json, struct buf *ret);

/* What the kernel is told; it counts as looked up once. */
struct forest_entry {
	uint64_t id;
	struct stat st;
	bool lasting; /* a tree's inside never changes; places, and which trees there are, do */
};

/** forest_lookup() - -ENOENT; -ESTALE: the image or layer was removed. */
int forest_lookup(struct forest *forest, uint64_t parent, const char *name, struct forest_entry *ret);
void forest_forget(struct forest *forest, uint64_t id, uint64_t lookups);
int forest_getattr(struct forest *forest, uint64_t id, struct stat *st, bool *lasting);
/**
 * forest_is_bare() - is it known, without opening its tree, that it has no xattr but user.nacre.layer?
 *
 * A listing with attributes asks for xattrs of each folder in it: that is not to open them all.
 */
bool forest_is_bare(struct forest *forest, uint64_t id);
int forest_statfs(struct forest *forest, struct statvfs *st);

/**
 * forest_readdir() - as fs_readdir(); entries that @fn took are counted
 * @entry->id: 0: not looked up
 */
typedef bool (*forest_dirent_fn)(const char *name, const struct forest_entry *entry, uint64_t cookie, void *arg);
int forest_readdir(struct forest *forest, uint64_t id, uint64_t cookie, bool plus, forest_dirent_fn fn, void *arg);

/*
 * A request on something in a tree: it is open, and its layers stay, until forest_leave().
 */
struct forest_visit {
	struct fs *fs;
	struct node *node;
	struct tree *tree;
};
/** forest_enter() - Return: 0; -EISDIR: it is a place; -ESTALE; the errors of opening a tree. */
int forest_enter(struct forest *forest, uint64_t id, struct forest_visit *ret);
void forest_leave(struct forest_visit *visit);

#endif
