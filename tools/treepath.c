// SPDX-License-Identifier: Apache-2.0
#include "tools/treepath.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <string.h>

/* As the kernel has it (MAXSYMLINKS). */
enum { LINKS_MAX = 40 };

/* A walk under way: what is behind has no symlinks left in it, so that ".." is simply the text before. */
struct walk {
	struct view *view;
	char *done;		      /* owned: "usr/bin" */
	char *rest;		      /* owned: what is still to walk */
	const struct view_node *node; /* of @done */
	bool follow;
	int links;
};

static void walk_release(struct walk *walk)
{
	free(walk->done);
	free(walk->rest);
}

/* Takes the first name off the rest; NULL at the end. */
static char *next_name(struct walk *walk)
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(start, "/");

	if (len == 0)
		return NULL;
	char *name = ui_need(strndup(start, len));
	char *rest = ui_need(strdup(start + len));
	free(walk->rest);
	walk->rest = rest;
	return name;
}

static char *joined(const char *a, const char *b)
{
	char *ret = NULL;

	if (asprintf(&ret, "%s%s%s", a, *a && *b ? "/" : "", b) < 0)
		ui_out_of_memory();
	return ret;
}

static int walk_up(struct walk *walk)
{
	char *slash = strrchr(walk->done, '/');

	*(slash ? slash : walk->done) = '\0';
	return view_lookup(walk->view, walk->done, &walk->node);
}

static int walk_link(struct walk *walk, const char *target)
{
	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	char *rest = joined(target, walk->rest);
	free(walk->rest);
	walk->rest = rest;
	if (*target != '/')
		return 0;
	*walk->done = '\0';
	walk->node = view_root(walk->view);
	return 0;
}

static int walk_step(struct walk *walk, const char *name)
{
	const struct view_node *node = NULL;

	if (!S_ISDIR(view_entry(walk->node)->mode))
		return -ENOTDIR;
	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0)
		return walk_up(walk);
	AUTO(freep) char *path = joined(walk->done, name);
	int r = view_lookup(walk->view, path, &node);
	if (r < 0)
		return r;
	bool last = walk->rest[strspn(walk->rest, "/")] == '\0';
	/* "link/" means what the link leads to. */
	bool slash = *walk->rest == '/';
	if (S_ISLNK(view_entry(node)->mode) && (!last || walk->follow || slash))
		return walk_link(walk, view_entry(node)->target);
	free(walk->done);
	walk->done = TAKE(path);
	walk->node = node;
	return last && slash && !S_ISDIR(view_entry(node)->mode) ? -ENOTDIR : 0;
}

int tree_resolve(struct view *view, const char *path, bool follow, const struct view_node **ret, char **ret_path)
{
	AUTO(walk_release)
	struct walk walk = {
		.view = view,
		.done = ui_need(strdup("")),
		.rest = ui_need(strdup(path)),
		.node = view_root(view),
		.follow = follow,
	};
	char *name;

	while ((name = next_name(&walk))) {
		int r = walk_step(&walk, name);

		free(name);
		if (r < 0)
			return r;
	}
	*ret = walk.node;
	*ret_path = TAKE(walk.done);
	return 0;
}

static int collect(const struct view_node *child, void *arg)
{
	struct tree_children *list = arg;

	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 64;
		list->nodes = ui_need(realloc(list->nodes, list->room * sizeof(*list->nodes)));
	}
	list->nodes[list->count++] = child;
	return 0;
}

int tree_children(struct view *view, const struct view_node *dir, struct tree_children *ret)
{
	*ret = (struct tree_children){ 0 };
	return view_children(view, dir, collect, ret);
}

void tree_children_release(struct tree_children *children)
{
	free(children->nodes);
	*children = (struct tree_children){ 0 };
}
