/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Attributes of the upper's regular files that are known without asking the disk.
 *
 * Only the driver changes the upper, so what it has set, or has seen after its last
 * change, is true.  A program that makes files sets owner, mode and times of each, and
 * the kernel sends the times again when it lets go of one: with what stands here, each
 * of these requests is the one system call that does it, or none.
 *
 *   made(), SETATTR     everything is known, from a stat or from what was set
 *   a change of data    only the modification time, where the kernel has its own
 *   a change of xattrs  the same: an ACL changes the mode, any takes up room
 *   FORGET              nothing
 *
 * The change time is never known, because each change moves it on disk by itself.  The
 * kernel, with the write-back cache, has its own for the files that it knows.
 *
 * A file of several names, and a metacopy, say other things of themselves than their
 * own file does: nothing is kept of them.
 *
 * Everything here is guarded by the file's time lock.  Who changes a file tells after
 * the change, who keeps what stat said holds the lock over the stat: so nothing old
 * is kept.
 */

#include <stdlib.h>

struct node_attrs {
	unsigned known;		 /* enum attrs_known */
	uint32_t mode, uid, gid; /* as shown */
	uint32_t blksize, atime_ns, mtime_ns;
	int64_t size, blocks, atime, mtime;
};

/* May the node have them?  What is asked for comes first: another kind of node has something else in that place. */
static bool has_place(const struct node *node)
{
	return S_ISREG(node->mode) && (node_flags(node) & (NODE_UPPER | NODE_METACOPY)) == NODE_UPPER;
}

/* NULL: nothing is known. */
static struct node_attrs *attrs_of(const struct node *node)
{
	return has_place(node) && !node_is(node, NODE_MULTI) ? node->back.attrs : NULL;
}

/* NULL: nothing is kept of it, or out of memory. */
static struct node_attrs *attrs_make(struct node *node)
{
	if (!has_place(node) || node_is(node, NODE_MULTI))
		return NULL;
	if (!node->back.attrs)
		node->back.attrs = calloc(1, sizeof(*node->back.attrs));
	return node->back.attrs;
}

bool attrs_get_locked(struct node *node, struct stat *st)
{
	const struct node_attrs *attrs = attrs_of(node);

	if (!attrs || attrs->known != ATTRS_ALL)
		return false;
	*st = (struct stat){
		.st_ino = node->ino,
		.st_mode = attrs->mode,
		.st_nlink = node_is(node, NODE_UNLINKED) ? 0 : 1,
		.st_uid = attrs->uid,
		.st_gid = attrs->gid,
		.st_size = attrs->size,
		.st_blksize = (blksize_t)attrs->blksize,
		.st_blocks = attrs->blocks,
		.st_atim = { .tv_sec = attrs->atime, .tv_nsec = attrs->atime_ns },
		.st_mtim = { .tv_sec = attrs->mtime, .tv_nsec = attrs->mtime_ns },
	};
	st->st_ctim = st->st_mtim;
	return true;
}

bool attrs_mtime_locked(struct node *node, struct timespec *ret)
{
	const struct node_attrs *attrs = attrs_of(node);

	if (!attrs || !(attrs->known & ATTRS_MTIME))
		return false;
	*ret = (struct timespec){ .tv_sec = attrs->mtime, .tv_nsec = attrs->mtime_ns };
	return true;
}

void attrs_keep_locked(struct node *node, const struct stat *st)
{
	struct node_attrs *attrs = attrs_make(node);

	if (!attrs)
		return;
	*attrs = (struct node_attrs){
		.known = ATTRS_ALL,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.blksize = (uint32_t)st->st_blksize,
		.size = st->st_size,
		.blocks = st->st_blocks,
		.atime = st->st_atim.tv_sec,
		.atime_ns = (uint32_t)st->st_atim.tv_nsec,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
	};
}

void attrs_keep_mtime_locked(struct node *node, const struct timespec *mtime)
{
	struct node_attrs *attrs = attrs_make(node);

	if (!attrs)
		return;
	attrs->mtime = mtime->tv_sec;
	attrs->mtime_ns = (uint32_t)mtime->tv_nsec;
	attrs->known |= ATTRS_MTIME;
}

void attrs_keep_owner_locked(struct node *node, const struct stat *st, unsigned set)
{
	struct node_attrs *attrs = attrs_of(node);

	if (!attrs)
		return;
	if (set & FS_SET_UID)
		attrs->uid = st->st_uid;
	if (set & FS_SET_GID)
		attrs->gid = st->st_gid;
	if (set & FS_SET_MODE)
		attrs->mode = (attrs->mode & S_IFMT) | (st->st_mode & 07777);
}

void attrs_lost_locked(struct node *node, unsigned what)
{
	struct node_attrs *attrs = attrs_of(node);

	if (attrs)
		attrs->known &= ~what;
}

void attrs_lost(struct fs *fs, struct node *node, unsigned what)
{
	LOCKED(time_lock(fs, node));

	attrs_lost_locked(node, what);
}

void attrs_drop(struct fs *fs, struct node *node)
{
	LOCKED(time_lock(fs, node));

	if (!has_place(node))
		return;
	free(node->back.attrs);
	node->back.attrs = NULL;
}
