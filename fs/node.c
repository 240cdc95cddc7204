/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Nodes, names and tables: their memory and how long it lives.
 *
 * A directory counts in `live` those children that keep its table: the kernel
 * knows them (nlookup > 0), or they are directories with a table of their own.
 * So a chain of tables leads from the root to whatever the kernel knows, and a
 * write-back can find its file although no dentry of its path is left.
 *
 *   nlookup 0 -> 1   node_get(), in a request that names the directory (which the
 *                    kernel therefore knows), so its table cannot go meanwhile
 *   nlookup 1 -> 0   fs_forget(), under reap_lock; then tables that became idle
 *                    are dropped, upwards, in the same critical section
 *
 * Memory for an entry that the kernel knows: a link (36 bytes and the name), a
 * node (96), a slot (8), and in tables of more than a few names 6 bytes of index.
 */

#include "fs/attrcache.h"
#include "fs/limits.h"
#include "store/base/auto.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct node *node_new(uint32_t mode, uint16_t layer)
{
	struct node *node;

	if (S_ISDIR(mode)) {
		struct dirnode *dir = calloc(1, sizeof(*dir));

		if (!dir)
			return NULL;
		pthread_mutex_init(&dir->lock, NULL);
		node = &dir->node;
	} else {
		node = calloc(1, sizeof(*node));
		if (!node)
			return NULL;
	}
	node->mode = mode;
	node->layer = layer;
	return node;
}

void node_free(struct fs *fs, struct node *node)
{
	if (!node)
		return;
	orphans_remove(fs, node);
	limits_node_lost(fs, node);
	fd_drop(fs->fds, &node->slot);
	metacopy_clear(fs, node);
	attrs_drop(fs, node);
	if (node_is_dir(node)) {
		struct dirnode *dir = node_dir(node);

		free(dir->table.slots);
		free(dir->table.index);
		parts_free(fs, dir->parts, dir->part_count);
		pthread_mutex_destroy(&dir->lock);
	}
	free(node);
}

/* --- inodes with several names --- */

static uint32_t inode_hash(uint16_t layer, uint64_t dev, uint64_t ino)
{
	uint64_t key[3] = { layer, dev, ino };

	return (uint32_t)XXH3_64bits(key, sizeof(key));
}

static void inode_key(const struct node *node, uint64_t *dev, uint64_t *ino)
{
	*dev = node_is(node, NODE_ROW) ? 0 : node->back.dev;
	*ino = node_is(node, NODE_ROW) ? node->row.no : node->back.ino;
}

static uint32_t inode_slot(const struct inodes *inodes, uint16_t layer, uint64_t dev, uint64_t ino)
{
	uint32_t i = inode_hash(layer, dev, ino) & inodes->mask;

	for (; inodes->slots[i]; i = (i + 1) & inodes->mask) {
		uint64_t d, n;

		inode_key(inodes->slots[i], &d, &n);
		if (inodes->slots[i]->layer == layer && d == dev && n == ino)
			break;
	}
	return i;
}

struct node *inodes_find_locked(struct fs *fs, uint16_t layer, uint64_t dev, uint64_t ino)
{
	if (!fs->inodes.slots)
		return NULL;
	return fs->inodes.slots[inode_slot(&fs->inodes, layer, dev, ino)];
}

static int inodes_grow(struct inodes *inodes)
{
	struct inodes bigger = { .mask = inodes->slots ? inodes->mask * 2 + 1 : 63 };

	bigger.slots = calloc(bigger.mask + 1, sizeof(struct node *));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; inodes->slots && i <= inodes->mask; i++) {
		struct node *node = inodes->slots[i];
		uint64_t dev, ino;

		if (!node)
			continue;
		inode_key(node, &dev, &ino);
		bigger.slots[inode_slot(&bigger, node->layer, dev, ino)] = node;
	}
	free(inodes->slots);
	inodes->slots = bigger.slots;
	inodes->mask = bigger.mask;
	return 0;
}

int inodes_add_locked(struct fs *fs, struct node *node)
{
	struct inodes *inodes = &fs->inodes;
	uint64_t dev, ino;
	uint32_t i;

	if (!inodes->slots || inodes->count * 2 > inodes->mask) {
		int r = inodes_grow(inodes);

		if (r < 0)
			return r;
	}
	inode_key(node, &dev, &ino);
	i = inode_slot(inodes, node->layer, dev, ino);
	inodes->count += !inodes->slots[i];
	inodes->slots[i] = node;
	node_set(node, NODE_MULTI);
	return 0;
}

void inodes_remove_locked(struct fs *fs, struct node *node)
{
	struct inodes *inodes = &fs->inodes;
	uint64_t dev, ino;
	uint32_t hole;

	inode_key(node, &dev, &ino);
	hole = inode_slot(inodes, node->layer, dev, ino);
	if (inodes->slots[hole] != node)
		return;
	inodes->slots[hole] = NULL;
	inodes->count--;
	/* Those behind the hole that it would hide move up. */
	for (uint32_t i = (hole + 1) & inodes->mask; inodes->slots[i]; i = (i + 1) & inodes->mask) {
		struct node *moved = inodes->slots[i];

		inodes->slots[i] = NULL;
		inode_key(moved, &dev, &ino);
		inodes->slots[inode_slot(inodes, moved->layer, dev, ino)] = moved;
	}
}

uint32_t dev_slot(struct fs *fs, uint64_t dev)
{
	uint64_t *devs;

	LOCKED(&fs->inodes.lock);
	for (uint32_t i = 0; i < fs->dev_count; i++) {
		if (fs->devs[i] == dev)
			return i;
	}
	devs = realloc(fs->devs, (fs->dev_count + 1) * sizeof(*devs));
	if (!devs)
		return fs->dev_count; /* a number that is not its own for ever, but of no other now */
	fs->devs = devs;
	devs[fs->dev_count] = dev;
	return fs->dev_count++;
}

/* --- tables --- */

enum { SMALL_TABLE = 8 }; /* up to so many names are found by looking at each: most folders have no more */

uint32_t name_hash(const char *name, size_t len)
{
	return (uint32_t)XXH3_64bits(name, len);
}

static bool link_is(const struct link *link, const char *name, size_t len, uint32_t hash)
{
	return link->hash == hash && link->name_len == len && memcmp(link->name, name, len) == 0;
}

struct link *table_find(const struct table *table, const char *name, size_t len, uint32_t hash)
{
	if (!table->index_mask) {
		for (uint32_t i = 0; i < table->used; i++) {
			if (table->slots[i] && link_is(table->slots[i], name, len, hash))
				return table->slots[i];
		}
		return NULL;
	}
	for (uint32_t i = hash & table->index_mask; table->index[i]; i = (i + 1) & table->index_mask) {
		struct link *link = table->slots[table->index[i] - 1];

		if (link && link_is(link, name, len, hash))
			return link;
	}
	return NULL;
}

static void index_put(struct table *table, uint32_t slot)
{
	uint32_t i = table->slots[slot]->hash & table->index_mask;

	if (!table->index_mask)
		return;
	while (table->index[i])
		i = (i + 1) & table->index_mask;
	table->index[i] = slot + 1;
}

static uint32_t index_size(uint32_t entries)
{
	uint32_t size = SMALL_TABLE * 2;

	if (entries <= SMALL_TABLE)
		return 0;
	while (size < entries + entries / 2)
		size *= 2;
	return size;
}

/* Takes out the empty slots and makes room, and an index, for @want entries. */
static int table_rebuild(struct table *table, uint32_t want)
{
	uint32_t size = index_size(want), used = 0;
	uint32_t *index = size ? calloc(size, sizeof(*index)) : NULL;
	struct link **slots = malloc(want * sizeof(*slots));

	if ((size && !index) || !slots) {
		free(index);
		free(slots);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < table->used; i++) {
		if (table->slots[i])
			slots[used++] = table->slots[i];
	}
	free(table->index);
	free(table->slots);
	table->index = index;
	table->index_mask = size ? size - 1 : 0;
	table->slots = slots;
	table->used = used;
	table->room = want;
	table->stale = 0;
	for (uint32_t i = 0; i < used; i++)
		index_put(table, i);
	return 0;
}

int table_reserve(struct table *table, uint32_t more)
{
	uint32_t want = table->count + more;

	if (table->slots && table->used + table->stale + more <= table->room)
		return 0;
	if (want < SMALL_TABLE)
		want = SMALL_TABLE;
	else if (more == 1)
		want += want / 2;
	return table_rebuild(table, want);
}

void table_fit(struct table *table)
{
	if (table->count > 0 && table->room > table->count + table->count / 8)
		(void)table_rebuild(table, table->count); /* fails: stays loose */
}

uint32_t table_seek(const struct table *table, uint64_t cookie)
{
	uint32_t low = 0, high = table->used;

	/* Everything below low is at or before the cookie, everything from high on is after it. */
	while (low < high) {
		uint32_t mid = low + (high - low) / 2, at = mid;

		while (at < high && !table->slots[at])
			at++;
		if (at == high || table->slots[at]->cookie > cookie)
			high = mid;
		else
			low = at + 1;
	}
	while (low < table->used && !table->slots[low])
		low++;
	return low;
}

struct link *link_new(const char *name, size_t len)
{
	struct link *link = len <= NAME_MAX ? calloc(1, sizeof(*link) + len + 1) : NULL;

	if (!link)
		return NULL;
	memcpy(link->name, name, len);
	link->name_len = (uint8_t)len;
	link->hash = name_hash(name, len);
	return link;
}

/* What a node adds to `live` of the directories that name it. */
static uint32_t node_weight(const struct node *node)
{
	return (atomic_load(&node->nlookup) > 0) + (node_is_dir(node) && node_is(node, NODE_LOADED));
}

static void node_add_link(struct node *node, struct link *link)
{
	link->node = node;
	link->next = node->links;
	node->links = link;
	if (node_is_dir(node))
		link->dir->table.subdirs++;
	atomic_fetch_add(&link->dir->live, node_weight(node));
}

static void node_take_link(struct link *link)
{
	struct node *node = link->node;
	struct link **at = &node->links;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	if (node_is_dir(node))
		link->dir->table.subdirs--;
	atomic_fetch_sub(&link->dir->live, node_weight(node));
	link->node = NULL;
}

void link_add(struct fs *fs, struct dirnode *dir, struct link *link, struct node *node)
{
	struct table *table = &dir->table;

	assert(table->used < table->room);
	link->dir = dir;
	link->upper = fs->upper;
	/* 0 is the start, 1 and 2 are "." and "..". */
	link->cookie = table->next_cookie++ + 3;
	table->slots[table->used] = link;
	index_put(table, table->used);
	table->used++;
	table->count++;
	stats_add(fs->stats, STAT_NAMES, 1);
	if (node)
		node_add_link(node, link);
	else
		table->whiteouts++;
}

void link_set_node(struct link *link, struct node *node)
{
	struct table *table = &link->dir->table;

	if (link->node)
		node_take_link(link);
	else
		table->whiteouts--;
	if (node)
		node_add_link(node, link);
	else
		table->whiteouts++;
}

static uint32_t slot_of(const struct table *table, const struct link *link)
{
	uint32_t i = 0;

	if (!table->index_mask) {
		while (table->slots[i] != link)
			i++;
		return i;
	}
	i = link->hash & table->index_mask;
	while (table->slots[table->index[i] - 1] != link)
		i = (i + 1) & table->index_mask;
	return table->index[i] - 1;
}

void link_remove(struct fs *fs, struct link *link)
{
	struct dirnode *dir = link->dir;
	struct table *table = &dir->table;

	if (link->node)
		node_take_link(link);
	else
		table->whiteouts--;
	/* The index keeps pointing at the empty slot until it is rebuilt: the chain stays whole. */
	table->slots[slot_of(table, link)] = NULL;
	table->count--;
	stats_add(fs->stats, STAT_NAMES, -1);
	if (table->used > 64 && table->count < table->used / 2)
		(void)table_rebuild(table, table->count + table->count / 2 + 4); /* fails: stays loose */
	link->dir = NULL;
}

struct link *dir_find(struct fs *fs, struct dirnode *dir, const char *name, size_t len)
{
	struct link *link = table_find(&dir->table, name, len, name_hash(name, len));

	if (!link || link->node || link_flags(fs, link))
		return link;
	link_remove(fs, link);
	free(link);
	return NULL;
}

void link_replace(struct link *link, struct link *fresh)
{
	struct table *table = &link->dir->table;
	uint32_t slot = slot_of(table, link);
	struct node *node = link->node;

	node_take_link(link);
	fresh->dir = link->dir;
	fresh->cookie = link->cookie;
	table->slots[slot] = fresh;
	index_put(table, slot); /* the old name's entry stays, and finds another name */
	table->stale += table->index_mask != 0;
	node_add_link(node, fresh);
	link->dir = NULL;
}

/* --- lives --- */

static void live_add(struct node *node, int change)
{
	for (struct link *link = node->links; link; link = link->next)
		atomic_fetch_add(&link->dir->live, (uint32_t)change);
}

void node_get(struct fs *fs, struct node *node)
{
	uint64_t now = atomic_load(&node->nlookup);

	while (now > 0) { /* not the first: no directory's count changes */
		if (atomic_compare_exchange_weak(&node->nlookup, &now, now + 1))
			return;
	}
	SHARED(&fs->names_lock);
	node_get_named(fs, node);
}

void node_get_named(struct fs *fs, struct node *node)
{
	if (atomic_fetch_add(&node->nlookup, 1) == 0) {
		live_add(node, 1);
		stats_add(fs->stats, STAT_NODES, 1);
	}
}

struct dirnode *node_parent_get(struct fs *fs, struct node *node)
{
	SHARED(&fs->names_lock);

	if (!node->links)
		return NULL;
	node_get_named(fs, &node->links->dir->node);
	return node->links->dir;
}

static bool dir_is_idle(const struct dirnode *dir)
{
	return atomic_load(&dir->node.nlookup) == 0 && atomic_load(&dir->live) == 0;
}

void table_free(struct fs *fs, struct dirnode *dir)
{
	struct table *table = &dir->table;

	for (uint32_t i = 0; i < table->used; i++) {
		struct link *link = table->slots[i];
		struct node *node = link ? link->node : NULL;

		if (node)
			node_take_link(link);
		free(link);
		if (!node || node->links)
			continue; /* another directory names it */
		if (node_is(node, NODE_MULTI)) {
			LOCKED(&fs->inodes.lock);
			inodes_remove_locked(fs, node);
		}
		node_free(fs, node);
	}
	stats_add(fs->stats, STAT_NAMES, -(int64_t)table->count);
	if (node_is(&dir->node, NODE_LOADED))
		stats_add(fs->stats, STAT_TABLES, -1);
	free(table->slots);
	free(table->index);
	*table = (struct table){ 0 };
	node_clear(&dir->node, NODE_LOADED);
}

/*
 * reap_lock is held: goes up from @dir as long as tables are idle.
 *
 * Somebody may just be counting an idle directory's subdirectories (lookup.c), on
 * the way to giving it to the kernel: his lock keeps the table, and the kernel will
 * forget it again.
 */
static void reap(struct fs *fs, struct dirnode *dir)
{
	EXCLUSIVE(&fs->names_lock);

	while (dir && dir != fs->root && pthread_mutex_trylock(&dir->lock) == 0) {
		struct dirnode *parent = dir->node.links ? dir->node.links->dir : NULL;
		bool idle = node_is(&dir->node, NODE_LOADED) && dir_is_idle(dir);

		if (idle)
			table_free(fs, dir);
		pthread_mutex_unlock(&dir->lock);
		if (!idle)
			return;
		if (parent)
			atomic_fetch_sub(&parent->live, 1);
		dir = parent;
	}
}

/*
 * Nobody knows the node any more, and no table has it: out of what still leads to
 * it.  reap_lock is held.  node_free() follows without it, because closing the last
 * descriptor of a removed file is when its blocks are freed, which takes long.
 */
static void orphan_detach(struct fs *fs, struct node *node)
{
	if (node_is_dir(node) && node_is(node, NODE_LOADED))
		table_free(fs, node_dir(node));
	if (node_is(node, NODE_MULTI)) {
		LOCKED(&fs->inodes.lock);
		inodes_remove_locked(fs, node);
	}
}

void node_reap(struct fs *fs, struct node *node)
{
	bool nameless, orphan;

	pthread_mutex_lock(&fs->reap_lock);
	pthread_rwlock_rdlock(&fs->names_lock);
	nameless = !node->links;
	pthread_rwlock_unlock(&fs->names_lock);
	orphan = nameless && atomic_load(&node->nlookup) == 0;
	if (orphan)
		orphan_detach(fs, node);
	else if (nameless)
		orphans_add(fs, node);
	pthread_mutex_unlock(&fs->reap_lock);
	if (orphan)
		node_free(fs, node);
}

/* reap_lock and names_lock are held, the count fell to 0. Return: a directory that may be idle now, or NULL. */
static struct dirnode *node_forgotten(struct node *node)
{
	struct dirnode *idle = NULL;

	live_add(node, -1);
	if (node_is_dir(node) && node_is(node, NODE_LOADED))
		return node_dir(node);
	for (struct link *link = node->links; link; link = link->next) {
		if (dir_is_idle(link->dir))
			idle = link->dir;
	}
	return idle;
}

enum forgotten { STILL_KNOWN, STILL_NAMED, NOBODYS };

/*
 * reap_lock is held.  The count and those of the directories that name the node change in one step: a name that came or
 * went between the two would make a directory's wrong for ever.
 */
static enum forgotten lookups_take(struct fs *fs, struct node *node, uint64_t lookups, struct dirnode **idle)
{
	SHARED(&fs->names_lock);

	if (node == &fs->root->node || atomic_fetch_sub(&node->nlookup, lookups) != lookups)
		return STILL_KNOWN;
	*idle = node->links ? node_forgotten(node) : NULL;
	return node->links ? STILL_NAMED : NOBODYS;
}

/* Return: is it nobody's any more? Then it is the caller's to free, without the lock. */
static bool forget_last(struct fs *fs, struct node *node, uint64_t lookups)
{
	struct dirnode *idle = NULL;
	enum forgotten forgotten;
	LOCKED(&fs->reap_lock);

	forgotten = lookups_take(fs, node, lookups, &idle);
	if (forgotten == STILL_KNOWN)
		return false;
	stats_add(fs->stats, STAT_NODES, -1);
	if (forgotten == NOBODYS) {
		orphan_detach(fs, node);
		return true;
	}
	attrs_drop(fs, node);
	if (idle)
		reap(fs, idle);
	return false;
}

void fs_forget(struct fs *fs, struct node *node, uint64_t lookups)
{
	uint64_t now = atomic_load(&node->nlookup);

	while (now > lookups) {
		if (atomic_compare_exchange_weak(&node->nlookup, &now, now - lookups))
			return;
	}
	if (forget_last(fs, node, lookups))
		node_free(fs, node);
}

void dir_drop(struct fs *fs, struct dirnode *dir)
{
	struct table *table = &dir->table;

	for (uint32_t i = 0; i < table->used; i++) {
		struct node *node = table->slots[i] ? table->slots[i]->node : NULL;

		if (node && node_is_dir(node))
			dir_drop(fs, node_dir(node));
	}
	table_free(fs, dir);
}
