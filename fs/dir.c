/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Making and taking away names.
 *
 * Each change is one step on disk (upper.c), then one in memory, where nothing
 * can fail any more: what memory needs is allocated first.  The directory's lock
 * is held over both.
 */

#include "fs/attrcache.h"
#include "fs/flags.h"
#include "fs/inumber.h"
#include "fs/limits.h"
#include "fs/served.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* --- making --- */

/* What is to be made where, and what has been prepared for it. */
struct making {
	struct fs *fs;
	struct dirnode *dir;
	const char *name;
	struct stat st; /* type, mode, owner, rdev wanted */
	const char *target;
	gid_t born_gid;
	bool has_acl;	   /* the directory has a default ACL */
	struct link *link; /* the whiteout to replace, or a new one */
	bool whiteout;
	int fd; /* of a new regular file */
};

/* The owner as mkdir(2) has it: the caller's, but the group of a setgid directory. */
static int making_owner(struct making *m, const struct fs_cred *cred)
{
	struct stat dir_st;
	int r;

	m->st.st_uid = cred->uid;
	m->st.st_gid = cred->gid;
	m->born_gid = (gid_t)-1;
	m->has_acl = dir_has_default_acl(m->fs, &m->dir->node);
	if (!m->has_acl && !S_ISLNK(m->st.st_mode))
		m->st.st_mode &= ~cred->umask;
	if (!(m->dir->node.mode & S_ISGID))
		return 0;
	r = node_stat(m->fs, &m->dir->node, &dir_st);
	if (r < 0)
		return r;
	m->st.st_gid = dir_st.st_gid;
	m->born_gid = m->fs->override_upper ? (gid_t)-1 : dir_st.st_gid;
	if (S_ISDIR(m->st.st_mode))
		m->st.st_mode |= S_ISGID;
	return 0;
}

static int make_in_work(struct making *m, int dirfd, const char *work)
{
	struct fs *fs = m->fs;
	struct cradle cradle;
	int r;

	if (!m->has_acl)
		return upper_make(fs, fs->work_fd, work, &m->st, m->target, (gid_t)-1, &m->fd);
	r = cradle_open(fs, dirfd, &cradle);
	if (r < 0)
		return r;
	r = upper_make(fs, cradle.fd, work, &m->st, m->target, (gid_t)-1, &m->fd);
	if (r == 0 && renameat(cradle.fd, work, fs->work_fd, work) < 0) {
		r = -errno;
		unlinkat(cradle.fd, work, S_ISDIR(m->st.st_mode) ? AT_REMOVEDIR : 0);
	}
	cradle_close(&cradle);
	return r;
}

/* In the place of a whiteout: made in work/, moved there complete. */
static int make_over_whiteout(struct making *m, int dirfd)
{
	struct fs *fs = m->fs;
	char work[WORK_NAME_BYTES];
	bool is_dir = S_ISDIR(m->st.st_mode);
	int r;

	work_name(fs, work);
	r = make_in_work(m, dirfd, work);
	if (r < 0)
		return r;
	if (is_dir && link_flags(fs, m->link) & LINK_LOWER) {
		AUTO(closep) int fd = openat(fs->work_fd, work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		r = fd < 0 ? -errno : ovl_set_opaque(fd, fs->xattr_ns);
	}
	if (r == 0)
		r = upper_replace_whiteout(fs, work, dirfd, m->name, is_dir);
	if (r < 0)
		unlinkat(fs->work_fd, work, is_dir ? AT_REMOVEDIR : 0);
	return r;
}

static int make_on_disk(struct making *m, struct stat *st)
{
	struct fs *fs = m->fs;
	struct fd_ref ref;
	int r;
	SHARED(&fs->names_lock);

	r = upper_dir(fs, m->dir, &ref);
	if (r < 0)
		return r;
	r = limits_take(fs, 0, 1);
	if (r < 0) {
		fd_put(fs->fds, &ref);
		return r;
	}
	if (ovl_is_whiteout_mode(m->st.st_mode, m->st.st_rdev))
		r = upper_mark_nested_whiteouts(fs, ref.fd);
	if (r == 0 && m->whiteout)
		r = make_over_whiteout(m, ref.fd);
	else if (r == 0)
		r = upper_make(fs, ref.fd, m->name, &m->st, m->target, m->born_gid, &m->fd);
	if (r == 0)
		r = upper_stat(fs, m->fd >= 0 ? m->fd : ref.fd, m->fd >= 0 ? "" : m->name, fs->override_upper, st);
	if (r == 0)
		limits_settle(fs, 0, m->fd >= 0 ? m->fd : ref.fd, m->fd >= 0 ? "" : m->name);
	else
		limits_give(fs, 0, 1);
	fd_put(fs->fds, &ref);
	return r;
}

static void keep_attrs(struct fs *fs, struct node *node, const struct stat *st)
{
	LOCKED(time_lock(fs, node));

	attrs_keep_locked(fs, node, st);
}

/* The new node of what is on disk now; nothing fails. */
static void made(struct making *m, struct node *node, const struct stat *st)
{
	struct fs *fs = m->fs;
	struct fd_ref ref;

	node->mode = (node->mode & S_IFMT) | (st->st_mode & 07777);
	node->ino = ino_of_backing(fs, st);
	/* A new directory's table is complete as it is: empty. */
	node_set(node, NODE_RESOLVED | (node_is_dir(node) ? NODE_PARTS_FINAL | NODE_LOADED : 0) |
			       (st->st_mode & (S_ISUID | S_ISGID) ? NODE_KILLPRIV : 0) | (m->has_acl ? 0 : NODE_PLAIN));
	keep_attrs(fs, node, st);
	if (node_is_dir(node))
		stats_add(fs->stats, STAT_TABLES, 1);
	if (m->whiteout)
		link_set_node(m->link, node);
	else
		link_add(fs, m->dir, m->link, node);
	link_set_flags(fs, m->link, (link_flags(fs, m->link) & LINK_LOWER) | LINK_UPPER);
	if (m->fd >= 0 && fd_insert(fs->fds, &node->slot, TAKE_FD(m->fd), &ref) == 0)
		fd_put(fs->fds, &ref);
}

static int make_locked(struct making *m, struct fs_entry *ret)
{
	size_t len = strlen(m->name);
	struct table *table = &m->dir->table;
	struct node *node;
	int r = dir_load_locked(m->fs, m->dir);

	if (r == 0 && node_is(&m->dir->node, NODE_UNLINKED))
		r = -ENOENT;
	if (r < 0)
		return r;
	m->link = dir_find(m->fs, m->dir, m->name, len);
	if (m->link && m->link->node)
		return -EEXIST;
	m->whiteout = m->link;
	r = table_reserve(table, 1);
	if (r < 0)
		return r;
	node = node_new(m->st.st_mode, m->fs->upper);
	if (!m->link)
		m->link = link_new(m->name, len);
	r = node && m->link ? make_on_disk(m, &ret->st) : -ENOMEM;
	if (r < 0) {
		node_free(m->fs, node);
		if (!m->whiteout)
			free(m->link);
		closep(&m->fd);
		return r;
	}
	made(m, node, &ret->st);
	ret->node = node;
	ret->st.st_ino = node->ino;
	if (ovl_is_whiteout_mode(m->st.st_mode, m->st.st_rdev)) { /* on disk it is a file */
		ret->st.st_mode = node->mode;
		ret->st.st_rdev = 0;
	}
	node_get(m->fs, node);
	return 0;
}

static int make(struct fs *fs, struct node *dir, const char *name, mode_t mode, dev_t rdev, const char *target,
		const struct fs_cred *cred, struct fs_entry *ret)
{
	struct making m = {
		.fs = fs,
		.dir = node_dir(dir),
		.name = name,
		.target = target,
		.st = { .st_mode = mode, .st_rdev = rdev },
		.fd = -1,
	};
	int r;

	*ret = (struct fs_entry){ 0 };
	if (fs->upper_fd < 0)
		return -EROFS;
	if (!node_is_dir(dir))
		return -ENOTDIR;
	r = name_check(name);
	if (r == 0)
		r = node_may_grow(fs, dir);
	if (r == 0)
		r = copyup_dir(fs, m.dir);
	if (r == 0)
		r = making_owner(&m, cred);
	if (r < 0)
		return r;
	LOCKED(&m.dir->lock);
	return make_locked(&m, ret);
}

int fs_mknod(struct fs *fs, struct node *dir, const char *name, mode_t mode, dev_t rdev, const struct fs_cred *cred,
	     struct fs_entry *ret)
{
	return make(fs, dir, name, mode, rdev, NULL, cred, ret);
}

int fs_mkdir(struct fs *fs, struct node *dir, const char *name, mode_t mode, const struct fs_cred *cred,
	     struct fs_entry *ret)
{
	return make(fs, dir, name, S_IFDIR | (mode & 07777), 0, NULL, cred, ret);
}

int fs_symlink(struct fs *fs, struct node *dir, const char *name, const char *target, const struct fs_cred *cred,
	       struct fs_entry *ret)
{
	return make(fs, dir, name, S_IFLNK | 0777, 0, target, cred, ret);
}

/* --- files without a name --- */

static int make_nameless(struct making *m)
{
	struct fs *fs = m->fs;
	struct cradle cradle;
	struct fd_ref ref;
	int r;
	SHARED(&fs->names_lock);

	if (!m->has_acl)
		return upper_make_nameless(fs, fs->work_fd, &m->st, &m->fd);
	r = upper_dir(fs, m->dir, &ref);
	if (r < 0)
		return r;
	r = cradle_open(fs, ref.fd, &cradle);
	if (r == 0)
		r = upper_make_nameless(fs, cradle.fd, &m->st, &m->fd);
	cradle_close(&cradle);
	fd_put(fs->fds, &ref);
	return r;
}

int fs_tmpfile(struct fs *fs, struct node *dir, mode_t mode, const struct fs_cred *cred, struct fs_entry *ret)
{
	struct making m = {
		.fs = fs,
		.dir = node_dir(dir),
		.st = { .st_mode = S_IFREG | (mode & 07777) },
		.fd = -1,
	};
	struct fd_ref ref;
	struct node *node;
	int r;

	*ret = (struct fs_entry){ 0 };
	r = copyup_dir(fs, m.dir);
	if (r == 0)
		r = making_owner(&m, cred);
	if (r < 0)
		return r;
	node = node_new(m.st.st_mode, fs->upper);
	if (!node)
		return -ENOMEM;
	r = limits_take(fs, 0, 1);
	if (r == 0 && (r = make_nameless(&m)) < 0)
		limits_give(fs, 0, 1);
	if (r == 0)
		r = upper_stat(fs, m.fd, "", fs->override_upper, &ret->st);
	if (r == 0)
		r = fd_insert(fs->fds, &node->slot, TAKE_FD(m.fd), &ref);
	closep(&m.fd);
	if (r < 0) {
		node_free(fs, node);
		return r;
	}
	fd_pin(fs->fds, &node->slot);
	fd_put(fs->fds, &ref);
	node->ino = ino_of_backing(fs, &ret->st);
	node_set(node, NODE_RESOLVED | NODE_UNLINKED | NODE_KILLPRIV);
	ret->st.st_ino = node->ino;
	ret->node = node;
	node_get(fs, node);
	orphans_add(fs, node);
	return 0;
}

/* --- more names --- */

/* A second name of @node on disk: @name in @dirfd, or in work/. */
static int link_on_disk(struct fs *fs, struct node *node, int dirfd, const char *name)
{
	char path[PROC_PATH_BYTES];
	struct node_at at;
	int r = node_at(fs, node, &at);

	if (r < 0)
		return r;
	if (*at.name)
		r = linkat(at.ref.fd, at.name, dirfd, name, 0);
	else
		r = linkat(AT_FDCWD, proc_path(path, at.ref.fd, ""), dirfd, name, AT_SYMLINK_FOLLOW);
	r = r < 0 ? -errno : 0;
	fd_put(fs->fds, &at.ref);
	return r;
}

static int link_place(struct fs *fs, struct node *node, struct dirnode *dir, const char *name, bool whiteout)
{
	char work[WORK_NAME_BYTES];
	struct fd_ref ref;
	int r = upper_dir(fs, dir, &ref);

	if (r < 0)
		return r;
	r = upper_mark_for(fs, node, ref.fd);
	if (r == 0 && !whiteout) {
		r = link_on_disk(fs, node, ref.fd, name);
	} else if (r == 0) {
		work_name(fs, work);
		r = link_on_disk(fs, node, fs->work_fd, work);
		if (r == 0)
			r = upper_replace_whiteout(fs, work, ref.fd, name, false);
		if (r < 0)
			unlinkat(fs->work_fd, work, 0);
	}
	if (r == 0 && node_is(node, NODE_COPIED))
		upper_mark_impure(fs, dir, ref.fd);
	fd_put(fs->fds, &ref);
	return r;
}

int link_into_upper(struct fs *fs, struct link *link)
{
	struct stat dir_st;
	struct fd_ref ref;
	int r;

	if (link_flags(fs, link) & LINK_UPPER)
		return 0;
	EXCLUSIVE(&fs->names_lock);
	r = upper_dir(fs, link->dir, &ref);
	if (r < 0)
		return r;
	if (fstat(ref.fd, &dir_st) < 0)
		r = -errno;
	if (r == 0)
		r = link_place(fs, link->node, link->dir, link->name, false);
	if (r == 0) {
		(void)upper_set_times(ref.fd, "", &dir_st); /* as after a copy-up: nobody asked for this name */
		link_set_flags(fs, link, link_flags(fs, link) | LINK_UPPER);
	}
	fd_put(fs->fds, &ref);
	return r;
}

/* It has, or will have, several names: from now on they are to be one node. */
static int node_becomes_multi(struct fs *fs, struct node *node)
{
	struct stat st;
	int r;

	if (node_is(node, NODE_MULTI))
		return 0;
	r = node_stat(fs, node, &st);
	if (r < 0)
		return r;
	if (node->layer == NAMELESS)
		node->layer = fs->upper;
	pthread_rwlock_rdlock(&fs->names_lock);
	r = backing_identity(fs, node, &node->back.dev, &node->back.ino);
	pthread_rwlock_unlock(&fs->names_lock);
	if (r < 0)
		return r;
	LOCKED(&fs->inodes.lock);
	return inodes_add_locked(fs, node);
}

static int link_locked(struct fs *fs, struct node *node, struct dirnode *dir, const char *name, struct fs_entry *ret)
{
	size_t len = strlen(name);
	struct link *link;
	bool whiteout;
	int r = dir_load_locked(fs, dir);

	if (r == 0 && node_is(&dir->node, NODE_UNLINKED))
		r = -ENOENT;
	if (r == 0)
		r = table_reserve(&dir->table, 1);
	if (r < 0)
		return r;
	link = dir_find(fs, dir, name, len);
	if (link && link->node)
		return -EEXIST;
	whiteout = link;
	if (!link)
		link = link_new(name, len);
	if (!link)
		return -ENOMEM;
	EXCLUSIVE(&fs->names_lock);
	if (node->links)
		ino_keep_home(fs, node->links);
	r = link_place(fs, node, dir, name, whiteout);
	if (r < 0) {
		if (!whiteout)
			free(link);
		return r;
	}
	if (whiteout)
		link_set_node(link, node);
	else
		link_add(fs, dir, link, node);
	link_set_flags(fs, link, (link_flags(fs, link) & LINK_LOWER) | LINK_UPPER);
	node_clear(node, NODE_UNLINKED);
	(void)index_nlink(fs, node, 1); /* the name is there; a count that could not be kept is too small */
	return node_stat_named(fs, node, &ret->st);
}

int fs_link(struct fs *fs, struct node *node, struct node *dir, const char *name, struct fs_entry *ret)
{
	int r;

	*ret = (struct fs_entry){ 0 };
	if (fs->upper_fd < 0)
		return -EROFS;
	r = name_check(name);
	if (r == 0)
		r = node_may_change(fs, node);
	if (r == 0)
		r = node_may_grow(fs, dir);
	if (r == 0)
		r = copyup(fs, node, UINT64_MAX);
	if (r == 0)
		r = copyup_dir(fs, node_dir(dir));
	if (r == 0)
		r = node_becomes_multi(fs, node);
	if (r < 0)
		return r;
	LOCKED(&node_dir(dir)->lock);
	r = link_locked(fs, node, node_dir(dir), name, ret);
	if (r < 0)
		return r;
	ret->node = node;
	node_get(fs, node);
	return 0;
}

/* --- taking away --- */

/* A folder that looks empty, with what it has all the same. */
static int discard(struct fs *fs, int dirfd, const char *name)
{
	char work[WORK_NAME_BYTES];

	work_name(fs, work);
	if (renameat(dirfd, name, fs->work_fd, work) < 0)
		return -errno;
	(void)io_remove_tree(fs->work_fd, work); /* else the next mount does */
	return 0;
}

/* On disk. names_lock is held. */
static int remove_on_disk(struct fs *fs, struct link *link, bool clear)
{
	int flag = node_is_dir(link->node) ? AT_REMOVEDIR : 0;
	unsigned has = link_flags(fs, link);
	struct fd_ref ref;
	int r = upper_dir(fs, link->dir, &ref);

	if (r < 0)
		return r;
	if (!(has & LINK_UPPER)) {
		r = upper_whiteout(fs, ref.fd, link->name);
	} else if (has & LINK_LOWER) {
		r = upper_cover(fs, ref.fd, link->name);
	} else {
		r = clear ? -ENOTEMPTY : unlinkat(ref.fd, link->name, flag) < 0 ? -errno : 0;
		if (r == -ENOTEMPTY) /* what nothing shows is left in it: whiteouts, another driver's mark of opaque */
			r = discard(fs, ref.fd, link->name);
	}
	fd_put(fs->fds, &ref);
	return r;
}

void link_gone(struct fs *fs, struct link *link)
{
	struct node *node = link->node;
	bool whiteout = link_flags(fs, link) & LINK_LOWER;

	if (whiteout) {
		link_set_node(link, NULL);
		link_set_flags(fs, link, LINK_LOWER | LINK_WHITEOUT);
		stats_add(fs->stats, STAT_WHITEOUTS, 1);
	} else {
		link_remove(fs, link);
		free(link);
	}
	name_lost(fs, node);
}

void name_lost(struct fs *fs, struct node *node)
{
	bool lower = !node_in_upper(fs, node) && !node_is_dir(node);
	uint32_t names;

	if (!node->links)
		node_set(node, NODE_UNLINKED);
	if (node_is_dir(node) && node_in_upper(fs, node))
		limits_dir_lost(fs);
	if (!lower)
		(void)index_nlink(fs, node, -1); /* as in link_locked() */
	else if (node_is(node, NODE_ROW) && node->row.nlink > 0)
		node->row.nlink--;
	else if (node_is(node, NODE_INDEXED) && node->back.nlink > 0)
		node->back.nlink--;
	else
		node->back.gone++;
	if (lower && node_is(node, NODE_MULTI) && node_names(fs, node, &names) == 0)
		index_keep_count(fs, node, names);
}

/*
 * A name that is gone from the disk and still in memory is looked for again by whoever
 * follows it (node_settle()).  One that a whiteout has taken the place of would be
 * taken for a device: there the disk and the memory change in one step.
 */
static int take_link(struct fs *fs, struct link *link, bool clear)
{
	const unsigned both = LINK_UPPER | LINK_LOWER;
	bool covered = (link_flags(fs, link) & both) == both;
	int r;

	if (!covered) {
		pthread_rwlock_rdlock(&fs->names_lock);
		r = remove_on_disk(fs, link, clear);
		pthread_rwlock_unlock(&fs->names_lock);
		if (r < 0)
			return r;
	}
	EXCLUSIVE(&fs->names_lock);
	r = covered ? remove_on_disk(fs, link, clear) : 0;
	if (r == 0)
		link_gone(fs, link);
	return r;
}

static int find_locked(struct fs *fs, struct dirnode *dir, const char *name, struct link **ret)
{
	size_t len = strlen(name);
	int r = dir_load_locked(fs, dir);

	if (r < 0)
		return r;
	*ret = dir_find(fs, dir, name, len);
	return *ret && (*ret)->node ? 0 : -ENOENT;
}

static int unlink_locked(struct fs *fs, struct dirnode *dir, const char *name, struct node **ret)
{
	struct link *link;
	int r = find_locked(fs, dir, name, &link);

	if (r < 0)
		return r;
	if (node_is_dir(link->node))
		return -EISDIR;
	r = node_may_change(fs, link->node);
	if (r < 0)
		return r;
	*ret = link->node;
	pthread_rwlock_rdlock(&fs->names_lock);
	if (!link->node->links->next)
		r = node_pin(fs, link->node);
	pthread_rwlock_unlock(&fs->names_lock);
	return r < 0 ? r : take_link(fs, link, false);
}

int dir_is_empty_locked(struct fs *fs, struct dirnode *dir)
{
	int r = dir_load_locked(fs, dir);

	if (r < 0)
		return r;
	return dir->table.count > dir->table.whiteouts ? -ENOTEMPTY : 0;
}

static int rmdir_locked(struct fs *fs, struct dirnode *dir, const char *name, struct node **ret)
{
	struct dirnode *child;
	struct link *link;
	int r = find_locked(fs, dir, name, &link);

	if (r < 0)
		return r;
	if (!node_is_dir(link->node))
		return -ENOTDIR;
	*ret = link->node;
	child = node_dir(link->node);
	LOCKED(&child->lock);
	r = dir_is_empty_locked(fs, child);
	if (r == 0)
		r = node_may_change(fs, link->node);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&fs->names_lock);
	r = node_pin(fs, link->node);
	pthread_rwlock_unlock(&fs->names_lock);
	return r < 0 ? r : take_link(fs, link, child->table.whiteouts > 0);
}

/* @locked takes the name away while the directory is locked, and says which node lost it. */
static int take_away(struct fs *fs, struct node *dir, const char *name,
		     int (*locked)(struct fs *fs, struct dirnode *dir, const char *name, struct node **ret))
{
	struct node *node = NULL;
	int r;

	if (fs->upper_fd < 0)
		return -EROFS;
	r = node_may_change(fs, dir);
	if (r == 0)
		r = copyup_dir(fs, node_dir(dir));
	if (r < 0)
		return r;
	served_await_name(fs, node_dir(dir), name);
	pthread_mutex_lock(&node_dir(dir)->lock);
	r = locked(fs, node_dir(dir), name, &node);
	pthread_mutex_unlock(&node_dir(dir)->lock);
	if (r == 0)
		node_reap(fs, node);
	return r;
}

int fs_unlink(struct fs *fs, struct node *dir, const char *name)
{
	return take_away(fs, dir, name, unlink_locked);
}

int fs_rmdir(struct fs *fs, struct node *dir, const char *name)
{
	return take_away(fs, dir, name, rmdir_locked);
}
