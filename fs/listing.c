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

/* --- listings that are outworn --- */

/*
 * With a listing the kernel drops the folder's attributes, and asks for them with the next file that is opened there: at once,
 * where somebody is about to open all of them.  So it is told to later, when he has left: when another folder is listed, or a
 * file's attributes are asked for.  The latter can be too late, when he reads one folder over and over: he has had
 * the old listing by then.  The folder that this was seen with last is not put off again.
 */

/* The lock that this takes in the kernel is that of the listing's pages, with which nobody waits for us. */
static void drop(const struct mount *mount, fuse_ino_t dir)
{
	fuse_lowlevel_notify_inval_inode(mount->session, dir, 0, 0);
}

static void let_go(const struct mount *mount, fuse_ino_t dir)
{
	fs_forget(mount_tree(mount, dir), mount_node(mount, dir), 1);
}

/* What has been put off is done, and @next put off; 0: nothing.  A lookup of it is given. */
static void drop_later(struct mount *mount, fuse_ino_t next)
{
	fuse_ino_t dir = atomic_exchange(&mount->outworn, next);

	if (dir && dir != next)
		drop(mount, dir);
	if (dir)
		let_go(mount, dir);
}

static void drop_told(struct mount *mount, fuse_ino_t dir)
{
	if (dir == atomic_load(&mount->dropped_late)) {
		drop(mount, dir);
		return;
	}
	fs_remember(mount_tree(mount, dir), mount_node(mount, dir));
	drop_later(mount, dir);
}

/* @dir is being listed. */
static void drop_others(struct mount *mount, fuse_ino_t dir)
{
	fuse_ino_t outworn = atomic_load(&mount->outworn);

	if (outworn && outworn != dir)
		drop_later(mount, 0);
}

void listing_asked(struct mount *mount, fuse_ino_t ino, bool untold)
{
	fuse_ino_t outworn = atomic_load(&mount->outworn);
	struct node *dir;

	if (!mount->writeback)
		return;
	if (outworn && untold) {
		atomic_store(&mount->dropped_late, outworn);
		drop_later(mount, 0);
	}
	dir = fs_list_outworn(mount_tree(mount, ino), mount_node(mount, ino));
	if (dir)
		drop_later(mount, mount_ino(mount, ino, dir));
}

void listing_let_go(struct mount *mount)
{
	ahead_drop(mount->ahead);
	drop_later(mount, 0);
}

void listing_release(struct mount *mount)
{
	fuse_ino_t dir = atomic_exchange(&mount->outworn, 0);

	if (dir)
		let_go(mount, dir);
}

/* --- answers --- */

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
		drop_told(mount, ino); /* the answer ends it, what was dropped before is missed when it is next read */
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
	struct mount *mount = mount_of(req);
	struct ahead_listing ready;

	ops_telling(req, ino);
	if (offset == 0) {
		fs_list_begin(node_of(req, ino));
		drop_others(mount, ino);
	}
	if (!ahead_take(mount->ahead, ino, (uint64_t)offset, size, &ready)) {
		list(req, ino, size, offset, true);
		return;
	}
	fuse_reply_buf(req, ready.buf, ready.bytes);
	free(ready.buf);
}
