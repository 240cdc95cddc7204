/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/imagestore.h"

/*
 * The form (containers/storage: images.go, layers.go, drivers/overlay/overlay.go), below the folder "images":
 *
 *   overlay-images/images.json    the list of images
 *   overlay-images/images.lock    64 bytes that are others whenever a list is another one; locked by who reads
 *   overlay-images/ID/            config and manifest, by names that podman gives them
 *   overlay-layers/layers.json    the list of layers
 *   overlay-layers/layers.lock
 *   overlay-layers/ID.tar-split.gz  the layer's archive, for who writes it out again (store/tarsplit.h)
 *   overlay/ID/diff               what the layer holds: a tree (layertrees.h)
 *   overlay/ID/link               its short name
 *   overlay/ID/lower              the short names of those below it, the highest first; the lowest layer has none
 *   overlay/ID/empty              a folder with nothing in it, which a mount of the lowest layer stands on
 *   overlay/ID/merged             a folder with nothing in it; older ones mount there, and else would make it
 *   overlay/l/LINK                -> ../ID/diff
 *
 * A layer is here once for each row of layers that it lies on.  "diff" is a folder rather than a symlink to the layer's other
 * place: containers/storage wants such a link absolute, and a mount is seen in several places.
 *
 * The lists are made again when they are asked for after the index has changed.  The kernel keeps what it has read of a node:
 * so a new list is a new node, a version, and another manifest of an image is another node, too.  Nodes are made when they are
 * looked up, never change, and go when the kernel forgets them; their numbers are not used again.
 */

#include "fs/imagenode.h"
#include "fs/trees.h"
#include "store/base/auto.h"
#include "store/watch.h"

#include <pthread.h>
#include <search.h>
#include <string.h>

enum {
	LASTING_SECONDS = 3600, /* what never changes */
};

/* The numbers: one of these, and for a node how many there were before, for a list its version and which it is. */
static const fuse_ino_t FOLDERS = (fuse_ino_t)1 << 40, NODES = (fuse_ino_t)2 << 40, LISTS = (fuse_ino_t)3 << 40,
			KINDS_END = (fuse_ino_t)4 << 40;

enum folder { FOLDER_TOP, FOLDER_IMAGES, FOLDER_LAYERS, FOLDER_OVERLAY, FOLDER_LINKS, FOLDER_COUNT };
static const struct {
	const char *name;
	int parent; /* -1: the mount's root */
} folders[FOLDER_COUNT] = {
	[FOLDER_TOP] = { "images", -1 },
	[FOLDER_IMAGES] = { "overlay-images", FOLDER_TOP },
	[FOLDER_LAYERS] = { "overlay-layers", FOLDER_TOP },
	[FOLDER_OVERLAY] = { "overlay", FOLDER_TOP },
	[FOLDER_LINKS] = { "l", FOLDER_OVERLAY },
};

enum list { LIST_IMAGES, LIST_LAYERS, LIST_IMAGES_LOCK, LIST_LAYERS_LOCK, LIST_COUNT };
static const struct {
	const char *name;
	enum folder parent;
} lists[LIST_COUNT] = {
	[LIST_IMAGES] = { "images.json", FOLDER_IMAGES },
	[LIST_LAYERS] = { "layers.json", FOLDER_LAYERS },
	[LIST_IMAGES_LOCK] = { "images.lock", FOLDER_IMAGES },
	[LIST_LAYERS_LOCK] = { "layers.lock", FOLDER_LAYERS },
};

struct version {
	struct version *older; /* owned */
	uint64_t number;
	uint64_t lookups;
	struct timespec made;
	struct podmanindex index;
};

struct imagestore {
	struct layertrees *layers; /* borrowed */
	struct store *store;	   /* borrowed */
	pthread_mutex_t lock;
	pthread_mutex_t making; /* held while an archive is made; none of the others is then */
	struct watch *watch;	/* owned */
	struct version *newest; /* owned; NULL: not read yet */
	void *nodes;		/* owned: a tsearch(3) tree; by number */
	void *shown;		/* the same by what they show */
	uint64_t made;
};

bool imagestore_has(fuse_ino_t ino)
{
	return ino >= FOLDERS && ino < KINDS_END;
}

/* The kernel knows it until a request on it is answered: so long it stays. */
static struct image_node *node_of_ino_locked(const struct imagestore *is, fuse_ino_t ino)
{
	const struct image_node key = { .ino = ino };
	struct image_node **at = ino >= NODES && ino < LISTS ? tfind(&key, &is->nodes, image_node_order_by_ino) : NULL;

	return at ? *at : NULL;
}

static struct image_node *node_of_ino(struct imagestore *is, fuse_ino_t ino)
{
	struct image_node *node;

	pthread_mutex_lock(&is->lock);
	node = node_of_ino_locked(is, ino);
	pthread_mutex_unlock(&is->lock);
	return node;
}

/* --- life --- */

int imagestore_new(struct layertrees *layers, struct store *store, struct imagestore **ret)
{
	struct imagestore *is = calloc(1, sizeof(*is));
	int r;

	if (!is)
		return -ENOMEM;
	r = watch_new(store, &is->watch);
	if (r < 0) {
		free(is);
		return r;
	}
	is->layers = layers;
	is->store = store;
	pthread_mutex_init(&is->lock, NULL);
	pthread_mutex_init(&is->making, NULL);
	*ret = is;
	return 0;
}

static void version_free(struct version *version)
{
	podmanindex_release(&version->index);
	free(version);
}

static void not_owned(void *arg)
{
}

static void node_free(void *arg)
{
	image_node_free(arg);
}

void imagestore_free(struct imagestore *is)
{
	if (!is)
		return;
	for (struct version *v = is->newest, *older; v; v = older) {
		older = v->older;
		version_free(v);
	}
	tdestroy(is->shown, not_owned);
	tdestroy(is->nodes, node_free);
	watch_free(is->watch);
	pthread_mutex_destroy(&is->making);
	pthread_mutex_destroy(&is->lock);
	free(is);
}

/* --- versions; the lock is held --- */

static void drop_old_locked(struct imagestore *is)
{
	struct version **at = is->newest ? &is->newest->older : NULL;

	while (at && *at) {
		struct version *version = *at;

		if (version->lookups > 0) {
			at = &version->older;
			continue;
		}
		*at = version->older;
		version_free(version);
	}
}

static int read_lists_locked(struct imagestore *is)
{
	static const struct podmanindex none;
	struct version *version = calloc(1, sizeof(*version));
	int r = version ? podmanindex_read(is->store, is->newest ? &is->newest->index : &none, &version->index)
			: -ENOMEM;

	if (r < 0 || (is->newest && strcmp(is->newest->index.mark, version->index.mark) == 0)) {
		if (version)
			version_free(version);
		return r;
	}
	clock_gettime(CLOCK_REALTIME, &version->made);
	version->number = is->newest ? is->newest->number + 1 : 0;
	version->older = is->newest;
	is->newest = version;
	drop_old_locked(is);
	return 0;
}

static int refresh_locked(struct imagestore *is)
{
	bool changed;
	int r = watch_changed(is->watch, &changed);

	if (r < 0 || !changed)
		return r;
	r = read_lists_locked(is);
	if (r == 0)
		watch_read(is->watch);
	return r;
}

static struct version *version_locked(const struct imagestore *is, fuse_ino_t ino)
{
	struct version *version = is->newest;

	while (version && version->number != (ino - LISTS) / LIST_COUNT)
		version = version->older;
	return version;
}

static enum list list_of(fuse_ino_t ino)
{
	return (enum list)((ino - LISTS) % LIST_COUNT);
}

static size_t list_bytes(const struct version *version, enum list list)
{
	if (list == LIST_IMAGES || list == LIST_LAYERS)
		return podmanindex_bytes(&version->index,
					 list == LIST_IMAGES ? PODMANINDEX_IMAGES : PODMANINDEX_LAYERS);
	return strlen(version->index.mark);
}

static size_t copy_text(const char *text, size_t bytes, char *buf, size_t size, size_t offset)
{
	if (offset >= bytes)
		return 0;
	if (size > bytes - offset)
		size = bytes - offset;
	memcpy(buf, text + offset, size);
	return size;
}

static size_t list_copy(const struct version *version, enum list list, char *buf, size_t size, size_t offset)
{
	if (list == LIST_IMAGES || list == LIST_LAYERS)
		return podmanindex_copy(&version->index, list == LIST_IMAGES ? PODMANINDEX_IMAGES : PODMANINDEX_LAYERS,
					buf, size, offset);
	return copy_text(version->index.mark, strlen(version->index.mark), buf, size, offset);
}

static void node_forget_locked(struct imagestore *is, struct image_node *node, uint64_t lookups)
{
	node->lookups -= lookups;
	if (node->lookups > 0)
		return;
	tdelete(node, &is->nodes, image_node_order_by_ino);
	tdelete(node, &is->shown, image_node_order);
	image_node_free(node);
}

void imagestore_forget(struct imagestore *is, fuse_ino_t ino, uint64_t lookups)
{
	struct image_node *node;
	struct version *version;

	if (ino < NODES)
		return;
	pthread_mutex_lock(&is->lock);
	node = node_of_ino_locked(is, ino);
	version = ino >= LISTS ? version_locked(is, ino) : NULL;
	if (node)
		node_forget_locked(is, node, lookups);
	if (version)
		version->lookups -= lookups;
	drop_old_locked(is);
	pthread_mutex_unlock(&is->lock);
}

/* --- finding; the lock is held --- */

static int node_fill_locked(struct imagestore *is, fuse_ino_t parent, const char *name, struct image_node *ret)
{
	const struct image_node *in = node_of_ino_locked(is, parent);
	const struct podmanindex *index = &is->newest->index;

	if (in)
		return image_node_below(is->store, index, in, name, ret);
	switch (parent - FOLDERS) {
	case FOLDER_IMAGES:
		return image_node_image(index, name, ret);
	case FOLDER_LAYERS:
		return image_node_split(index, name, ret);
	case FOLDER_OVERLAY:
		return image_node_layer(index, name, ret);
	case FOLDER_LINKS:
		return image_node_link(index, name, ret);
	default:
		return -ENOENT;
	}
}

static int node_add_locked(struct imagestore *is, struct image_node *node)
{
	node->ino = node->shown.parent = NODES + is->made;
	if (!tsearch(node, &is->nodes, image_node_order_by_ino))
		return -ENOMEM;
	if (!tsearch(node, &is->shown, image_node_order)) {
		tdelete(node, &is->nodes, image_node_order_by_ino);
		return -ENOMEM;
	}
	is->made++;
	return 0;
}

/* One that shows the same as another is that one. A lookup is counted. */
static int node_get_locked(struct imagestore *is, fuse_ino_t parent, const char *name, fuse_ino_t *ret)
{
	struct image_node *node = image_node_new(parent, name), **at;
	int r = node ? node_fill_locked(is, parent, name, node) : -ENOMEM;

	at = r == 0 ? tfind(node, &is->shown, image_node_order) : NULL;
	if (r == 0 && !at)
		r = node_add_locked(is, node);
	if (r < 0 || at)
		image_node_free(node);
	if (r < 0)
		return r;
	if (at)
		node = *at;
	node->lookups++;
	*ret = node->ino;
	return 0;
}

static bool find_folder(fuse_ino_t parent, const char *name, fuse_ino_t *ret)
{
	for (size_t i = 0; i < FOLDER_COUNT; i++) {
		fuse_ino_t above = folders[i].parent < 0 ? FUSE_ROOT_ID : FOLDERS + (fuse_ino_t)folders[i].parent;

		if (parent == above && strcmp(name, folders[i].name) == 0) {
			*ret = FOLDERS + i;
			return true;
		}
	}
	return false;
}

static bool find_list_locked(struct imagestore *is, fuse_ino_t parent, const char *name, fuse_ino_t *ret)
{
	for (size_t i = 0; i < LIST_COUNT; i++) {
		if (parent == FOLDERS + lists[i].parent && strcmp(name, lists[i].name) == 0) {
			*ret = LISTS + is->newest->number * LIST_COUNT + i;
			is->newest->lookups++;
			return true;
		}
	}
	return false;
}

static int stat_locked(const struct imagestore *is, fuse_ino_t ino, struct stat *ret)
{
	static const mode_t modes[] = {
		[NODE_IMAGE] = S_IFDIR | 0755, [NODE_LAYER] = S_IFDIR | 0755, [NODE_EMPTY] = S_IFDIR | 0755,
		[NODE_FILE] = S_IFREG | 0444,  [NODE_SPLIT] = S_IFREG | 0444, [NODE_SYMLINK] = S_IFLNK | 0777,
	};
	const struct image_node *node = node_of_ino_locked(is, ino);
	const struct version *version = ino >= LISTS ? version_locked(is, ino) : NULL;
	size_t bytes = node ? node->bytes : 0;

	if (ino >= LISTS && !version)
		return -ESTALE;
	if (version)
		bytes = list_bytes(version, list_of(ino));
	*ret = (struct stat){
		.st_ino = ino,
		.st_mode = node	     ? modes[node->kind]
			   : version ? S_IFREG | 0444
				     : S_IFDIR | 0755,
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_size = (off_t)bytes,
		.st_blocks = (blkcnt_t)((bytes + 511) / 512),
		.st_blksize = 4096,
		.st_mtim = version ? version->made : (struct timespec){ .tv_sec = node ? node->mtime : 0 },
	};
	ret->st_nlink = S_ISDIR(ret->st_mode) ? 2 : 1;
	ret->st_atim = ret->st_ctim = ret->st_mtim;
	return 0;
}

static int lookup_locked(struct imagestore *is, fuse_ino_t parent, const char *name, struct fuse_entry_param *ret)
{
	int r = refresh_locked(is);

	ret->attr_timeout = LASTING_SECONDS;
	if (r < 0)
		return r;
	/* Each time: another one may be the newest, and what is removed may be there again. */
	if (find_list_locked(is, parent, name, &ret->ino))
		return stat_locked(is, ret->ino, &ret->attr);
	if (find_folder(parent, name, &ret->ino))
		ret->entry_timeout = LASTING_SECONDS;
	else
		r = node_get_locked(is, parent, name, &ret->ino);
	return r < 0 ? r : stat_locked(is, ret->ino, &ret->attr);
}

int imagestore_lookup(struct imagestore *is, fuse_ino_t parent, const char *name, struct fuse_entry_param *ret)
{
	struct image_node *in = node_of_ino(is, parent);
	int r;

	*ret = (struct fuse_entry_param){ 0 };
	if (parent == FUSE_ROOT_ID && strcmp(name, folders[FOLDER_TOP].name) != 0)
		return -ENOENT;
	if (in && in->kind == NODE_LAYER && strcmp(name, "diff") == 0)
		return layertrees_enter(is->layers, &in->shown, ret);
	pthread_mutex_lock(&is->lock);
	r = lookup_locked(is, parent, name, ret);
	pthread_mutex_unlock(&is->lock);
	return r;
}

int imagestore_stat(struct imagestore *is, fuse_ino_t ino, struct stat *ret)
{
	int r;

	pthread_mutex_lock(&is->lock);
	r = stat_locked(is, ino, ret);
	pthread_mutex_unlock(&is->lock);
	return r;
}

int imagestore_link(struct imagestore *is, fuse_ino_t ino, char **ret)
{
	const struct image_node *node = node_of_ino(is, ino);

	if (!node || node->kind != NODE_SYMLINK)
		return -EINVAL;
	*ret = strdup(node->text);
	return *ret ? 0 : -ENOMEM;
}

static ssize_t read_split(struct imagestore *is, struct image_node *node, char *buf, size_t size, off_t offset)
{
	int r = 0;

	pthread_mutex_lock(&is->making);
	if (node->split.tar.fd < 0)
		r = tarsplit_make(is->store, &node->layer.info.diff_id, &node->split);
	pthread_mutex_unlock(&is->making);
	return r < 0 ? r : tarsplit_read(&node->split, buf, size, (uint64_t)offset);
}

static ssize_t read_list(struct imagestore *is, fuse_ino_t ino, char *buf, size_t size, off_t offset)
{
	const struct version *version;
	ssize_t n = -ESTALE;

	pthread_mutex_lock(&is->lock);
	version = version_locked(is, ino);
	if (version)
		n = (ssize_t)list_copy(version, list_of(ino), buf, size, (size_t)offset);
	pthread_mutex_unlock(&is->lock);
	return n;
}

ssize_t imagestore_read(struct imagestore *is, fuse_ino_t ino, char *buf, size_t size, off_t offset)
{
	struct image_node *node;

	if (ino >= LISTS)
		return read_list(is, ino, buf, size, offset);
	node = node_of_ino(is, ino);
	if (!node || (node->kind != NODE_FILE && node->kind != NODE_SPLIT))
		return -EISDIR;
	if (node->kind == NODE_SPLIT)
		return read_split(is, node, buf, size, offset);
	return (ssize_t)copy_text(node->text, node->bytes, buf, size, (size_t)offset);
}

/* --- listing; the lock is held --- */

static void names_of_folder_locked(const struct imagestore *is, size_t folder, struct buf *names)
{
	const struct podmanindex *index = &is->newest->index;

	for (size_t i = 0; i < FOLDER_COUNT; i++) {
		if (folders[i].parent == (int)folder)
			image_node_add_name(names, folders[i].name);
	}
	for (size_t i = 0; i < LIST_COUNT; i++) {
		if (lists[i].parent == folder)
			image_node_add_name(names, lists[i].name);
	}
	for (size_t i = 0; folder == FOLDER_IMAGES && i < index->image_count; i++)
		image_node_add_name(names, index->images[i]->id);
	for (size_t i = 0; folder == FOLDER_LAYERS && i < index->layer_count; i++) {
		buf_adds(names, index->layers[i]->id);
		image_node_add_name(names, IMAGE_NODE_SPLIT_END);
	}
	for (size_t i = 0; folder == FOLDER_OVERLAY && i < index->layer_count; i++)
		image_node_add_name(names, index->layers[i]->id);
	for (size_t i = 0; folder == FOLDER_LINKS && i < index->layer_count; i++) {
		image_node_add_link(names, index->layers[i]->id);
		image_node_add_name(names, "");
	}
}

int imagestore_names(struct imagestore *is, fuse_ino_t ino, char **ret, size_t *ret_bytes)
{
	const struct image_node *node = node_of_ino(is, ino);
	struct buf names = { 0 };
	int r;

	pthread_mutex_lock(&is->lock);
	r = refresh_locked(is);
	if (r == 0 && node)
		r = image_node_names(is->store, &is->newest->index, node, &names);
	else if (r == 0)
		names_of_folder_locked(is, ino - FOLDERS, &names);
	pthread_mutex_unlock(&is->lock);
	if (r == 0)
		r = buf_error(&names);
	if (r < 0) {
		buf_release(&names);
		return r;
	}
	*ret_bytes = names.len;
	*ret = buf_take(&names);
	return 0;
}
