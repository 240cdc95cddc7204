/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/forest_internal.h"

/*
 * The places that lead to trees, and what is asked of either.  What the trees are is in foresttree.c.
 */

#include "store/base/auto.h"
#include "store/watch.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int place_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void forest_leavep(struct forest_visit *visit)
{
	if (visit->tree)
		forest_leave(visit);
}

/* --- what is said of places and roots --- */

/* The forest is locked. */
static void place_stat(const struct forest *forest, const char *path, struct stat *st)
{
	*st = (struct stat){
		.st_ino = ino_of_path(forest, path),
		.st_mode = S_IFDIR | 0555,
		.st_nlink = 1,
		.st_uid = forest->owner_uid,
		.st_gid = forest->owner_gid,
		.st_size = 4096,
		.st_blksize = 4096,
		.st_mtim = forest->changed,
		.st_ctim = forest->changed,
		.st_atim = forest->changed,
	};
}

static int root_has_any(const struct layer_entry *row, void *arg)
{
	*(bool *)arg |= row->flags & (LAYER_XATTRS | LAYER_OPAQUE); /* the latter may be shown as one */
	return row->flags & LAYER_IMPLICIT ? 1 : 0;
}

bool forest_is_bare(struct forest *forest, uint64_t id)
{
	struct tree *tree = tree_of(forest, id);
	bool any = false, closed;
	int r = 1;

	if (!tree || id & NODE_MASK)
		return !tree;
	pthread_mutex_lock(&tree->lock);
	closed = !tree->fs && !atomic_load(&tree->dead);
	pthread_mutex_unlock(&tree->lock);
	if (!closed)
		return false;
	for (size_t i = tree->leaf.layer_count; r > 0 && i > 0; i--)
		r = layer_root(forest->shared.store, tree->leaf.layers[i - 1], root_has_any, &any);
	return r >= 0 && !any;
}

/* The forest is locked. */
static int catalog_refresh(struct forest *forest)
{
	struct catalog fresh = { 0 };
	bool changed = false;
	int r = forest->watch ? watch_changed(forest->watch, &changed) : 0;

	if (r < 0 || !changed)
		return r;
	r = catalog_read_all(forest->shared.store, NULL, &fresh);
	if (r < 0) {
		catalog_release(&fresh);
		return r;
	}
	catalog_release(&forest->catalog);
	forest->catalog = fresh;
	clock_gettime(CLOCK_REALTIME, &forest->changed);
	watch_read(forest->watch);
	return 0;
}

static int place_get_locked(struct forest *forest, const char *path, struct place **ret)
{
	struct place *place = calloc(1, sizeof(*place)), **at;

	if (!place)
		return -ENOMEM;
	place->path = strdup(path);
	at = place->path ? tsearch(place, &forest->places, place_order) : NULL;
	if (!at || *at != place) {
		free(place->path);
		free(place);
	}
	if (at)
		*ret = *at;
	return at ? 0 : -ENOMEM;
}

/* --- looking things up --- */

static char *path_join(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s%s%s", folder, *folder ? "/" : "", name) < 0 ? NULL : path;
}

static int lookup_in_place(struct forest *forest, struct place *parent, const char *name, struct forest_entry *ret)
{
	AUTO(freep) char *path = path_join(parent->path, name);
	const struct leaf *leaf;
	struct place *place;
	struct tree *tree;
	int r;
	LOCKED(&forest->lock);

	if (!path)
		return -ENOMEM;
	r = catalog_refresh(forest);
	if (r < 0)
		return r;
	leaf = catalog_leaf(&forest->catalog, path);
	if (leaf) {
		r = tree_get_locked(forest, leaf, &tree);
		if (r < 0)
			return r;
		atomic_fetch_add(&tree->lookups, 1);
		ret->id = (uint64_t)tree->slot << FOREST_NODE_BITS;
		return 0; /* its attributes are the caller's business, for who forgets it wants the lock */
	}
	if (!catalog_is_folder(&forest->catalog, path))
		return -ENOENT;
	r = place_get_locked(forest, path, &place);
	if (r < 0)
		return r;
	place->lookups++;
	place_stat(forest, path, &ret->st);
	ret->id = (uint64_t)(uintptr_t)place;
	return 0;
}

static int lookup_in_tree(struct forest *forest, uint64_t parent, const char *name, struct forest_entry *ret)
{
	AUTO(forest_leavep) struct forest_visit visit = { 0 };
	struct fs_entry entry;
	int r = forest_enter(forest, parent, &visit);

	if (r == 0)
		r = fs_lookup(visit.fs, visit.node, name, &entry);
	if (r == 0 && !entry.node)
		r = -ENOENT;
	if (r < 0)
		return r;
	r = id_of(visit.tree, entry.node, &ret->id);
	if (r < 0) {
		fs_forget(visit.fs, entry.node, 1);
		return r;
	}
	atomic_fetch_add(&visit.tree->lookups, 1);
	ret->st = entry.st;
	ret->st.st_ino = ino_of(visit.tree, entry.st.st_ino);
	ret->lasting = true;
	return 0;
}

int forest_lookup(struct forest *forest, uint64_t parent, const char *name, struct forest_entry *ret)
{
	int r;

	*ret = (struct forest_entry){ 0 };
	if (slot_of(parent))
		return lookup_in_tree(forest, parent, name, ret);
	r = lookup_in_place(forest, place_of(forest, parent), name, ret);
	if (r == 0 && slot_of(ret->id)) {
		r = tree_root_stat(tree_of(forest, ret->id), &ret->st);
		if (r < 0)
			forest_forget(forest, ret->id, 1);
	}
	return r;
}

static void place_forget(struct forest *forest, struct place *place, uint64_t lookups)
{
	LOCKED(&forest->lock);

	place->lookups -= lookups;
	if (place == &forest->root || place->lookups > 0)
		return;
	tdelete(place, &forest->places, place_order);
	free(place->path);
	free(place);
}

void forest_forget(struct forest *forest, uint64_t id, uint64_t lookups)
{
	struct tree *tree = tree_of(forest, id);

	if (id == FOREST_ROOT)
		return;
	if (!tree) {
		place_forget(forest, place_of(forest, id), lookups);
		return;
	}
	if (id & NODE_MASK)
		fs_forget(tree->fs, (struct node *)(uintptr_t)(id & NODE_MASK), lookups);
	tree_forget(forest, tree, lookups);
}

int forest_getattr(struct forest *forest, uint64_t id, struct stat *st, bool *lasting)
{
	AUTO(forest_leavep) struct forest_visit visit = { 0 };
	int r;

	*lasting = slot_of(id) && id & NODE_MASK;
	if (!slot_of(id)) {
		LOCKED(&forest->lock);
		r = catalog_refresh(forest);
		place_stat(forest, place_of(forest, id)->path, st);
		return r;
	}
	if (!*lasting)
		return tree_root_stat(tree_of(forest, id), st);
	r = forest_enter(forest, id, &visit);
	if (r == 0)
		r = fs_getattr(visit.fs, visit.node, st);
	if (r == 0)
		st->st_ino = ino_of(visit.tree, st->st_ino);
	return r;
}

int forest_statfs(struct forest *forest, struct statvfs *st)
{
	return statvfs(store_dir(forest->shared.store), st) < 0 ? -errno : 0;
}

/* --- listings --- */

/*
 * A place's names in the order of their hashes, which are their cookies: so that a listing under which images come
 * and go neither loses nor repeats another.
 */
struct listed {
	uint64_t cookie;
	char *name; /* owned */
};

struct listed_all {
	struct listed *items; /* owned */
	size_t count, room;
};

static void listed_release(struct listed_all *all)
{
	for (size_t i = 0; i < all->count; i++)
		free(all->items[i].name);
	free(all->items);
}

static int listed_add(const char *name, void *arg)
{
	struct listed_all *all = arg;

	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		struct listed *more = realloc(all->items, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		all->items = more;
		all->room = room;
	}
	/* 1 and 2 are "." and "..". */
	all->items[all->count] = (struct listed){ (XXH3_64bits(name, strlen(name)) >> 1) | 4, strdup(name) };
	return all->items[all->count++].name ? 0 : -ENOMEM;
}

static int listed_order(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int list_place_locked(struct forest *forest, const char *path, struct listed_all *all)
{
	int r = catalog_refresh(forest);

	if (r == 0)
		r = catalog_children(&forest->catalog, path, listed_add, all);
	if (r == 0 && all->count)
		qsort(all->items, all->count, sizeof(*all->items), listed_order);
	return r;
}

static int readdir_place(struct forest *forest, const struct place *place, uint64_t cookie, forest_dirent_fn fn,
			 void *arg)
{
	static const char *const dots[] = { ".", ".." };
	AUTO(listed_release) struct listed_all all = { 0 };
	struct forest_entry entry = { .st = { .st_mode = S_IFDIR } };
	int r;

	pthread_mutex_lock(&forest->lock);
	r = list_place_locked(forest, place->path, &all);
	pthread_mutex_unlock(&forest->lock);
	if (r < 0)
		return r;
	entry.st.st_ino = ino_of_path(forest, place->path);
	for (uint64_t i = cookie; i < ARRAY_SIZE(dots); i++)
		if (!fn(dots[i], &entry, i + 1, arg))
			return 0;
	for (size_t i = 0; i < all.count; i++) {
		AUTO(freep) char *path = path_join(place->path, all.items[i].name);

		if (all.items[i].cookie <= cookie)
			continue;
		if (!path)
			return -ENOMEM;
		entry.st.st_ino = ino_of_path(forest, path);
		if (!fn(all.items[i].name, &entry, all.items[i].cookie, arg))
			return 0;
	}
	return 0;
}

struct tree_listing {
	struct tree *tree;
	bool plus;
	forest_dirent_fn fn;
	void *arg;
};

static bool tree_dirent(const char *name, const struct fs_entry *entry, uint64_t cookie, void *arg)
{
	struct tree_listing *l = arg;
	struct forest_entry out = { .st = entry->st, .lasting = true };

	if (entry->node && id_of(l->tree, entry->node, &out.id) < 0)
		return false;
	out.st.st_ino = ino_of(l->tree, entry->st.st_ino);
	if (!l->fn(name, &out, cookie, l->arg))
		return false;
	atomic_fetch_add(&l->tree->lookups, out.id ? 1 : 0);
	return true;
}

int forest_readdir(struct forest *forest, uint64_t id, uint64_t cookie, bool plus, forest_dirent_fn fn, void *arg)
{
	AUTO(forest_leavep) struct forest_visit visit = { 0 };
	struct tree_listing listing = { .plus = plus, .fn = fn, .arg = arg };
	int r;

	if (!slot_of(id))
		return readdir_place(forest, place_of(forest, id), cookie, fn, arg);
	r = forest_enter(forest, id, &visit);
	if (r < 0)
		return r;
	listing.tree = visit.tree;
	return fs_readdir(visit.fs, visit.node, cookie, plus, tree_dirent, &listing);
}

/* --- life --- */

static int read_one_image(struct forest *forest, const char *ref, struct diag *diag)
{
	struct store *store = forest->shared.store;
	struct image_id image;
	int r = image_find(store, ref, diag, &image);

	if (r == 0)
		r = fs_lease(&forest->whole, store, image, diag, &forest->lease);
	if (r == 0)
		r = catalog_read_image(store, image, diag, &forest->catalog);
	clock_gettime(CLOCK_REALTIME, &forest->changed);
	return r;
}

static int forest_init(struct forest *forest, const struct fs_options *options, struct diag *diag)
{
	int r = fs_shared_open(options->store, diag, &forest->shared);

	if (r < 0)
		return r;
	forest->root.path = strdup("");
	forest->slots = calloc(SLOT_COUNT, sizeof(struct tree *));
	if (!forest->root.path || !forest->slots)
		return -ENOMEM;
	if (options->trees == FS_TREES_LAYERS)
		return read_one_image(forest, options->image, diag);
	r = watch_new(forest->shared.store, &forest->watch);
	if (r == 0)
		r = catalog_refresh(forest);
	if (r == 0)
		r = idler_start(forest);
	return r < 0 ? diag_errno(diag, r, "cannot read store %s", options->store) : 0;
}

int forest_new(const struct fs_options *options, struct diag *diag, struct forest **ret)
{
	struct forest *forest = calloc(1, sizeof(*forest));
	int r;

	if (!forest)
		return -ENOMEM;
	forest->whole = forest->single = *options;
	forest->whole.whiteouts = FS_WHITEOUTS_HIDE;
	forest->owner_uid = geteuid();
	forest->owner_gid = getegid();
	pthread_mutex_init(&forest->lock, NULL);
	pthread_mutex_init(&forest->idle_lock, NULL);
	r = forest_init(forest, options, diag);
	if (r < 0) {
		forest_free(forest);
		return r;
	}
	*ret = forest;
	return 0;
}

static void place_free(void *arg)
{
	struct place *place = arg;

	free(place->path);
	free(place);
}

void forest_free(struct forest *forest)
{
	if (!forest)
		return;
	idler_stop(forest);
	forest_trees_free(forest);
	tdestroy(forest->places, place_free);
	free(forest->root.path);
	free(forest->slots);
	catalog_release(&forest->catalog);
	watch_free(forest->watch);
	lease_drop(forest->lease);
	fs_shared_release(&forest->shared);
	pthread_mutex_destroy(&forest->lock);
	pthread_mutex_destroy(&forest->idle_lock);
	free(forest);
}

struct stats *forest_stats(struct forest *forest)
{
	return forest->shared.stats;
}

void forest_describe(struct forest *forest, bool json, struct buf *ret)
{
	fs_shared_describe(&forest->shared, json, ret);
}
