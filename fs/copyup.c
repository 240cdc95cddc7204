/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Copy-up: what only a lower has gets its copy in the upper before it changes.
 *
 * The copy is built in work/, complete, and moved to its place with one rename.
 * Building takes as long as the data is large, so it holds no lock: the node is
 * claimed (NODE_COPYING), and only who needs the same node waits.  Publishing is
 * short: with names_lock held exclusively the rename is done and the node says whose
 * it is (node->layer), so nobody sees the one without the other.
 *
 *   crash before the rename    a file in work/, removed by the next mount
 *   crash after it             a complete copy
 *
 * A copy may hold attributes only, its data staying where it is, until the data is
 * to change (metacopy.c): then it is copied into the file that is there.
 *
 * Copying a file into a folder changes that folder's times on disk; they are set
 * back, because to the users of the merged tree nothing happened.
 */

#include "fs/attrcache.h"
#include "fs/flags.h"
#include "fs/ids.h"
#include "fs/inumber.h"
#include "fs/limits.h"
#include "fs/othernames.h"
#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What was built in work/. */
struct copy {
	char work[WORK_NAME_BYTES];
	struct stat st;
	int fd;		/* of a regular file, O_RDWR; owned */
	uint64_t taken; /* bytes of fs->limits, and an inode, while work[0] is set */
	bool indexed;
	dev_t dev; /* with @indexed: of the copy */
	ino_t ino;
	bool metacopy;
	struct index_origin origin;
};

static bool has_name(struct fs *fs, const struct node *node)
{
	SHARED(&fs->names_lock);

	return node->links;
}

/* The first @bytes of the data, of which a file of @size bytes has no more, come into @fd, which is empty or all hole. */
static int copy_data(struct fs *fs, struct node *node, int fd, uint64_t size, uint64_t bytes)
{
	enum io_copy how = fs->options->volatile_upper ? IO_COPY : IO_COPY_TO_SYNC;
	struct content_ref from;
	int r;

	if (size < bytes)
		bytes = size;
	if (bytes == 0)
		return 0;
	r = node_open(fs, node, &from);
	if (r < 0)
		return r;
	if (from.offset == 0 && bytes == size)
		r = io_copy_sparse(from.fd, fd, bytes, how);
	else
		r = io_copy_range(from.fd, (off_t)from.offset, fd, 0, bytes, how);
	fd_put(fs->fds, &from.ref);
	return r;
}

/* Everything but the data; a write to the file may have cleared setuid, so the mode comes after it. */
static int copy_attributes(struct fs *fs, struct node *node, struct copy *copy)
{
	struct node_extra extra;
	int r = node_extra(fs, node, &extra);

	if (r < 0)
		return r;
	r = xattrs_copy(fs, node, fs->work_fd, copy->work);
	if (r == 0)
		r = extra_copy(fs, &extra, fs->work_fd, copy->work);
	if (r == 0 && S_ISREG(copy->st.st_mode) && copy->st.st_mode & (S_ISUID | S_ISGID))
		r = upper_set_owner_mode(fs, fs->work_fd, copy->work, &copy->st, FS_SET_MODE);
	if (r == 0)
		r = upper_write_ino(fs, fs->work_fd, copy->work, node->ino, ino_is_passing(fs, node), &extra.birth);
	if (r == 0)
		r = upper_set_times(fs->work_fd, copy->work, &copy->st);
	return r;
}

static void copy_discard(struct fs *fs, struct node *node, struct copy *copy)
{
	if (copy->work[0]) {
		unlinkat(fs->work_fd, copy->work, node_is_dir(node) ? AT_REMOVEDIR : 0);
		limits_give(fs, copy->taken, 1);
	}
	if (copy->fd >= 0)
		close(copy->fd);
}

static int copy_make(struct fs *fs, struct node *node, struct copy *copy)
{
	bool mapped = ids_are_mapped(fs) && !fs->options->fakeroot;
	AUTO(freep) char *target = NULL;
	int r = 0;

	if (S_ISLNK(copy->st.st_mode))
		r = fs_readlink(fs, node, &target);
	if (r < 0)
		return r;
	r = limits_take(fs, copy->taken, 1);
	if (r < 0)
		return r;
	work_name(fs, copy->work);
	r = upper_make(fs, fs->work_fd, copy->work, &copy->st, target, mapped ? UPPER_NO_OWNER : (gid_t)-1, &copy->fd);
	if (r < 0) {
		copy->work[0] = '\0';
		limits_give(fs, copy->taken, 1);
	} else if (mapped)
		r = upper_keep_owner(fs, node, fs->work_fd, copy->work, &copy->st);
	return r;
}

/* The data, or the mark that it is elsewhere. */
static int copy_content(struct fs *fs, struct node *node, struct copy *copy, uint64_t limit)
{
	int r = -ENOTSUP;

	if (copy->metacopy)
		r = metacopy_mark(fs, copy->work, copy->fd, copy->st.st_size);
	copy->metacopy = r == 0;
	if (r != -ENOTSUP)
		return r;
	if (!copy->taken) {
		copy->taken = limits_data(fs, node, limit);
		r = limits_take(fs, copy->taken, 0);
		if (r < 0)
			copy->taken = 0;
	} else {
		r = 0;
	}
	return r < 0 ? r : copy_data(fs, node, copy->fd, (uint64_t)copy->st.st_size, limit);
}

/* The copy of a file that lower layers show under several names. */
static int copy_index(struct fs *fs, struct node *node, struct copy *copy)
{
	struct stat st;
	int r;

	if (fstatat(fs->work_fd, copy->work, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = index_add(fs, node, &copy->st, copy->work, &copy->origin);
	copy->indexed = r == 0;
	copy->dev = st.st_dev;
	copy->ino = st.st_ino;
	return r;
}

static int copy_build(struct fs *fs, struct node *node, uint64_t limit, struct copy *copy)
{
	bool several_names = copy->st.st_nlink > 1 && !node_is_dir(node) && has_name(fs, node);
	int r;

	if (S_ISREG(copy->st.st_mode) && !copy->metacopy)
		copy->taken = limits_data(fs, node, limit);
	r = copy_make(fs, node, copy);
	if (r == 0 && S_ISREG(copy->st.st_mode))
		r = copy_content(fs, node, copy, limit);
	if (r == 0)
		r = copy_attributes(fs, node, copy);
	/* Else a crash could leave an empty file where a whole one was. */
	if (r == 0 && S_ISREG(copy->st.st_mode) && copy->st.st_size > 0 && !copy->metacopy &&
	    !fs->options->volatile_upper)
		r = fdatasync(copy->fd) < 0 ? -errno : 0;
	if (r == 0 && several_names)
		r = copy_index(fs, node, copy);
	if (r == 0)
		copy->taken = limits_settle(fs, copy->taken, fs->work_fd, copy->work);
	return r;
}

/* --- publishing --- */

/* Where the data of a lower's file is, for the metacopy that takes its place. */
static struct node_data *data_of_lower(const struct node *node)
{
	struct node_data *data = calloc(1, sizeof(*data));

	if (!data)
		return NULL;
	if (node_is(node, NODE_ROW))
		*data = (struct node_data){ .in_store = true, .content = node->row.content, .bytes = node->row.size };
	else if (node_is(node, NODE_METACOPY))
		*data = (struct node_data){
			.in_store = node->back.data->in_store,
			.content = node->back.data->content,
			.bytes = node->back.data->bytes,
		};
	return data;
}

/* names_lock is held exclusively. */
static int node_becomes_upper(struct fs *fs, struct node *node, const struct copy *copy)
{
	struct node_data *data = NULL;

	if (copy->metacopy) {
		data = data_of_lower(node);
		if (!data)
			return -ENOMEM;
	}
	metacopy_clear(fs, node);
	fd_drop(fs->fds, &node->slot);
	if (node_is(node, NODE_MULTI)) {
		pthread_mutex_lock(&fs->inodes.lock);
		inodes_remove_locked(fs, node);
		pthread_mutex_unlock(&fs->inodes.lock);
		node_clear(node, NODE_MULTI); /* its copy is known there when it gets a second name */
	}
	attrs_clear_place(fs, node);
	node_clear(node, NODE_ROW | NODE_XATTRS | NODE_IMPLICIT | NODE_LOWER_LISTED | NODE_LOWER_BARE | NODE_INDEXED |
				 NODE_IMPURE);
	if (data)
		metacopy_set(node, data);
	node_set(node, NODE_KILLPRIV | NODE_COPIED);
	node->layer = fs->upper; /* last: who sees it may rely on the others */
	node_clear(node, NODE_ENTERED);
	if (!copy->indexed)
		return 0;
	node->back.dev = copy->dev;
	node->back.ino = copy->ino;
	node->back.nlink = (uint32_t)copy->st.st_nlink;
	node->back.origin_dev = copy->origin.dev;
	node->back.origin_ino = copy->origin.ino;
	node_set(node, NODE_INDEXED);
	atomic_fetch_add(&fs->copies, 1);
	LOCKED(&fs->inodes.lock);
	return inodes_add_locked(fs, node);
}

/* names_lock is held exclusively, the upper has @link's directory. */
static int publish_at(struct fs *fs, struct link *link, struct node *node, struct copy *copy)
{
	struct stat dir_st;
	struct fd_ref ref;
	int r = upper_dir(fs, link->dir, &ref);

	if (r < 0)
		return r;
	r = upper_mark_for(fs, node, ref.fd);
	if (r == 0 && (fstat(ref.fd, &dir_st) < 0 || renameat(fs->work_fd, copy->work, ref.fd, link->name) < 0))
		r = -errno;
	if (r == 0) {
		copy->work[0] = '\0';
		upper_mark_impure(fs, link->dir, ref.fd);
		(void)upper_set_times(ref.fd, "", &dir_st); /* the copy is there whatever the folder's times are */
		link_set_flags(fs, link, link_flags(fs, link) | LINK_UPPER);
		r = node_becomes_upper(fs, node, copy);
	}
	fd_put(fs->fds, &ref);
	return r;
}

/* A file that lost its name while it was open: its copy has none either. */
static int publish_nameless(struct fs *fs, struct node *node, struct copy *copy)
{
	struct fd_ref ref;
	int r;

	if (copy->metacopy)
		return -EAGAIN; /* its data would not be found again */
	EXCLUSIVE(&fs->names_lock);
	r = node_becomes_upper(fs, node, copy);
	if (r == 0)
		r = fd_insert(fs->fds, &node->slot, TAKE_FD(copy->fd), &ref);
	if (r < 0)
		return r;
	fd_pin(fs->fds, &node->slot);
	fd_put(fs->fds, &ref);
	unlinkat(fs->work_fd, copy->work, 0);
	copy->work[0] = '\0';
	return 0;
}

/* Return: -ESTALE: the node's name has moved elsewhere meanwhile. */
static int publish_in(struct fs *fs, struct dirnode *dir, struct node *node, struct copy *copy)
{
	int r = copyup_dir(fs, dir);

	if (r < 0)
		return r;
	LOCKED(&dir->lock);
	EXCLUSIVE(&fs->names_lock);
	return node->links && node->links->dir == dir ? publish_at(fs, node->links, node, copy) : -ESTALE;
}

static bool has_moved(struct fs *fs, const struct node *node, const struct dirnode *from)
{
	SHARED(&fs->names_lock);

	return !node->links || node->links->dir != from;
}

static int publish(struct fs *fs, struct node *node, struct copy *copy)
{
	struct dirnode *dir;
	bool again = true;
	int r = 0;

	while (again && (dir = node_parent_get(fs, node))) {
		r = publish_in(fs, dir, node, copy);
		again = r < 0 && copy->work[0] && has_moved(fs, node, dir);
		fs_forget(fs, &dir->node, 1);
	}
	return again ? publish_nameless(fs, node, copy) : r;
}

/* --- files --- */

static void count_data(struct fs *fs, uint64_t size, uint64_t limit)
{
	stats_add(fs->stats, STAT_COPYUP_FILES, 1);
	stats_add(fs->stats, STAT_COPYUP_BYTES, (int64_t)(limit < size ? limit : size));
}

static void count_copy(struct fs *fs, const struct copy *copy, uint64_t limit)
{
	if (S_ISREG(copy->st.st_mode) && !copy->metacopy)
		count_data(fs, (uint64_t)copy->st.st_size, limit);
	else
		stats_add(fs->stats, STAT_COPYUP_METADATA, 1);
}

static int copy_node(struct fs *fs, struct node *node, bool data, uint64_t limit)
{
	AUTO(other_names_release) struct other_names names = { 0 };
	struct copy copy = { .fd = -1 };
	int r = node_stat(fs, node, &copy.st);

	if (r == 0 && copy.st.st_nlink > 1)
		r = other_names_find(fs, node, &names);
	copy.metacopy = r == 0 && !data && metacopy_wanted(fs, node, &copy.st) && has_name(fs, node);
	if (r == 0)
		r = copy_build(fs, node, limit, &copy);
	if (r == 0)
		r = publish(fs, node, &copy);
	if (r == 0)
		count_copy(fs, &copy, limit);
	if (r == 0 && copy.indexed)
		r = other_names_place(fs, node, &names);
	copy_discard(fs, node, &copy);
	return r;
}

/* --- completing a metacopy --- */

/* The first @bytes of the data come into @fd; the rest of it is cut off. On failure @fd is as it was. */
static int fill_metacopy(struct fs *fs, struct node *node, int fd, const struct stat *st, uint64_t bytes)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	struct priv priv;
	int err, r;

	priv_save(fd, st, &priv);
	r = copy_data(fs, node, fd, (uint64_t)st->st_size, bytes);
	if (r == 0 && bytes < (uint64_t)st->st_size && ftruncate(fd, (off_t)bytes) < 0)
		r = -errno;
	if (r < 0 && ftruncate(fd, 0) == 0 && ftruncate(fd, st->st_size) < 0) /* the room is free again: all hole */
		r = -errno;
	err = priv_restore(fd, &priv);
	if (err == 0 && futimens(fd, times) < 0)
		err = -errno;
	if (r == 0)
		r = err;
	if (r == 0 && bytes > 0 && !fs->options->volatile_upper && fdatasync(fd) < 0)
		r = -errno;
	return r;
}

/* The node is claimed, so that nobody sets its times or xattrs meanwhile. */
static int complete(struct fs *fs, struct node *node, uint64_t limit)
{
	struct growth growth;
	struct fd_ref ref;
	struct stat st;
	int r = upper_open(fs, node, &ref);

	if (r < 0)
		return r;
	if (fstat(ref.fd, &st) < 0)
		r = -errno;
	if (r == 0 && limit > (uint64_t)st.st_size)
		limit = (uint64_t)st.st_size;
	if (r == 0)
		r = growth_begin_claimed(fs, ref.fd, limits_data(fs, node, limit), &growth);
	if (r == 0) {
		r = fill_metacopy(fs, node, ref.fd, &st, limit);
		growth_end(&growth);
	}
	if (r == 0)
		r = metacopy_unmark(ref.fd);
	if (r == 0) {
		count_data(fs, (uint64_t)st.st_size, limit);
		EXCLUSIVE(&fs->names_lock);

		metacopy_clear(fs, node);
	}
	fd_put(fs->fds, &ref);
	return r;
}

/* --- claims --- */

void node_claim(struct fs *fs, struct node *node)
{
	LOCKED(&fs->copy_lock);

	while (node_is(node, NODE_COPYING))
		pthread_cond_wait(&fs->copy_cond, &fs->copy_lock);
	node_set(node, NODE_COPYING);
}

void node_release(struct fs *fs, struct node *node)
{
	LOCKED(&fs->copy_lock);

	node_clear(node, NODE_COPYING);
	pthread_cond_broadcast(&fs->copy_cond);
}

static bool is_copied(const struct fs *fs, const struct node *node, bool data)
{
	return node_in_upper(fs, node) && !(data && node_is(node, NODE_METACOPY));
}

static int copyup_to(struct fs *fs, struct node *node, bool data, uint64_t limit)
{
	int r = 0;

	if (fs->upper_fd < 0)
		return -EROFS;
	if (node_is_dir(node))
		return copyup_dir(fs, node_dir(node));
	if (is_copied(fs, node, data))
		return 0;
	node_claim(fs, node);
	if (!is_copied(fs, node, data)) /* else somebody was faster */
		r = node_in_upper(fs, node) ? complete(fs, node, limit) : copy_node(fs, node, data, limit);
	if (r == -EAGAIN)
		r = copy_node(fs, node, true, limit);
	node_release(fs, node);
	return r;
}

int copyup(struct fs *fs, struct node *node, uint64_t size_limit)
{
	return copyup_to(fs, node, true, size_limit);
}

int copyup_meta(struct fs *fs, struct node *node)
{
	return copyup_to(fs, node, false, UINT64_MAX);
}

/* --- directories --- */

static int copy_dir_locked(struct fs *fs, struct dirnode *dir)
{
	struct copy copy = { .fd = -1 };
	int r;

	if (node_in_upper(fs, &dir->node))
		return 0;	       /* somebody was faster */
	r = dir_parts_locked(fs, dir); /* from now on they are not found by the name any more */
	if (r < 0)
		return r;
	r = has_name(fs, &dir->node) ? node_stat_alone(fs, &dir->node, &copy.st) : -ENOENT;
	if (r == 0)
		r = copy_build(fs, &dir->node, 0, &copy);
	if (r == 0) {
		EXCLUSIVE(&fs->names_lock);

		r = dir->node.links ? publish_at(fs, dir->node.links, &dir->node, &copy) : -ENOENT;
	}
	if (r == 0)
		stats_add(fs->stats, STAT_COPYUP_DIRS, 1);
	copy_discard(fs, &dir->node, &copy);
	return r;
}

int copyup_dir(struct fs *fs, struct dirnode *dir)
{
	struct dirnode *parent;
	int r;

	if (fs->upper_fd < 0)
		return -EROFS;
	if (node_in_upper(fs, &dir->node))
		return 0;
	parent = node_parent_get(fs, &dir->node);
	if (!parent)
		return -ENOENT;
	r = copyup_dir(fs, parent);
	fs_forget(fs, &parent->node, 1);
	if (r < 0)
		return r;
	LOCKED(&dir->lock);
	return copy_dir_locked(fs, dir);
}
