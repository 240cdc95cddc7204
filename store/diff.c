/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commit.h"

#include "store/base/auto.h"
#include "store/upper.h"

#include <string.h>

/*
 * The walk goes directory by directory, while docker's list is sorted by whole
 * paths ("/a.b" before "/a/b"), and a directory counts as changed only once
 * something in it was found to be.  So the lines are gathered first.
 */
struct line {
	char kind;
	char *path; /* owned; absolute */
};

struct lines {
	struct store *store; /* borrowed */
	struct view *view;   /* borrowed */
	struct line *items;  /* owned */
	size_t count, room;
	const char *last; /* borrowed from @items: the item before, whose parents are listed */
};

static void lines_release(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i].path);
	free(lines->items);
}

static int lines_add(struct lines *lines, char kind, const char *path, size_t len)
{
	struct line *line;

	if (lines->count == lines->room) {
		size_t room = lines->room ? 2 * lines->room : 64;
		struct line *items = realloc(lines->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		lines->items = items;
		lines->room = room;
	}
	line = &lines->items[lines->count];
	line->kind = kind;
	if (asprintf(&line->path, "/%.*s", (int)len, path) < 0)
		return -ENOMEM;
	lines->count++;
	return 0;
}

/*
 * Each directory above a change counts as changed, but for the root.  Those
 * that the item before is in too are listed; other doubles go when all is sorted.
 */
static int add_parents(struct lines *lines, const char *path)
{
	const char *last = lines->last ? lines->last + 1 : "";
	size_t common = 0;

	while (path[common] && path[common] == last[common])
		common++;
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);
		int r = len < common ? 0 : lines_add(lines, 'C', path, len);

		if (r < 0)
			return r;
	}
	return 0;
}

static void upper_inode_releasep(struct upper_inode *inode)
{
	upper_inode_release(inode);
}

/*
 * A file of the upper is listed even where its attributes are the same: it was
 * opened for writing, and to compare its content would cost a read of both.
 * A directory may be there just because of what is in it.
 */
static int is_changed(struct lines *lines, const struct upper_item *item, bool *ret)
{
	AUTO(upper_inode_releasep) struct upper_inode below = { .fd = -1 };
	int r;

	*ret = true;
	if (!S_ISDIR(item->inode->mode) || !S_ISDIR(view_entry(item->here)->mode) || item->opaque)
		return 0;
	r = upper_inode_of_view(lines->store, lines->view, item->here, &below);
	if (r == 0)
		*ret = !upper_inode_same_attributes(item->inode, &below);
	return r;
}

static int collect(const struct upper_item *item, void *arg)
{
	struct lines *lines = arg;
	bool listed = true;
	char kind;
	int r = 0;

	if (item->path[0] == '\0')
		return 0;
	if (!item->inode) {
		kind = 'D';
	} else if (!item->here) {
		kind = 'A';
	} else {
		kind = 'C';
		r = is_changed(lines, item, &listed);
	}
	if (r < 0 || !listed)
		return r;
	r = add_parents(lines, item->path);
	if (r == 0)
		r = lines_add(lines, kind, item->path, strlen(item->path));
	if (r == 0)
		lines->last = lines->items[lines->count - 1].path;
	return r;
}

/* 'A' before 'C': of a new directory the line that its children put there goes. */
static int line_order(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order != 0 ? order : x->kind - y->kind;
}

static int report(struct lines *lines, upper_diff_fn fn, void *arg)
{
	if (lines->count > 1)
		qsort(lines->items, lines->count, sizeof(*lines->items), line_order);
	for (size_t i = 0; i < lines->count; i++) {
		const struct line *line = &lines->items[i];
		int r;

		if (i > 0 && strcmp(line->path, lines->items[i - 1].path) == 0)
			continue;
		r = fn(line->kind, line->path, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

int upper_diff(struct store *store, struct image_id image, const char *upper, upper_diff_fn fn, void *arg,
	       struct diag *diag)
{
	AUTO(view_closep) struct view *view = NULL;
	AUTO(lines_release) struct lines lines = { .store = store };
	int r = view_open(store, image, 0, diag, &view);

	if (r < 0)
		return r;
	lines.view = view;
	r = upper_walk(store, view, upper, false, collect, &lines, diag);
	return r < 0 ? r : report(&lines, fn, arg);
}
