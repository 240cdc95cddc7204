/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Two trees over the same lowers, one of them with an upper: where the one stands in the other, and what the upper has
 * changed there.
 */

#include "store/base/buf.h"

#include <string.h>

/* The names from @node up to the root, each with its NUL. */
static void path_of(struct fs *fs, const struct node *node, struct buf *ret)
{
	SHARED(&fs->names_lock);

	for (const struct link *link; (link = node->links); node = &link->dir->node)
		buf_add(ret, link->name, link->name_len + 1u);
}

/* The name that ends at @end, where its NUL was taken from. */
static const char *name_before(const char *start, const char *end)
{
	while (end > start && end[-1])
		end--;
	return end;
}

/* Return: 1: go on from @entry; 0: there is nothing to compare with; -errno. */
static int step(struct fs *fs, struct node *from, const char *name, struct fs_entry *entry, bool *ret_same)
{
	int r = fs_lookup(fs, from, name, entry);

	fs_forget(fs, from, 1);
	if (r < 0 || !entry->node)
		return r;
	if (node_is_dir(entry->node) && node_in_upper(fs, entry->node))
		return 1;
	/* What changes below a folder brings the folder into the upper. */
	*ret_same = node_is_dir(entry->node);
	fs_forget(fs, entry->node, 1);
	return 0;
}

/* @start, @end: the names of a folder, as path_of() gives them. Return: as fs_counterpart(). */
static int walk(struct fs *fs, const char *start, const char *end, struct node **ret, bool *ret_same)
{
	struct fs_entry entry = { .node = fs_root(fs) };
	int r = 1;

	*ret = NULL;
	*ret_same = false;
	node_get(fs, entry.node);
	for (const char *at = end; r > 0 && at > start;) {
		const char *name = name_before(start, at - 1);

		r = step(fs, entry.node, name, &entry, ret_same);
		at = name;
	}
	if (r > 0)
		*ret = entry.node;
	return r < 0 ? r : 0;
}

int fs_counterpart(struct fs *of, struct node *dir, struct fs *fs, struct node **ret, bool *ret_same)
{
	struct buf names = { 0 };
	int r;

	*ret = NULL;
	*ret_same = false;
	path_of(of, dir, &names);
	r = buf_error(&names) < 0 ? -ENOMEM : walk(fs, names.data, names.data + names.len, ret, ret_same);
	buf_release(&names);
	return r;
}

bool fs_has_changed(struct fs *fs, struct node *node, const char *name)
{
	struct dirnode *dir = node_dir(node);
	size_t len = strlen(name);
	const struct link *link;

	LOCKED(&dir->lock);
	if (dir_load_locked(fs, dir) < 0)
		return true;
	link = dir_find(fs, dir, name, len);
	return !link || !link->node || link_flags(fs, link) & LINK_UPPER || node_in_upper(fs, link->node);
}

bool fs_node_has_changed(struct fs *of, struct node *node, struct fs *fs)
{
	struct buf names = { 0 };
	struct node *dir = NULL;
	bool same = false, changed = true;

	path_of(of, node, &names);
	if (buf_error(&names) == 0 && names.len == 0) {
		changed = false;
	} else if (buf_error(&names) == 0) {
		(void)walk(fs, names.data + strlen(names.data) + 1, names.data + names.len, &dir, &same);
		changed = !same && (!dir || fs_has_changed(fs, dir, names.data));
	}
	if (dir)
		fs_forget(fs, dir, 1);
	buf_release(&names);
	return changed;
}

/* The copy of a file of several names shows under all of them, also in folders that the upper does not have. */
bool fs_changes_are_in_upper(struct fs *fs)
{
	return fs->index_fd < 0 || !index_has_copies(fs->index_fd);
}

uint64_t fs_root_lookups(const struct fs *fs)
{
	return atomic_load(&fs->root->node.nlookup);
}

bool fs_is_forgotten(struct fs *fs)
{
	return stats_count(fs->stats, STAT_NODES) == 1 && fs_root_lookups(fs) == 1;
}
