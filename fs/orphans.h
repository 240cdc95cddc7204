/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_ORPHANS_H
#define NACRE_FS_ORPHANS_H

/*
 * Nodes that the kernel knows and no name leads to: removed while open, or made without a name.  When the mount ends the kernel
 * does not always say that it has forgotten them, so they are found here.
 */

#include <pthread.h>
#include <stddef.h>

struct fs;
struct node;

struct orphans {
	pthread_mutex_t lock;
	struct node **slots; /* open addressing; NULL: there are none */
	size_t mask, count;
};

void orphans_init(struct orphans *orphans);
/** orphans_add() - @node has no name. Where there is no memory it is not found again, when the mount ends. */
void orphans_add(struct fs *fs, struct node *node);
/** orphans_remove() - before @node is freed, whether it was ever added or not. */
void orphans_remove(struct fs *fs, struct node *node);
/** orphans_each() - the gate is closed: nobody else adds or removes one; nor may @fn. */
void orphans_each(struct fs *fs, void (*fn)(struct fs *fs, struct node *node));
/** orphans_free() - free them all; no request is served any more, and all tables have been dropped. */
void orphans_free(struct fs *fs);

#endif
