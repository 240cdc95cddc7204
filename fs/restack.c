/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * The tree in memory follows a stack of layers that has changed.
 *
 * Beside the tree another one is merged, of the upper and the layers as they are now, as
 * far down as memory has tables (fs->root is its root meanwhile; the gate is closed, so
 * nobody else sees it).  Then each folder's two tables are compared, name by name:
 *
 *   the upper's, whiteouts too     stays; whether a lower has the name too is as in the fresh one
 *   the same inode of a lower      stays
 *   both directories               the directory stays, with the fresh one's parts and attributes
 *   anything else                  the name gets the fresh one's node, or comes, or goes
 *
 * A directory whose parts are the same as before looks as before, and so does everything
 * below it: that is what keeps the time short.  Only redirects could lead from there to
 * where something has changed; once one was met, all tables are looked at.
 *
 *   plan()    reads, allocates, pins; may fail, and then nothing has happened
 *   apply()   cannot fail
 *
 * What loses its last name while the kernel knows it lives on like a removed file.
 */

#include "fs/mountedon.h"
#include "store/base/auto.h"

#include <stdlib.h>
#include <string.h>

enum move_kind {
	MOVE_FLAGS,   /* only whether a lower has the name has changed */
	MOVE_DIR,     /* the directory gets other parts */
	MOVE_REPLACE, /* the name gets another node */
	MOVE_COME,
	MOVE_GO,
};

struct move {
	enum move_kind kind;
	struct link *link;  /* in the tree; NULL: MOVE_COME */
	struct link *fresh; /* in the other one; NULL: MOVE_GO */
};

struct pair {
	struct dirnode *dir, *fresh;
	uint32_t mode;	    /* of a lower's directory */
	struct move *moves; /* owned */
	size_t count, room;
};

struct restack {
	struct fs *fs;
	unsigned how;
	const struct mounted_on *mounted; /* borrowed */
	struct dirnode *old_root, *root;  /* @root is owned */
	struct pair *pairs;		  /* owned; those whose tables are compared, parents first */
	size_t count, room;
	struct node **pinned; /* owned: to be let go of if it fails */
	size_t pinned_count, pinned_room;
	struct stales *stales;
	char *used; /* owned */
};

static int grow(void *list, size_t count, size_t *room, size_t each)
{
	void **at = list, *more;

	if (count < *room)
		return 0;
	more = realloc(*at, (*room ? *room * 2 : 16) * each);
	if (!more)
		return -ENOMEM;
	*at = more;
	*room = *room ? *room * 2 : 16;
	return 0;
}

static int pair_add(struct restack *s, struct dirnode *dir, struct dirnode *fresh)
{
	int r = grow(&s->pairs, s->count, &s->room, sizeof(*s->pairs));

	if (r == 0)
		s->pairs[s->count++] = (struct pair){ .dir = dir, .fresh = fresh };
	return r;
}

static int move_add(struct pair *pair, enum move_kind kind, struct link *link, struct link *fresh)
{
	int r = grow(&pair->moves, pair->count, &pair->room, sizeof(*pair->moves));

	if (r == 0)
		pair->moves[pair->count++] = (struct move){ kind, link, fresh };
	return r;
}

static bool is_known(const struct node *node)
{
	return atomic_load(&node->nlookup) > 0;
}

static int stale_name(struct restack *s, const struct dirnode *dir, const struct link *link)
{
	return is_known(&dir->node) ? stales_add(s->stales, &dir->node, link->name, false) : 0;
}

static int stale_dir(struct restack *s, const struct dirnode *dir, bool listing)
{
	return is_known(&dir->node) ? stales_add(s->stales, &dir->node, NULL, listing) : 0;
}

/* --- what shows no more --- */

char *stack_path(const struct node *node)
{
	size_t bytes = 0;
	char *path, *at;

	for (const struct node *n = node; n->links; n = &n->links->dir->node)
		bytes += n->links->name_len + 1u;
	path = malloc(bytes + 1);
	if (!path)
		return NULL;
	at = path + bytes;
	*at = '\0';
	for (const struct node *n = node; n->links; n = &n->links->dir->node) {
		if (n != node)
			*--at = '/';
		at -= n->links->name_len;
		memcpy(at, n->links->name, n->links->name_len);
	}
	memmove(path, at, strlen(at) + 1);
	return path;
}

static int pin(struct restack *s, struct node *node)
{
	int r = grow(&s->pinned, s->pinned_count, &s->pinned_room, sizeof(struct node *));

	if (r == 0)
		r = node_pin(s->fs, node);
	if (r == 0)
		s->pinned[s->pinned_count++] = node;
	return r;
}

static int plan_loss(struct restack *s, struct node *node)
{
	const struct table *table = node_is_dir(node) ? &node_dir(node)->table : NULL;
	AUTO(freep) char *path = NULL;
	int r = 0;

	if (node_in_upper(s->fs, node)) /* a copy with this name in a lower only: it is reached without (index.c) */
		return 0;
	/*
	 * First what is in it: with a file its folders are in use.  The kernel is told of each name, or it would keep them
	 * all until the mount ends once a single one is in use.
	 */
	for (uint32_t i = 0; table && r == 0 && i < table->used; i++) {
		const struct link *link = table->slots[i];

		if (!link || !link->node)
			continue;
		r = plan_loss(s, link->node);
		if (r == 0 && is_known(link->node))
			r = stale_name(s, node_dir(node), link);
	}
	if (r < 0 || !is_known(node))
		return r;
	if ((s->how & RESTACK_MAY_HIDE) && s->mounted->count == 0)
		return pin(s, node);
	path = stack_path(node);
	if (!path)
		return -ENOMEM;
	if ((s->how & RESTACK_MAY_HIDE) && !mounted_on_has(s->mounted, path))
		return pin(s, node);
	s->used = TAKE(path);
	return -ETXTBSY;
}

static void lose(struct fs *fs, struct node *node);

/* Going down, because a table that closes its gaps moves names down. */
static void dir_empty(struct fs *fs, struct dirnode *dir)
{
	for (uint32_t i = dir->table.used; i-- > 0;) {
		struct link *link = i < dir->table.used ? dir->table.slots[i] : NULL;
		struct node *node = link ? link->node : NULL;

		if (!link)
			continue;
		link_remove(fs, link);
		free(link);
		if (node)
			lose(fs, node);
	}
	if (!node_is(&dir->node, NODE_LOADED)) {
		node_set(&dir->node, NODE_LOADED | NODE_PARTS_FINAL);
		stats_add(fs->stats, STAT_TABLES, 1);
	}
}

/* It had a name less; what had its last is from now on as if it had been removed. */
static void lose(struct fs *fs, struct node *node)
{
	if (node->links)
		return;
	if (node_is_dir(node))
		dir_empty(fs, node_dir(node));
	if (!node_in_upper(fs, node)) {
		if (!node_is(node, NODE_MULTI) && node_is(node, NODE_ROW))
			node->row.nlink = 0;
		else if (!node_is(node, NODE_MULTI) && !node_is_dir(node))
			node->back.gone++;
		node_set(node, NODE_UNLINKED);
	}
	node_reap(fs, node);
}

/* --- comparing --- */

static bool parts_are_same(const struct fs *fs, const struct dirnode *a, const struct dirnode *b)
{
	if (a->part_count != b->part_count)
		return false;
	for (uint32_t i = 0; i < a->part_count; i++) {
		struct layer *layer = fs->layers[a->parts[i].layer];

		if (a->parts[i].layer != b->parts[i].layer || !layer->ops->same(layer, a->parts[i].at, b->parts[i].at))
			return false;
	}
	return true;
}

/* Of a directory in memory and the fresh one. */
static bool attributes_are_same(const struct fs *fs, const struct node *node, const struct node *fresh)
{
	if (node_in_upper(fs, node))
		return true;
	if (node->layer != fresh->layer || node_is(node, NODE_ROW) != node_is(fresh, NODE_ROW))
		return false;
	return !node_is(node, NODE_ROW) || node->row.no == fresh->row.no;
}

/* Neither is a directory. */
static bool is_same_file(struct fs *fs, const struct link *link, const struct link *fresh)
{
	struct node *a = link->node, *b = fresh->node;
	const struct part *pa, *pb;
	struct layer *layer;

	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		return false;
	if (node_in_upper(fs, a))
		return node_is(a, NODE_INDEXED) && index_is_copy_of(fs, a, b);
	if (a->layer != b->layer || node_is(a, NODE_ROW) != node_is(b, NODE_ROW))
		return false;
	if (node_is(a, NODE_ROW))
		return a->row.no == b->row.no;
	pa = dir_part(link->dir, node_layer_index(fs, a));
	pb = dir_part(fresh->dir, node_layer_index(fs, b));
	layer = node_layer(fs, a);
	return pa && pb && layer->ops->same(layer, pa->at, pb->at);
}

/* --- planning --- */

static int plan_flags(struct restack *s, size_t pair, struct link *link, struct link *fresh)
{
	return (link_flags(s->fs, link) ^ fresh->flags) & LINK_LOWER
		       ? move_add(&s->pairs[pair], MOVE_FLAGS, link, fresh)
		       : 0;
}

/* What is shown of a folder of a lower, and what new entries get from it. */
static int learn_mode(struct restack *s, struct dirnode *fresh)
{
	struct stat st;
	int r;

	if (node_in_upper(s->fs, &fresh->node) || node_is(&fresh->node, NODE_ROW))
		return 0;
	r = node_stat_named(s->fs, &fresh->node, &st);
	if (r == 0)
		fresh->node.mode = st.st_mode;
	return r;
}

static int plan_dir(struct restack *s, size_t pair, struct link *link, struct link *fresh)
{
	struct dirnode *dir = node_dir(link->node), *other = node_dir(fresh->node);
	bool same;
	int r = dir_enter_former_locked(s->fs, dir);

	if (r == 0 && node_is(&dir->node, NODE_PARTS_FINAL | NODE_LOADED))
		r = dir_parts_locked(s->fs, other);
	if (r < 0)
		return r;
	same = parts_are_same(s->fs, dir, other) && attributes_are_same(s->fs, &dir->node, &other->node);
	if (same && !(s->fs->has_redirects && node_is(&dir->node, NODE_LOADED)))
		return plan_flags(s, pair, link, fresh);
	r = learn_mode(s, other);
	if (r == 0)
		r = move_add(&s->pairs[pair], MOVE_DIR, link, fresh);
	if (r == 0 && !same)
		r = stale_dir(s, dir, false);
	if (r == 0 && node_is(&dir->node, NODE_LOADED))
		r = pair_add(s, dir, other);
	return r;
}

static bool is_uppers(const struct fs *fs, const struct link *link)
{
	return link_flags(fs, link) & (LINK_UPPER | LINK_WHITEOUT);
}

/* @fresh: NULL: there is none. Return: 1: what the name shows has changed; 0; -errno. */
static int plan_name(struct restack *s, size_t pair, struct link *link, struct link *fresh)
{
	bool both, dirs;
	int r;

	if (is_uppers(s->fs, link) != (fresh && is_uppers(s->fs, fresh)))
		return -ESTALE; /* somebody else writes to the upper */
	both = link->node && fresh && fresh->node;
	dirs = both && node_is_dir(link->node) && node_is_dir(fresh->node);
	if (dirs)
		return plan_dir(s, pair, link, fresh);
	if (is_uppers(s->fs, link)) {
		if (!link->node != !fresh->node || (both && node_is_dir(link->node) != node_is_dir(fresh->node)))
			return -ESTALE;
		return plan_flags(s, pair, link, fresh);
	}
	if (both && !node_is_dir(link->node) && !node_is_dir(fresh->node) && is_same_file(s->fs, link, fresh))
		return plan_flags(s, pair, link, fresh);
	r = plan_loss(s, link->node);
	if (r == 0)
		r = move_add(&s->pairs[pair], fresh ? MOVE_REPLACE : MOVE_GO, link, fresh);
	if (r == 0)
		r = stale_name(s, s->pairs[pair].dir, link);
	return r < 0 ? r : 1;
}

/* Names that only the other table has. Return: how many; -errno. */
static int plan_new(struct restack *s, size_t pair)
{
	struct dirnode *dir = s->pairs[pair].dir;
	const struct table *table = &s->pairs[pair].fresh->table;
	int count = 0, r = 0;

	for (uint32_t i = 0; r == 0 && i < table->used; i++) {
		struct link *fresh = table->slots[i];

		if (!fresh || dir_find(s->fs, dir, fresh->name, fresh->name_len))
			continue;
		r = move_add(&s->pairs[pair], MOVE_COME, NULL, fresh);
		if (r == 0)
			r = stale_name(s, dir, fresh);
		count++;
	}
	if (r == 0 && count > 0)
		r = table_reserve(&dir->table, (uint32_t)count);
	return r < 0 ? r : count;
}

static int plan_pair(struct restack *s, size_t pair)
{
	struct dirnode *dir = s->pairs[pair].dir, *other = s->pairs[pair].fresh;
	bool changed = false;
	int r = dir_load_locked(s->fs, other);

	for (uint32_t i = 0; r >= 0 && i < dir->table.used; i++) {
		struct link *link = dir->table.slots[i];

		if (!link || (!link->node && link_flags(s->fs, link) == 0)) /* nothing: see dir_find() */
			continue;
		r = plan_name(s, pair, link, table_find(&other->table, link->name, link->name_len, link->hash));
		changed |= r > 0;
	}
	if (r >= 0)
		r = plan_new(s, pair);
	changed |= r > 0;
	return r < 0 ? r : changed ? stale_dir(s, dir, true) : 0;
}

static int plan(struct restack *s)
{
	int r = node_is(&s->old_root->node, NODE_PARTS_FINAL) ? dir_parts_locked(s->fs, s->root) : 0;

	if (r == 0)
		r = learn_mode(s, s->root);
	if (r == 0)
		r = stale_dir(s, s->old_root, false);
	if (r == 0 && node_is(&s->old_root->node, NODE_LOADED))
		r = pair_add(s, s->old_root, s->root);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = plan_pair(s, i);
	return r;
}

/* --- applying; nothing fails --- */

static void dir_take(struct fs *fs, struct dirnode *dir, struct dirnode *fresh)
{
	const unsigned of_row = NODE_ROW | NODE_XATTRS | NODE_IMPLICIT | NODE_ROW_OPAQUE;
	struct node *node = &dir->node;
	struct part *parts = dir->parts;
	uint32_t count = dir->part_count;

	dir->parts = TAKE(fresh->parts);
	dir->part_count = fresh->part_count;
	fresh->part_count = 0;
	parts_free(fs, parts, count);
	node_clear(node, NODE_PARTS_FINAL);
	node_set(node, node_flags(&fresh->node) & NODE_PARTS_FINAL);
	if (node_in_upper(fs, node))
		return;
	fd_drop(fs->fds, &node->slot);
	node_clear(node, of_row | NODE_ACL_KNOWN | NODE_DEFAULT_ACL | NODE_LOWER_LISTED | NODE_LOWER_BARE |
				 NODE_ENTERED | NODE_PROTECTION_KNOWN | NODE_IMMUTABLE | NODE_APPEND_ONLY);
	node_set(node, node_flags(&fresh->node) & (of_row | NODE_ENTERED));
	node->layer = fresh->node.layer;
	node->mode = fresh->node.mode;
	if (node_is(node, NODE_ROW))
		node->row = fresh->node.row;
	else
		memset(&node->back, 0, sizeof(node->back));
}

static void apply_come(struct fs *fs, struct dirnode *dir, struct link *fresh)
{
	struct node *node = fresh->node;

	link_remove(fs, fresh);
	link_add(fs, dir, fresh, node);
}

static void apply_replace(struct fs *fs, struct link *link, struct link *fresh)
{
	struct node *old = link->node, *node = fresh->node;

	link_set_node(fresh, NULL);
	link_set_node(link, node);
	link_set_flags(fs, link, fresh->flags);
	lose(fs, old);
}

/* What goes is last: where much goes a table gives back the room that was reserved. */
static void apply_pair(struct fs *fs, const struct pair *pair)
{
	for (size_t i = 0; i < pair->count; i++) {
		const struct move *move = &pair->moves[i];

		if (move->kind == MOVE_COME)
			apply_come(fs, pair->dir, move->fresh);
		else if (move->kind == MOVE_REPLACE)
			apply_replace(fs, move->link, move->fresh);
		else if (move->kind != MOVE_GO)
			link_set_flags(fs, move->link,
				       (link_flags(fs, move->link) & ~(unsigned)LINK_LOWER) |
					       (move->fresh->flags & LINK_LOWER));
		if (move->kind == MOVE_DIR)
			dir_take(fs, node_dir(move->link->node), node_dir(move->fresh->node));
	}
	for (size_t i = 0; i < pair->count; i++) {
		struct link *link = pair->moves[i].link;
		struct node *node;

		if (pair->moves[i].kind != MOVE_GO)
			continue;
		node = link->node;
		link_remove(fs, link);
		free(link);
		lose(fs, node);
	}
}

static void apply(struct restack *s)
{
	dir_take(s->fs, s->old_root, s->root);
	for (size_t i = 0; i < s->count; i++)
		apply_pair(s->fs, &s->pairs[i]);
}

/* --- the whole --- */

static void unpin(struct restack *s)
{
	for (size_t i = 0; i < s->pinned_count; i++) {
		struct node *node = s->pinned[i];

		fd_drop(s->fs->fds, &node->slot);
		if (node_is(node, NODE_METACOPY))
			fd_drop(s->fs->fds, &node->back.data->slot);
	}
}

static void release(struct restack *s)
{
	dir_drop(s->fs, s->root);
	node_free(s->fs, &s->root->node);
	for (size_t i = 0; i < s->count; i++)
		free(s->pairs[i].moves);
	free(s->pairs);
	free(s->pinned);
}

int restack(struct fs *fs, unsigned how, const struct mounted_on *mounted, struct stales *ret, char **ret_used)
{
	struct restack s = {
		.fs = fs,
		.how = how,
		.mounted = mounted,
		.old_root = fs->root,
		.stales = ret,
	};
	int r = root_new(fs, &s.root);

	if (r < 0)
		return r;
	if (fs->upper_fd >= 0)
		s.root->node.layer = fs->upper;
	fs->root = s.root;
	r = plan(&s);
	fs->root = s.old_root;
	if (r == 0 && !(how & RESTACK_PLAN))
		apply(&s);
	else
		unpin(&s);
	release(&s);
	*ret_used = s.used;
	return r;
}
