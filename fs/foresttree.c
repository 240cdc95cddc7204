/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/forest_internal.h"

/*
 * Each tree is a struct fs of its own, made when somebody enters it, over the one store, descriptor cache and
 * statistics of the process; it goes when the kernel knows nothing of it any more.
 *
 * The kernel remembers what it has seen for as long as it has room, and that must not keep images from being
 * removed: so a tree's image is leased only while requests come, and for LEASE_BROWSING_SECONDS after the last.  Who
 * comes later takes the lease anew, and finds out by that whether the same layers are still there; if not, the tree is
 * dead for good.  The store never gives a layer's number to another, so that the numbers tell.
 */

#include "store/base/auto.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* A tag that moved names another tree in the same place. */
static int tree_order(const void *a, const void *b)
{
	const struct tree *x = a, *y = b;
	int order = strcmp(x->leaf.path, y->leaf.path);
	size_t bytes = x->leaf.layer_count * sizeof(*x->leaf.layers);

	if (order == 0)
		order = memcmp(&x->leaf.digest, &y->leaf.digest, sizeof(x->leaf.digest));
	if (order == 0 && x->leaf.layer_count != y->leaf.layer_count)
		order = x->leaf.layer_count < y->leaf.layer_count ? -1 : 1;
	if (order == 0 && bytes)
		order = memcmp(x->leaf.layers, y->leaf.layers, bytes);
	return order;
}

/* --- leases --- */

static int find_image(struct store *store, const struct leaf *leaf, struct image_id *ret)
{
	char text[DIGEST_TEXT_BYTES];
	size_t number;

	digest_format(&leaf->digest, text);
	return leaf->one_layer ? image_layer_find(store, text, NULL, ret, &number) : image_find(store, text, NULL, ret);
}

static bool has_layers(const struct image_info *image, const struct leaf *leaf)
{
	if (!leaf->one_layer)
		return image->layer_count == leaf->layer_count &&
		       memcmp(image->layers, leaf->layers, leaf->layer_count * sizeof(*leaf->layers)) == 0;
	for (size_t i = 0; i < image->layer_count; i++)
		if (image->layers[i].value == leaf->layers[0].value)
			return true;
	return false;
}

/* Return: 0 if the image that is leased now has the layers that the tree is made of; -ESTALE. */
static int check_layers(struct store *store, const struct leaf *leaf, struct image_id id)
{
	struct image_info image = { 0 };
	int r = image_info(store, id, NULL, &image);

	if (r == 0 && !has_layers(&image, leaf))
		r = -ESTALE;
	image_info_release(&image);
	return r;
}

static int tree_lease_locked(struct tree *tree)
{
	struct forest *forest = tree->forest;
	struct store *store = forest->shared.store;
	struct image_id image;
	int r = find_image(store, &tree->leaf, &image);

	if (r == 0)
		r = lease_take(store, image, LEASE_BROWSING, NULL, &tree->lease);
	if (r == 0)
		r = check_layers(store, &tree->leaf, image);
	if (r < 0) {
		lease_drop(TAKE(tree->lease));
		if (r != -ENOENT && r != -ESTALE)
			return r;
		atomic_store(&tree->dead, true);
		return -ESTALE;
	}
	LOCKED(&forest->idle_lock);
	forest->leased++;
	pthread_cond_signal(&forest->idle_cond);
	return 0;
}

static void tree_unlease_locked(struct tree *tree)
{
	LOCKED(&tree->forest->idle_lock);
	lease_drop(TAKE(tree->lease));
	tree->forest->leased--;
}

static void drop_idle(const void *node, VISIT visit, void *arg)
{
	struct tree *tree = *(struct tree *const *)node;
	const int64_t *now = arg;

	if ((visit != postorder && visit != leaf) || pthread_mutex_trylock(&tree->lock) != 0)
		return; /* somebody is about to use it */
	if (tree->lease && tree->busy == 0 && *now - tree->left_ns > LEASE_BROWSING_SECONDS * SECOND_NS)
		tree_unlease_locked(tree);
	pthread_mutex_unlock(&tree->lock);
}

/* Sleeps for ever when no tree is leased. */
static bool idle_wait(struct forest *forest)
{
	struct timespec until;
	LOCKED(&forest->idle_lock);

	while (!forest->ending && forest->leased == 0)
		pthread_cond_wait(&forest->idle_cond, &forest->idle_lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while (!forest->ending && pthread_cond_timedwait(&forest->idle_cond, &forest->idle_lock, &until) == 0)
		;
	return !forest->ending;
}

static void *idler(void *arg)
{
	struct forest *forest = arg;

	while (idle_wait(forest)) {
		int64_t now = now_ns();
		LOCKED(&forest->lock);

		twalk_r(forest->trees, drop_idle, &now);
	}
	return NULL;
}

/* --- trees --- */

static void tree_free(void *arg)
{
	struct tree *tree = arg;

	if (tree->lease)
		tree_unlease_locked(tree);
	fs_free(tree->fs);
	leaf_release(&tree->leaf);
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

/* The forest is locked. */
static int slot_take(struct forest *forest, struct tree *tree)
{
	for (uint32_t n = 1; n < SLOT_COUNT; n++) {
		uint32_t slot = 1 + (forest->last_slot + n - 1) % (SLOT_COUNT - 1);

		if (!forest->slots[slot]) {
			forest->slots[slot] = tree;
			forest->last_slot = tree->slot = slot;
			return 0;
		}
	}
	return -ENFILE;
}

static int tree_new_locked(struct forest *forest, const struct leaf *leaf, struct tree **ret)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	int r;

	if (!tree)
		return -ENOMEM;
	tree->forest = forest;
	pthread_mutex_init(&tree->lock, NULL);
	r = leaf_copy(leaf, &tree->leaf);
	if (r == 0)
		r = slot_take(forest, tree);
	if (r == 0 && !tsearch(tree, &forest->trees, tree_order)) {
		forest->slots[tree->slot] = NULL;
		r = -ENOMEM;
	}
	if (r < 0)
		tree_free(tree);
	else
		*ret = tree;
	return r;
}

int tree_get_locked(struct forest *forest, const struct leaf *leaf, struct tree **ret)
{
	const struct tree key = { .leaf = *leaf };
	struct tree **at = tfind(&key, &forest->trees, tree_order);

	*ret = at ? *at : NULL;
	if (*ret && atomic_load(&(*ret)->dead)) { /* the same was removed, and is there again */
		(*ret)->replaced = true;
		tdelete(&key, &forest->trees, tree_order);
		*ret = NULL;
	}
	return *ret ? 0 : tree_new_locked(forest, leaf, ret);
}

/* The last one is given back with the lock held: then nobody finds the tree by its name meanwhile. */
static bool forget_all_but_last(struct tree *tree, uint64_t lookups)
{
	uint64_t had = atomic_load(&tree->lookups);

	while (had > lookups) {
		if (atomic_compare_exchange_weak(&tree->lookups, &had, had - lookups))
			return true;
	}
	return false;
}

void tree_forget(struct forest *forest, struct tree *tree, uint64_t lookups)
{
	if (forget_all_but_last(tree, lookups))
		return;
	pthread_mutex_lock(&forest->lock);
	if (atomic_fetch_sub(&tree->lookups, lookups) != lookups) {
		pthread_mutex_unlock(&forest->lock);
		return;
	}
	if (!tree->replaced)
		tdelete(tree, &forest->trees, tree_order);
	forest->slots[tree->slot] = NULL;
	pthread_mutex_unlock(&forest->lock);
	tree_free(tree);
}

static int tree_open_locked(struct tree *tree, struct fs **ret)
{
	struct forest *forest = tree->forest;
	const struct fs_options *options = tree->leaf.one_layer ? &forest->single : &forest->whole;
	int r = fs_new_tree(options, &forest->shared, tree->leaf.layers, tree->leaf.layer_count, NULL, ret);

	/* It has one already, from before it was open; mixed twice it comes out again. */
	if (r == 0)
		(*ret)->root->node.ino = ino_of(tree, ino_of_path(forest, tree->leaf.path));
	return r;
}

/* A listing of all images asks for each one's root: of what nobody has entered nothing stays open. */
static int root_stat_read_locked(struct tree *tree)
{
	struct fs *fs = tree->fs;
	int r = fs ? 0 : tree_open_locked(tree, &fs);

	if (r == 0)
		r = fs_getattr(fs, fs_root(fs), &tree->root_stat);
	if (fs != tree->fs)
		fs_free(fs);
	tree->root_stat.st_ino = ino_of_path(tree->forest, tree->leaf.path);
	tree->root_stat.st_nlink = 1; /* how many folders are in it is known to who has entered it */
	tree->has_stat = r == 0;
	return r == -ENOENT ? -ESTALE : r;
}

int tree_root_stat(struct tree *tree, struct stat *st)
{
	int r;
	LOCKED(&tree->lock);

	r = atomic_load(&tree->dead) ? -ESTALE : 0;
	if (r == 0 && !tree->has_stat)
		r = root_stat_read_locked(tree);
	if (r == 0)
		*st = tree->root_stat;
	return r;
}

static int tree_enter(struct tree *tree)
{
	int r;
	LOCKED(&tree->lock);

	r = atomic_load(&tree->dead) ? -ESTALE : 0;
	if (r == 0 && !tree->lease && !tree->forest->lease)
		r = tree_lease_locked(tree);
	if (r == 0 && !tree->fs)
		r = tree_open_locked(tree, &tree->fs);
	if (r == 0)
		tree->busy++;
	return r;
}

int forest_enter(struct forest *forest, uint64_t id, struct forest_visit *ret)
{
	struct tree *tree = tree_of(forest, id);
	struct node *node = (struct node *)(uintptr_t)(id & NODE_MASK);
	int r = tree ? tree_enter(tree) : -EISDIR;

	if (r < 0)
		return r;
	/* A request that is answered keeps the kernel from forgetting the tree no more, but may still be in it. */
	atomic_fetch_add(&tree->lookups, 1);
	*ret = (struct forest_visit){ .fs = tree->fs, .node = node ? node : fs_root(tree->fs), .tree = tree };
	return 0;
}

static void tree_leave(struct tree *tree)
{
	LOCKED(&tree->lock);

	tree->busy--;
	tree->left_ns = now_ns();
}

void forest_leave(struct forest_visit *visit)
{
	tree_leave(visit->tree);
	tree_forget(visit->tree->forest, visit->tree, 1);
}

int idler_start(struct forest *forest)
{
	pthread_condattr_t attr;
	int r;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&forest->idle_cond, &attr);
	pthread_condattr_destroy(&attr);
	r = -pthread_create(&forest->idler, NULL, idler, forest);
	forest->has_idler = r == 0;
	return r;
}

void idler_stop(struct forest *forest)
{
	if (!forest->has_idler)
		return;
	pthread_mutex_lock(&forest->idle_lock);
	forest->ending = true;
	pthread_cond_signal(&forest->idle_cond);
	pthread_mutex_unlock(&forest->idle_lock);
	pthread_join(forest->idler, NULL);
	pthread_cond_destroy(&forest->idle_cond);
}

static void not_owned(void *arg)
{
}

void forest_trees_free(struct forest *forest)
{
	tdestroy(forest->trees, not_owned);
	for (uint32_t slot = 1; forest->slots && slot < SLOT_COUNT; slot++)
		if (forest->slots[slot])
			tree_free(forest->slots[slot]);
}
