/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Rename.  Whatever moves is in the upper first, so that one renameat2(2) does it:
 *
 *   old name shows in a lower too    RENAME_WHITEOUT leaves a whiteout there
 *   new name is a whiteout           a file replaces it; a directory is exchanged with
 *                                    it, and what arrives at the old name is what is
 *                                    wanted there, or is removed
 *   new name is an empty directory   the same, since whiteouts may be left in it
 *
 * A directory that lowers have too keeps its lower part by a redirect: an xattr that
 * says where the lowers have it.  One that only the upper has becomes opaque where a
 * lower has its new name.  Both are set before the move; a crash between leaves a
 * mark that says of the old place what is true there anyway.
 *
 * RENAME_WHITEOUT is for whoever runs an overlay on top of the mount: what it leaves
 * is a whiteout of his, made beforehand in work/, moved to the old name afterwards.
 */

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>

#include "fs/attrcache.h"
#include "fs/flags.h"
#include "fs/inumber.h"
#include "fs/served.h"
#include "store/base/buf.h"
#include "store/base/io.h"

struct renaming {
	struct fs *fs;
	struct dirnode *dir, *newdir;
	const char *name, *newname;
	unsigned flags;
	struct link *link;    /* what moves */
	struct link *newlink; /* what is there, a whiteout, or NULL */
	struct link *fresh;   /* owned: the new name's link if there was none */
	struct left {	      /* with RENAME_WHITEOUT, what is left at the old name; owned until it is there */
		char work[WORK_NAME_BYTES]; /* "": there is none */
		struct node *node;
		struct link *link;
	} left;
};

static struct link *find(struct fs *fs, struct dirnode *dir, const char *name)
{
	size_t len = strlen(name);

	return dir_find(fs, dir, name, len);
}

/* --- marks on directories that move --- */

/* Where its file in the upper says that its lower part is; NULL: where its name says. names_lock is held. */
static int redirect_of(struct fs *fs, struct node *node, char **ret)
{
	struct fd_ref ref;
	int r;

	*ret = NULL;
	if (!node_in_upper(fs, node))
		return 0;
	if (!node_is_dir(node))
		return metacopy_redirect(fs, node, ret);
	r = upper_dir(fs, node_dir(node), &ref);
	if (r < 0)
		return r;
	r = ovl_redirect(ref.fd, ret);
	fd_put(fs->fds, &ref);
	return r;
}

int lower_path(struct fs *fs, struct node *node, struct buf *path)
{
	AUTO(freep) char *redirect = NULL;
	int r;

	if (node == &fs->root->node)
		return 0;
	r = redirect_of(fs, node, &redirect);
	if (r < 0)
		return r;
	if (redirect && redirect[0] == '/') {
		buf_adds(path, redirect);
		return buf_error(path);
	}
	if (!node->links)
		return -ENOENT;
	r = lower_path(fs, &node->links->dir->node, path);
	buf_addf(path, "/%s", redirect ? redirect : node->links->name);
	return r < 0 ? r : buf_error(path);
}

enum { REDIRECT_BYTES = 3000 }; /* what an xattr holds on any file system */

/* What it was called where its lowers have it, if that is still in the same folder. names_lock is held. */
static int redirect_in_place(struct fs *fs, struct dirnode *dir, int fd)
{
	AUTO(freep) char *old = NULL;
	int r = ovl_redirect(fd, &old);

	if (r < 0)
		return r;
	if (old && old[0] == '/')
		return -EXDEV;
	return ovl_set_redirect(fd, fs->xattr_ns, old ? old : dir->node.links->name);
}

static int mark_directory(struct fs *fs, struct dirnode *dir, bool lower_at_new_name, bool same_folder)
{
	struct buf path = { 0 };
	struct fd_ref ref;
	int r;
	SHARED(&fs->names_lock);

	r = upper_dir(fs, dir, &ref);
	if (r < 0)
		return r;
	if (dir->part_count > 0) {
		fs->has_redirects = true;
		r = lower_path(fs, &dir->node, &path);
		if (r == 0)
			r = ovl_set_redirect(ref.fd, fs->xattr_ns, buf_str(&path));
		/* Too deep for its path to be kept: the caller may copy it, as between file systems. */
		if (r < 0 && path.len > REDIRECT_BYTES)
			r = same_folder ? redirect_in_place(fs, dir, ref.fd) : -EXDEV;
		if (r == -ENOTSUP) /* an upper without xattrs */
			r = -EXDEV;
	} else if (lower_at_new_name) {
		r = ovl_set_opaque(ref.fd, fs->xattr_ns);
	}
	fd_put(fs->fds, &ref);
	buf_release(&path);
	return r;
}

static int mark_file(struct fs *fs, const struct link *link)
{
	struct node *node = link->node;
	struct buf path = { 0 };
	int r;

	if (!node_is(node, NODE_METACOPY) && !node_is(node, NODE_COPIED))
		return 0;
	SHARED(&fs->names_lock);
	ino_keep_home(fs, link);
	if (!node_is(node, NODE_METACOPY))
		return 0;
	r = lower_path(fs, node, &path);
	if (r == 0)
		r = metacopy_keep_place(fs, node, buf_str(&path));
	buf_release(&path);
	return r;
}

/* A redirect would lead nowhere at the next mount. */
static bool has_passing_part(const struct fs *fs, const struct dirnode *dir)
{
	for (uint32_t i = 0; i < dir->part_count; i++) {
		if (layer_is_passing(fs, dir->parts[i].layer))
			return true;
	}
	return false;
}

/* @link is about to stand where @other stands (NULL: nothing does). */
static int mark_mover(struct fs *fs, struct link *link, const struct link *other, bool same_folder)
{
	struct dirnode *dir = node_dir(link->node);
	int r;

	if (!node_is_dir(link->node))
		return mark_file(fs, link);
	LOCKED(&dir->lock);
	r = dir_parts_locked(fs, dir);
	if (r == 0 && dir->part_count > 0 && (fs->options->redirect != FS_REDIRECT_ON || has_passing_part(fs, dir)))
		r = -EXDEV;
	return r < 0 ? r : mark_directory(fs, dir, other && link_flags(fs, other) & LINK_LOWER, same_folder);
}

/* --- on disk; names_lock is held exclusively --- */

static bool on_disk(const struct fs *fs, const struct link *link)
{
	return link && link_flags(fs, link) & (LINK_UPPER | LINK_WHITEOUT);
}

/* A file system without exchange: nothing of the lowers shows at the new name meanwhile. */
static int move_by_steps(struct renaming *m, int fd, int newfd)
{
	int r = upper_cover_by_file(m->fs, newfd, m->newname);

	if (r == 0 && renameat(fd, m->name, newfd, m->newname) < 0)
		r = -errno;
	if (r == 0 && link_flags(m->fs, m->link) & LINK_LOWER)
		r = upper_whiteout(m->fs, fd, m->name);
	return r < 0 ? r : upper_uncover_file(newfd, m->newname);
}

/* The directory takes the new name, what was there comes to the old one and has to go. */
static int move_by_exchange(struct renaming *m, int fd, int newfd)
{
	struct fs *fs = m->fs;
	char work[WORK_NAME_BYTES];

	if (renameat2(fd, m->name, newfd, m->newname, RENAME_EXCHANGE) < 0)
		return errno == EINVAL ? move_by_steps(m, fd, newfd) : -errno;
	if (link_flags(m->fs, m->link) & LINK_LOWER) {
		if (link_flags(m->fs, m->newlink) & LINK_WHITEOUT)
			return 0; /* a whiteout is what has to be there */
		return upper_cover(fs, fd, m->name);
	}
	work_name(fs, work);
	if (renameat(fd, m->name, fs->work_fd, work) < 0)
		return -errno;
	(void)io_remove_tree(fs->work_fd, work);
	return 0;
}

static int move_leaving_whiteout(struct renaming *m, int fd, int newfd)
{
	if (renameat2(fd, m->name, newfd, m->newname, RENAME_WHITEOUT) == 0)
		return 0;
	if (errno != EINVAL && errno != EPERM)
		return -errno;
	if (renameat(fd, m->name, newfd, m->newname) < 0) /* a file system without it */
		return -errno;
	return upper_whiteout(m->fs, fd, m->name);
}

static int move_on_disk(struct renaming *m, int fd, int newfd)
{
	int r;

	if (m->flags & RENAME_EXCHANGE)
		return renameat2(fd, m->name, newfd, m->newname, RENAME_EXCHANGE) < 0 ? -errno : 0;
	if (node_is_dir(m->link->node) && on_disk(m->fs, m->newlink)) {
		r = move_by_exchange(m, fd, newfd);
		if (r != -ENOENT)
			return r;
		/* The whiteout is a ".wh.NAME" file: nothing stands in the way. */
	}
	if (link_flags(m->fs, m->link) & LINK_LOWER)
		r = move_leaving_whiteout(m, fd, newfd);
	else
		r = renameat(fd, m->name, newfd, m->newname) < 0 ? -errno : 0;
	if (r == 0 && m->newlink && link_flags(m->fs, m->newlink) & LINK_WHITEOUT)
		(void)upper_uncover_file(newfd, m->newname);
	return r;
}

static int rename_on_disk(struct renaming *m)
{
	struct fs *fs = m->fs;
	struct fd_ref ref, newref;
	int r = upper_dir(fs, m->dir, &ref);

	if (r < 0)
		return r;
	r = upper_dir(fs, m->newdir, &newref);
	if (r == 0) {
		r = upper_mark_for(fs, m->link->node, newref.fd);
		if (r == 0 && m->flags & RENAME_EXCHANGE)
			r = upper_mark_for(fs, m->newlink->node, ref.fd);
		if (r == 0)
			r = move_on_disk(m, ref.fd, newref.fd);
		if (r == 0 && node_is(m->link->node, NODE_COPIED))
			upper_mark_impure(fs, m->newdir, newref.fd);
		if (r == 0 && m->flags & RENAME_EXCHANGE && node_is(m->newlink->node, NODE_COPIED))
			upper_mark_impure(fs, m->dir, ref.fd);
		fd_put(fs->fds, &newref);
	}
	fd_put(fs->fds, &ref);
	return r;
}

/* --- in memory --- */

/* Who syncs a file after it was renamed counts on the name too. names_lock is held exclusively. */
static void note_moved(struct renaming *m)
{
	attrs_lost(m->fs, m->link->node, 0);
	if (m->flags & RENAME_EXCHANGE)
		attrs_lost(m->fs, m->newlink->node, 0);
}

static void exchange_in_memory(struct renaming *m)
{
	struct node *node = m->link->node, *other = m->newlink->node;

	link_set_node(m->link, NULL);
	link_set_node(m->newlink, node);
	link_set_node(m->link, other);
	link_set_flags(m->fs, m->link, link_flags(m->fs, m->link) | LINK_UPPER);
	link_set_flags(m->fs, m->newlink, link_flags(m->fs, m->newlink) | LINK_UPPER);
}

/* Return: the node that lost the new name, or NULL. */
static struct node *move_in_memory(struct renaming *m)
{
	struct node *node = m->link->node;
	struct node *replaced = m->newlink ? m->newlink->node : NULL;

	if (m->dir == m->newdir && !m->newlink && !(link_flags(m->fs, m->link) & LINK_LOWER)) {
		/* Else who renames what a listing gives would be given it again, for ever. */
		link_set_flags(m->fs, m->fresh, LINK_UPPER);
		link_replace(m->link, m->fresh);
		free(m->link);
		m->fresh = NULL;
		return NULL;
	}
	if (link_flags(m->fs, m->link) & LINK_LOWER) {
		link_set_node(m->link, NULL);
		link_set_flags(m->fs, m->link, LINK_LOWER | LINK_WHITEOUT);
		stats_add(m->fs->stats, STAT_WHITEOUTS, 1);
	} else {
		link_remove(m->fs, m->link);
		free(m->link);
	}
	if (m->newlink) {
		link_set_node(m->newlink, node);
		link_set_flags(m->fs, m->newlink, (link_flags(m->fs, m->newlink) & LINK_LOWER) | LINK_UPPER);
	} else {
		link_set_flags(m->fs, m->fresh, LINK_UPPER);
		link_add(m->fs, m->newdir, m->fresh, node);
		m->fresh = NULL;
	}
	if (replaced)
		name_lost(m->fs, replaced);
	return replaced;
}

/* --- the whiteout that is left --- */

static int left_make(struct renaming *m)
{
	struct fs *fs = m->fs;
	struct left *left = &m->left;
	struct fd_ref ref;
	struct stat st;
	int r = table_reserve(&m->dir->table, 2);
	SHARED(&fs->names_lock);

	left->node = node_new(S_IFCHR, fs->upper);
	left->link = link_new(m->name, strlen(m->name));
	if (r == 0 && (!left->node || !left->link))
		r = -ENOMEM;
	if (r == 0)
		r = upper_dir(fs, m->dir, &ref);
	if (r < 0)
		return r;
	r = upper_mark_nested_whiteouts(fs, ref.fd);
	fd_put(fs->fds, &ref);
	if (r < 0)
		return r;
	work_name(fs, left->work);
	r = upper_make_nested_whiteout(fs, fs->work_fd, left->work);
	if (r == 0 && fstatat(fs->work_fd, left->work, &st, 0) < 0)
		r = -errno;
	if (r < 0)
		return r;
	left->node->ino = ino_of_backing(fs, &st);
	node_set(left->node, NODE_RESOLVED);
	return 0;
}

/* The old name is free, or a whiteout of ours (@whiteout). names_lock is held exclusively. */
static int left_place(struct renaming *m, struct link *whiteout)
{
	struct fs *fs = m->fs;
	struct left *left = &m->left;
	struct fd_ref ref;
	int r = upper_dir(fs, m->dir, &ref);

	if (r < 0)
		return r;
	if (whiteout)
		r = upper_replace_whiteout(fs, left->work, ref.fd, m->name, false);
	else
		r = renameat(fs->work_fd, left->work, ref.fd, m->name) < 0 ? -errno : 0;
	fd_put(fs->fds, &ref);
	if (r < 0)
		return r;
	left->work[0] = '\0';
	if (whiteout) {
		link_set_node(whiteout, left->node);
		link_set_flags(fs, whiteout, LINK_LOWER | LINK_UPPER);
	} else {
		link_add(fs, m->dir, left->link, left->node);
		link_set_flags(fs, left->link, LINK_UPPER);
		left->link = NULL;
	}
	left->node = NULL;
	return 0;
}

static void left_release(struct renaming *m)
{
	if (m->left.work[0])
		unlinkat(m->fs->work_fd, m->left.work, 0);
	node_free(m->fs, m->left.node);
	free(m->left.link);
}

/* --- checks --- */

/* What the new name shows must be one that may be replaced. */
static int check_target(struct renaming *m)
{
	struct node *node = m->link->node, *target = m->newlink ? m->newlink->node : NULL;
	int r;

	if (m->flags & RENAME_EXCHANGE)
		return target ? 0 : -ENOENT;
	if (!target)
		return 0;
	if (m->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (node_is_dir(node) != node_is_dir(target))
		return node_is_dir(target) ? -EISDIR : -ENOTDIR;
	r = node_may_change(m->fs, target);
	if (r < 0 || !node_is_dir(target))
		return r;
	LOCKED(&node_dir(target)->lock);
	return dir_is_empty_locked(m->fs, node_dir(target));
}

static int prepare(struct renaming *m)
{
	struct fs *fs = m->fs;
	int r = check_target(m);

	if (r == 0)
		r = link_into_upper(fs, m->link);
	if (r == 0 && m->flags & RENAME_EXCHANGE)
		r = link_into_upper(fs, m->newlink);
	if (r == 0)
		r = mark_mover(fs, m->link, m->newlink, m->dir == m->newdir);
	if (r == 0 && m->flags & RENAME_EXCHANGE)
		r = mark_mover(fs, m->newlink, m->link, m->dir == m->newdir);
	if (r == 0 && !m->newlink) {
		r = table_reserve(&m->newdir->table, 1);
		m->fresh = r == 0 ? link_new(m->newname, strlen(m->newname)) : NULL;
		if (r == 0 && !m->fresh)
			r = -ENOMEM;
	}
	if (r == 0 && m->flags & RENAME_WHITEOUT)
		r = left_make(m);
	if (r == 0 && m->newlink && m->newlink->node && !(m->flags & RENAME_EXCHANGE)) {
		SHARED(&fs->names_lock);

		if (!m->newlink->node->links->next)
			r = node_pin(fs, m->newlink->node);
	}
	return r;
}

/* Both directories are locked. */
static int rename_locked(struct renaming *m, struct node **replaced)
{
	struct fs *fs = m->fs;
	int r = dir_load_locked(fs, m->dir);

	if (r == 0)
		r = dir_load_locked(fs, m->newdir);
	if (r < 0)
		return r;
	m->link = find(fs, m->dir, m->name);
	m->newlink = find(fs, m->newdir, m->newname);
	if (!m->link || !m->link->node || node_is(&m->newdir->node, NODE_UNLINKED))
		return -ENOENT;
	if (m->newlink && m->newlink->node == m->link->node)
		return 0; /* two names of one file: rename(2) does nothing */
	r = prepare(m);
	if (r == 0) {
		struct link *whiteout = link_flags(m->fs, m->link) & LINK_LOWER ? m->link : NULL;
		EXCLUSIVE(&fs->names_lock);

		r = rename_on_disk(m);
		if (r == 0)
			note_moved(m);
		if (r == 0 && m->flags & RENAME_EXCHANGE)
			exchange_in_memory(m);
		else if (r == 0)
			*replaced = move_in_memory(m);
		if (r == 0 && m->flags & RENAME_WHITEOUT)
			r = left_place(m, whiteout);
	}
	left_release(m);
	free(m->fresh);
	return r;
}

/* --- the two directories --- */

static bool is_ancestor(const struct dirnode *dir, const struct dirnode *of)
{
	for (const struct link *link = of->node.links; link; link = link->dir->node.links) {
		if (link->dir == dir)
			return true;
	}
	return false;
}

static void lock_both(struct fs *fs, struct dirnode *a, struct dirnode *b)
{
	bool b_first;

	pthread_rwlock_rdlock(&fs->names_lock);
	b_first = is_ancestor(b, a);
	pthread_rwlock_unlock(&fs->names_lock);
	if (b_first) {
		struct dirnode *swap = a;

		a = b;
		b = swap;
	}
	pthread_mutex_lock(&a->lock);
	if (a != b)
		pthread_mutex_lock(&b->lock);
}

static void unlock_both(struct dirnode *a, struct dirnode *b)
{
	pthread_mutex_unlock(&a->lock);
	if (a != b)
		pthread_mutex_unlock(&b->lock);
}

/* Copies up what stands at a name, with no lock held: that may take long. */
static int copyup_name(struct fs *fs, struct dirnode *dir, const char *name)
{
	struct link *link;
	struct node *node = NULL;
	int r;

	pthread_mutex_lock(&dir->lock);
	r = dir_load_locked(fs, dir);
	link = r == 0 ? find(fs, dir, name) : NULL;
	if (link && link->node)
		node = link->node; /* the kernel looked it up, and holds it for the length of the request */
	pthread_mutex_unlock(&dir->lock);
	if (r < 0)
		return r;
	if (!node)
		return -ENOENT;
	r = node_may_change(fs, node);
	return r < 0 ? r : copyup_meta(fs, node);
}

static int copyup_movers(struct renaming *m)
{
	int r = copyup_dir(m->fs, m->dir);

	if (r == 0)
		r = copyup_dir(m->fs, m->newdir);
	if (r == 0)
		r = copyup_name(m->fs, m->dir, m->name);
	if (r == 0 && m->flags & RENAME_EXCHANGE)
		r = copyup_name(m->fs, m->newdir, m->newname);
	return r;
}

int fs_rename(struct fs *fs, struct node *dir, const char *name, struct node *newdir, const char *newname,
	      unsigned flags)
{
	struct renaming m = {
		.fs = fs,
		.dir = node_dir(dir),
		.newdir = node_dir(newdir),
		.name = name,
		.newname = newname,
		.flags = flags,
	};
	struct node *replaced = NULL;
	int r;

	if (fs->upper_fd < 0)
		return -EROFS;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	r = name_check(newname);
	if (r < 0)
		return r;
	r = node_may_change(fs, dir);
	if (r == 0 && dir != newdir)
		r = flags & RENAME_EXCHANGE ? node_may_change(fs, newdir) : node_may_grow(fs, newdir);
	if (r < 0)
		return r;
	if (fs->any_served) { /* other renames do not wait for it */
		served_await_name(fs, m.dir, name);
		served_await_name(fs, m.newdir, newname);
		(void)copyup_movers(&m);
	}
	LOCKED(&fs->rename_lock);
	r = stack_note_move(fs, newdir, newname);
	if (r == 0 && flags & RENAME_EXCHANGE)
		r = stack_note_move(fs, dir, name);
	if (r == 0)
		r = copyup_movers(&m);
	if (r < 0)
		return r;
	lock_both(fs, m.dir, m.newdir);
	r = rename_locked(&m, &replaced);
	unlock_both(m.dir, m.newdir);
	if (replaced)
		node_reap(fs, replaced);
	return r;
}
