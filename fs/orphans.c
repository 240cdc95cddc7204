/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/orphans.h"

#include "fs/internal.h"

#include <stdlib.h>

enum { SMALLEST = 16 };

/* Where @node is, or where there is room for it. */
static size_t slot_of(const struct orphans *orphans, const struct node *node)
{
	size_t i = ((uintptr_t)node >> 4) * 0x9e3779b97f4a7c15u >> 32 & orphans->mask;

	while (orphans->slots[i] && orphans->slots[i] != node)
		i = (i + 1) & orphans->mask;
	return i;
}

/* Room for one more. */
static int reserve(struct orphans *orphans)
{
	struct orphans bigger = { .mask = orphans->slots ? orphans->mask * 2 + 1 : SMALLEST - 1 };

	if (orphans->slots && orphans->count * 2 < orphans->mask)
		return 0;
	bigger.slots = calloc(bigger.mask + 1, sizeof(struct node *));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; orphans->slots && i <= orphans->mask; i++) {
		if (orphans->slots[i])
			bigger.slots[slot_of(&bigger, orphans->slots[i])] = orphans->slots[i];
	}
	free(orphans->slots);
	orphans->slots = bigger.slots;
	orphans->mask = bigger.mask;
	return 0;
}

void orphans_init(struct orphans *orphans)
{
	*orphans = (struct orphans){ 0 };
	pthread_mutex_init(&orphans->lock, NULL);
}

void orphans_add(struct fs *fs, struct node *node)
{
	struct orphans *orphans = &fs->orphans;
	size_t i;
	LOCKED(&orphans->lock);

	if (node_is(node, NODE_ORPHAN) || reserve(orphans) < 0)
		return;
	i = slot_of(orphans, node);
	orphans->slots[i] = node;
	orphans->count++;
	node_set(node, NODE_ORPHAN);
}

void orphans_remove(struct fs *fs, struct node *node)
{
	struct orphans *orphans = &fs->orphans;
	size_t hole;

	if (!node_is(node, NODE_ORPHAN))
		return;
	LOCKED(&orphans->lock);
	node_clear(node, NODE_ORPHAN);
	hole = slot_of(orphans, node);
	orphans->slots[hole] = NULL;
	if (--orphans->count == 0) {
		free(TAKE(orphans->slots));
		return;
	}
	/* Those behind the hole that it would hide move up. */
	for (size_t i = (hole + 1) & orphans->mask; orphans->slots[i]; i = (i + 1) & orphans->mask) {
		struct node *moved = orphans->slots[i];

		orphans->slots[i] = NULL;
		orphans->slots[slot_of(orphans, moved)] = moved;
	}
}

void orphans_each(struct fs *fs, void (*fn)(struct fs *fs, struct node *node))
{
	const struct orphans *orphans = &fs->orphans;

	for (size_t i = 0; orphans->slots && i <= orphans->mask; i++) {
		if (orphans->slots[i])
			fn(fs, orphans->slots[i]);
	}
}

/* Going up: what removal moves is moved up to here at most. */
void orphans_free(struct fs *fs)
{
	for (size_t i = 0; fs->orphans.slots;) {
		struct node *node = fs->orphans.slots[i];

		if (!node) {
			i++;
			continue;
		}
		stats_add(fs->stats, STAT_NODES, -1);
		if (node_is_dir(node))
			table_free(fs, node_dir(node));
		node_free(fs, node);
	}
	pthread_mutex_destroy(&fs->orphans.lock);
}
