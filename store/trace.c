// SPDX-License-Identifier: Apache-2.0
#include "store/trace.h"

#include "store/base/auto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *trace_kind_text(enum trace_kind kind)
{
	static const char *const texts[] = {
		[TRACE_SHOWN] = "shown",
		[TRACE_MERGED] = "merged",
		[TRACE_HIDDEN] = "hidden",
		[TRACE_REMOVED] = "removed",
	};
	return texts[kind];
}

/* How far a path can be gone in one layer alone. */
struct walk {
	struct layer_entry entry; /* the last one met, without its strings */
	uint32_t dir;		  /* where that one was looked up */
	size_t gone;		  /* length of the path up to it */
	bool met;		  /* it is the path's own */
	bool closed;		  /* it, or one on the way, lets nothing of the layers below show */
	size_t closed_at;	  /* the first such: length of its path */
};

struct call {
	trace_fn fn;
	void *arg;
	struct trace_step *step;
};

static int copy_plain(const struct layer_entry *entry, void *arg)
{
	struct layer_entry *ret = arg;

	*ret = *entry;
	ret->name = ret->target = NULL; /* lent for the call only */
	return 0;
}

/* Return: 1: go on below it; 0: the walk ends here. */
static int arrive(struct walk *walk, const char *path)
{
	bool whiteout = walk->entry.flags & LAYER_WHITEOUT;
	bool dir = S_ISDIR(walk->entry.mode) && !whiteout;

	if (!walk->closed && (!dir || walk->entry.flags & LAYER_OPAQUE)) {
		walk->closed = true;
		walk->closed_at = walk->gone;
	}
	walk->met = !path[walk->gone] && !whiteout;
	return dir && path[walk->gone];
}

static int walk_down(struct store *store, struct layer_id layer, const char *path, struct walk *walk)
{
	int r = layer_root(store, layer, copy_plain, &walk->entry);

	while (r == 0 && arrive(walk, path)) {
		const char *name = path + walk->gone + (path[walk->gone] == '/');
		size_t len = strcspn(name, "/");
		AUTO(freep) char *child = strndup(name, len);

		if (!child)
			return -ENOMEM;
		walk->dir = walk->entry.no;
		walk->gone = (size_t)(name - path) + len;
		r = layer_lookup(store, layer, walk->dir, child, copy_plain, &walk->entry);
	}
	return r == -ENOENT ? 0 : r;
}

static int report_entry(const struct layer_entry *entry, void *arg)
{
	const struct call *call = arg;

	call->step->entry = entry;
	return call->fn(call->step, call->arg);
}

static int report_met(struct store *store, struct layer_id layer, const char *path, const struct walk *walk,
		      struct call *call)
{
	const char *slash = strrchr(path, '/');

	if (!*path)
		return layer_root(store, layer, report_entry, call);
	return layer_lookup(store, layer, walk->dir, slash ? slash + 1 : path, report_entry, call);
}

static int report_removed(const char *path, const struct walk *walk, struct call *call)
{
	AUTO(freep) char *at = strndup(path, walk->closed_at);

	if (!at)
		return -ENOMEM;
	call->step->at = at;
	return call->fn(call->step, call->arg);
}

static enum trace_kind kind_of(const struct walk *walk, bool closed, bool shown)
{
	if (!walk->met)
		return TRACE_REMOVED;
	/* Below a directory, what is none does not show. */
	if (closed || (shown && !S_ISDIR(walk->entry.mode)))
		return TRACE_HIDDEN;
	return shown ? TRACE_MERGED : TRACE_SHOWN;
}

static int report(struct store *store, struct layer_id layer, const char *path, const struct walk *walk,
		  struct call *call)
{
	return walk->met ? report_met(store, layer, path, walk, call) : report_removed(path, walk, call);
}

int path_trace(struct store *store, const struct image_info *image, const char *path, trace_fn fn, void *arg)
{
	AUTO(freep) struct walk *walks = calloc(image->layer_count + 1, sizeof(*walks));
	bool closed = false, shown = false;
	size_t lowest = image->layer_count;
	int r = walks ? 0 : -ENOMEM;

	/* A mark under which there is nothing takes nothing away. */
	for (size_t n = image->layer_count; r == 0 && n-- > 0;) {
		r = walk_down(store, image->layers[n], path, &walks[n]);
		if (walks[n].met)
			lowest = n;
	}
	for (size_t n = image->layer_count; r == 0 && n-- > lowest;) {
		struct trace_step step = { .kind = kind_of(&walks[n], closed, shown), .layer = n };
		struct call call = { fn, arg, &step };

		if (walks[n].met || walks[n].closed)
			r = report(store, image->layers[n], path, &walks[n], &call);
		shown |= walks[n].met;
		closed |= walks[n].closed;
	}
	return r;
}
