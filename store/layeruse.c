/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layeruse.h"

/*
 * The layers are laid on each other one by one, the lowest first, onto a tree in memory of what shows so far.  A
 * layer's entry meets there what it changes or hides, at the moment when that goes.
 */

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/layer.h"

#include <search.h>
#include <string.h>

/* A file that has several names in its layer: its bytes go with the last of them. */
struct inode {
	uint32_t no;
	uint32_t names; /* that show */
	struct inode *next;
};

/* A name that shows. */
struct name {
	char *text;	     /* owned */
	struct name *parent; /* borrowed; NULL: the root */
	void *children;	     /* owned: a tsearch(3) tree of struct name; of a directory */
	struct inode *inode; /* borrowed from the lay; NULL: the name is its only one */
	uint64_t bytes;
	size_t layer;
	size_t seen; /* directory's child: the layer, counted from 1, that has the name too */
	bool is_dir;
};

struct lay {
	struct store *store;	/* borrowed */
	struct layer_use *uses; /* borrowed */
	size_t layer;
	struct layer_id id;
	void *inodes;	     /* owned: a tsearch(3) tree of this layer's struct inode */
	struct inode *every; /* owned: those of all layers */
	unsigned depth;	     /* of the directory that is being laid */
	layer_waste_fn fn;   /* NULL: nobody asks */
	void *arg;
	const atomic_bool *stop; /* NULL: nobody does */
	int told;		 /* what @fn returned, or -ENOMEM: the walks of the C library carry no result */
};

/* What a directory of a layer has, gathered first: each level would take a connection else. */
struct found {
	char *name; /* owned */
	uint32_t no, nlink;
	uint64_t bytes;
	bool is_dir, opaque, whiteout;
};

struct found_list {
	struct found *items; /* owned */
	size_t count, room;
};

static void found_list_release(struct found_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	free(list->items);
}

static int name_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return strcmp(x->text, y->text);
}

static int inode_order(const void *a, const void *b)
{
	const struct inode *x = a, *y = b;

	return x->no < y->no ? -1 : x->no > y->no;
}

static void nothing(void *inode)
{
}

/* --- what goes --- */

static void name_free(void *arg)
{
	struct name *name = arg;

	tdestroy(name->children, name_free);
	free(name->text);
	free(name);
}

static void add_path(struct buf *path, const struct name *name)
{
	if (!name->parent)
		return;
	add_path(path, name->parent);
	buf_addf(path, "%s%s", path->len ? "/" : "", name->text);
}

static void waste(struct lay *lay, const struct name *name)
{
	AUTO(buf_release) struct buf path = { 0 };

	lay->uses[name->layer].wasted_bytes += name->bytes;
	if (!lay->fn || lay->told != 0 || name->bytes == 0)
		return;
	add_path(&path, name);
	lay->told = buf_error(&path);
	if (lay->told == 0)
		lay->told = lay->fn(&(struct layer_waste){ buf_str(&path), name->layer, name->bytes }, lay->arg);
}

static void hide_child(const void *node, VISIT visit, void *arg);

/* The name, and all below it, is hidden: what it cost is wasted. */
static void name_hide(struct lay *lay, struct name *name, bool removed)
{
	if (name->is_dir) {
		twalk_r(name->children, hide_child, lay);
		return;
	}
	lay->uses[lay->layer].removed += removed;
	if (!name->inode || --name->inode->names == 0)
		waste(lay, name);
}

static void hide_child(const void *node, VISIT visit, void *arg)
{
	if (visit == postorder || visit == leaf)
		name_hide(arg, *(struct name *const *)node, true);
}

static void name_drop(struct name *parent, struct name *name)
{
	tdelete(name, &parent->children, name_order);
	name_free(name);
}

/* --- what comes --- */

static int found_add(const struct layer_entry *entry, void *arg)
{
	struct found_list *list = arg;
	struct found *found;

	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 32;
		struct found *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	found = &list->items[list->count];
	*found = (struct found){
		.name = strdup(entry->name),
		.no = entry->no,
		.nlink = entry->nlink,
		.bytes = S_ISREG(entry->mode) ? entry->size : 0,
		.whiteout = entry->flags & LAYER_WHITEOUT,
		.is_dir = !(entry->flags & LAYER_WHITEOUT) && S_ISDIR(entry->mode),
		.opaque = entry->flags & LAYER_OPAQUE,
	};
	if (!found->name)
		return -ENOMEM;
	list->count++;
	return 0;
}

static struct name *name_find(struct name *dir, const char *text)
{
	const struct name key = { .text = (char *)text };
	struct name **at = tfind(&key, &dir->children, name_order);

	return at ? *at : NULL;
}

static int name_add(struct name *dir, const struct found *found, struct name **ret)
{
	struct name *name = calloc(1, sizeof(*name));

	if (!name)
		return -ENOMEM;
	name->text = strdup(found->name);
	name->parent = dir;
	if (!name->text || !tsearch(name, &dir->children, name_order)) {
		name_free(name);
		return -ENOMEM;
	}
	*ret = name;
	return 0;
}

static int inode_of(struct lay *lay, const struct found *found, struct inode **ret)
{
	struct inode *inode, **at;

	*ret = NULL;
	if (found->nlink < 2)
		return 0;
	inode = calloc(1, sizeof(*inode));
	if (!inode)
		return -ENOMEM;
	inode->no = found->no;
	at = tsearch(inode, &lay->inodes, inode_order);
	if (!at || *at != inode) {
		free(inode);
	} else {
		inode->next = lay->every;
		lay->every = inode;
	}
	if (!at)
		return -ENOMEM;
	(*at)->names++;
	*ret = *at;
	return 0;
}

static int lay_file(struct lay *lay, const struct found *found, struct name *name)
{
	name->layer = lay->layer;
	name->bytes = found->bytes;
	name->is_dir = false;
	return inode_of(lay, found, &name->inode);
}

static int lay_dir(struct lay *lay, uint32_t no, struct name *dir, bool fresh);

/* @name shows already; @fresh: but not through this layer, whose folder is opaque. */
static int lay_over(struct lay *lay, const struct found *found, struct name *dir, struct name *name, bool fresh)
{
	struct layer_use *use = &lay->uses[lay->layer];

	name->seen = lay->layer + 1;
	if (found->is_dir && name->is_dir)
		return lay_dir(lay, found->no, name, fresh || found->opaque);
	name_hide(lay, name, found->is_dir);
	if (found->whiteout) {
		use->removed += !name->is_dir;
		name_drop(dir, name);
		return 0;
	}
	if (found->is_dir) {
		name->is_dir = true;
		name->inode = NULL;
		return lay_dir(lay, found->no, name, false);
	}
	use->changed++;
	tdestroy(TAKE(name->children), name_free);
	return lay_file(lay, found, name);
}

static int lay_one(struct lay *lay, const struct found *found, struct name *dir, bool fresh)
{
	struct name *name = name_find(dir, found->name);
	int r;

	if (name)
		return lay_over(lay, found, dir, name, fresh);
	if (found->whiteout)
		return 0;
	r = name_add(dir, found, &name);
	if (r < 0)
		return r;
	name->seen = lay->layer + 1;
	if (!found->is_dir) {
		lay->uses[lay->layer].added++;
		return lay_file(lay, found, name);
	}
	name->is_dir = true;
	return lay_dir(lay, found->no, name, false);
}

struct unseen {
	size_t layer; /* counted from 1 */
	struct name **names;
	size_t count;
};

static void count_unseen(const void *node, VISIT visit, void *arg)
{
	struct name *name = *(struct name *const *)node;
	struct unseen *unseen = arg;

	if ((visit != postorder && visit != leaf) || name->seen == unseen->layer)
		return;
	if (unseen->names)
		unseen->names[unseen->count] = name;
	unseen->count++;
}

/* What an opaque folder does not have itself shows no more. */
static int hide_unseen(struct lay *lay, struct name *dir)
{
	AUTO(freep) struct name **names = NULL;
	struct unseen unseen = { .layer = lay->layer + 1 };

	twalk_r(dir->children, count_unseen, &unseen);
	names = calloc(unseen.count + 1, sizeof(struct name *));
	if (!names)
		return -ENOMEM;
	unseen.names = names;
	unseen.count = 0;
	twalk_r(dir->children, count_unseen, &unseen);
	for (size_t i = 0; i < unseen.count; i++) {
		name_hide(lay, names[i], true);
		name_drop(dir, names[i]);
	}
	return 0;
}

/* Directory @no of the layer comes over @dir; @fresh: and hides what is in it. */
static int lay_dir(struct lay *lay, uint32_t no, struct name *dir, bool fresh)
{
	AUTO(found_list_release) struct found_list list = { 0 };
	int r = lay->depth < LAYER_DEPTH_MAX ? layer_scan(lay->store, lay->id, no, found_add, &list) : -EIO;

	lay->depth++;
	for (size_t i = 0; r == 0 && i < list.count; i++)
		r = lay_one(lay, &list.items[i], dir, fresh);
	lay->depth--;
	if (r == 0 && fresh)
		r = hide_unseen(lay, dir);
	if (r == 0 && lay->stop && atomic_load_explicit(lay->stop, memory_order_relaxed))
		r = -ECANCELED;
	return r == 0 ? lay->told : r;
}

static int root_flags(const struct layer_entry *entry, void *arg)
{
	*(unsigned *)arg = entry->flags;
	return 0;
}

static int lay_layer(struct lay *lay, struct name *root)
{
	unsigned flags = 0;
	int r = layer_root(lay->store, lay->id, root_flags, &flags);

	if (r == 0)
		r = lay_dir(lay, LAYER_ROOT, root, flags & LAYER_OPAQUE);
	tdestroy(TAKE(lay->inodes), nothing);
	return r;
}

int image_layer_waste(struct store *store, const struct image_info *image, struct layer_use *ret, layer_waste_fn fn,
		      void *arg, const atomic_bool *stop)
{
	struct lay lay = { .store = store, .uses = ret, .fn = fn, .arg = arg, .stop = stop };
	struct name root = { .is_dir = true };
	int r = 0;

	memset(ret, 0, image->layer_count * sizeof(*ret));
	for (size_t i = 0; r == 0 && i < image->layer_count; i++) {
		lay.layer = i;
		lay.id = image->layers[i];
		r = lay_layer(&lay, &root);
	}
	tdestroy(root.children, name_free);
	while (lay.every) {
		struct inode *next = lay.every->next;

		free(lay.every);
		lay.every = next;
	}
	return r;
}

int image_layer_use(struct store *store, const struct image_info *image, struct layer_use *ret)
{
	return image_layer_waste(store, image, ret, NULL, NULL, NULL);
}
