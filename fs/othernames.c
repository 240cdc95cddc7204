/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/othernames.h"

/*
 * The copy gets all the names that the lower file showed under, as far as they can
 * be known: whoever reads the upper without our index, the kernel or a commit, must
 * not find the old file under one of them.  A store layer knows all names, and an upper
 * that has become a lower is searched for them; of another directory lower it is those
 * that were looked at.
 *
 * A layer knows where its names are in the layer.  In the tree they are there too, unless
 * somebody has renamed a folder above them.  Where fewer are found than the file has, such
 * folders are looked for.  They are in an upper, or in one that has become a lower, and so is
 * every folder above them; so the search goes down where an upper has been at work, and nowhere else.
 */

#include "fs/live.h"
#include "store/base/auto.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* --- what the layer has --- */

void other_names_release(struct other_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->paths[i]);
	free(names->paths);
}

static int add(const char *path, void *arg)
{
	struct other_names *names = arg;
	char **more = realloc(names->paths, (names->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	names->paths = more;
	more[names->count] = strdup(path);
	return more[names->count] ? names->count++, 0 : -ENOMEM;
}

int other_names_find(struct fs *fs, struct node *node, struct other_names *ret)
{
	int r = live_names(fs, node, add, ret);
	SHARED(&fs->names_lock);

	if (r == 0 && node_is(node, NODE_ROW) && node->links)
		r = layer_names(fs->store, layer_store_id(fs->layers[node->layer]), node->row.no, add, ret);
	if (r < 0 || ret->count == 0)
		return r;
	ret->layer = node_layer_index(fs, node);
	return node_names(fs, node, &ret->total);
}

/* --- one name --- */

/* @dir is known to the kernel or by a lookup of our own. */
static int name_place(struct fs *fs, struct dirnode *dir, const char *name, const struct node *node)
{
	size_t len = strlen(name);
	struct link *link;
	int r = copyup_dir(fs, dir);

	if (r < 0)
		return r;
	LOCKED(&dir->lock);
	r = dir_load_locked(fs, dir);
	if (r < 0)
		return r;
	link = table_find(&dir->table, name, len, name_hash(name, len));
	return link && link->node == node ? link_into_upper(fs, link) : 0;
}

/* Goes down @path from @top; what is not there, or another file by now, is left alone. */
static int path_place(struct fs *fs, struct node *top, const char *path, const struct node *node)
{
	AUTO(freep) char *copy = strdup(path);
	struct node *dir = top;
	char *name = copy, *slash;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	node_get(fs, dir);
	while ((slash = strchr(name, '/'))) {
		struct fs_entry entry;

		*slash = '\0';
		r = node_is_dir(dir) ? fs_lookup(fs, dir, name, &entry) : -ENOTDIR;
		if (r == 0 && !entry.node)
			r = -ENOENT;
		fs_forget(fs, dir, 1);
		if (r < 0)
			return r == -ENOENT || r == -ENOTDIR ? 0 : r;
		dir = entry.node;
		name = slash + 1;
	}
	if (node_is_dir(dir)) {
		struct fs_entry entry;

		r = fs_lookup(fs, dir, name, &entry); /* joins the name to the node */
		if (r == 0 && entry.node) {
			if (entry.node == node)
				r = name_place(fs, node_dir(dir), name, node);
			fs_forget(fs, entry.node, 1);
		}
	}
	fs_forget(fs, dir, 1);
	return r;
}

/* --- below folders that were renamed --- */

/* The folders on the way to a name, in the layer. */
struct trail {
	const char **rests; /* owned; of the path, below each; borrowed */
	union dref *dirs;   /* owned, each a reference */
	size_t count;
};

struct search {
	struct fs *fs;
	struct node *node;
	struct layer *layer;
	const struct other_names *names;
	struct trail *trails; /* owned; one for each path */
};

struct entering {
	struct layer *layer;
	union dref at, below;
};

static int enter(const struct found *found, void *arg)
{
	struct entering *entering = arg;

	if (!S_ISDIR(found->mode))
		return -ENOTDIR;
	return entering->layer->ops->enter(entering->layer, entering->at, found, &entering->below);
}

static int trail_make(struct layer *layer, const char *path, struct trail *trail)
{
	struct entering entering = { .layer = layer, .at = layer->root };
	size_t room = 0;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/'))
		room++;
	trail->rests = calloc(room + 1, sizeof(*trail->rests));
	trail->dirs = calloc(room + 1, sizeof(*trail->dirs));
	if (!trail->rests || !trail->dirs)
		return -ENOMEM;
	for (const char *name = path, *slash; (slash = strchr(name, '/')); name = slash + 1) {
		AUTO(freep) char *one = strndup(name, (size_t)(slash - name));
		int r = one ? layer->ops->find(layer, entering.at, one, enter, &entering) : -ENOMEM;

		if (r < 0)
			return r;
		entering.at = entering.below;
		trail->dirs[trail->count] = entering.below;
		trail->rests[trail->count++] = slash + 1;
	}
	return 0;
}

static void search_release(struct search *search)
{
	for (size_t i = 0; search->trails && i < search->names->count; i++) {
		struct trail *trail = &search->trails[i];

		for (size_t j = 0; j < trail->count; j++)
			search->layer->ops->leave(search->layer, trail->dirs[j]);
		free(trail->rests);
		free(trail->dirs);
	}
	free(search->trails);
}

static bool has_all(struct fs *fs, const struct node *node, uint32_t total)
{
	uint32_t count = 0;
	SHARED(&fs->names_lock);

	for (const struct link *link = node->links; link; link = link->next)
		count += (link_flags(fs, link) & LINK_UPPER) != 0;
	return count >= total;
}

/* Is the folder on the way to a name? Return: what is left of the path below it; NULL: it is not. */
static const char *rest_below(struct search *search, struct dirnode *dir, const struct trail *trail)
{
	const struct part *part;
	SHARED(&search->fs->names_lock);

	part = dir_part(dir, search->names->layer);
	for (size_t i = 0; part && i < trail->count; i++) {
		if (search->layer->ops->same(search->layer, part->at, trail->dirs[i]))
			return trail->rests[i];
	}
	return NULL;
}

/* May it, or a folder in it, be one that was renamed? */
static bool may_have_moved(const struct fs *fs, const struct node *node)
{
	return node_is_dir(node) && (node_in_upper(fs, node) || node_was_upper(fs, node));
}

/* The names, one after the other, each ended by a NUL; to be freed. */
static int moved_candidates(struct fs *fs, struct dirnode *dir, char **ret, size_t *ret_bytes)
{
	size_t bytes = 0;
	int r;
	LOCKED(&dir->lock);

	*ret = NULL;
	*ret_bytes = 0;
	r = dir_load_locked(fs, dir);
	if (r < 0)
		return r;
	SHARED(&fs->names_lock);
	for (uint32_t pass = 0; pass < 2; pass++) {
		bytes = 0;
		for (uint32_t i = 0; i < dir->table.used; i++) {
			const struct link *link = dir->table.slots[i];

			if (!link || !link->node || !may_have_moved(fs, link->node))
				continue;
			if (pass > 0)
				memcpy(*ret + bytes, link->name, link->name_len + 1u);
			bytes += link->name_len + 1u;
		}
		if (pass == 0 && (bytes == 0 || !(*ret = malloc(bytes))))
			return bytes == 0 ? 0 : -ENOMEM;
	}
	*ret_bytes = bytes;
	return 0;
}

static int search_below(struct search *search, struct node *top)
{
	struct fs *fs = search->fs;
	AUTO(freep) char *names = NULL;
	size_t bytes;
	int r = moved_candidates(fs, node_dir(top), &names, &bytes);

	for (size_t i = 0; r == 0 && i < search->names->count; i++) {
		const char *rest = rest_below(search, node_dir(top), &search->trails[i]);

		if (rest)
			r = path_place(fs, top, rest, search->node);
	}
	for (size_t at = 0; r == 0 && at < bytes && !has_all(fs, search->node, search->names->total);
	     at += strlen(names + at) + 1) {
		struct fs_entry entry = { .node = NULL };

		r = fs_lookup(fs, top, names + at, &entry);
		if (r == -ENOENT)
			r = 0;
		else if (r == 0 && entry.node && node_is_dir(entry.node))
			r = search_below(search, entry.node);
		if (entry.node)
			fs_forget(fs, entry.node, 1);
	}
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int moved_place(struct fs *fs, struct node *node, const struct other_names *names)
{
	struct search search = { .fs = fs, .node = node, .layer = fs->layers[names->layer], .names = names };
	int r = 0;

	search.trails = calloc(names->count, sizeof(*search.trails));
	if (!search.trails)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < names->count; i++)
		r = trail_make(search.layer, names->paths[i], &search.trails[i]);
	if (r == 0)
		r = search_below(&search, &fs->root->node);
	search_release(&search);
	return r;
}

/* --- all of them --- */

/* The next name that memory has and the upper has not; with @keep a lookup of its directory is counted. */
static bool missing_name(struct fs *fs, struct node *node, bool keep, struct dirnode **dir, char *name)
{
	SHARED(&fs->names_lock);

	for (struct link *link = node->links; link; link = link->next) {
		if (link_flags(fs, link) & LINK_UPPER)
			continue;
		*dir = link->dir;
		if (keep)
			node_get_named(fs, &link->dir->node);
		memcpy(name, link->name, link->name_len + 1u);
		return true;
	}
	return false;
}

int other_names_place_known(struct fs *fs, struct node *node)
{
	/* Nobody knows it: then the gate is closed (live.c), all folders stay, and forgetting one could drop its table. */
	const bool keep = atomic_load(&node->nlookup) > 0;
	char name[NAME_MAX + 1];
	struct dirnode *dir;
	int r = 0;

	while (r == 0 && missing_name(fs, node, keep, &dir, name)) {
		r = name_place(fs, dir, name, node);
		if (keep)
			fs_forget(fs, &dir->node, 1);
	}
	return r;
}

int other_names_place(struct fs *fs, struct node *node, const struct other_names *names)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->count; i++)
		r = path_place(fs, &fs->root->node, names->paths[i], node);
	if (r == 0)
		r = other_names_place_known(fs, node);
	if (r == 0 && names->count > 0 && !has_all(fs, node, names->total))
		r = moved_place(fs, node, names);
	if (r < 0)
		atomic_store(&fs->names_lacking, true);
	return r;
}
