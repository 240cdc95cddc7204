/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/trees.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct trees {
	pthread_mutex_t lock; /* to add one */
	_Atomic unsigned count;
	struct fs *at[TREES_MAX]; /* owned; an entry below @count never changes */
};

struct trees *trees_new(void)
{
	struct trees *trees = calloc(1, sizeof(*trees));

	if (!trees)
		return NULL;
	pthread_mutex_init(&trees->lock, NULL);
	atomic_init(&trees->count, 1);
	return trees;
}

void trees_free(struct trees *trees)
{
	if (!trees)
		return;
	for (unsigned i = 1; i < atomic_load(&trees->count); i++)
		fs_free(trees->at[i]);
	pthread_mutex_destroy(&trees->lock);
	free(trees);
}

int trees_add(struct trees *trees, struct fs *fs)
{
	unsigned number;

	pthread_mutex_lock(&trees->lock);
	number = atomic_load(&trees->count);
	if (number < TREES_MAX) {
		trees->at[number] = fs;
		atomic_store(&trees->count, number + 1); /* pairs with trees_get() */
	}
	pthread_mutex_unlock(&trees->lock);
	return number < TREES_MAX ? (int)number : -ENFILE;
}

struct fs *trees_get(const struct trees *trees, unsigned number)
{
	return number < atomic_load(&trees->count) ? trees->at[number] : NULL;
}
