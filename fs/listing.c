/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/listing.h"

#include "fs/ahead.h"
#include "fs/baseview.h"
#include "fs/ops_internal.h"
#include "store/base/auto.h"

#include <errno.h>
#include <stdlib.h>

struct listing {
	const struct mount *mount;
	fuse_ino_t dir;
	struct base_dir base;
	char *buf; /* borrowed */
	size_t room, used;
	uint64_t next;
	bool plus, full;
};

static bool list_entry(const char *name, const struct fs_entry *entry, uint64_t cookie, void *arg)
{
	struct listing *l = arg;
	size_t left = l->room - l->used, need;
	struct fs_entry marked = *entry;
	struct fuse_entry_param e;

	base_dir_mark(&l->base, name, &marked.st);
	if (l->plus) { /* neither of the two looks at the request */
		ops_fill(l->mount, l->dir, &marked, &e);
		need = fuse_add_direntry_plus(NULL, l->buf + l->used, left, name, &e, (off_t)cookie);
	} else {
		need = fuse_add_direntry(NULL, l->buf + l->used, left, name, &marked.st, (off_t)cookie);
	}
	l->full = need > left;
	if (l->full)
		return false;
	l->used += need;
	l->next = cookie;
	return true;
}

ssize_t listing_make(const struct mount *mount, fuse_ino_t dir, char *buf, size_t room, uint64_t offset, bool plus,
		     uint64_t *ret_next)
{
	struct listing l = { .mount = mount, .dir = dir, .buf = buf, .room = room, .next = offset, .plus = plus };
	int r;

	base_dir_open(mount, dir, &l.base);
	r = fs_readdir(mount_tree(mount, dir), mount_node(mount, dir), offset, plus, list_entry, &l);
	base_dir_close(&l.base);
	*ret_next = r < 0 || l.full ? l.next : LISTING_END;
	/* Entries already given count as looked up: they must be told. */
	return r < 0 && l.used == 0 ? r : (ssize_t)l.used;
}

/* The lock that this takes in the kernel is that of the listing's pages, with which nobody waits for us. */
static void drop(const struct mount *mount, fuse_ino_t dir)
{
	fuse_lowlevel_notify_inval_inode(mount->session, dir, 0, 0);
}

void listing_asked(const struct mount *mount, fuse_ino_t ino)
{
	struct fs *fs = mount_tree(mount, ino);
	struct node *dir = mount->writeback ? fs_list_outworn(fs, mount_node(mount, ino)) : NULL;

	if (!dir)
		return;
	drop(mount, mount_ino(mount, ino, dir));
	fs_forget(fs, dir, 1);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	struct mount *mount = mount_of(req);
	AUTO(freep) char *buf = malloc(size);
	ssize_t n = -ENOMEM;
	uint64_t next;

	if (buf)
		n = listing_make(mount, ino, buf, size, (uint64_t)offset, plus, &next);
	if (n > 0 && plus)
		ahead_missed(mount->ahead, ino, (uint64_t)offset, next, size);
	if (n == 0 && plus && fs_list_end(node_of(req, ino)))
		drop(mount, ino); /* the answer ends it, what was dropped before is missed when it is next read */
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct ahead_listing ready;

	ops_telling(req, ino);
	if (offset == 0)
		fs_list_begin(node_of(req, ino));
	if (!ahead_take(mount_of(req)->ahead, ino, (uint64_t)offset, size, &ready)) {
		list(req, ino, size, offset, true);
		return;
	}
	fuse_reply_buf(req, ready.buf, ready.bytes);
	free(ready.buf);
}
