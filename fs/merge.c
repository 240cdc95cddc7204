/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Merging: what a directory holds, over the upper and all lowers that have it.
 *
 * A directory's children are read once, on first use, into its table; from then
 * on names are looked up without a system call.  Two steps:
 *
 *   dir_parts_locked()  which lowers have this directory.  The list begins as
 *                       what the parent's merge found under its name; here
 *                       opaque marks cut it and redirects replace its tail.
 *   dir_load_locked()   each part's entries, topmost first.  The first layer that
 *                       has a name decides what it is; further down only
 *                       directories join, until something closes the name: a
 *                       whiteout, a file, an opaque directory.
 *
 * A layer's redirect or opaque mark is thus looked at when somebody enters the
 * directory, not when it is listed.
 */

#include "fs/marks.h"
#include "store/base/auto.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct part_list {
	struct part *parts; /* owned */
	uint32_t count;
};

void parts_free(struct fs *fs, struct part *parts, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct layer *layer = fs->layers[parts[i].layer];

		layer->ops->leave(layer, parts[i].at);
	}
	free(parts);
}

/* Takes over the reference in @at, also when it fails. */
static int part_add(struct fs *fs, struct part_list *list, uint16_t index, union dref at)
{
	struct layer *layer = fs->layers[index];
	struct part *more = realloc(list->parts, (list->count + 1) * sizeof(*more));

	if (!more) {
		layer->ops->leave(layer, at);
		return -ENOMEM;
	}
	list->parts = more;
	more[list->count++] = (struct part){ .at = at, .layer = index };
	return 0;
}

static void parts_cut(struct fs *fs, struct part_list *list, uint32_t count)
{
	while (list->count > count) {
		struct part *last = &list->parts[--list->count];
		struct layer *layer = fs->layers[last->layer];

		layer->ops->leave(layer, last->at);
	}
}

const struct part *dir_part(const struct dirnode *dir, uint16_t layer)
{
	for (uint32_t i = 0; i < dir->part_count; i++) {
		if (dir->parts[i].layer == layer)
			return &dir->parts[i];
	}
	return NULL;
}

static void part_list_release(struct fs *fs, struct part_list *list)
{
	parts_free(fs, list->parts, list->count);
	*list = (struct part_list){ 0 };
}

/* --- following names, marks and redirects --- */

/* The parts of a directory from layer @first on; nothing is owned. */
struct part_span {
	const struct part *parts;
	uint32_t count;
};

static struct part_span span_from(const struct part *parts, uint32_t count, uint16_t first)
{
	while (count > 0 && parts->layer < first) {
		parts++;
		count--;
	}
	return (struct part_span){ parts, count };
}

struct step {
	struct fs *fs;
	uint16_t layer;
	union dref at;		/* where the name is looked for */
	struct part_list *list; /* where the directory goes */
	bool closed;
};

static int step_found(const struct found *found, void *arg)
{
	struct step *step = arg;
	struct layer *layer = step->fs->layers[step->layer];
	union dref at;
	int r;

	step->closed = !S_ISDIR(found->mode) || (found->row && found->row->flags & LAYER_OPAQUE);
	if (!S_ISDIR(found->mode))
		return 0;
	r = layer->ops->enter(layer, step->at, found, &at);
	return r < 0 ? r : part_add(step->fs, step->list, step->layer, at);
}

static int parts_follow(struct fs *fs, struct part_list *list, struct part_span parent);

/* The folders @name in all of @parent, as far down as they show, and their redirects. */
static int parts_step(struct fs *fs, struct part_span parent, const char *name, struct part_list *ret)
{
	for (uint32_t i = 0; i < parent.count; i++) {
		const struct part *part = &parent.parts[i];
		struct layer *layer = fs->layers[part->layer];
		struct step step = { .fs = fs, .layer = part->layer, .at = part->at, .list = ret };
		int r = layer->ops->find(layer, part->at, name, step_found, &step);

		if (r < 0 && r != -ENOENT)
			return r;
		if (step.closed)
			break;
	}
	return parts_follow(fs, ret, parent);
}

/* The parts of @span, once more. */
static int span_keep(struct fs *fs, struct part_span span, struct part_list *ret)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < span.count; i++) {
		const struct part *part = &span.parts[i];
		struct layer *layer = fs->layers[part->layer];
		union dref at;

		r = layer->ops->keep(layer, part->at, &at);
		if (r == 0)
			r = part_add(fs, ret, part->layer, at);
	}
	return r;
}

/* "/a/b" in the lowers from @first on. */
static int redirect_absolute(struct fs *fs, const char *path, size_t len, uint16_t first, struct part_list *ret)
{
	AUTO(freep) char *copy = strndup(path, len);
	struct part_span from = span_from(fs->root->parts, fs->root->part_count, first);
	struct part_list now = { 0 };
	char *save = NULL;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	for (char *name = strtok_r(copy, "/", &save); name && r == 0; name = strtok_r(NULL, "/", &save)) {
		struct part_list next = { 0 };

		r = parts_step(fs, from, name, &next);
		part_list_release(fs, &now);
		now = next;
		from = (struct part_span){ now.parts, now.count };
	}
	if (r < 0) {
		part_list_release(fs, &now);
		return r;
	}
	*ret = now;
	return 0;
}

int path_parts(struct fs *fs, const char *path, size_t len, uint16_t first, struct part **ret, uint32_t *ret_count)
{
	struct part_list list = { 0 };
	int r;

	if (strspn(path, "/") >= len)
		r = span_keep(fs, span_from(fs->root->parts, fs->root->part_count, first), &list);
	else
		r = redirect_absolute(fs, path, len, first, &list);
	if (r < 0)
		part_list_release(fs, &list);
	*ret = list.parts;
	*ret_count = list.count;
	return r;
}

/*
 * What is below part @keep - 1 of the list comes from where @redirect says: a path
 * from the root, or a sibling's name.  It only ever leads to layers further down, so
 * that no loop of redirects goes on for ever.
 */
static int tail_replace(struct fs *fs, struct part_list *list, uint32_t keep, uint16_t first, const char *redirect,
			struct part_span parent)
{
	struct part_list tail = { 0 };
	int r;

	if (fs->options->redirect == FS_REDIRECT_NOFOLLOW)
		return -EPERM;
	if (redirect[0] == '/')
		r = redirect_absolute(fs, redirect, strlen(redirect), first, &tail);
	else
		r = parts_step(fs, span_from(parent.parts, parent.count, first), redirect, &tail);
	parts_cut(fs, list, keep);
	/* References of its own, so that both lists can be released whatever happens. */
	if (r == 0)
		r = span_keep(fs, (struct part_span){ tail.parts, tail.count }, list);
	part_list_release(fs, &tail);
	return r;
}

/* The first of @span with a mark that matters: @keep parts stay, and what is below them comes from @redirect. */
static int marks_find(struct fs *fs, struct part_span span, uint32_t *keep, char **redirect)
{
	for (uint32_t i = 0; i < span.count; i++) {
		struct part part = span.parts[i];
		struct layer *layer = fs->layers[part.layer];
		bool opaque = false;
		int r;

		if (layer_is_lowest(fs, part.layer))
			break; /* there is nothing below that a mark could hide or name */
		r = layer->ops->marks(layer, part.at, &opaque, redirect);
		if (r < 0)
			return r;
		if (opaque) /* then it leads nowhere, as the kernel has it */
			free(TAKE(*redirect));
		if (opaque || *redirect) {
			fs->has_redirects |= *redirect != NULL;
			*keep = i + 1;
			return 0;
		}
	}
	*keep = span.count;
	return 0;
}

/* Cuts the list at an opaque part, and replaces what is below a redirected one. */
static int parts_follow(struct fs *fs, struct part_list *list, struct part_span parent)
{
	AUTO(freep) char *redirect = NULL;
	uint32_t keep;
	int r = marks_find(fs, (struct part_span){ list->parts, list->count }, &keep, &redirect);

	if (r < 0)
		return r;
	if (redirect) /* what it leads to has been followed to its end */
		return tail_replace(fs, list, keep, (uint16_t)(list->parts[keep - 1].layer + 1), redirect, parent);
	parts_cut(fs, list, keep);
	return 0;
}

static int upper_marks(struct fs *fs, struct dirnode *dir, bool *opaque, char **redirect)
{
	struct fd_ref ref;
	int r;

	pthread_rwlock_rdlock(&fs->names_lock);
	r = upper_dir(fs, dir, &ref);
	pthread_rwlock_unlock(&fs->names_lock);
	if (r < 0)
		return r;
	r = ovl_marks(ref.fd, opaque, redirect);
	fd_put(fs->fds, &ref);
	return r;
}

/* The parts of the directory that @dir is in; they do not change any more. */
static int parent_parts(struct fs *fs, const struct dirnode *dir, struct part_span *ret)
{
	struct dirnode *parent;
	int r;
	SHARED(&fs->names_lock);

	*ret = (struct part_span){ 0 };
	parent = dir->node.links ? dir->node.links->dir : NULL;
	if (!parent)
		return 0;
	r = dir_enter_former(fs, parent);
	if (r == 0)
		*ret = (struct part_span){ parent->parts, parent->part_count };
	return r;
}

/* The first @keep parts, and those that @redirect leads to.  Others read the parts under the names lock alone. */
static int parts_replace(struct fs *fs, struct dirnode *dir, uint32_t keep, const char *redirect)
{
	struct part_list list = { 0 }, old = { dir->parts, dir->part_count };
	struct part_span parent;
	uint16_t first = keep > 0 ? (uint16_t)(old.parts[keep - 1].layer + 1) : 0;
	int r = span_keep(fs, (struct part_span){ old.parts, keep }, &list);

	if (r == 0 && redirect)
		r = parent_parts(fs, dir, &parent);
	if (r == 0 && redirect)
		r = tail_replace(fs, &list, keep, first, redirect, parent);
	if (r < 0) {
		part_list_release(fs, &list);
		return r;
	}
	pthread_rwlock_wrlock(&fs->names_lock);
	dir->parts = list.parts;
	dir->part_count = list.count;
	pthread_rwlock_unlock(&fs->names_lock);
	part_list_release(fs, &old);
	return 0;
}

/* --- directories of former uppers --- */

/*
 * When an upper becomes a lower (live.c) nothing is done to the directories in memory: each
 * finds out what its folder there is when somebody wants its parts.  Until then it has the
 * name and the parent that it had then, since moving it means to copy it up, and who copies
 * it up wants its parts.
 *
 * Whoever looks at parts has asked for this before, so nobody looks while they change here:
 * that takes former_lock alone, beside a directory's lock or names_lock shared.
 */
static bool lacks_former(const struct fs *fs, const struct dirnode *dir)
{
	return node_was_upper(fs, &dir->node) && !node_is(&dir->node, NODE_ENTERED);
}

/* former_lock is held. */
static int enter_former_locked(struct fs *fs, struct dirnode *dir)
{
	uint16_t index = node_layer_index(fs, &dir->node);
	struct link *link = dir->node.links;
	struct layer *layer = fs->layers[index];
	const struct part *in;
	struct part *parts;
	union dref at;
	int r;

	if (!link)
		return -ESTALE;
	r = lacks_former(fs, link->dir) ? enter_former_locked(fs, link->dir) : 0;
	if (r < 0)
		return r;
	in = dir_part(link->dir, index);
	r = in ? layer->ops->enter(layer, in->at, &(struct found){ .name = link->name, .mode = S_IFDIR }, &at)
	       : -ESTALE;
	if (r < 0)
		return r;
	parts = malloc((dir->part_count + 1) * sizeof(*parts));
	if (!parts) {
		layer->ops->leave(layer, at);
		return -ENOMEM;
	}
	parts[0] = (struct part){ .at = at, .layer = index };
	if (dir->part_count > 0)
		memcpy(parts + 1, dir->parts, dir->part_count * sizeof(*parts));
	free(dir->parts);
	dir->parts = parts;
	dir->part_count++;
	node_set(&dir->node, NODE_ENTERED);
	return 0;
}

int dir_enter_former(struct fs *fs, struct dirnode *dir)
{
	if (!lacks_former(fs, dir))
		return 0;
	LOCKED(&fs->former_lock);
	return lacks_former(fs, dir) ? enter_former_locked(fs, dir) : 0;
}

int dir_enter_former_locked(struct fs *fs, struct dirnode *dir)
{
	if (!lacks_former(fs, dir))
		return 0;
	SHARED(&fs->names_lock);

	return dir->node.links ? dir_enter_former(fs, dir) : 0;
}

int dir_parts_locked(struct fs *fs, struct dirnode *dir)
{
	AUTO(freep) char *redirect = NULL;
	uint32_t keep = 0;
	bool opaque = false;
	int r = dir_enter_former_locked(fs, dir);

	if (r < 0)
		return r;
	if (node_is(&dir->node, NODE_PARTS_FINAL))
		return 0;
	if (node_in_upper(fs, &dir->node) && fs->layer_end > fs->layer_first)
		r = upper_marks(fs, dir, &opaque, &redirect);
	if (r == 0 && !opaque && !redirect)
		r = marks_find(fs, (struct part_span){ dir->parts, dir->part_count }, &keep, &redirect);
	fs->has_redirects |= redirect != NULL;
	if (r == 0 && (redirect || keep < dir->part_count))
		r = parts_replace(fs, dir, keep, opaque ? NULL : redirect);
	if (r == 0)
		node_set(&dir->node, NODE_PARTS_FINAL);
	return r;
}

/* --- merging --- */

struct merge {
	struct fs *fs;
	struct dirnode *dir;
	uint16_t layer;
	union dref at;
};

void node_take_row(struct node *node, uint16_t layer, const struct layer_entry *row)
{
	node->layer = layer;
	node->mode = row->mode;
	node->row = (struct node_row){
		.no = row->no,
		.uid = row->uid,
		.gid = row->gid,
		.nlink = row->nlink,
		.rdev = row->rdev,
		.mtime_ns = row->mtime_ns,
		.size = row->size,
		.content = row->content,
	};
	node_clear(node, NODE_XATTRS | NODE_IMPLICIT | NODE_ROW_OPAQUE);
	node_set(node, NODE_ROW | (row->flags & LAYER_OPAQUE ? NODE_ROW_OPAQUE : 0) |
			       (row->flags & LAYER_XATTRS ? NODE_XATTRS : 0) |
			       (row->flags & LAYER_IMPLICIT ? NODE_IMPLICIT : 0));
}

static int child_add_part(struct merge *m, struct node *node, const struct found *found)
{
	struct layer *layer = m->fs->layers[m->layer];
	struct dirnode *child = node_dir(node);
	struct part_list list = { child->parts, child->part_count };
	union dref at;
	int r = layer->ops->enter(layer, m->at, found, &at);

	if (r < 0)
		return r;
	r = part_add(m->fs, &list, m->layer, at);
	child->parts = list.parts;
	child->part_count = list.count;
	return r;
}

static int child_new(struct merge *m, const struct found *found, struct link **ret)
{
	size_t len = strlen(found->name);
	struct node *node = NULL;
	struct link *link;
	int r = table_reserve(&m->dir->table, 1);

	if (r < 0)
		return r;
	link = link_new(found->name, len);
	if (link && found->mode)
		node = node_new(found->mode, m->layer == NO_LAYER ? m->fs->upper : layer_number(m->fs, m->layer));
	if (!link || (found->mode && !node)) {
		free(link);
		return -ENOMEM;
	}
	link_add(m->fs, m->dir, link, node);
	*ret = link;
	return 0;
}

/* An entry of the upper: the first to be merged, so that nothing has the name yet, but a ".wh.NAME"
 * beside NAME itself. */
static int merge_upper(const struct found *found, void *arg)
{
	struct merge *m = arg;
	size_t len = strlen(found->name);
	struct link *link = table_find(&m->dir->table, found->name, len, name_hash(found->name, len));
	int r;

	if (link && found->mode == 0) { /* the file stays, what is below it does not show */
		link->flags |= LINK_CLOSED;
		return 0;
	}
	if (link) {
		struct node *node = node_new(found->mode, m->fs->upper);

		if (!node)
			return -ENOMEM;
		link_set_node(link, node);
		link->flags = LINK_UPPER | LINK_CLOSED;
		return 0;
	}
	r = child_new(m, found, &link);
	if (r < 0)
		return r;
	link->flags = found->mode ? LINK_UPPER : LINK_WHITEOUT;
	return 0;
}

/* The topmost lower that has a name which nothing above has. */
static int merge_first(struct merge *m, const struct found *found)
{
	struct mark mark;
	struct link *link;
	int r;

	if (!found->mode && mark_of_whiteout(m->fs, found, &mark))
		found = &mark.found;
	r = child_new(m, found, &link);
	if (r < 0)
		return r;
	if (!link->node) {
		link->flags = LINK_CLOSED;
		return 0;
	}
	link->flags = LINK_LOWER;
	if (found->row)
		node_take_row(link->node, m->layer, found->row);
	if (!S_ISDIR(found->mode) || (found->row && found->row->flags & LAYER_OPAQUE))
		link->flags |= LINK_CLOSED;
	if (S_ISDIR(found->mode))
		node_set(link->node, NODE_ENTERED); /* its part comes now */
	return S_ISDIR(found->mode) ? child_add_part(m, link->node, found) : 0;
}

static int merge_lower(const struct found *found, void *arg)
{
	struct merge *m = arg;
	size_t len = strlen(found->name);
	struct link *link = table_find(&m->dir->table, found->name, len, name_hash(found->name, len));
	bool above_is_dir;

	if (!link)
		return merge_first(m, found);
	if (link->flags & LINK_CLOSED)
		return 0;
	above_is_dir = link->node && node_is_dir(link->node);
	if (found->mode == 0) {
		link->flags |= LINK_CLOSED;
		return 0;
	}
	link->flags |= LINK_LOWER;
	if (!above_is_dir || !S_ISDIR(found->mode)) {
		link->flags |= LINK_CLOSED;
		if (link->node && !above_is_dir && !node_is(link->node, NODE_RESOLVED))
			link->node->back.covered = m->layer + 1u;
		return 0;
	}
	if (found->row && found->row->flags & LAYER_OPAQUE)
		link->flags |= LINK_CLOSED;
	/* An archive may name a file without its folders: theirs are the attributes below. */
	if (found->row && node_is(link->node, NODE_IMPLICIT))
		node_take_row(link->node, m->layer, found->row);
	return child_add_part(m, link->node, found);
}

/* A store directory that no archive named, over a directory lower: the same, once all layers are seen. */
static void implicit_settle(struct fs *fs, struct node *node)
{
	struct dirnode *dir = node_dir(node);

	for (uint32_t i = 0; i < dir->part_count; i++) {
		if (!fs->layers[dir->parts[i].layer]->is_store) {
			node->layer = layer_number(fs, dir->parts[i].layer);
			node_clear(node, NODE_ROW | NODE_IMPLICIT);
			return;
		}
	}
}

/* Places that only served the merge go. */
static void merge_sweep(struct fs *fs, struct dirnode *dir)
{
	struct table *table = &dir->table;

	for (uint32_t i = 0; i < table->used; i++) {
		struct link *link = table->slots[i];

		link->flags &= (uint8_t)~LINK_CLOSED;
		if (link->node && node_is(link->node, NODE_IMPLICIT))
			implicit_settle(fs, link->node);
	}
	for (uint32_t i = 0; i < table->used; i++) {
		struct link *link = table->slots[i];
		uint32_t used = table->used;

		if (!link || link->node || link->flags & LINK_WHITEOUT)
			continue;
		link_remove(fs, link);
		free(link);
		if (table->used != used) /* it closed its gaps */
			i = UINT32_MAX;
	}
}

static int merge_upper_dir(struct merge *m)
{
	AUTO(closep) int fd = -1;
	struct fd_ref ref;
	int r;

	pthread_rwlock_rdlock(&m->fs->names_lock);
	r = upper_dir(m->fs, m->dir, &ref);
	pthread_rwlock_unlock(&m->fs->names_lock);
	if (r < 0)
		return r;
	fd = folder_open(ref.fd, ".");
	r = fd < 0 ? -errno : 0;
	fd_put(m->fs->fds, &ref);
	if (r < 0)
		return r;
	if (ovl_is_impure(fd))
		node_set(&m->dir->node, NODE_IMPURE);
	return dir_scan_fd(fd, merge_upper, m);
}

static int merge_all(struct fs *fs, struct dirnode *dir)
{
	struct merge m = { .fs = fs, .dir = dir, .layer = NO_LAYER };
	struct mark mark;
	int r = 0;

	if (node_in_upper(fs, &dir->node))
		r = merge_upper_dir(&m);
	for (uint32_t i = 0; r == 0 && i < dir->part_count; i++) {
		struct layer *layer = fs->layers[dir->parts[i].layer];

		m.layer = dir->parts[i].layer;
		m.at = dir->parts[i].at;
		r = layer->ops->scan(layer, m.at, merge_lower, &m);
	}
	if (r == 0 && mark_of_opaque(fs, dir, &mark))
		r = merge_first(&m, &mark.found);
	return r;
}

int dir_load_locked(struct fs *fs, struct dirnode *dir)
{
	int r;

	if (node_is(&dir->node, NODE_LOADED))
		return dir_enter_former_locked(fs, dir);
	r = dir_parts_locked(fs, dir);
	if (r == 0)
		r = merge_all(fs, dir);
	if (r < 0) {
		table_free(fs, dir);
		return r;
	}
	merge_sweep(fs, dir);
	table_fit(&dir->table);
	SHARED(&fs->names_lock);
	node_set(&dir->node, NODE_LOADED);
	stats_add(fs->stats, STAT_TABLES, 1);
	for (struct link *link = dir->node.links; link; link = link->next)
		atomic_fetch_add(&link->dir->live, 1);
	return 0;
}
