/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/trees.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct trees {
	pthread_mutex_t lock;		  /* to add or remove one */
	unsigned last;			  /* number that was given */
	struct fs *_Atomic at[TREES_MAX]; /* owned */
};

struct trees *trees_new(void)
{
	struct trees *trees = calloc(1, sizeof(*trees));

	if (!trees)
		return NULL;
	pthread_mutex_init(&trees->lock, NULL);
	return trees;
}

void trees_free(struct trees *trees)
{
	if (!trees)
		return;
	for (unsigned i = 1; i < TREES_MAX; i++)
		fs_free(atomic_load(&trees->at[i]));
	pthread_mutex_destroy(&trees->lock);
	free(trees);
}

/* The number that was free for longest, or nearly: whoever is wrong about one then does not meet another tree. */
static unsigned free_number_locked(const struct trees *trees)
{
	for (unsigned n = 0; n < TREES_MAX - 1; n++) {
		unsigned number = 1 + (trees->last + n) % (TREES_MAX - 1);

		if (!atomic_load(&trees->at[number]))
			return number;
	}
	return 0;
}

int trees_add(struct trees *trees, struct fs *fs)
{
	unsigned number;

	pthread_mutex_lock(&trees->lock);
	number = free_number_locked(trees);
	if (number) {
		trees->last = number;
		atomic_store(&trees->at[number], fs); /* pairs with trees_get() */
	}
	pthread_mutex_unlock(&trees->lock);
	return number ? (int)number : -ENFILE;
}

void trees_remove(struct trees *trees, unsigned number)
{
	pthread_mutex_lock(&trees->lock);
	atomic_store(&trees->at[number], NULL);
	pthread_mutex_unlock(&trees->lock);
}

struct fs *trees_get(const struct trees *trees, unsigned number)
{
	return number < TREES_MAX ? atomic_load(&trees->at[number]) : NULL;
}
