// SPDX-License-Identifier: Apache-2.0
#include "tools/imagetar.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/content.h"
#include "store/tarwrite.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/stat.h>

enum { DATA_BYTES = 256 * 1024 };

/* The first name of an inode that has several, for the others to be links to. */
struct first_name {
	size_t layer;
	uint32_t no;
	char *name; /* owned */
};

struct image_writer {
	struct store *store; /* borrowed */
	struct view *view;   /* borrowed */
	int out;
	copyout_warn_fn warn;
	void *arg;
	int status;		  /* the first error that was told */
	struct buf headers;	  /* of the entry under way */
	struct first_name *names; /* owned */
	size_t name_count;
	char *data; /* owned, DATA_BYTES */
};

static void writer_release(struct image_writer *w)
{
	for (size_t i = 0; i < w->name_count; i++)
		free(w->names[i].name);
	free(w->names);
	free(w->data);
	buf_release(&w->headers);
}

static int left_out(struct image_writer *w, const char *path, int err, const char *what)
{
	AUTO(freep) char *why = ui_format("%s: %s", what, strerror(-err));

	w->warn(path, why, w->arg);
	if (w->status == 0)
		w->status = err;
	return 0;
}

/* Return: the name that the inode has in the archive already; NULL: it has this one from now on. */
static const char *first_name(struct image_writer *w, const struct view_node *node, const char *name)
{
	size_t layer = view_layer(node);
	uint32_t no = view_entry(node)->no;

	for (size_t i = 0; i < w->name_count; i++)
		if (w->names[i].layer == layer && w->names[i].no == no)
			return w->names[i].name;
	w->names = ui_need(realloc(w->names, (w->name_count + 1) * sizeof(*w->names)));
	w->names[w->name_count++] = (struct first_name){ layer, no, ui_need(strdup(name)) };
	return NULL;
}

static int write_headers(struct image_writer *w, const struct tar_entry *entry)
{
	w->headers.len = 0;
	int r = tar_header(&w->headers, entry);
	return r < 0 ? r : io_write_full(w->out, w->headers.data, w->headers.len);
}

/* As many bytes as the header says, whatever the store still has of them. */
static int write_data(struct image_writer *w, const struct content_place *place, const char *path)
{
	static const char zeros[TAR_BLOCK_BYTES];
	bool told = false;

	for (uint64_t at = 0; at < place->bytes;) {
		size_t want = place->bytes - at < DATA_BYTES ? (size_t)(place->bytes - at) : DATA_BYTES;
		ssize_t n = io_pread_full(place->fd, w->data, want, (off_t)(place->offset + at));

		if (n < (ssize_t)want) {
			if (!told)
				left_out(w, path, n < 0 ? (int)n : -EIO, "its content in the store is damaged");
			told = true;
			memset(w->data + (n > 0 ? n : 0), 0, want - (size_t)(n > 0 ? n : 0));
		}
		int r = io_write_full(w->out, w->data, want);
		if (r < 0)
			return r;
		at += want;
	}
	return io_write_full(w->out, zeros, tar_padding(place->bytes));
}

static int write_file(struct image_writer *w, const struct layer_entry *entry, const struct tar_entry *header,
		      const char *path)
{
	struct content_place place = { .fd = -1 };
	int r = entry->size ? content_open(w->store, entry->content, &place) : 0;

	if (r == 0 && place.bytes != entry->size)
		r = -EIO;
	if (r < 0) {
		left_out(w, path, r, "its content is not in the store");
		r = 0;
	} else {
		r = write_headers(w, header);
		if (r == 0)
			r = write_data(w, &place, path);
	}
	if (place.owned)
		close(place.fd);
	return r;
}

/* All but what is in a directory. */
static int write_one(struct image_writer *w, const struct view_node *node, const char *path, const char *name)
{
	AUTO(xattr_list_release) struct xattr_list xattrs = { 0 };
	const struct layer_entry *entry = view_entry(node);
	struct tar_entry header = {
		.path = name,
		.target = S_ISLNK(entry->mode) ? entry->target : NULL,
		.mode = entry->mode,
		.uid = entry->uid,
		.gid = entry->gid,
		.rdev = entry->rdev,
		.size = S_ISREG(entry->mode) ? entry->size : 0,
		.mtime_ns = entry->mtime_ns,
		.xattrs = &xattrs,
	};

	if (!S_ISDIR(entry->mode) && entry->nlink > 1) {
		const char *first = first_name(w, node, name);

		header.hard_link = first;
		header.target = first ? first : header.target;
	}
	if (header.hard_link) {
		header.xattrs = NULL;
		return write_headers(w, &header);
	}
	if (entry->flags & LAYER_XATTRS) {
		int r = xattr_list_of_layer(w->store, view_layer_id(w->view, view_layer(node)), entry->no, &xattrs);

		if (r < 0)
			left_out(w, path, r, "cannot read its extended attributes");
	}
	return S_ISREG(entry->mode) ? write_file(w, entry, &header, path) : write_headers(w, &header);
}

static int write_node(struct image_writer *w, const struct view_node *node, const char *path, const char *name)
{
	AUTO(tree_children_release) struct tree_children children = { 0 };
	int r = name ? write_one(w, node, path, name) : 0;

	if (r < 0 || !S_ISDIR(view_entry(node)->mode))
		return r;
	r = tree_children(w->view, node, &children);
	if (r < 0)
		return left_out(w, path, r, "cannot read it");
	for (size_t i = 0; r == 0 && i < children.count; i++) {
		const char *child = view_entry(children.nodes[i])->name;
		AUTO(freep) char *below = NULL, *inner = NULL;

		if (asprintf(&below, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", child) < 0 ||
		    asprintf(&inner, "%s%s%s", name ? name : "", name ? "/" : "", child) < 0)
			ui_out_of_memory();
		r = write_node(w, children.nodes[i], below, inner);
	}
	return r;
}

int image_tar(struct store *store, struct view *view, const struct view_node *node, const char *path, const char *name,
	      int out, copyout_warn_fn warn, void *arg, struct diag *diag)
{
	AUTO(writer_release)
	struct image_writer w = {
		.store = store,
		.view = view,
		.out = out,
		.warn = warn,
		.arg = arg,
		.data = ui_need(malloc(DATA_BYTES)),
	};
	int r = write_node(&w, node, path, name);

	if (r == 0) {
		w.headers.len = 0;
		tar_end(&w.headers);
		r = buf_error(&w.headers);
	}
	if (r == 0)
		r = io_write_full(out, w.headers.data, w.headers.len);
	return r < 0 ? diag_set(diag, r, "%s", strerror(-r)) : w.status;
}
