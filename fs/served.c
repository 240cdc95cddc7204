/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/served.h"

#include "fs/flags.h"
#include "store/base/auto.h"

#include <string.h>

/* What of it is asked for is in such a lower; names_lock is held. */
static bool is_inside(const struct fs *fs, const struct node *node)
{
	const struct layer *layer = node_layer(fs, node);

	return layer && layer->is_served;
}

bool served_is(struct fs *fs, struct node *node)
{
	struct dirnode *dir = node_dir(node);

	if (!fs->any_served)
		return false;
	SHARED(&fs->names_lock);
	if (is_inside(fs, node) || (node_is_dir(node) && dir_enter_former(fs, dir) == -ENOMEM))
		return true;
	for (uint32_t i = 0; node_is_dir(node) && i < dir->part_count; i++) {
		if (fs->layers[dir->parts[i].layer]->is_served)
			return true;
	}
	return false;
}

/* --- places --- */

/* All that can be known without asking. names_lock is held. */
static int reach_keep(struct fs *fs, struct node *node, struct node_reach *ret)
{
	struct layer *layer;
	const char *name;
	union dref at;
	int r;

	ret->at.name = ret->name;
	ret->layer = node_layer(fs, node);
	if (node_is(node, NODE_UNLINKED))
		return fd_get(fs->fds, &node->slot, &ret->at.ref) ? 0 : -ESTALE;
	r = lower_at(fs, node, &layer, &at, &name);
	if (r < 0)
		return r;
	strcpy(ret->name, name);
	ret->kept = true;
	return layer->ops->keep(layer, at, &ret->dir);
}

/* @may_name: a folder may be told by its name, so that it need not be opened. */
static int reach_open(struct node_reach *reach, bool may_name)
{
	struct layer *layer = reach->layer;
	int r;

	if (!reach->kept)
		return 0;
	if (may_name && !*reach->name)
		r = layer->ops->named(layer, reach->dir, &reach->at.ref, &reach->at.name);
	else
		r = layer->ops->dir_fd(layer, reach->dir, &reach->at.ref);
	if (r < 0)
		layer->ops->leave(layer, reach->dir);
	return r;
}

int node_reach(struct fs *fs, struct node *node, struct node_reach *ret)
{
	int r;

	ret->at = (struct node_at){ 0 };
	ret->layer = NULL;
	ret->kept = false;
	ret->name[0] = '\0';
	pthread_rwlock_rdlock(&fs->names_lock);
	if (!fs->any_served || !is_inside(fs, node)) {
		r = node_at(fs, node, &ret->at);
		if (r < 0)
			pthread_rwlock_unlock(&fs->names_lock);
		return r;
	}
	r = reach_keep(fs, node, ret);
	pthread_rwlock_unlock(&fs->names_lock);
	return r < 0 ? r : reach_open(ret, false);
}

void node_reach_end(struct fs *fs, struct node_reach *reach)
{
	fd_put(fs->fds, &reach->at.ref);
	if (!reach->layer)
		pthread_rwlock_unlock(&fs->names_lock);
	else if (reach->kept)
		reach->layer->ops->leave(reach->layer, reach->dir);
}

/* --- attributes --- */

static int reach_begin(struct fs *fs, struct node *node, struct node_reach *ret)
{
	SHARED(&fs->names_lock);

	*ret = (struct node_reach){ 0 };
	return is_inside(fs, node) ? reach_keep(fs, node, ret) : -EAGAIN;
}

static int reach_stat(struct fs *fs, struct node_reach *reach, struct stat *st)
{
	const char *override = reach->layer->override_stat;
	int r = reach_open(reach, !override);

	if (r < 0)
		return r;
	if (reach->layer->is_mapped)
		r = upper_stat_unmapped(reach->at.ref.fd, reach->at.name, override, st);
	else
		r = upper_stat(fs, reach->at.ref.fd, reach->at.name, override, st);
	node_reach_end(fs, reach);
	return r < 0 ? r : 0;
}

int served_stat(struct fs *fs, struct node *node, struct stat *st)
{
	struct node_reach reach;
	int r = reach_begin(fs, node, &reach);

	if (r == 0)
		r = reach_stat(fs, &reach, st);
	if (node_is_dir(node) && (r == -ENOENT || (r == 0 && !S_ISDIR(st->st_mode))))
		return -ESTALE; /* changed behind our back */
	return r;
}

/* --- asking before --- */

struct node *served_await_locked(struct fs *fs, struct dirnode *dir, struct node *node)
{
	struct node *kept = node_is_dir(node) ? node : NULL;
	struct node_reach reach;
	struct stat st;
	int r = reach_begin(fs, node, &reach);

	if (kept) /* its table is, too */
		node_get(fs, kept);
	pthread_mutex_unlock(&dir->lock);
	if (r == 0)
		(void)reach_stat(fs, &reach, &st);
	if (kept)
		(void)dir_nlink(fs, node_dir(kept), &st);
	pthread_mutex_lock(&dir->lock);
	return kept;
}

/* Its protection, and what it needs to live on without the name. */
static void await_removal(struct fs *fs, struct node *node)
{
	struct content_ref ref;

	if (node_is_dir(node)) {
		LOCKED(&node_dir(node)->lock);
		(void)dir_load_locked(fs, node_dir(node));
	}
	(void)node_may_change(fs, node);
	if (S_ISREG(node->mode) && node_open(fs, node, &ref) == 0)
		fd_put(fs->fds, &ref.ref);
}

void served_await_name(struct fs *fs, struct dirnode *dir, const char *name)
{
	struct fs_entry entry;

	if (!fs->any_served || fs_lookup(fs, &dir->node, name, &entry) < 0 || !entry.node)
		return;
	if (served_is(fs, entry.node))
		await_removal(fs, entry.node);
	fs_forget(fs, entry.node, 1);
}
