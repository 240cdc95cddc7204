/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_DIRMAP_H
#define NACRE_STORE_DIRMAP_H

/*
 * The directories of a layer that is being made: (parent, name) -> directory.
 * They are kept in memory, some 40 bytes and the name for each, because every entry
 * asks for its parent.  A directory is named by its index here, which never
 * changes; 0 is the root.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIRMAP_NONE = UINT32_MAX };

struct dirmap_dir {
	uint32_t parent; /* index */
	uint32_t no;	 /* inode number in the layer */
	uint32_t subdirs;
	uint32_t next; /* in its bucket; index */
	size_t name;   /* offset in names */
	uint16_t name_len;
	bool removed;
};

struct dirmap {
	struct dirmap_dir *dirs; /* owned */
	size_t count, room;
	uint32_t *buckets; /* owned; power of two */
	size_t bucket_count;
	char *names; /* owned */
	size_t names_len, names_room;
};

int dirmap_init(struct dirmap *map, uint32_t root_no);
void dirmap_release(struct dirmap *map);
/** dirmap_find() - Return: an index, or DIRMAP_NONE. */
uint32_t dirmap_find(const struct dirmap *map, uint32_t parent, const char *name, size_t name_len);
/** dirmap_add() - it must not be there. */
int dirmap_add(struct dirmap *map, uint32_t parent, const char *name, size_t name_len, uint32_t no, uint32_t *ret);
/** dirmap_remove() - one directory, out of its parent; those in it are the caller's to remove first. */
void dirmap_remove(struct dirmap *map, uint32_t dir);

#endif
