/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Metacopies: copies that hold attributes only.
 *
 * A change of owner, mode, times or xattrs, or a rename, copies up no data.  The
 * copy is as long as the original and all hole, and the xattr overlay.metacopy says
 * that its data is further down:
 *
 *   under the same name      in the lowers that have its directory
 *   overlay.redirect         once it was renamed: a path from the root, or a name in the same directory
 *
 * What is found there may be a metacopy itself, of a lower that was an upper once,
 * and so on.  What a path leads to may also be in a data-only lower, which is not
 * merged and is looked into for nothing else.
 *
 * The form is the kernel's.  Before its data changes, or it gets a second name, the
 * data is copied into it (copyup.c); the xattr goes last, so that a crash leaves a
 * metacopy or a whole file.
 */

#include "store/base/auto.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* One inode's attributes and xattrs may take a block of the disk, also where it has no data. */
enum { XATTR_BLOCK_BYTES = 4096 };

static const char *const mark_names[] = { "trusted.overlay.metacopy", "user.overlay.metacopy" };

static bool has_mark(const struct fs *fs, int dirfd, const char *name)
{
	char path[PROC_PATH_BYTES];

	proc_path(path, dirfd, name);
	for (size_t i = fs->owner_uid == 0 ? 0 : 1; i < ARRAY_SIZE(mark_names); i++) {
		if ((*name ? lgetxattr(path, mark_names[i], NULL, 0) : getxattr(path, mark_names[i], NULL, 0)) >= 0)
			return true;
	}
	return false;
}

/* --- finding the data --- */

/* What a name led to. */
struct search {
	struct fs *fs;
	uint16_t layer;
	union dref at;
	bool skip_added; /* no copy was made of what is in a layer that was added meanwhile */
	bool found;
	int fd; /* owned; of a directory layer's file */
	struct content_id content;
	uint64_t bytes;
	char *redirect; /* owned; of a metacopy that was met */
	uint16_t first; /* where it goes on then */
};

static void search_release(struct search *search)
{
	closep(&search->fd);
	free(search->redirect);
}

static int search_file(struct search *search, const char *name)
{
	struct layer *layer = search->fs->layers[search->layer];
	struct fd_ref ref;
	int fd, r = layer->ops->dir_fd(layer, search->at, &ref);

	if (r < 0)
		return r;
	fd = file_open_at(ref.fd, name, false);
	fd_put(search->fs->fds, &ref);
	if (fd < 0)
		return fd;
	r = ovl_is_metacopy(fd);
	if (r > 0)
		r = ovl_redirect(fd, &search->redirect);
	else if (r == 0)
		search->found = true;
	if (search->found)
		search->fd = fd;
	else
		close(fd);
	return r;
}

static int search_found(const struct found *found, void *arg)
{
	struct search *search = arg;

	if (!S_ISREG(found->mode))
		return -EIO;
	if (!found->row)
		return search_file(search, found->name);
	search->content = found->row->content;
	search->bytes = found->row->size;
	search->found = true;
	return 0;
}

/* @name in one layer's directory. Return: 0, whether it is there or not. */
static int search_in(struct search *search, uint16_t index, union dref at, const char *name)
{
	struct layer *layer = search->fs->layers[index];
	int r;

	search->layer = index;
	search->at = at;
	r = layer->ops->find(layer, at, name, search_found, search);
	search->first = (uint16_t)(index + 1);
	return r == -ENOENT ? 0 : r;
}

static int search_parts(struct search *search, const struct part *parts, uint32_t count, const char *name)
{
	uint16_t first = search->first;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0 && !search->found && !search->redirect; i++) {
		if (parts[i].layer >= first && !(search->skip_added && search->fs->layers[parts[i].layer]->added))
			r = search_in(search, parts[i].layer, parts[i].at, name);
	}
	return r;
}

/* "/a/b/name" in one layer. */
static int search_path(struct search *search, uint16_t index, const char *path)
{
	struct layer *layer = search->fs->layers[index];
	AUTO(freep) char *copy = strdup(path + 1);
	char *name = copy, *slash;
	union dref at, next;
	int r = copy ? layer->ops->keep(layer, layer->root, &at) : -ENOMEM;

	if (r < 0)
		return r;
	while (r == 0 && (slash = strchr(name, '/'))) {
		*slash = '\0';
		r = layer->ops->enter(layer, at, &(struct found){ .name = name }, &next);
		if (r < 0)
			break;
		layer->ops->leave(layer, at);
		at = next;
		name = slash + 1;
	}
	if (r == 0)
		r = search_in(search, index, at, name);
	layer->ops->leave(layer, at);
	return r == -ESTALE ? 0 : r; /* no such folder here */
}

static int search_data_only(struct search *search, const char *path)
{
	struct fs *fs = search->fs;
	int r = 0;

	for (uint32_t i = fs->layer_end; r == 0 && !search->found && i < fs->layer_end + fs->data_layer_count; i++)
		r = search_path(search, (uint16_t)i, path);
	return r;
}

static int search_absolute(struct search *search, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	struct part *parts;
	uint32_t count;
	int r = path_parts(search->fs, path, (size_t)(name - path) - 1, search->first, &parts, &count);

	if (r < 0)
		return r;
	r = search_parts(search, parts, count, name);
	parts_free(search->fs, parts, count);
	if (r == 0 && !search->found && !search->redirect)
		r = search_data_only(search, path);
	return r;
}

/*
 * From @name in @dir, or where @redirect says; each step leads to layers further
 * down, so that it ends.  A name that a redirect gives alone is one in the same directory.
 */
static int search_data(struct search *search, struct dirnode *dir, const char *name, const char *redirect)
{
	AUTO(freep) char *place = strdup(redirect ? redirect : name);

	for (;;) {
		int r = -ENOMEM;

		if (place && place[0] == '/')
			r = search_absolute(search, place);
		else if (place)
			r = dir_enter_former(search->fs, dir);
		if (r == 0 && place && place[0] != '/')
			r = search_parts(search, dir->parts, dir->part_count, place);
		if (r < 0)
			return r;
		if (search->found)
			return 0;
		if (!search->redirect)
			return -EIO;
		if (search->redirect[0] != '/' && place[0] == '/') {
			/* Beside the metacopy that says so. */
			AUTO(freep) char *sibling = NULL;
			int dir_len = (int)(strrchr(place, '/') - place);

			if (asprintf(&sibling, "%.*s/%s", dir_len, place, search->redirect) < 0)
				return -ENOMEM;
			free(search->redirect);
			search->redirect = TAKE(sibling);
		}
		free(place);
		place = TAKE(search->redirect);
	}
}

int metacopy_redirect(struct fs *fs, struct node *node, char **ret)
{
	AUTO(closep) int fd = -1;
	struct node_at at;
	int r = node_at(fs, node, &at);

	*ret = NULL;
	if (r < 0)
		return r;
	fd = openat(at.ref.fd, *at.name ? at.name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : ovl_redirect(fd, ret);
	fd_put(fs->fds, &at.ref);
	return r == -EINVAL ? -EIO : r;
}

/* names_lock is held. */
static int locate(struct fs *fs, struct node *node, struct search *search)
{
	const struct link *link = node->links;
	AUTO(freep) char *redirect = NULL;
	int r;

	while (link && node_in_upper(fs, node) && !(link_flags(fs, link) & LINK_UPPER))
		link = link->next;
	*search = (struct search){ .fs = fs, .fd = -1 };
	if (!link)
		return -EIO;
	if (!node_in_upper(fs, node))
		search->first = (uint16_t)(node_layer_index(fs, node) + 1);
	search->skip_added = node_in_upper(fs, node) || !node_layer(fs, node)->added;
	r = metacopy_redirect(fs, node, &redirect);
	if (r == 0)
		r = search_data(search, link->dir, link->name, redirect);
	return r == -ENOENT || r == -ENOTDIR ? -EIO : r;
}

int metacopy_open(struct fs *fs, struct node *node, struct content_ref *ret)
{
	struct node_data *data = node->back.data;
	struct search search;
	int r;

	if (data->in_store)
		return content_open_slot(fs, data->content, data->bytes, &data->slot, ret);
	*ret = (struct content_ref){ .fd = -1, .bytes = UINT64_MAX };
	if (!fd_get(fs->fds, &data->slot, &ret->ref)) {
		r = locate(fs, node, &search);
		if (r == 0 && search.fd < 0) {
			r = content_open_slot(fs, search.content, search.bytes, &data->slot, ret);
			search_release(&search);
			return r;
		}
		if (r == 0)
			r = fd_insert(fs->fds, &data->slot, TAKE_FD(search.fd), &ret->ref);
		search_release(&search);
		if (r < 0)
			return r;
	}
	ret->fd = ret->ref.fd;
	return 0;
}

/* --- detecting --- */

/*
 * Was the file's folder an upper into which something was copied?  Else it holds no
 * metacopies but those of somebody who builds layers by hand, without data.
 */
static bool may_be_one(struct fs *fs, struct link *link, const struct stat *st)
{
	const struct node *node = link->node;
	bool hole = st->st_blocks * 512 < st->st_size && st->st_blocks * 512 <= XATTR_BLOCK_BYTES;
	const struct part *part;
	struct layer *layer;
	struct fd_ref ref;
	bool impure;

	if (!S_ISREG(st->st_mode) || st->st_size == 0)
		return false;
	if (node_in_upper(fs, node))
		return link_flags(fs, link) & LINK_LOWER || node_is(&link->dir->node, NODE_IMPURE) || hole;
	if (node_is(node, NODE_ROW) || st->st_blocks * 512 > XATTR_BLOCK_BYTES ||
	    node_layer_index(fs, node) + 1u >= fs->layer_end + fs->data_layer_count)
		return false;
	if (hole || fs->data_layer_count > 0)
		return true;
	part = dir_part(link->dir, node_layer_index(fs, node));
	layer = node_layer(fs, node);
	if (!part || layer->ops->dir_fd(layer, part->at, &ref) < 0)
		return false;
	impure = ovl_is_impure(ref.fd);
	fd_put(fs->fds, &ref);
	return impure;
}

int metacopy_detect(struct fs *fs, struct link *link, const struct stat *st)
{
	struct node *node = link->node;
	struct node_data *data;
	struct search search;
	struct node_at at;
	int r;

	if (!may_be_one(fs, link, st))
		return 0;
	SHARED(&fs->names_lock);
	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	r = has_mark(fs, at.ref.fd, at.name);
	fd_put(fs->fds, &at.ref);
	if (r == 0)
		return 0;
	data = calloc(1, sizeof(*data));
	if (!data)
		return -ENOMEM;
	metacopy_set(node, data);
	/* What is in the store is remembered; the rest is looked for when somebody reads it. */
	if (fs->store && locate(fs, node, &search) == 0 && search.fd < 0) {
		data->in_store = true;
		data->content = search.content;
		data->bytes = search.bytes;
	}
	if (fs->store)
		search_release(&search);
	return 0;
}

/* --- making and completing --- */

bool metacopy_wanted(const struct fs *fs, const struct node *node, const struct stat *st)
{
	off_t from = fs->options->metacopy_from;

	if (!node_in_upper(fs, node) && layer_is_passing(fs, node_layer_index(fs, node)))
		return false;
	return from > 0 && S_ISREG(st->st_mode) && st->st_size >= from && st->st_nlink == 1;
}

int metacopy_mark(struct fs *fs, const char *work, int fd, off_t bytes)
{
	int r = ftruncate(fd, bytes) < 0 ? -errno : upper_set_private(fs, fs->work_fd, work, "metacopy", "", 0);

	return r == -EPERM || r == -EACCES || r == -ENOSPC || r == -E2BIG ? -ENOTSUP : r;
}

void metacopy_set(struct node *node, struct node_data *data)
{
	node->back.data = data;
	node_set(node, NODE_METACOPY);
}

void metacopy_clear(struct fs *fs, struct node *node)
{
	struct node_data *data;

	if (!node_is(node, NODE_METACOPY))
		return;
	data = node->back.data;
	node->back.data = NULL; /* first: without the flag it is the place of something else */
	node_clear(node, NODE_METACOPY);
	fd_drop(fs->fds, &data->slot);
	free(data);
}

int metacopy_unmark(int fd)
{
	static const char *const redirects[] = { "trusted.overlay.redirect", "user.overlay.redirect" };

	for (size_t i = 0; i < ARRAY_SIZE(mark_names); i++) {
		if (fremovexattr(fd, mark_names[i]) < 0 && errno != ENODATA && errno != ENOTSUP && errno != EPERM)
			return -errno;
		(void)fremovexattr(fd, redirects[i]); /* it says nothing of a file that has its data */
	}
	return 0;
}

int metacopy_keep_place(struct fs *fs, struct node *node, const char *lower_path)
{
	struct node_at at;
	int r = node_at(fs, node, &at);

	if (r < 0)
		return r;
	r = upper_set_private(fs, at.ref.fd, at.name, "redirect", lower_path, strlen(lower_path));
	fd_put(fs->fds, &at.ref);
	return r;
}
