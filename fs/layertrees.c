/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/layertrees.h"

/*
 * A tree is made when somebody enters it, and takes a lease on its layer: neither gc nor rmi takes that away.  It is there,
 * with its lease, as long as the kernel knows a node of it: as long as it is a lower of a mount, or something in it is open,
 * and after that for as long as the kernel has room for what it remembers, which may be for ever.
 *
 * So the kernel is asked to forget: those of an image that somebody wants to remove (lease_ask()), and where there are many,
 * those that were entered first.  That is done by invalidating the name of the tree's root.  What is in use stays, and is
 * found again by that name; all else is forgotten within moments, and the tree with it.
 *
 * A tree goes while the gate is closed: then no request is in it, nor about to leave it.
 */

#include "fs/listing.h"
#include "fs/ops_internal.h"
#include "fs/stats.h"
#include "store/base/auto.h"
#include "store/leaseask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	TREES_USUAL = 256,	  /* more than so many are too many, unless they are in use */
	FORGOTTEN_MS = 20,	  /* forgetting comes in bursts */
	FORGOTTEN_SOON_MS = 1000, /* what comes after the root's */
};

struct layer_tree {
	struct fs *fs;	     /* borrowed from the trees */
	struct stats *stats; /* owned: it counts nodes */
	struct lease *lease; /* owned */
	struct layer_id layer;
	fuse_ino_t parent;
	char place[PLACE_MAX];
	uint64_t entered; /* when, counted in trees */
	bool for_good;
};

struct layertrees {
	struct mount *mount; /* borrowed */
	struct fs_shared shared;
	char *mountpoint;	 /* owned */
	char *what;		 /* owned: for leases */
	struct lease_asks *asks; /* owned; NULL: nobody can ask */
	pthread_mutex_t lock;
	struct layer_tree *trees[TREES_MAX]; /* owned; by number */
	uint64_t made;
	size_t count, limit;
	pthread_t janitor;
	bool has_janitor;
	_Atomic bool ending, forgotten, many;
	int wake; /* an eventfd */
};

static void tree_free(struct layer_tree *tree)
{
	lease_drop(tree->lease);
	stats_free(tree->stats);
	free(tree);
}

/* --- forgetting; in the janitor --- */

struct asked {
	fuse_ino_t parent;
	char place[PLACE_MAX];
};

static int invalidate(struct layertrees *lt, const struct asked *asked)
{
	return fuse_lowlevel_notify_inval_entry(lt->mount->session, asked->parent, "diff", strlen("diff"));
}

/*
 * What was in use when its name was invalidated has none since then, until somebody looks it up; else the kernel would not let
 * go what is in it.
 */
static void ask_to_forget(struct layertrees *lt, const struct asked *asked, size_t count)
{
	AUTO(freep) char *path = NULL;
	struct stat st;

	for (size_t i = 0; i < count && !lt->ending; i++) {
		if (invalidate(lt, &asked[i]) != -ENOENT)
			continue;
		free(path);
		if (asprintf(&path, "%s/%s/diff", lt->mountpoint, asked[i].place) < 0)
			path = NULL;
		if (path && stat(path, &st) == 0)
			(void)invalidate(lt, &asked[i]);
	}
}

static bool has_layer(const struct layer_id *layers, size_t count, struct layer_id layer)
{
	for (size_t i = 0; i < count; i++) {
		if (layers[i].value == layer.value)
			return true;
	}
	return false;
}

/* Those of @layers, or, if that is NULL, those entered before. Nothing is told under a lock. */
static void forget_trees(struct layertrees *lt, const struct layer_id *layers, size_t count, uint64_t before)
{
	AUTO(freep) struct asked *asked = NULL;
	size_t found = 0;

	pthread_mutex_lock(&lt->lock);
	asked = calloc(lt->count + 1, sizeof(*asked));
	for (size_t i = 0; asked && i < TREES_MAX && found < lt->count; i++) {
		const struct layer_tree *tree = lt->trees[i];

		if (!tree || tree->for_good ||
		    (layers ? !has_layer(layers, count, tree->layer) : tree->entered >= before))
			continue;
		asked[found].parent = tree->parent;
		memcpy(asked[found++].place, tree->place, PLACE_MAX);
	}
	pthread_mutex_unlock(&lt->lock);
	ask_to_forget(lt, asked, found);
}

static void forget_image(struct image_id image, void *arg)
{
	struct layertrees *lt = arg;
	struct image_info info = { 0 };

	if (image_info(lt->shared.store, image, NULL, &info) == 0)
		forget_trees(lt, info.layers, info.layer_count, 0);
	image_info_release(&info);
}

static void forget_oldest(struct layertrees *lt)
{
	uint64_t before;

	pthread_mutex_lock(&lt->lock);
	before = lt->made - TREES_USUAL / 2;
	lt->limit = 2 * lt->count; /* they may all be in use */
	pthread_mutex_unlock(&lt->lock);
	forget_trees(lt, NULL, 0, before);
}

struct collected {
	struct layertrees *lt;
	struct layer_tree *trees[TREES_MAX]; /* owned */
	size_t count;
	bool again; /* what is in one is still to be forgotten */
};

/* The gate is closed. */
static int collect(void *arg)
{
	struct collected *c = arg;
	struct layertrees *lt = c->lt;

	pthread_mutex_lock(&lt->lock);
	for (unsigned i = 1; i < TREES_MAX; i++) {
		struct layer_tree *tree = lt->trees[i];

		if (!tree || tree->for_good || fs_root_lookups(tree->fs) > 1)
			continue;
		if (!fs_is_forgotten(tree->fs)) {
			c->again = true;
			continue;
		}
		trees_remove(lt->mount->trees, i);
		lt->trees[i] = NULL;
		lt->count--;
		c->trees[c->count++] = tree;
	}
	lt->limit = lt->count < TREES_USUAL / 2 ? TREES_USUAL : 2 * lt->count;
	pthread_mutex_unlock(&lt->lock);
	return 0;
}

/* Return: is there more to come? */
static bool collect_forgotten(struct layertrees *lt)
{
	AUTO(freep) struct collected *c = calloc(1, sizeof(*c));
	struct fs *all = lt->mount->fs;

	if (!c)
		return true;
	fs_enter(all);
	listing_let_go(lt->mount);
	fs_leave(all);
	c->lt = lt;
	if (fs_alone(all, collect, c) < 0)
		return true;
	for (size_t i = 0; i < c->count; i++) {
		fs_free(c->trees[i]->fs);
		tree_free(c->trees[i]);
	}
	return c->again;
}

static void *janitor(void *arg)
{
	struct layertrees *lt = arg;
	struct pollfd fds[] = { { .fd = lt->wake, .events = POLLIN },
				{ .fd = lt->asks ? lease_asks_fd(lt->asks) : -1, .events = POLLIN } };
	int timeout = -1;
	uint64_t count;

	while (!lt->ending) {
		if (poll(fds, ARRAY_SIZE(fds), timeout) < 0 && errno != EINTR)
			break;
		if (fds[0].revents && read(lt->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
			break;
		if (fds[1].revents)
			lease_asks_read(lt->asks, forget_image, lt);
		if (atomic_exchange(&lt->many, false))
			forget_oldest(lt);
		/* The pause is for the rest of the burst. */
		if (timeout > 0) {
			timeout = collect_forgotten(lt) ? FORGOTTEN_SOON_MS : -1;
		}
		if (atomic_exchange(&lt->forgotten, false))
			timeout = FORGOTTEN_MS;
	}
	return NULL;
}

static void wake(struct layertrees *lt)
{
	uint64_t one = 1;

	if (write(lt->wake, &one, sizeof(one)) < 0)
		return; /* it is full: he is awake */
}

void layertrees_forget(struct layertrees *lt, fuse_ino_t ino, uint64_t lookups)
{
	struct fs *fs = trees_get(lt->mount->trees, trees_number(ino));
	bool is_root = trees_node(ino) == fs_root(fs);

	fs_forget(fs, trees_node(ino), lookups);
	if (is_root && fs_root_lookups(fs) == 1 && !atomic_exchange(&lt->forgotten, true))
		wake(lt);
}

/* --- making; the lock is held --- */

static int tree_make_locked(struct layertrees *lt, struct shown_layer *layer)
{
	struct layer_tree *tree = calloc(1, sizeof(*tree));
	struct fs_shared shared = lt->shared;
	struct fs *fs = NULL;
	int r = -ENOMEM;

	if (!tree)
		return r;
	shared.stats = tree->stats = stats_new();
	if (tree->stats)
		r = lease_take_layer(lt->shared.store, layer->info.id, lt->what, &tree->lease);
	if (r == 0)
		r = fs_new_tree(&lt->mount->layer_options, &shared, &layer->info.id, 1, NULL, &fs);
	if (r == 0)
		r = trees_add(lt->mount->trees, fs);
	if (r < 0) {
		fs_free(fs);
		tree_free(tree);
		return r;
	}
	tree->fs = fs;
	tree->layer = layer->info.id;
	tree->parent = layer->parent;
	memcpy(tree->place, layer->place, PLACE_MAX);
	tree->for_good = layer->for_good;
	tree->entered = lt->made++;
	layer->tree = (unsigned)r;
	lt->trees[layer->tree] = tree;
	if (++lt->count > lt->limit && !atomic_exchange(&lt->many, true))
		wake(lt);
	return 0;
}

int layertrees_enter(struct layertrees *lt, struct shown_layer *layer, struct fuse_entry_param *ret)
{
	const struct layer_tree *tree;
	struct fs_entry entry;
	unsigned number;
	int r = 0;

	pthread_mutex_lock(&lt->lock);
	tree = lt->trees[layer->tree];
	if (!tree || tree->parent != layer->parent)
		r = tree_make_locked(lt, layer);
	number = layer->tree;
	if (r == 0)
		r = fs_root_entry(trees_get(lt->mount->trees, number), &entry);
	pthread_mutex_unlock(&lt->lock);
	if (r < 0)
		return r;
	*ret = (struct fuse_entry_param){
		.ino = trees_ino(number, entry.node),
		.attr = entry.st,
		.attr_timeout = lt->mount->timeout,
		.entry_timeout = lt->mount->timeout,
	};
	return 0;
}

/* --- life --- */

static int janitor_start(struct layertrees *lt)
{
	int r;

	lt->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lt->wake < 0)
		return -errno;
	/* Without, who wants to remove an image is told that it is in use. */
	if (lease_asks_open(lt->shared.store, &lt->asks) < 0)
		lt->asks = NULL;
	r = -pthread_create(&lt->janitor, NULL, janitor, lt);
	lt->has_janitor = r == 0;
	return r;
}

int layertrees_new(const char *dir, struct mount *mount, struct diag *diag, struct layertrees **ret)
{
	const char *place = mount->layer_options.mountpoint;
	struct layertrees *lt = calloc(1, sizeof(*lt));
	int r;

	if (!lt)
		return -ENOMEM;
	lt->mount = mount;
	lt->limit = TREES_USUAL;
	lt->wake = -1;
	pthread_mutex_init(&lt->lock, NULL);
	lt->mountpoint = realpath(place, NULL);
	if (!lt->mountpoint)
		lt->mountpoint = strdup(place);
	r = fs_shared_open(dir, diag, &lt->shared);
	if (r == 0 && (!lt->mountpoint ||
		       asprintf(&lt->what, "in use on %s, shown by process %d", lt->mountpoint, (int)getpid()) < 0))
		r = -ENOMEM;
	if (r == 0)
		r = janitor_start(lt);
	if (r < 0) {
		layertrees_free(lt);
		return r;
	}
	*ret = lt;
	return 0;
}

/* He may be looking something up in the mount, and that is answered; and he tells the kernel, so it must still be the mount's. */
void layertrees_stop(struct layertrees *lt)
{
	if (!lt->has_janitor)
		return;
	lt->ending = true;
	wake(lt);
	pthread_join(lt->janitor, NULL);
	lt->has_janitor = false;
}

void layertrees_free(struct layertrees *lt)
{
	if (!lt)
		return;
	layertrees_stop(lt);
	for (size_t i = 0; i < TREES_MAX; i++) {
		if (lt->trees[i])
			tree_free(lt->trees[i]);
	}
	lease_asks_free(lt->asks);
	closep(&lt->wake);
	fs_shared_release(&lt->shared);
	free(lt->what);
	free(lt->mountpoint);
	pthread_mutex_destroy(&lt->lock);
	free(lt);
}

struct store *layertrees_store(const struct layertrees *lt)
{
	return lt->shared.store;
}
