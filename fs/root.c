/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * The root of the tree.  No directory has it as a name, so what merge.c and lookup.c find out about any other directory on the way
 * to it is found out here: the parts it has in the layers, its attributes, and for whom an image is shown.
 */

#include "fs/ids.h"
#include "fs/inumber.h"
#include "store/base/io.h"
#include "store/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static int root_row(const struct layer_entry *row, void *arg)
{
	*(unsigned *)arg = row->flags;
	return 0;
}

/* Rows say whether a store layer's root hides what is below; a folder says it when it is entered (merge.c). */
static int root_parts(struct fs *fs, struct dirnode *root)
{
	root->parts = calloc(fs->layer_end - fs->layer_first + 1, sizeof(struct part));
	if (!root->parts)
		return -ENOMEM;
	for (uint32_t i = fs->layer_first; i < fs->layer_end; i++) {
		struct layer *layer = fs->layers[i];
		struct part *part = &root->parts[root->part_count];
		unsigned flags = 0;
		int r = 0;

		if (layer->removed)
			continue;
		if (layer->is_store)
			r = layer_root(fs->store, layer_store_id(layer), root_row, &flags);
		if (r == 0)
			r = layer->ops->keep(layer, layer->root, &part->at);
		if (r < 0)
			return r;
		part->layer = (uint16_t)i;
		root->part_count++;
		if (flags & LAYER_OPAQUE)
			break;
	}
	return 0;
}

static int take_root_row(const struct layer_entry *row, void *arg)
{
	struct dirnode *root = arg;

	node_take_row(&root->node, root->node.layer, row);
	return 0;
}

/* The attributes of the topmost layer that has some of its own. */
static int root_attributes(struct fs *fs, struct dirnode *root)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < root->part_count; i++) {
		struct layer *layer = fs->layers[root->parts[i].layer];

		root->node.layer = layer_number(fs, root->parts[i].layer);
		if (!layer->is_store)
			break;
		r = layer_root(fs->store, layer_store_id(layer), take_root_row, root);
		if (r == 0 && !node_is(&root->node, NODE_IMPLICIT))
			break;
	}
	return r;
}

/* Is there an entry of root's, one of the mounting user's? */
struct owners {
	uid_t me;
	bool root, mine;
};

static int see_owner(const struct layer_entry *row, void *arg)
{
	struct owners *owners = arg;

	owners->root |= row->uid == 0;
	owners->mine |= row->uid == owners->me;
	return 0;
}

/* An archive that names no root folder tells by what is in it whose it is. */
static bool image_is_mine(struct fs *fs)
{
	const struct node *root = &fs->root->node;
	struct owners owners = { .me = fs->owner_uid };

	if (!node_is(root, NODE_ROW))
		return false;
	if (!node_is(root, NODE_IMPLICIT))
		return root->row.uid == fs->owner_uid;
	if (layer_scan(fs->store, layer_store_id(fs->layers[root->layer]), LAYER_ROOT, see_owner, &owners) < 0)
		return false;
	return owners.mine && !owners.root;
}

/* Whom the mounting user is shown for under fakeroot (ids.c); the upper remembers. */
static int image_owner(struct fs *fs, bool *fresh)
{
	char text[32];
	ssize_t n = -ENODATA;
	unsigned uid = 0, gid = 0;
	int r;

	if (fs->upper_fd >= 0)
		n = upper_get_private(fs, fs->upper_fd, "", "nacre.root", text, sizeof(text) - 1);
	*fresh = n == -ENOTSUP ? io_check_empty(fs->upper_fd) == 0 : n < 0;
	if (n >= 0) {
		text[n] = '\0';
		if (sscanf(text, "%u %u", &uid, &gid) != 2)
			return -EINVAL;
	} else if (image_is_mine(fs)) {
		uid = fs->owner_uid;
		gid = fs->owner_gid;
	}
	fs->image_uid = uid;
	fs->image_gid = gid;
	if (n >= 0 || fs->upper_fd < 0)
		return 0;
	snprintf(text, sizeof(text), "%u %u", uid, gid);
	r = upper_set_private(fs, fs->upper_fd, "", "nacre.root", text, strlen(text));
	return r == -ENOTSUP ? 0 : r; /* an upper without xattrs, where nobody is shown for another */
}

/* A root that has no record yet gets one: it is what says that the upper is kept that way. */
static int record_root(struct fs *fs, const struct stat *st)
{
	struct ovl_override o;
	int r = ovl_override_read(fs->upper_fd, fs->override_upper, &o);

	if (r != 0)
		return r < 0 ? r : 0;
	return upper_set_owner_mode(fs, fs->upper_fd, "", st, FS_SET_MODE);
}

/*
 * An upper over store layers begins with owner, mode and times of the image's
 * root, so that a commit does not find the root changed.
 */
static int root_inherit(struct fs *fs, bool fresh)
{
	struct node *node = &fs->root->node;
	struct stat st;
	int r = 0;

	if (fs->layer_end > fs->layer_first && fs->store && fresh) {
		r = node_stat_named(fs, node, &st);
		if (r == 0)
			r = xattrs_copy(fs, node, fs->upper_fd, "");
		if (r == 0 && ids_are_mapped(fs) && !fs->options->fakeroot)
			r = upper_keep_owner(fs, node, fs->upper_fd, "", &st);
		else if (r == 0)
			r = upper_set_owner_mode(fs, fs->upper_fd, "", &st, FS_SET_UID | FS_SET_GID);
		if (r == 0)
			r = upper_set_owner_mode(fs, fs->upper_fd, "", &st, FS_SET_MODE);
		if (r == 0)
			r = upper_set_times(fs->upper_fd, "", &st);
	} else if (fs->override_upper) {
		r = upper_stat(fs, fs->upper_fd, "", fs->override_upper, &st);
		if (r == 0)
			r = record_root(fs, &st);
	}
	return r;
}

int root_new(struct fs *fs, struct dirnode **ret)
{
	struct node *node = node_new(S_IFDIR, NO_LAYER);
	int r;

	if (!node)
		return -ENOMEM;
	r = root_parts(fs, node_dir(node));
	if (r == 0)
		r = root_attributes(fs, node_dir(node));
	if (r < 0)
		node_free(fs, node);
	else
		*ret = node_dir(node);
	return r;
}

int root_make(struct fs *fs)
{
	bool fresh = false;
	struct node *node;
	struct stat st;
	int r = root_new(fs, &fs->root);

	if (r < 0)
		return r;
	node = &fs->root->node;
	atomic_store(&node->nlookup, 1);
	stats_add(fs->stats, STAT_NODES, 1);
	if (fs->store || fs->options->fakeroot)
		r = image_owner(fs, &fresh);
	if (r < 0)
		return r;
	if (fs->upper_fd >= 0) {
		/* A fresh upper is a folder that somebody made to hold it: with a store the image's root
		 * is what has to show. */
		r = root_inherit(fs, fresh);
		if (r < 0)
			return r;
		node->layer = fs->upper;
	}
	r = node_stat_named(fs, node, &st);
	if (r < 0)
		return r;
	node->ino = node_in_upper(fs, node) || !node_is(node, NODE_ROW) ? ino_of_backing(fs, &st) : 1;
	node->mode = st.st_mode;
	node_set(node, NODE_RESOLVED);
	return 0;
}
