/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"
#include "fs/flags.h"

/*
 * Opening a file, for io=passthrough: the kernel reads and writes a backing file in
 * the node's place, and we hear of it no more.
 *
 * It can be told of one backing file for an inode, as long as anybody has that open.
 * So what is passed through is what stays the inode's file: that of the upper, with its
 * data, and where nothing can be written that of a lower too.  A lower file that may yet
 * be copied up is read through the mount's own pages, as with io=cached: whoever has it
 * open then sees what others write to it.
 *
 * Some changes cannot be left to the kernel, which makes them with our rights: those
 * of files whose setuid, setgid or capabilities a write takes away, of append-only files,
 * and of an upper with a limit of its size.
 */

#include <fcntl.h>
#include <sys/xattr.h>

int fs_open(struct fs *fs, struct node *node, int flags, unsigned write_flags)
{
	int r;

	if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return 0;
	if (fs_read_only(fs))
		return -EROFS;
	r = flags & O_APPEND && !(flags & O_TRUNC) ? node_may_grow(fs, node) : node_may_change(fs, node);
	if (r < 0)
		return r;
	return flags & O_TRUNC ? file_truncate(fs, node, 0, write_flags) : copyup(fs, node, UINT64_MAX);
}

/* Does a write to @fd change more than data and times? */
static bool write_has_effects(struct fs *fs, struct node *node, int fd, const struct stat *st)
{
	if (!node_is(node, NODE_KILLPRIV))
		return node_is_append_only(fs, node);
	return st->st_mode & (S_ISUID | S_ISGID) || fgetxattr(fd, XATTR_CAPS, NULL, 0) >= 0 ||
	       node_is_append_only(fs, node);
}

static bool may_pass(struct fs *fs, struct node *node, const struct content_ref *ref)
{
	struct stat st;

	if (ref->fd < 0 || ref->offset != 0)
		return false;
	if (fs_read_only(fs)) {
		if (ref->bytes == UINT64_MAX)
			return true;
		return fstat(ref->fd, &st) == 0 && (uint64_t)st.st_size == ref->bytes;
	}
	if (fs->options->size_limit || !node_in_upper(fs, node) || node_is(node, NODE_METACOPY))
		return false;
	return upper_stat(fs, ref->fd, "", fs->override_upper, &st) == 0 && !write_has_effects(fs, node, ref->fd, &st);
}

int fs_backing_get(struct fs *fs, struct node *node, struct fs_data *ret)
{
	struct content_ref ref;
	int r = node_open(fs, node, &ref);

	if (r < 0)
		return r;
	*ret = (struct fs_data){ .fd = ref.fd, .ref = ref.ref };
	if (may_pass(fs, node, &ref))
		return 0;
	fs_data_put(fs, ret);
	return -EOPNOTSUPP;
}

bool fs_pass_begin(struct node *node, bool may_map)
{
	unsigned flags = NODE_PASSED | NODE_STALE_PAGES | (may_map ? NODE_MAPPED : 0);
	unsigned before = atomic_fetch_or(&node->flags, flags);

	return !(before & (NODE_PASSED | NODE_MAPPED));
}

void fs_pass_end(struct node *node, bool dropped_pages)
{
	node_clear(node, NODE_PASSED | (dropped_pages ? NODE_STALE_PAGES : 0));
}

bool fs_is_passed(const struct node *node)
{
	return node_is(node, NODE_PASSED | NODE_MAPPED);
}

bool fs_pages_are_stale(const struct node *node)
{
	return node_is(node, NODE_STALE_PAGES);
}
