/* SPDX-License-Identifier: Apache-2.0 */
#include "store/upper.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/ovl.h"

#include <fcntl.h>
#include <string.h>

struct walk {
	struct store *store; /* borrowed */
	struct view *view;   /* borrowed */
	upper_fn fn;
	void *arg;
	struct diag *diag;
	struct upper_writer writer;
	struct buf path; /* of the item at hand; owned */
};

/* A directory of the merged tree. */
struct place {
	int fd;			      /* the upper's directory; -1: the image alone has it. Borrowed */
	bool opaque;		      /* the mark was found on it */
	const struct view_node *base; /* what is merged under the upper's; NULL: nothing */
	const struct view_node *here; /* the image's directory at the same path; NULL: none */
	bool covered;
};

/* One child, before it is looked at. */
struct child {
	const char *written; /* borrowed: its name in a tar, by which children are ordered */
	const char *name;
	const struct upper_name *upper; /* NULL: not in the upper */
	const struct view_node *base;	/* NULL: not in what is merged under it */
	const struct view_node *here;
};

struct child_list {
	struct child *items; /* owned */
	size_t count, room;
	/* while it is filled */
	struct walk *walk;
	const struct place *place;
	const struct upper_dir *names;
};

static void child_list_release(struct child_list *list)
{
	free(list->items);
}

static int child_list_add(struct child_list *list, const struct child *child)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct child *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = *child;
	return 0;
}

static int child_order(const void *a, const void *b)
{
	return strcmp(((const struct child *)a)->written, ((const struct child *)b)->written);
}

static bool is_delta(const struct place *place)
{
	return place->fd >= 0 && !place->covered && place->base && place->base == place->here;
}

static bool is_image_dir(const struct view_node *node)
{
	return node && S_ISDIR(view_entry(node)->mode);
}

/* The child of an image directory; *@ret is NULL if there is none, or no directory. */
static int image_child(struct walk *walk, const struct view_node *dir, const char *name, const struct view_node **ret)
{
	int r = dir ? view_child(walk->view, dir, name, ret) : -ENOENT;

	if (r < 0)
		*ret = NULL;
	return r == -ENOENT ? 0 : r;
}

static int fail(struct walk *walk, int err, const char *what)
{
	if (err == -ENOENT || err == -ESTALE)
		return diag_set(walk->diag, -EAGAIN, "/%s: changed while it was read", buf_str(&walk->path));
	return diag_errno(walk->diag, err, "/%s: %s", buf_str(&walk->path), what);
}

/* Returns the length to cut the path back to. */
static size_t path_push(struct walk *walk, const char *name)
{
	size_t old = walk->path.len;

	if (old > 0)
		buf_adds(&walk->path, "/");
	buf_adds(&walk->path, name);
	return old;
}

static void path_pop(struct walk *walk, size_t old)
{
	if (walk->path.failed)
		return;
	walk->path.len = old;
	walk->path.data[old] = '\0';
}

static int emit(struct walk *walk, const struct upper_inode *inode, const struct view_node *here, bool covered,
		bool opaque)
{
	struct upper_item item = {
		.path = buf_str(&walk->path),
		.here = here,
		.inode = inode,
		.opaque = opaque,
		.covered = covered,
	};

	return buf_error(&walk->path) < 0 ? -ENOMEM : walk->fn(&item, walk->arg);
}

/* What is not there any more; nothing if the image has nothing there. */
static int emit_deletion(struct walk *walk, const struct place *place, const struct child *child)
{
	return child->here ? emit(walk, NULL, child->here, place->covered || !is_delta(place), false) : 0;
}

/*
 * What a redirect leads to in the image: an absolute path, or a name in the
 * directory that lies under the parent.  One that leads nowhere leaves nothing
 * under the inode, as the kernel has it.
 */
static int redirect_target(struct walk *walk, const struct place *parent, const char *redirect,
			   const struct view_node **ret)
{
	int r;

	if (redirect[0] != '/' || !walk->view)
		return image_child(walk, parent->base, redirect, ret);
	r = view_lookup(walk->view, redirect + 1, ret);
	if (r < 0)
		*ret = NULL;
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* The image's inode under one of the upper, by its redirect or its name; NULL: none. */
static int inode_base(struct walk *walk, const struct place *parent, const struct child *child, int fd,
		      const struct view_node **ret)
{
	AUTO(freep) char *redirect = NULL;
	int r = ovl_redirect(fd, &redirect);

	if (r < 0)
		return fail(walk, r, "its redirect cannot be followed");
	if (redirect)
		return redirect_target(walk, parent, redirect, ret);
	*ret = child->base;
	return 0;
}

static int find_metacopy_data(struct walk *walk, const struct place *parent, const struct child *child,
			      struct upper_inode *inode)
{
	const struct view_node *base;
	int r = inode_base(walk, parent, child, inode->fd, &base);

	if (r < 0)
		return r;
	if (!base || !S_ISREG(view_entry(base)->mode))
		return diag_set(walk->diag, -EIO,
				"/%s: only its attributes are in the upper, and the image has no data for it",
				buf_str(&walk->path));
	inode->data = base;
	inode->size = view_entry(base)->size;
	closep(&inode->fd);
	inode->fd = -1;
	return 0;
}

static int walk_place(struct walk *walk, const struct place *place);

static int walk_upper_dir(struct walk *walk, const struct place *parent, const struct child *child,
			  const struct upper_inode *inode)
{
	struct place place = { .fd = inode->fd, .here = is_image_dir(child->here) ? child->here : NULL };
	int r = ovl_is_opaque(inode->fd);

	if (r < 0)
		return fail(walk, r, "cannot read its overlay marks");
	place.opaque = r > 0 || child->upper->replaces;
	if (!place.opaque)
		r = inode_base(walk, parent, child, inode->fd, &place.base);
	if (r < 0)
		return r;
	if (!is_image_dir(place.base))
		place.base = NULL;
	place.covered = parent->covered || !is_delta(parent) || !place.here || place.base != place.here;
	r = emit(walk, inode, child->here, parent->covered || !is_delta(parent),
		 !parent->covered && is_delta(parent) && place.here && place.base != place.here);
	return r < 0 ? r : walk_place(walk, &place);
}

static void upper_inode_releasep(struct upper_inode *inode)
{
	upper_inode_release(inode);
}

static int walk_upper_child(struct walk *walk, const struct place *parent, const struct child *child)
{
	AUTO(upper_inode_releasep) struct upper_inode inode = { .fd = -1 };
	int r = upper_inode_read(parent->fd, child->name, &walk->writer, &inode);

	if (r < 0)
		return fail(walk, r, "cannot read it");
	if (S_ISDIR(inode.mode))
		return walk_upper_dir(walk, parent, child, &inode);
	if (S_ISSOCK(inode.mode) || inode.placeholder)
		return emit_deletion(walk, parent, child);
	if (inode.metacopy)
		r = find_metacopy_data(walk, parent, child, &inode);
	return r < 0 ? r : emit(walk, &inode, child->here, parent->covered || !is_delta(parent), false);
}

/* A child that only the image has, under a directory that the layer holds whole. */
static int walk_image_child(struct walk *walk, const struct child *child)
{
	AUTO(upper_inode_releasep) struct upper_inode inode = { .fd = -1 };
	int r = upper_inode_of_view(walk->store, walk->view, child->base, &inode);

	if (r < 0)
		return fail(walk, r, "cannot read it from the image");
	r = emit(walk, &inode, child->here, true, false);
	if (r == 0 && S_ISDIR(inode.mode)) {
		struct place place = {
			.fd = -1,
			.base = child->base,
			.here = is_image_dir(child->here) ? child->here : NULL,
			.covered = true,
		};

		r = walk_place(walk, &place);
	}
	return r;
}

static int walk_child(struct walk *walk, const struct place *place, const struct child *child)
{
	size_t old = path_push(walk, child->name);
	int r;

	if (child->upper && !child->upper->whiteout)
		r = walk_upper_child(walk, place, child);
	else if (child->base && !child->upper)
		r = walk_image_child(walk, child);
	else
		r = emit_deletion(walk, place, child);
	path_pop(walk, old);
	return r;
}

static int add_upper_names(struct child_list *list)
{
	for (size_t i = 0; i < list->names->count; i++) {
		const struct upper_name *upper = &list->names->names[i];
		struct child child = { .written = upper->written, .name = upper->name, .upper = upper };
		int r = image_child(list->walk, list->place->base, child.name, &child.base);

		if (r == 0)
			r = image_child(list->walk, list->place->here, child.name, &child.here);
		if (r == 0)
			r = child_list_add(list, &child);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_base_child(const struct view_node *node, void *arg)
{
	struct child_list *list = arg;
	const char *name = view_entry(node)->name;
	struct child child = { .written = name, .name = name, .base = node };
	int r;

	if (upper_dir_find(list->names, name))
		return 0;
	r = image_child(list->walk, list->place->here, name, &child.here);
	return r < 0 ? r : child_list_add(list, &child);
}

/* What the image has at this path and the merged directory has not. */
static int add_hidden_child(const struct view_node *node, void *arg)
{
	struct child_list *list = arg;
	const char *name = view_entry(node)->name;
	struct child child = { .written = name, .name = name, .here = node };
	const struct view_node *base;
	int r;

	if (upper_dir_find(list->names, name))
		return 0;
	r = image_child(list->walk, list->place->base, name, &base);
	return r < 0 || base ? r : child_list_add(list, &child);
}

static int list_children(struct child_list *list)
{
	const struct place *place = list->place;
	struct view *view = list->walk->view;
	int r = view ? view_read_begin(view) : 0;

	if (r < 0)
		return r;
	r = add_upper_names(list);
	if (view)
		view_read_end(view);
	if (r == 0 && !is_delta(place) && place->base)
		r = view_children(view, place->base, add_base_child, list);
	if (r == 0 && !is_delta(place) && place->here)
		r = view_children(view, place->here, add_hidden_child, list);
	if (r == 0 && list->count > 1)
		qsort(list->items, list->count, sizeof(*list->items), child_order);
	return r;
}

static int walk_list(struct walk *walk, const struct place *place)
{
	AUTO(upper_dir_release) struct upper_dir names = { 0 };
	AUTO(child_list_release) struct child_list list = { .walk = walk, .place = place, .names = &names };
	int r = place->fd >= 0 ? upper_dir_read(place->fd, &names) : 0;

	if (r < 0)
		return fail(walk, r, "cannot list it");
	r = list_children(&list);
	if (r < 0)
		return fail(walk, r, "cannot read it from the image");
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = walk_child(walk, place, &list.items[i]);
	return r;
}

static int walk_place(struct walk *walk, const struct place *place)
{
	struct view_mark mark;
	int r;

	if (!walk->view)
		return walk_list(walk, place);
	view_mark(walk->view, &mark);
	r = walk_list(walk, place);
	view_go_back(walk->view, &mark);
	return r;
}

static void walk_release(struct walk *walk)
{
	buf_release(&walk->path);
}

/* The root is a child of no directory: all that is asked of its parent is what lies under it. */
static int walk_upper(struct walk *walk, const char *upper, const struct child *root)
{
	AUTO(upper_inode_releasep) struct upper_inode inode = { .fd = -1 };
	AUTO(closep) int fd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct place above = { .fd = fd, .base = root->base, .here = root->base };
	int r;

	if (fd < 0)
		return diag_errno(walk->diag, -errno, "cannot open the upper directory %s", upper);
	r = upper_writer_read(fd, &walk->writer);
	if (r == 0)
		r = upper_inode_read(fd, ".", &walk->writer, &inode);
	if (r < 0)
		return diag_errno(walk->diag, r, "cannot read the upper directory %s", upper);
	return walk_upper_dir(walk, &above, root, &inode);
}

int upper_walk(struct store *store, struct view *view, const char *upper, bool whole, upper_fn fn, void *arg,
	       struct diag *diag)
{
	AUTO(walk_release) struct walk walk = { .store = store, .view = view, .fn = fn, .arg = arg, .diag = diag };
	const struct upper_name name = { .name = "" };
	struct child root = { .name = "", .upper = &name, .base = view ? view_root(view) : NULL };

	/* Where the image has nothing at a path, all of it is new: that makes the walk say the whole tree. */
	root.here = whole ? NULL : root.base;
	return upper ? walk_upper(&walk, upper, &root) : walk_image_child(&walk, &root);
}
