/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/* From a node to where it is on disk, and its attributes. */

#include "fs/ids.h"
#include "fs/inumber.h"
#include "fs/limits.h"
#include "fs/served.h"
#include "store/base/auto.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* --- places --- */

int upper_dir(struct fs *fs, struct dirnode *dir, struct fd_ref *ret)
{
	struct link *link = dir->node.links;
	struct fd_ref parent;
	int fd, err, r;

	if (dir == fs->root) {
		*ret = (struct fd_ref){ .fd = fs->upper_fd };
		return 0;
	}
	if (fd_get(fs->fds, &dir->node.slot, ret))
		return 0;
	if (!link)
		return -ENOENT; /* removed */
	r = upper_dir(fs, link->dir, &parent);
	if (r < 0)
		return r;
	fd = folder_open(parent.fd, link->name);
	err = errno;
	fd_put(fs->fds, &parent);
	return fd < 0 ? -err : fd_insert(fs->fds, &dir->node.slot, fd, ret);
}

int lower_at(struct fs *fs, struct node *node, struct layer **layer, union dref *at, const char **name)
{
	struct link *link = node->links;
	struct dirnode *dir = node_is_dir(node) ? node_dir(node) : link ? link->dir : NULL;
	const struct part *part;
	int r;

	*layer = node_layer(fs, node);
	*name = node_is_dir(node) || !link ? "" : link->name;
	if (!dir || !*layer)
		return -ESTALE;
	r = dir_enter_former(fs, dir);
	if (r < 0)
		return r;
	part = dir_part(dir, node_layer_index(fs, node));
	if (!part)
		return -ESTALE;
	*at = part->at;
	return 0;
}

/* The name of the node's that the upper has: not each name of a copied-up inode need be there. */
static struct link *upper_link(const struct fs *fs, const struct node *node)
{
	struct link *link = node->links;

	while (link && !(link_flags(fs, link) & LINK_UPPER))
		link = link->next;
	return link;
}

static int node_at_upper(struct fs *fs, struct node *node, struct node_at *ret)
{
	struct link *link = upper_link(fs, node);

	ret->name = "";
	if (node == &fs->root->node) {
		ret->ref = (struct fd_ref){ .fd = fs->upper_fd };
		return 0;
	}
	if (link) {
		ret->name = link->name;
		return upper_dir(fs, link->dir, &ret->ref);
	}
	if (fd_get(fs->fds, &node->slot, &ret->ref))
		return 0;
	return node_is(node, NODE_INDEXED) ? index_open(fs, node, &ret->ref) : -ESTALE;
}

int node_at(struct fs *fs, struct node *node, struct node_at *ret)
{
	struct layer *layer;
	union dref at;
	int r;

	if (node_in_upper(fs, node))
		return node_at_upper(fs, node, ret);
	if (node_is(node, NODE_UNLINKED)) {
		ret->name = "";
		return fd_get(fs->fds, &node->slot, &ret->ref) ? 0 : -ESTALE;
	}
	r = lower_at(fs, node, &layer, &at, &ret->name);
	return r < 0 ? r : layer->ops->dir_fd(layer, at, &ret->ref);
}

/* --- attributes --- */

static void row_stat(struct fs *fs, const struct node *node, struct stat *st)
{
	const struct node_row *row = &node->row;

	*st = (struct stat){
		.st_mode = node->mode,
		.st_nlink = row->nlink,
		.st_uid = ids_uid_recorded_shown(fs, row->uid),
		.st_gid = ids_gid_recorded_shown(fs, row->gid),
		.st_rdev = row->rdev,
		.st_size = S_ISDIR(node->mode) ? 4096 : (off_t)row->size,
		.st_blksize = 4096,
		.st_blocks = (blkcnt_t)((row->size + 511) / 512),
	};
	st->st_mtim.tv_sec = row->mtime_ns / 1000000000;
	st->st_mtim.tv_nsec = row->mtime_ns % 1000000000;
	if (st->st_mtim.tv_nsec < 0) {
		st->st_mtim.tv_sec--;
		st->st_mtim.tv_nsec += 1000000000;
	}
	st->st_ctim = st->st_mtim;
	st->st_atim = st->st_mtim;
}

/* What the owner of its file on disk may be recorded under; NULL: nothing. */
static const char *node_override(const struct fs *fs, const struct node *node)
{
	const struct layer *layer = node_layer(fs, node);

	if (node_in_upper(fs, node))
		return fs->override_upper;
	return layer ? layer->override_stat : NULL;
}

/* podman before 4.6 gives mappings and idmapped mounts of the layers, whose owners are then not to be mapped again. */
static bool node_is_mapped(const struct fs *fs, const struct node *node)
{
	const struct layer *layer = node_layer(fs, node);

	return layer && layer->is_mapped;
}

/* A lower's folder is listed more often than it is entered: it is not opened for its attributes. */
static int folder_at(struct fs *fs, struct node *node, struct node_at *ret)
{
	struct layer *layer;
	union dref at;
	int r = lower_at(fs, node, &layer, &at, &ret->name);

	return r < 0 ? r : layer->ops->named(layer, at, &ret->ref, &ret->name);
}

/* What the layers say, before what the merged tree knows better. */
static int backing_stat(struct fs *fs, struct node *node, struct stat *st)
{
	const char *override = node_override(fs, node);
	struct node_at at;
	bool folder;
	int r;

	if (!node_in_upper(fs, node) && node_is(node, NODE_ROW)) {
		row_stat(fs, node, st);
		return 0;
	}
	folder = node_is_dir(node) && !node_in_upper(fs, node) && !node_is(node, NODE_UNLINKED) && !override;
	r = folder ? folder_at(fs, node, &at) : node_at(fs, node, &at);
	if (r < 0)
		return r;
	if (node_is_mapped(fs, node))
		r = upper_stat_unmapped(at.ref.fd, at.name, override, st);
	else
		r = upper_stat(fs, at.ref.fd, at.name, override, st);
	fd_put(fs->fds, &at.ref);
	if (folder && (r == -ENOENT || (r == 0 && !S_ISDIR(st->st_mode))))
		return -ESTALE; /* changed behind our back */
	return r;
}

int node_names(struct fs *fs, struct node *node, uint32_t *ret)
{
	struct node_at at;
	struct stat st = { .st_nlink = node->back.nlink };
	int r;

	if (node_is(node, NODE_ROW) || node_is(node, NODE_INDEXED)) {
		*ret = node_is(node, NODE_ROW) ? node->row.nlink : node->back.nlink;
		return 0;
	}
	if (st.st_nlink == 0) { /* it got its names in a former upper */
		r = node_at(fs, node, &at);
		if (r < 0)
			return r;
		r = fstatat(at.ref.fd, at.name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
		fd_put(fs->fds, &at.ref);
		if (r < 0)
			return r;
	}
	*ret = st.st_nlink < node->back.gone ? 0 : (uint32_t)st.st_nlink - node->back.gone;
	return 0;
}

int node_owner(struct fs *fs, struct node *node, uid_t *uid, gid_t *gid)
{
	struct node_reach reach;
	struct stat st;
	int r;

	if (!node_in_upper(fs, node) && node_is(node, NODE_ROW)) {
		*uid = node->row.uid;
		*gid = node->row.gid;
		return 0;
	}
	r = node_reach(fs, node, &reach);
	if (r < 0)
		return r;
	r = upper_stat_unmapped(reach.at.ref.fd, reach.at.name, node_override(fs, node), &st);
	node_reach_end(fs, &reach);
	*uid = st.st_uid;
	*gid = st.st_gid;
	if (node_is_mapped(fs, node)) { /* -EINVAL: as the layer has it */
		(void)ids_uid_disk(fs, st.st_uid, uid);
		(void)ids_gid_disk(fs, st.st_gid, gid);
	}
	return r < 0 ? r : 0;
}

/*
 * Nobody has listed it, and nobody needs to: who does so now may wait for a server.  Of a folder of no store it has been
 * looked whether it is redirected to more.
 */
static bool is_one_layers(struct fs *fs, struct dirnode *dir)
{
	SHARED(&fs->names_lock);

	return !node_in_upper(fs, &dir->node) && !node_is(&dir->node, NODE_LOADED) && dir_enter_former(fs, dir) == 0 &&
	       dir->part_count == 1 && (node_is(&dir->node, NODE_ROW) || node_is(&dir->node, NODE_PARTS_FINAL));
}

int dir_nlink(struct fs *fs, struct dirnode *dir, struct stat *st)
{
	bool upper = node_in_upper(fs, &dir->node);
	int r = 0;

	if (fs->options->static_nlink) {
		st->st_nlink = 1;
		return 0;
	}
	if (node_is(&dir->node, NODE_UNLINKED)) {
		st->st_nlink = 0;
		return 0;
	}
	if (is_one_layers(fs, dir))
		return 0;
	LOCKED(&dir->lock);
	r = dir_enter_former_locked(fs, dir);
	if (r == 0 && (upper || dir->part_count == 1)) /* the marks say whether there are more */
		r = dir_parts_locked(fs, dir);
	if (r == 0 && dir->part_count + upper > 1)
		r = dir_load_locked(fs, dir);
	if (r == 0 && node_is(&dir->node, NODE_LOADED))
		st->st_nlink = 2 + dir->table.subdirs;
	return r;
}

/* What is a hole in its own file takes up room all the same. */
void stat_metacopy(const struct node *node, struct stat *st)
{
	if (node_is(node, NODE_METACOPY))
		st->st_blocks = (blkcnt_t)((st->st_size + 511) / 512);
}

static void stat_finish(struct fs *fs, struct node *node, struct stat *st)
{
	if (node_is(node, NODE_RESOLVED))
		st->st_ino = node->ino;
	if (node_is(node, NODE_INDEXED))
		st->st_nlink = node->back.nlink;
	else if (!node_in_upper(fs, node) && !node_is(node, NODE_ROW) && !node_is_dir(node))
		st->st_nlink -= st->st_nlink < node->back.gone ? st->st_nlink : node->back.gone;
	stat_metacopy(node, st);
	if (S_ISCHR(node->mode) && S_ISREG(st->st_mode)) { /* a nested overlay's whiteout, see store/ovl.h */
		st->st_mode = S_IFCHR | (st->st_mode & 07777);
		st->st_rdev = 0;
	}
	if (fs->options->fakeroot && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode))
		st->st_blocks = 0;
}

int node_stat_named(struct fs *fs, struct node *node, struct stat *st)
{
	int r = backing_stat(fs, node, st);

	if (r == 0)
		stat_finish(fs, node, st);
	return r;
}

/*
 * A name that goes away between looking it up and using it: whoever takes it away
 * holds the directory's lock and has pinned a descriptor before.  Wait for it.
 */
void node_settle(struct fs *fs, struct node *node)
{
	struct dirnode *dir = node_parent_get(fs, node);

	if (!dir)
		return;
	pthread_mutex_lock(&dir->lock);
	pthread_mutex_unlock(&dir->lock);
	fs_forget(fs, &dir->node, 1);
}

int node_stat_alone(struct fs *fs, struct node *node, struct stat *st)
{
	bool served = served_is(fs, node);
	int r = served ? served_stat(fs, node, st) : -EAGAIN;
	SHARED(&fs->names_lock);

	if (r == -EAGAIN || node_in_upper(fs, node)) /* it has been copied up meanwhile */
		return node_stat_named(fs, node, st);
	if (r == 0)
		stat_finish(fs, node, st);
	return r;
}

int node_stat(struct fs *fs, struct node *node, struct stat *st)
{
	int r = node_stat_alone(fs, node, st);

	for (int tries = 1; r == -ENOENT && tries < 3; tries++) {
		node_settle(fs, node);
		r = node_stat_alone(fs, node, st);
	}
	if (r == 0 && node_is_dir(node))
		r = dir_nlink(fs, node_dir(node), st);
	return r;
}

/*
 * The same of what stands in a directory that the caller has locked: nobody else takes
 * that name away, and waiting for one who did would wait for the caller.  Another name of
 * the same inode may go meanwhile; that is a matter of moments.  What is not there then
 * has vanished from below.
 */
int node_stat_in_locked(struct fs *fs, struct node *node, struct stat *st)
{
	int r = node_stat_alone(fs, node, st);

	for (int tries = 0; r == -ENOENT && node_is(node, NODE_MULTI) && tries < 100; tries++) {
		sched_yield();
		r = node_stat_alone(fs, node, st);
	}
	if (r == 0 && node_is_dir(node))
		r = dir_nlink(fs, node_dir(node), st);
	return r == -ENOENT ? -ESTALE : r;
}

/* --- requests --- */

int name_check(const char *name)
{
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	return ovl_reserved_name(name) ? -EINVAL : 0;
}

static int find_locked(struct fs *fs, struct dirnode *dir, const char *name, size_t len, struct link **ret)
{
	int r = dir_load_locked(fs, dir);

	*ret = r < 0 ? NULL : dir_find(fs, dir, name, len);
	return r;
}

/* @kept: what the caller drops the lookup of, or NULL. */
static int lookup_locked(struct fs *fs, struct dirnode *dir, const char *name, struct fs_entry *ret, struct node **kept)
{
	size_t len = strlen(name);
	struct link *link;
	int r = find_locked(fs, dir, name, len, &link);

	if (r == 0 && link && link->node && served_is(fs, link->node)) {
		*kept = served_await_locked(fs, dir, link->node);
		r = find_locked(fs, dir, name, len, &link);
	}
	return r == 0 && link && link->node ? fs_entry_fill(fs, link, ret) : r;
}

int fs_lookup(struct fs *fs, struct node *node, const char *name, struct fs_entry *ret)
{
	struct dirnode *dir = node_dir(node);
	struct node *kept = NULL;
	int r;

	*ret = (struct fs_entry){ 0 };
	if (!node_is_dir(node))
		return -ENOTDIR;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	pthread_mutex_lock(&dir->lock);
	r = lookup_locked(fs, dir, name, ret, &kept);
	pthread_mutex_unlock(&dir->lock);
	if (kept)
		fs_forget(fs, kept, 1);
	return r;
}

int fs_getattr(struct fs *fs, struct node *node, struct stat *st)
{
	return node_stat(fs, node, st);
}

static int row_target(const struct found *found, void *arg)
{
	char **ret = arg;

	*ret = strdup(found->row && found->row->target ? found->row->target : "");
	return *ret ? 0 : -ENOMEM;
}

/* Return: -EAGAIN: it is no row's. */
static int readlink_row(struct fs *fs, struct node *node, char **ret)
{
	struct layer *layer;
	const char *name;
	union dref at;
	int r;
	SHARED(&fs->names_lock);

	if (node_in_upper(fs, node) || !node_is(node, NODE_ROW))
		return -EAGAIN;
	r = lower_at(fs, node, &layer, &at, &name);
	return r < 0 ? r : layer->ops->find(layer, at, name, row_target, ret);
}

int fs_readlink(struct fs *fs, struct node *node, char **ret)
{
	AUTO(freep) char *target = NULL;
	struct node_reach reach;
	ssize_t n;
	int r;

	if (!S_ISLNK(node->mode))
		return -EINVAL;
	r = readlink_row(fs, node, ret);
	if (r != -EAGAIN)
		return r;
	target = malloc(PATH_MAX);
	if (!target)
		return -ENOMEM;
	r = node_reach(fs, node, &reach);
	if (r < 0)
		return r;
	n = upper_readlink(fs, reach.at.ref.fd, reach.at.name, target, PATH_MAX - 1);
	node_reach_end(fs, &reach);
	if (n < 0)
		return (int)n;
	target[n] = '\0';
	*ret = TAKE(target);
	return 0;
}

int fs_statfs(struct fs *fs, struct statvfs *st)
{
	struct fd_ref ref = { .fd = fs->upper_fd };
	struct layer *layer = NULL;
	int r = 0;

	for (uint32_t i = fs->layer_first; i < fs->layer_end && (!layer || layer->removed); i++)
		layer = fs->layers[i];
	if (fs->upper_fd < 0 && layer && layer->is_store)
		return statvfs(store_dir(fs->store), st) < 0 ? -errno : 0;
	if (fs->upper_fd < 0)
		r = layer->ops->dir_fd(layer, layer->root, &ref);
	if (r < 0)
		return r;
	if (fstatvfs(ref.fd, st) < 0)
		r = -errno;
	else
		limits_statfs(fs, st);
	fd_put(fs->fds, &ref);
	return r;
}
