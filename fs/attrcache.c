/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attrcache.h"

/*
 * Attributes of the upper's regular files that are known without asking the disk.
 *
 * Only the driver changes the upper, so what it has set, or has seen after its last
 * change, is true.  A program that makes files sets owner, mode and times of each, and
 * the kernel sends the times again when it lets go of one: with what stands here, each
 * of these requests is the one system call that does it, or none.
 *
 *   made(), SETATTR     everything is known, from a stat or from what was set
 *   a change of data    all but size and blocks, where the kernel has its own time
 *   a change of xattrs  the modification time: an ACL changes the mode, any takes up room
 *   FORGET              nothing
 *   a fresh upper       nothing (live.c); what is left of it goes with FORGET or the copy-up
 *
 * The change time is never known, because each change moves it on disk by itself.  The
 * kernel, with the write-back cache, has its own for the files that it knows.
 *
 * A file of several names, and a metacopy, say other things of themselves than their
 * own file does: nothing is kept of them.
 *
 * A change of data sets the modification time, and the driver sets it back: enough for
 * fsync(2) to wait for a commit of the file system's journal each time, four times as
 * long as for the data.  So it is also known here whether anything else has changed
 * since the last time that all was written out.
 *
 * Everything here is guarded by the file's time lock.  Who changes a file tells after
 * the change, who keeps what stat said holds the lock over the stat: so nothing old
 * is kept.
 */

#include <stdlib.h>
#include <string.h>

/* The changes that fsync(2) is about, counted over all files: no number comes twice, nor is one 0. */
static _Atomic uint64_t changes;

struct node_attrs {
	uint64_t changed;	 /* the number of the last change that was not of data alone */
	uint64_t synced;	 /* the number of the last that is on the disk for sure */
	unsigned known;		 /* enum attrs_known */
	uint32_t mode, uid, gid; /* as shown */
	uint32_t blksize, atime_ns, mtime_ns;
	int64_t size, blocks, atime, mtime;
};

/* What is asked for comes first: another kind of node has something else in that place. */
static bool has_place(const struct node *node)
{
	uint16_t layer = node->layer;

	return S_ISREG(node->mode) && layer >= UPPERS && layer != NO_LAYER && !node_is(node, NODE_METACOPY);
}

/* A file of a former upper may still have them, and nobody looks any more. */
static bool may_have(const struct fs *fs, const struct node *node)
{
	return node_in_upper(fs, node) && has_place(node) && !node_is(node, NODE_MULTI);
}

/* NULL: nothing is known. */
static struct node_attrs *attrs_of(const struct fs *fs, const struct node *node)
{
	return may_have(fs, node) ? node->back.attrs : NULL;
}

static void note_change(struct node_attrs *attrs)
{
	attrs->changed = atomic_fetch_add(&changes, 1) + 1;
}

/* NULL: nothing is kept of it, or out of memory. */
static struct node_attrs *attrs_make(const struct fs *fs, struct node *node)
{
	if (!may_have(fs, node))
		return NULL;
	if (node->back.attrs)
		return node->back.attrs;
	node->back.attrs = calloc(1, sizeof(*node->back.attrs));
	if (node->back.attrs)
		note_change(node->back.attrs); /* as far as is known */
	return node->back.attrs;
}

bool attrs_get_locked(const struct fs *fs, struct node *node, struct stat *st)
{
	const struct node_attrs *attrs = attrs_of(fs, node);

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

bool attrs_lack_room_locked(const struct fs *fs, struct node *node)
{
	const struct node_attrs *attrs = attrs_of(fs, node);

	return attrs && attrs->known == (ATTRS_MTIME | ATTRS_OWNER);
}

void attrs_keep_room_locked(const struct fs *fs, struct node *node, uint64_t size, uint64_t blocks)
{
	struct node_attrs *attrs = attrs_of(fs, node);

	if (!attrs_lack_room_locked(fs, node))
		return;
	attrs->size = (int64_t)size;
	attrs->blocks = (int64_t)blocks;
	attrs->known = ATTRS_ALL;
}

bool attrs_mtime_locked(const struct fs *fs, struct node *node, struct timespec *ret)
{
	const struct node_attrs *attrs = attrs_of(fs, node);

	if (!attrs || !(attrs->known & ATTRS_MTIME))
		return false;
	*ret = (struct timespec){ .tv_sec = attrs->mtime, .tv_nsec = attrs->mtime_ns };
	return true;
}

void attrs_keep_locked(const struct fs *fs, struct node *node, const struct stat *st)
{
	struct node_attrs *attrs = attrs_make(fs, node);

	if (!attrs)
		return;
	*attrs = (struct node_attrs){
		.changed = attrs->changed,
		.synced = attrs->synced,
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

void attrs_keep_mtime_locked(const struct fs *fs, struct node *node, const struct timespec *mtime)
{
	struct node_attrs *attrs = attrs_make(fs, node);

	if (!attrs)
		return;
	attrs->mtime = mtime->tv_sec;
	attrs->mtime_ns = (uint32_t)mtime->tv_nsec;
	attrs->known |= ATTRS_MTIME;
}

void attrs_keep_owner_locked(const struct fs *fs, struct node *node, const struct stat *st, unsigned set)
{
	struct node_attrs *attrs = attrs_of(fs, node);

	if (!attrs)
		return;
	note_change(attrs);
	if (set & FS_SET_UID)
		attrs->uid = st->st_uid;
	if (set & FS_SET_GID)
		attrs->gid = st->st_gid;
	if (set & FS_SET_MODE)
		attrs->mode = (attrs->mode & S_IFMT) | (st->st_mode & 07777);
}

void attrs_lost_locked(const struct fs *fs, struct node *node, unsigned what)
{
	struct node_attrs *attrs = attrs_of(fs, node);

	if (!attrs)
		return;
	attrs->known &= ~what;
	note_change(attrs);
}

void attrs_data_changed_locked(const struct fs *fs, struct node *node)
{
	struct node_attrs *attrs = attrs_of(fs, node);

	if (attrs)
		attrs->known &= ~(unsigned)ATTRS_ROOM;
}

void attrs_lost(struct fs *fs, struct node *node, unsigned what)
{
	LOCKED(time_lock(fs, node));

	attrs_lost_locked(fs, node, what);
}

void attrs_drop(struct fs *fs, struct node *node)
{
	LOCKED(time_lock(fs, node));

	if (!has_place(node))
		return;
	free(node->back.attrs);
	node->back.attrs = NULL;
}

void attrs_clear_place(struct fs *fs, struct node *node)
{
	LOCKED(time_lock(fs, node));

	if (has_place(node))
		free(node->back.attrs);
	node->layer = NO_LAYER; /* so it has no place for them until it is there */
	memset(&node->row, 0, sizeof(node->row));
}

uint64_t attrs_sync_begin(struct fs *fs, struct node *node, bool *ret_data_only)
{
	struct node_attrs *attrs;
	LOCKED(time_lock(fs, node));

	attrs = attrs_make(fs, node);
	*ret_data_only = attrs && attrs->synced == attrs->changed;
	return attrs ? attrs->changed : 0;
}

void attrs_sync_end(struct fs *fs, struct node *node, uint64_t change)
{
	struct node_attrs *attrs;
	LOCKED(time_lock(fs, node));

	attrs = attrs_of(fs, node);
	if (attrs && attrs->synced < change)
		attrs->synced = change;
}
