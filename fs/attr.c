/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/* chmod, chown, truncate, utimes: one request may ask for several of them. */

#include "fs/attrcache.h"
#include "fs/flags.h"
#include "fs/ids.h"
#include "fs/served.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { NS_PER_SECOND = 1000000000 }; /* UTIME_NOW and UTIME_OMIT are above it */

static mode_t without_priv(mode_t mode)
{
	mode &= ~(mode_t)S_ISUID;
	return mode & S_IXGRP ? mode & ~(mode_t)S_ISGID : mode;
}

/* Does the change depend on what the file has now? Else asking for that can be left out. */
static bool depends_on_now(const struct fs *fs, const struct node *node, unsigned set)
{
	if (fs->override_upper)
		return true; /* all of it stands in one record */
	return set & FS_SET_KILL_PRIV && !(set & FS_SET_MODE) && !node_is_dir(node) && node_is(node, NODE_KILLPRIV);
}

/*
 * What was set is what is shown, unless owners are mapped, or the file system has rules of its own: a chown takes
 * setuid and setgid away, as does a chmod by somebody who is not in the file's group.
 */
static bool is_shown_as_set(const struct fs *fs, const struct stat *st, unsigned set)
{
	return !fs->override_upper && !ids_are_mapped(fs) &&
	       !(set & (FS_SET_UID | FS_SET_GID | FS_SET_MODE) && st->st_mode & (S_ISUID | S_ISGID));
}

/* The time lock is held. */
static int change_owner_mode(struct fs *fs, struct node *node, const struct node_at *at, const struct stat *want,
			     unsigned set)
{
	struct stat st = { .st_mode = node->mode & S_IFMT };
	bool known = attrs_get_locked(fs, node, &st);
	int r = 0;

	if (!known && depends_on_now(fs, node, set))
		r = upper_stat(fs, at->ref.fd, at->name, fs->override_upper, &st);
	if (r < 0)
		return r;
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
	if (set & FS_SET_MODE && st.st_mode & (S_ISUID | S_ISGID))
		node_set(node, NODE_KILLPRIV);
	if (!(set & (FS_SET_UID | FS_SET_GID | FS_SET_MODE)))
		return 0;
	r = upper_set_owner_mode(fs, at->ref.fd, at->name, &st, set);
	if (r == 0 && known && is_shown_as_set(fs, &st, set))
		attrs_keep_owner_locked(fs, node, &st, set);
	else
		attrs_lost_locked(fs, node, ATTRS_REST);
	return r;
}

static int set_owner_mode(struct fs *fs, struct node *node, const struct stat *want, unsigned set)
{
	struct node_at at;
	int r;
	SHARED(&fs->names_lock);

	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	pthread_mutex_lock(time_lock(fs, node));
	r = change_owner_mode(fs, node, &at, want, set);
	pthread_mutex_unlock(time_lock(fs, node));
	fd_put(fs->fds, &at.ref);
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
	attrs_lost_locked(fs, node, set & FS_SET_ATIME ? ATTRS_ALL : ATTRS_MTIME);
	if (r == 0 && set & FS_SET_MTIME && want->st_mtim.tv_nsec < NS_PER_SECOND)
		attrs_keep_mtime_locked(fs, node, &want->st_mtim);
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

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * From Linux 6.13 on a file whose times somebody has seen gets, with its next change, a time of its own, to the
 * nanosecond, and from then on no other file gets an earlier one: the mount's pages neither, whose new times the kernel
 * would send with each sync rather than with each tick of its clock.  So the times are not asked for where they are
 * known.
 */
static void learn_room(struct fs *fs, struct node *node)
{
	struct node_at at;
	struct statx stx;

	if (!attrs_lack_room_locked(fs, node) || node_at(fs, node, &at) < 0)
		return;
	if (statx(at.ref.fd, at.name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_SIZE | STATX_BLOCKS, &stx) == 0)
		attrs_keep_room_locked(fs, node, stx.stx_size, stx.stx_blocks);
	fd_put(fs->fds, &at.ref);
}

/* The attributes, from memory if they are there. names_lock and the time lock are held. */
static int stat_locked(struct fs *fs, struct node *node, bool any_ctime, struct stat *st)
{
	int r;

	if (any_ctime)
		learn_room(fs, node);
	if (any_ctime && attrs_get_locked(fs, node, st))
		return 0;
	r = node_stat_named(fs, node, st);
	if (r == 0)
		attrs_keep_locked(fs, node, st);
	return r;
}

/* What the kernel is told after a change. */
static int stat_after(struct fs *fs, struct node *node, bool any_ctime, struct stat *st)
{
	int r = -ENOENT;

	if (S_ISREG(node->mode)) {
		SHARED(&fs->names_lock);
		LOCKED(time_lock(fs, node));

		r = stat_locked(fs, node, any_ctime, st);
	}
	return r == -ENOENT ? node_stat(fs, node, st) : r;
}

/*
 * With the write-back cache the kernel sends a file's times when it lets go of it,
 * also those that it was told itself.  They are no change; and of a lower's file
 * that has lost its last name nothing will ever be seen again.
 */
static bool times_are_known(struct fs *fs, struct node *node, const struct stat *want, unsigned set, bool any_ctime,
			    struct stat *st)
{
	struct timespec mtime;
	bool seen_again;
	SHARED(&fs->names_lock);

	if (!S_ISREG(node->mode) || set & ~(unsigned)(FS_SET_ATIME | FS_SET_MTIME))
		return false;
	seen_again = !node_is(node, NODE_UNLINKED) || node_in_upper(fs, node);
	if (seen_again && set & FS_SET_ATIME)
		return false;
	/* In the middle of a write the file has a time that is about to be set back. */
	LOCKED(time_lock(fs, node));
	if (seen_again && attrs_mtime_locked(fs, node, &mtime) && !same_time(&want->st_mtim, &mtime))
		return false;
	if (stat_locked(fs, node, any_ctime, st) < 0)
		return false;
	return !seen_again || same_time(&want->st_mtim, &st->st_mtim);
}

/*
 * An append-only file's times follow what is appended: with the write-back cache they come by this way, the mtime
 * alone.  Who sets them sets the atime too, and may set it to now.
 */
static bool is_more_than_growth(const struct stat *want, unsigned set)
{
	return set & ~(unsigned)(FS_SET_ATIME | FS_SET_MTIME) ||
	       (set & FS_SET_ATIME && want->st_atim.tv_nsec < NS_PER_SECOND);
}

int fs_setattr(struct fs *fs, struct node *node, const struct stat *want, unsigned set, struct stat *st)
{
	bool any_ctime = set & FS_SET_ANY_CTIME;
	int r = 0;

	if (served_is(fs, node)) /* then it is asked for with locks held */
		(void)node_stat_alone(fs, node, st);
	set &= ~(unsigned)FS_SET_ANY_CTIME;
	if (fs->upper_fd < 0)
		return -EROFS;
	if (set == 0)
		return node_stat(fs, node, st); /* only ctime, which is not ours to set */
	if (times_are_known(fs, node, want, set, any_ctime, st))
		return 0;
	r = is_more_than_growth(want, set) ? node_may_change(fs, node) : node_may_grow(fs, node);
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
	if (r == 0)
		r = stat_after(fs, node, any_ctime, st);
	if (r == 0 && set & (FS_SET_MODE | FS_SET_KILL_PRIV))
		node->mode = (node->mode & S_IFMT) | (st->st_mode & 07777);
	return r;
}
