/* SPDX-License-Identifier: Apache-2.0 */
#include "store/uppertar.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/base/io.h"
#include "store/ovl.h"
#include "store/tarwrite.h"

#include <search.h>
#include <string.h>

enum { COPY_BYTES = 256 * 1024 };

/* The first name of an inode that has several. */
struct first_name {
	struct inode_key key;
	char path[];
};

struct writer_state {
	struct store *store; /* borrowed */
	struct view *view;   /* borrowed */
	tar_sink_fn sink;
	void *arg;
	struct diag *diag;
	void *links;	   /* owned: a tsearch(3) tree of struct first_name */
	struct buf header; /* owned: scratch */
	char *copy;	   /* owned: COPY_BYTES of scratch */
};

static void writer_state_release(struct writer_state *w)
{
	tdestroy(w->links, free);
	buf_release(&w->header);
	free(w->copy);
}

static int key_order(const void *a, const void *b)
{
	const struct inode_key *x = &((const struct first_name *)a)->key;
	const struct inode_key *y = &((const struct first_name *)b)->key;

	if (x->in_image != y->in_image)
		return x->in_image ? 1 : -1;
	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	return x->no < y->no ? -1 : x->no > y->no;
}

/* The path of the inode's first name, NULL if @item is it. */
static int first_name(struct writer_state *w, const struct upper_item *item, const char **ret)
{
	size_t bytes = strlen(item->path) + 1;
	struct first_name *own = malloc(sizeof(*own) + bytes);
	struct first_name **found;

	*ret = NULL;
	if (!own)
		return -ENOMEM;
	own->key = item->inode->key;
	memcpy(own->path, item->path, bytes);
	found = tsearch(own, &w->links, key_order);
	if (!found || *found != own)
		free(own);
	if (!found)
		return -ENOMEM;
	if (*found != own)
		*ret = (*found)->path;
	return 0;
}

static int put_header(struct writer_state *w, const struct tar_entry *entry)
{
	int r;

	w->header.len = 0;
	r = tar_header(&w->header, entry);
	return r < 0 ? r : w->sink(w->header.data, w->header.len, w->arg);
}

/* An empty file whose name is the message: @dir/.wh.@name */
static int put_mark(struct writer_state *w, const char *dir, size_t dir_len, const char *prefix, const char *name)
{
	AUTO(buf_release) struct buf path = { 0 };
	struct tar_entry entry = { .mode = S_IFREG };

	buf_add(&path, dir, dir_len);
	if (dir_len > 0)
		buf_adds(&path, "/");
	buf_adds(&path, prefix);
	buf_adds(&path, name);
	if (buf_error(&path) < 0)
		return -ENOMEM;
	entry.path = buf_str(&path);
	return put_header(w, &entry);
}

static int put_whiteout(struct writer_state *w, const char *path)
{
	const char *slash = strrchr(path, '/');

	return put_mark(w, path, slash ? (size_t)(slash - path) : 0, OVL_WH_PREFIX, slash ? slash + 1 : path);
}

static int put_opaque(struct writer_state *w, const char *path)
{
	return put_mark(w, path, strlen(path), OVL_WH_OPAQUE, "");
}

static int changed(struct writer_state *w, const char *path)
{
	return diag_set(w->diag, -EAGAIN, "/%s: changed while it was read", path);
}

static int put_range(struct writer_state *w, const char *path, int fd, uint64_t offset, uint64_t bytes)
{
	while (bytes > 0) {
		size_t want = bytes < COPY_BYTES ? (size_t)bytes : COPY_BYTES;
		ssize_t n = io_pread_full(fd, w->copy, want, (off_t)offset);
		int r;

		if (n < 0)
			return diag_errno(w->diag, (int)n, "/%s: cannot read it", path);
		if ((size_t)n < want)
			return -ENODATA;
		r = w->sink(w->copy, want, w->arg);
		if (r < 0)
			return r;
		offset += want;
		bytes -= want;
	}
	return 0;
}

static bool same_file_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int put_upper_data(struct writer_state *w, const char *path, const struct upper_inode *inode)
{
	struct stat after;
	int r = put_range(w, path, inode->fd, 0, inode->size);

	if (r == -ENODATA)
		return changed(w, path);
	if (r < 0)
		return r;
	if (fstat(inode->fd, &after) < 0)
		return diag_errno(w->diag, -errno, "/%s: cannot read it", path);
	return same_file_state(&inode->st, &after) ? 0 : changed(w, path);
}

static int put_image_data(struct writer_state *w, const char *path, const struct upper_inode *inode)
{
	AUTO(closep) int own = -1;
	struct content_place place;
	int r;

	if (inode->size == 0)
		return 0;
	r = content_open(w->store, view_entry(inode->data)->content, &place);
	if (r < 0)
		return diag_set(w->diag, r, "/%s: its content is not in the store (" DIAG_VERIFY ")", path);
	own = place.owned ? place.fd : -1;
	r = place.bytes == inode->size ? put_range(w, path, place.fd, place.offset, place.bytes) : -ENODATA;
	return r == -ENODATA
		       ? diag_set(w->diag, -EIO, "/%s: its content in the store is damaged (" DIAG_VERIFY ")", path)
		       : r;
}

static int put_data(struct writer_state *w, const char *path, const struct upper_inode *inode)
{
	static const char zeros[TAR_BLOCK_BYTES];
	size_t padding = tar_padding(inode->size);
	int r = inode->data ? put_image_data(w, path, inode) : put_upper_data(w, path, inode);

	if (r == 0 && padding > 0)
		r = w->sink(zeros, padding, w->arg);
	return r;
}

static int put_inode(struct writer_state *w, const char *path, const struct upper_inode *inode, const char *link_to)
{
	struct tar_entry entry = {
		.path = path,
		.target = link_to ? link_to : inode->target,
		.hard_link = link_to,
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev = inode->rdev,
		.size = inode->size,
		.mtime_ns = inode->mtime_ns,
		.xattrs = link_to ? NULL : &inode->xattrs,
	};
	int r = put_header(w, &entry);

	if (r == -EINVAL)
		return diag_set(w->diag, r, "/%s: a kind of file that no layer can hold", path);
	if (r == 0 && !link_to && S_ISREG(inode->mode))
		r = put_data(w, path, inode);
	return r;
}

static void upper_inode_releasep(struct upper_inode *inode)
{
	upper_inode_release(inode);
}

/* The whole tree has its root, unless all that is known of it is that there must be one. */
static int put_root(struct writer_state *w, const struct upper_item *item)
{
	AUTO(upper_inode_releasep) struct upper_inode below = { .fd = -1 };
	const struct view_node *root = w->view ? view_root(w->view) : NULL;
	bool implied = root && (item->here || view_entry(root)->flags & LAYER_IMPLICIT);
	int r = root ? upper_inode_of_view(w->store, w->view, root, &below) : 0;

	if (r == 0 && !(implied && upper_inode_same_attributes(item->inode, &below)))
		r = put_inode(w, ".", item->inode, NULL);
	return r;
}

static int put_item(const struct upper_item *item, void *arg)
{
	struct writer_state *w = arg;
	const char *link_to = NULL;
	int r = 0;

	if (!item->inode)
		return item->covered ? 0 : put_whiteout(w, item->path);
	if (item->path[0] == '\0')
		r = put_root(w, item);
	else if (!S_ISDIR(item->inode->mode) && item->inode->nlink > 1)
		r = first_name(w, item, &link_to);
	if (r == 0 && item->path[0] != '\0')
		r = put_inode(w, item->path, item->inode, link_to);
	if (r == 0 && item->opaque)
		r = put_opaque(w, item->path);
	return r;
}

int upper_tar(struct store *store, struct view *view, const char *upper, bool whole, tar_sink_fn sink, void *arg,
	      struct diag *diag)
{
	AUTO(writer_state_release)
	struct writer_state w = {
		.store = store,
		.view = view,
		.sink = sink,
		.arg = arg,
		.diag = diag,
		.copy = malloc(COPY_BYTES),
	};
	int r;

	if (!w.copy)
		return -ENOMEM;
	r = upper_walk(store, view, upper, whole, put_item, &w, diag);
	if (r < 0)
		return r;
	w.header.len = 0;
	tar_end(&w.header);
	r = buf_error(&w.header);
	return r < 0 ? r : sink(w.header.data, w.header.len, arg);
}
