// SPDX-License-Identifier: Apache-2.0
#include "tools/treediff.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <string.h>

enum { COMPARE_BYTES = 64 * 1024 };

struct diff {
	struct store *store;
	struct view *old, *new;
	tree_change_fn fn;
	void *arg;
};

/*
 * Two files.
 */

static int read_places(const struct content_place *a, const struct content_place *b, bool *ret_same)
{
	AUTO(freep) char *one = ui_need(malloc(COMPARE_BYTES)), *other = ui_need(malloc(COMPARE_BYTES));

	*ret_same = true;
	for (uint64_t at = 0; *ret_same && at < a->bytes; at += COMPARE_BYTES) {
		size_t want = a->bytes - at < COMPARE_BYTES ? (size_t)(a->bytes - at) : COMPARE_BYTES;
		ssize_t n = io_pread_full(a->fd, one, want, (off_t)(a->offset + at));
		ssize_t m = io_pread_full(b->fd, other, want, (off_t)(b->offset + at));

		if (n < 0 || m < 0)
			return (int)(n < 0 ? n : m);
		if ((size_t)n < want || (size_t)m < want)
			return -EIO;
		*ret_same = memcmp(one, other, want) == 0;
	}
	return 0;
}

/* The store keeps equal contents once; two writers at the same time may have made two all the same. */
static int same_content(struct store *store, const struct layer_entry *old, const struct layer_entry *new,
			bool *ret_same)
{
	struct content_place a = { .fd = -1 }, b = { .fd = -1 };
	int r;

	*ret_same = old->size == new->size && (old->size == 0 || old->content.value == new->content.value);
	if (*ret_same || old->size != new->size)
		return 0;
	r = content_open(store, old->content, &a);
	if (r < 0)
		return r;
	r = content_open(store, new->content, &b);
	if (r == 0) {
		r = read_places(&a, &b, ret_same);
		if (b.owned)
			close(b.fd);
	}
	if (a.owned)
		close(a.fd);
	return r;
}

struct xattrs {
	struct buf text; /* "NAME\0LENGTH VALUE", in the order of their names */
	bool any;
};

static int collect_xattr(const char *name, const void *value, size_t bytes, void *arg)
{
	struct xattrs *xattrs = arg;

	xattrs->any = true;
	buf_add(&xattrs->text, name, strlen(name) + 1);
	buf_addf(&xattrs->text, "%zu ", bytes);
	buf_add(&xattrs->text, value, bytes);
	return buf_error(&xattrs->text);
}

static int read_xattrs(struct store *store, struct view *view, const struct view_node *node, struct xattrs *ret)
{
	const struct layer_entry *entry = view_entry(node);

	if (!(entry->flags & LAYER_XATTRS))
		return 0;
	return layer_xattrs(store, view_layer_id(view, view_layer(node)), entry->no, collect_xattr, ret);
}

static int same_xattrs(struct store *store, struct view *old_view, const struct view_node *old, struct view *new_view,
		       const struct view_node *new, bool *ret_same)
{
	struct xattrs a = { 0 }, b = { 0 };
	int r = read_xattrs(store, old_view, old, &a);

	if (r == 0)
		r = read_xattrs(store, new_view, new, &b);
	*ret_same = a.text.len == b.text.len && (!a.any || memcmp(a.text.data, b.text.data, a.text.len) == 0);
	buf_release(&a.text);
	buf_release(&b.text);
	return r;
}

static bool same_target(const struct layer_entry *old, const struct layer_entry *new)
{
	if (S_ISLNK(old->mode))
		return strcmp(old->target, new->target) == 0;
	return (!S_ISCHR(old->mode) && !S_ISBLK(old->mode)) || old->rdev == new->rdev;
}

int tree_compare(struct store *store, struct view *old_view, const struct view_node *old_node, struct view *new_view,
		 const struct view_node *new_node, unsigned *ret)
{
	const struct layer_entry *old = view_entry(old_node), *new = view_entry(new_node);
	bool type = (old->mode & S_IFMT) == (new->mode &S_IFMT), content = true, xattrs = true;
	int r = 0;

	if (type && S_ISREG(old->mode))
		r = same_content(store, old, new, &content);
	if (r == 0)
		r = same_xattrs(store, old_view, old_node, new_view, new_node, &xattrs);
	*ret = (type ? 0 : TREE_TYPE) | (content ? 0 : TREE_CONTENT) | (xattrs ? 0 : TREE_XATTRS) |
	       (type && !same_target(old, new) ? TREE_TARGET : 0) |
	       ((old->mode & 07777) == (new->mode & 07777) ? 0 : TREE_MODE) |
	       (old->uid == new->uid && old->gid == new->gid ? 0 : TREE_OWNER) |
	       (old->mtime_ns == new->mtime_ns ? 0 : TREE_TIME);
	return r;
}

/*
 * Two trees.
 */

static uint64_t file_bytes(const struct layer_entry *entry)
{
	return S_ISREG(entry->mode) ? entry->size : 0;
}

static int sum_bytes(struct view *view, const struct view_node *node, uint64_t *sum)
{
	AUTO(tree_children_release) struct tree_children children = { 0 };
	int r = 0;

	*sum += file_bytes(view_entry(node));
	if (S_ISDIR(view_entry(node)->mode))
		r = tree_children(view, node, &children);
	for (size_t i = 0; r == 0 && i < children.count; i++)
		r = sum_bytes(view, children.nodes[i], sum);
	return r;
}

static int deleted(const struct diff *diff, const struct view_node *old, const char *path)
{
	struct tree_change change = { .path = path, .old = view_entry(old) };
	int r = sum_bytes(diff->old, old, &change.old_bytes);

	return r < 0 ? r : diff->fn(&change, diff->arg);
}

static int walk(const struct diff *diff, const struct view_node *old, const struct view_node *new, const char *path);

/* Both lists are in byte order of their names. */
static int walk_children(const struct diff *diff, const struct tree_children *old, const struct tree_children *new,
			 const char *path)
{
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < old->count || j < new->count)) {
		const struct view_node *a = i < old->count ? old->nodes[i] : NULL;
		const struct view_node *b = j < new->count ? new->nodes[j] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(view_entry(a)->name, view_entry(b)->name);
		AUTO(freep) char *child = NULL;

		if (asprintf(&child, "%s/%s", path, view_entry(order <= 0 ? a : b)->name) < 0)
			ui_out_of_memory();
		i += order <= 0;
		j += order >= 0;
		r = order < 0 ? deleted(diff, a, child) : walk(diff, order > 0 ? NULL : a, b, child);
	}
	return r;
}

static bool is_dir(const struct view_node *node)
{
	return node && S_ISDIR(view_entry(node)->mode);
}

static int report(const struct diff *diff, const struct view_node *old, const struct view_node *new, const char *path)
{
	struct tree_change change = { .path = *path ? path : "/", .new = view_entry(new) };
	int r = 0;

	change.new_bytes = file_bytes(change.new);
	if (old) {
		change.old = view_entry(old);
		r = tree_compare(diff->store, diff->old, old, diff->new, new, &change.what);
		if (r == 0 && is_dir(old) && !is_dir(new))
			r = sum_bytes(diff->old, old, &change.old_bytes);
		else
			change.old_bytes = file_bytes(change.old);
		if (r < 0 || !change.what)
			return r;
	}
	return diff->fn(&change, diff->arg);
}

/* @old: NULL: it was not there. */
static int walk(const struct diff *diff, const struct view_node *old, const struct view_node *new, const char *path)
{
	AUTO(tree_children_release) struct tree_children before = { 0 }, after = { 0 };
	int r;

	if (old && view_same_tree(diff->old, old, diff->new, new))
		return 0;
	r = report(diff, old, new, path);
	if (r != 0 || !is_dir(new))
		return r;
	if (is_dir(old))
		r = tree_children(diff->old, old, &before);
	if (r == 0)
		r = tree_children(diff->new, new, &after);
	return r < 0 ? r : walk_children(diff, &before, &after, path);
}

int tree_diff(struct store *store, struct view *old, struct view *new, tree_change_fn fn, void *arg)
{
	struct diff diff = { store, old, new, fn, arg };

	return walk(&diff, old ? view_root(old) : NULL, view_root(new), "");
}
