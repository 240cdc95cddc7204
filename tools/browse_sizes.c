// SPDX-License-Identifier: Apache-2.0
#include "tools/browse_sizes.h"

#include "store/base/auto.h"
#include "tools/browse_thread.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <search.h>
#include <stdatomic.h>

/* An inode is known by its layer and its number there. */
struct size {
	size_t layer;
	uint32_t no;
	uint64_t bytes;
};

struct browse_sizes {
	struct store *store;		/* borrowed */
	const struct image_info *image; /* borrowed */
	size_t layers;
	struct size *list; /* owned; the thread's until it is done, and sorted then */
	size_t count, room;
	void *links; /* owned by the thread: a tsearch(3) tree of struct size: files of several names that were met */
	struct browse_thread thread;
};

static int inode_order(const void *a, const void *b)
{
	const struct size *x = a, *y = b;

	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return x->no < y->no ? -1 : x->no > y->no;
}

static struct size size_of(const struct view_node *node)
{
	return (struct size){ .layer = view_layer(node), .no = view_entry(node)->no, .bytes = view_entry(node)->size };
}

static uint64_t file_bytes(struct browse_sizes *sizes, const struct view_node *node)
{
	const struct layer_entry *entry = view_entry(node);

	if (!S_ISREG(entry->mode) || entry->size == 0)
		return 0;
	if (entry->nlink > 1) {
		struct size *link = ui_need(malloc(sizeof(*link)));

		*link = size_of(node);
		if (*(struct size **)ui_need(tsearch(link, &sizes->links, inode_order)) != link) {
			free(link);
			return 0;
		}
	}
	return entry->size;
}

static void add(struct browse_sizes *sizes, struct size size)
{
	if (sizes->count == sizes->room) {
		sizes->room = sizes->room ? 2 * sizes->room : 1024;
		sizes->list = ui_need(realloc(sizes->list, sizes->room * sizeof(*sizes->list)));
	}
	sizes->list[sizes->count++] = size;
}

static int walk(struct browse_sizes *sizes, struct view *view, const struct view_node *dir, uint64_t *ret)
{
	AUTO(tree_children_release) struct tree_children children = { 0 };
	struct size size = size_of(dir);
	struct view_mark mark;
	int r = browse_thread_stops(&sizes->thread) ? -ECANCELED : 0;

	size.bytes = 0;
	view_mark(view, &mark);
	if (r == 0)
		r = tree_children(view, dir, &children);
	for (size_t i = 0; r == 0 && i < children.count; i++) {
		uint64_t bytes = file_bytes(sizes, children.nodes[i]);

		if (S_ISDIR(view_entry(children.nodes[i])->mode))
			r = walk(sizes, view, children.nodes[i], &bytes);
		size.bytes += bytes;
	}
	view_go_back(view, &mark);
	add(sizes, size);
	*ret = size.bytes;
	return r;
}

static void sum_up(void *arg)
{
	struct browse_sizes *sizes = arg;
	AUTO(view_closep) struct view *view = NULL;
	uint64_t bytes;
	int r = view_open(sizes->store, sizes->image->id, sizes->layers, NULL, &view);

	if (r == 0)
		r = walk(sizes, view, view_root(view), &bytes);
	tdestroy(TAKE(sizes->links), free);
	if (r < 0)
		sizes->count = 0;
	if (sizes->count > 0)
		qsort(sizes->list, sizes->count, sizeof(*sizes->list), inode_order);
}

int browse_sizes_start(struct store *store, const struct image_info *image, size_t layers, struct browse_sizes **ret)
{
	struct browse_sizes *sizes = ui_need(calloc(1, sizeof(*sizes)));

	sizes->store = store;
	sizes->image = image;
	sizes->layers = layers;
	int r = browse_thread_start(&sizes->thread, sum_up, sizes);
	if (r < 0)
		free(sizes);
	else
		*ret = sizes;
	return r;
}

void browse_sizes_free(struct browse_sizes *sizes)
{
	if (!sizes)
		return;
	browse_thread_end(&sizes->thread);
	free(sizes->list);
	free(sizes);
}

int browse_sizes_fd(const struct browse_sizes *sizes)
{
	return sizes->thread.fd;
}

bool browse_sizes_find(struct browse_sizes *sizes, const struct view_node *dir, uint64_t *ret)
{
	struct size key = size_of(dir), *found = NULL;

	if (browse_thread_is_done(&sizes->thread) && sizes->count > 0)
		found = bsearch(&key, sizes->list, sizes->count, sizeof(*sizes->list), inode_order);
	if (found)
		*ret = found->bytes;
	return found != NULL;
}
