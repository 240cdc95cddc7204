/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * The first look at a name: what its file's st_ino is, and which node it is.
 *
 * A file with several names is one node.  Two names of it may be looked up for the first
 * time at once, in two directories, and while it is copied up or forgotten.  So:
 *
 *   enlist()     a node comes into fs->inodes last, when all is known of it, in one step
 *                with looking whether another is there by now
 *   reap_lock    is held while what is found there gets a name: a node that nobody names
 *                and nobody knows has left fs->inodes before that lock was let go of
 *   fs->copies   tells that a copy was published since it was looked for; then it is
 *                looked for once more
 *
 * A file that is being copied up is known as the lower's until its copy is published, but
 * the index may show the copy before: who finds that looks for both (struct several).
 */

#include "fs/inumber.h"

/* What it returns stays as long as reap_lock is held. */
static struct node *inodes_find(struct fs *fs, const struct inode_key *key)
{
	LOCKED(&fs->inodes.lock);

	return inodes_find_locked(fs, key->layer, key->dev, key->ino);
}

/* reap_lock and names_lock, exclusively, are held. Return: the link's own node, which is the caller's to free. */
static struct node *join_locked(struct link *link, struct node *other)
{
	struct node *mine = link->node;

	link_set_node(link, other);
	node_clear(other, NODE_UNLINKED);
	return mine;
}

bool node_join(struct fs *fs, struct link *link, const struct inode_key *key)
{
	struct node *other, *mine = NULL;

	if (!inodes_find(fs, key)) /* as is mostly so; what is there may be going just now */
		return false;
	pthread_mutex_lock(&fs->reap_lock);
	pthread_rwlock_wrlock(&fs->names_lock);
	other = inodes_find(fs, key);
	if (other && other != link->node)
		mine = join_locked(link, other);
	pthread_rwlock_unlock(&fs->names_lock);
	pthread_mutex_unlock(&fs->reap_lock);
	node_free(fs, mine);
	return mine;
}

static struct inode_key key_of(const struct node *node, const struct stat *st)
{
	if (node_is(node, NODE_ROW))
		return (struct inode_key){ node->layer, 0, node->row.no };
	return (struct inode_key){ node->layer, st->st_dev, st->st_ino };
}

/* What is found of a name whose file has several. */
struct several {
	uint32_t copies; /* fs->copies, before anything was looked for */
	struct inode_key lower, key;
	uint32_t names, left; /* of a lower's: in its layer, and of those not taken away in this upper */
};

/* Names that were taken away in this upper do not count, in this mount or an earlier one. */
static void count_find(struct fs *fs, struct node *node, struct stat *st, struct several *several)
{
	several->names = several->left = (uint32_t)st->st_nlink;
	if (node_in_upper(fs, node))
		return;
	several->left = index_count(fs, node, several->names);
	if (several->left > several->names)
		several->left = several->names;
	st->st_nlink = several->left;
}

static void count_set(struct fs *fs, struct node *node, const struct several *several)
{
	if (node_in_upper(fs, node))
		return;
	if (node_is(node, NODE_ROW)) {
		node->row.nlink = several->left;
	} else {
		node->back.nlink = several->names;
		node->back.gone = several->names - several->left;
	}
}

/*
 * If a lower's file was copied up through another of its names, this name means the copy.  One that is being copied up is
 * still known as the lower's, and its copy may be found already.
 */
static int join_names(struct fs *fs, struct link *link, struct stat *st, struct several *several, bool *joined)
{
	struct node *node = link->node;
	int r;

	several->copies = atomic_load(&fs->copies);
	several->lower = key_of(node, st);
	*joined = node_join(fs, link, &several->lower);
	if (*joined)
		return 0;
	r = index_join(fs, link, st, joined);
	if (r < 0 || *joined)
		return r;
	several->key = key_of(node, st);
	if (!node_is(node, NODE_ROW)) {
		node->back.dev = st->st_dev;
		node->back.ino = st->st_ino;
	}
	count_find(fs, node, st, several);
	return 0;
}

static void node_set_resolved(struct node *node, const struct stat *st)
{
	node->mode = st->st_mode;
	node_set(node, NODE_RESOLVED | NODE_KILLPRIV);
}

/* reap_lock and names_lock, exclusively, are held. */
static int enlist_locked(struct fs *fs, struct link *link, const struct stat *st, const struct several *several,
			 struct node **mine)
{
	struct node *node = link->node, *other = inodes_find(fs, &several->lower);
	int r;

	if (!other)
		other = inodes_find(fs, &several->key);
	if (other) {
		*mine = join_locked(link, other);
		return 0;
	}
	if (!node_in_upper(fs, node) && atomic_load(&fs->copies) != several->copies)
		return -EAGAIN;
	LOCKED(&fs->inodes.lock);
	r = inodes_add_locked(fs, node);
	if (r == 0) {
		count_set(fs, node, several);
		node_set_resolved(node, st);
	}
	return r;
}

/* Others may find the node from now on, unless they were faster. -EAGAIN: there may be a copy of it by now. */
static int enlist(struct fs *fs, struct link *link, const struct stat *st, const struct several *several, bool *joined)
{
	struct node *mine = NULL;
	int r;

	pthread_mutex_lock(&fs->reap_lock);
	pthread_rwlock_wrlock(&fs->names_lock);
	r = enlist_locked(fs, link, st, several, &mine);
	pthread_rwlock_unlock(&fs->names_lock);
	pthread_mutex_unlock(&fs->reap_lock);
	*joined = mine;
	node_free(fs, mine);
	return r;
}

/* What is still to be found out of a node that is known to nobody yet. */
static int settle(struct fs *fs, struct link *link, uint32_t covered, struct stat *st)
{
	struct node *node = link->node;
	int r;

	if (node_is(node, NODE_INDEXED)) /* @st is from before it was known to be a copy */
		st->st_nlink = node->back.nlink;
	if (node_in_upper(fs, node) || node_was_upper(fs, node))
		node->ino = ino_of_upper(fs, link, covered, st);
	else if (node_is(node, NODE_ROW))
		node->ino = ino_of_row(fs, node);
	else
		node->ino = ino_of_backing(fs, st);
	r = metacopy_detect(fs, link, st);
	stat_metacopy(node, st);
	st->st_ino = node->ino;
	return r;
}

/* -EAGAIN: once more. */
static int resolve(struct fs *fs, struct link *link, struct stat *st)
{
	struct node *node = link->node;
	const uint32_t covered = ino_covered(fs, node);
	struct several several;
	bool has_several, joined = false;
	int r = node_stat_in_locked(fs, node, st);

	if (r < 0)
		return r;
	has_several = st->st_nlink > 1 && !node_is_dir(node);
	if (has_several)
		r = join_names(fs, link, st, &several, &joined);
	if (r == 0 && !joined)
		r = settle(fs, link, covered, st);
	if (r == 0 && !joined && has_several)
		r = enlist(fs, link, st, &several, &joined);
	else if (r == 0 && !joined)
		node_set_resolved(node, st);
	if (r < 0 && !joined)
		metacopy_clear(fs, node);
	return joined ? node_stat_in_locked(fs, link->node, st) : r;
}

int node_resolve(struct fs *fs, struct link *link, struct stat *st)
{
	int r = -EAGAIN;

	while (r == -EAGAIN && !node_is(link->node, NODE_RESOLVED))
		r = resolve(fs, link, st);
	return r == -EAGAIN ? node_stat_in_locked(fs, link->node, st) : r;
}

int fs_entry_fill(struct fs *fs, struct link *link, struct fs_entry *ret)
{
	int r = node_resolve(fs, link, &ret->st);

	if (r < 0)
		return r;
	ret->node = link->node;
	node_get(fs, ret->node);
	return 0;
}
