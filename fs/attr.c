/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/* chmod, chown, truncate, utimes: one request may ask for several of them. */

#include <fcntl.h>

static mode_t without_priv(mode_t mode)
{
	mode &= ~(mode_t)S_ISUID;
	return mode & S_IXGRP ? mode & ~(mode_t)S_ISGID : mode;
}

static int set_owner_mode(struct fs *fs, struct node *node, const struct stat *want, unsigned set)
{
	struct node_at at;
	struct stat st;
	int r;
	SHARED(&fs->names_lock);

	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	r = upper_stat(fs, at.ref.fd, at.name, fs->override_upper, &st);
	if (r == 0) {
		if (set & FS_SET_UID)
			st.st_uid = want->st_uid;
		if (set & FS_SET_GID)
			st.st_gid = want->st_gid;
		if (set & FS_SET_MODE) {
			st.st_mode = (st.st_mode & S_IFMT) | (want->st_mode & 07777);
		} else if (set & FS_SET_KILL_PRIV && !S_ISDIR(st.st_mode) && without_priv(st.st_mode) != st.st_mode) {
			st.st_mode = without_priv(st.st_mode);
			set |= FS_SET_MODE;
		}
		if (set & (FS_SET_UID | FS_SET_GID | FS_SET_MODE))
			r = upper_set_owner_mode(fs, at.ref.fd, at.name, &st, set);
	}
	fd_put(fs->fds, &at.ref);
	if (r == 0)
		node->mode = (node->mode & S_IFMT) | (st.st_mode & 07777);
	if (r == 0 && st.st_mode & (S_ISUID | S_ISGID))
		node_set(node, NODE_KILLPRIV);
	return r;
}

static int set_times(struct fs *fs, struct node *node, const struct stat *want, unsigned set)
{
	struct stat times = { .st_atim.tv_nsec = UTIME_OMIT, .st_mtim.tv_nsec = UTIME_OMIT };
	struct node_at at;
	int r;
	SHARED(&fs->names_lock);

	if (set & FS_SET_ATIME)
		times.st_atim = want->st_atim;
	if (set & FS_SET_MTIME)
		times.st_mtim = want->st_mtim;
	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	LOCKED(time_lock(fs, node));
	r = upper_set_times(at.ref.fd, at.name, &times);
	fd_put(fs->fds, &at.ref);
	return r;
}

/* While the data of a metacopy comes in, its file has another time, and perhaps mode, than it will have after. */
static int apply(struct fs *fs, struct node *node, const struct stat *want, unsigned set)
{
	bool claimed = node_is(node, NODE_METACOPY);
	int r = 0;

	if (claimed)
		node_claim(fs, node);
	if (set & (FS_SET_UID | FS_SET_GID | FS_SET_MODE | FS_SET_KILL_PRIV))
		r = set_owner_mode(fs, node, want, set);
	if (r == 0 && set & (FS_SET_ATIME | FS_SET_MTIME))
		r = set_times(fs, node, want, set);
	if (claimed)
		node_release(fs, node);
	return r;
}

/*
 * With the write-back cache the kernel sends a file's times when it lets go of it,
 * also those that it was told itself.  They are no change; and of a lower's file
 * that has lost its last name nothing will ever be seen again.
 */
static bool times_are_known(struct fs *fs, struct node *node, const struct stat *want, unsigned set, struct stat *st)
{
	SHARED(&fs->names_lock);

	if (!S_ISREG(node->mode) || set & ~(unsigned)(FS_SET_ATIME | FS_SET_MTIME))
		return false;
	/* In the middle of a write the file has a time that is about to be set back. */
	LOCKED(time_lock(fs, node));
	if (node_stat_named(fs, node, st) < 0)
		return false;
	if (node_is(node, NODE_UNLINKED) && !node_is(node, NODE_UPPER))
		return true;
	if (set & FS_SET_ATIME)
		return false;
	return want->st_mtim.tv_sec == st->st_mtim.tv_sec && want->st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

int fs_setattr(struct fs *fs, struct node *node, const struct stat *want, unsigned set, struct stat *st)
{
	int r = 0;

	if (fs->upper_fd < 0)
		return -EROFS;
	if (set == 0)
		return node_stat(fs, node, st); /* only ctime, which is not ours to set */
	if (times_are_known(fs, node, want, set, st))
		return 0;
	/* An append-only file's times follow what is appended: with the write-back cache they come by this way. */
	r = set & ~(unsigned)(FS_SET_ATIME | FS_SET_MTIME) ? node_may_change(fs, node) : node_may_grow(fs, node);
	if (r < 0)
		return r;
	/* truncate(2) to the size that it has, which says nothing of times, changes none; ftruncate(2) would. */
	if (set & FS_SET_SIZE && !(set & (FS_SET_MTIME | FS_SET_KEEP_MTIME)) && node_stat(fs, node, st) == 0 &&
	    st->st_size == want->st_size)
		set |= FS_SET_KEEP_MTIME;
	if (set & FS_SET_SIZE)
		r = file_truncate(fs, node, want->st_size,
				  (set & FS_SET_KILL_PRIV ? FS_WRITE_KILL_PRIV : 0) |
					  (set & FS_SET_KILL_SGID ? FS_WRITE_KILL_SGID : 0) |
					  (set & FS_SET_KEEP_MTIME ? FS_WRITE_KEEP_MTIME : 0));
	else if (set ==
		 FS_SET_MTIME) /* what the kernel sends after a write, which may have failed: then this fails too */
		r = copyup(fs, node, UINT64_MAX);
	else
		r = copyup_meta(fs, node);
	if (r == 0)
		r = apply(fs, node, want, set);
	return r < 0 ? r : node_stat(fs, node, st);
}
