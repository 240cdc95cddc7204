/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * What is written to the upper, in the form overlayfs gives it (store/ovl.h).
 *
 * Whatever takes the place of something is made in work/ first and moved with one
 * rename, so that a crash leaves the old or the new.  What a crash leaves in work/
 * is removed by the next mount, the kernel's as well as ours.
 *
 * Where owners are recorded (fakeroot, xattr_permissions) the files on disk
 * belong to the mounting user and stay readable and writable to him; owner, mode
 * and type stand in an xattr (store/ovl.h).  A symlink can have no such
 * xattr of a user's: it is a real one if its owner needs no record, else a file that holds
 * the target.
 */

#include "fs/flags.h"
#include "fs/ids.h"
#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* libc has no number for it everywhere. */
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

const char *proc_path(char *buf, int dirfd, const char *name)
{
	if (*name)
		snprintf(buf, PROC_PATH_BYTES, "/proc/self/fd/%d/%s", dirfd, name);
	else
		snprintf(buf, PROC_PATH_BYTES, "/proc/self/fd/%d", dirfd);
	return buf;
}

/* With a name the last component is not followed; without, the link of /proc has to be. */
static ssize_t get_xattr(int dirfd, const char *name, const char *xattr, void *value, size_t bytes)
{
	char path[PROC_PATH_BYTES];
	ssize_t n;

	proc_path(path, dirfd, name);
	n = *name ? lgetxattr(path, xattr, value, bytes) : getxattr(path, xattr, value, bytes);
	return n < 0 ? -errno : n;
}

static int set_xattr(int dirfd, const char *name, const char *xattr, const void *value, size_t bytes)
{
	char path[PROC_PATH_BYTES];
	int r;

	proc_path(path, dirfd, name);
	r = *name ? lsetxattr(path, xattr, value, bytes, 0) : setxattr(path, xattr, value, bytes, 0);
	return r < 0 ? -errno : 0;
}

/* --- recorded owners --- */

static int override_get(int dirfd, const char *name, const char *xattr, struct ovl_override *ret)
{
	char text[128];
	ssize_t n = get_xattr(dirfd, name, xattr, text, sizeof(text));

	if (n == -ENODATA || n == -ENOTSUP)
		return 0;
	if (n < 0)
		return (int)n;
	return ovl_override_parse(text, (size_t)n, ret) < 0 ? 0 : 1;
}

static int override_put(const struct fs *fs, int dirfd, const char *name, const struct stat *st, uid_t uid, gid_t gid)
{
	struct ovl_override o = {
		.uid = uid,
		.gid = gid,
		/* What stands for a nested overlay's whiteout is a file: recorded as a device it would be ours. */
		.mode = ovl_is_whiteout_mode(st->st_mode, st->st_rdev) ? S_IFREG | (st->st_mode & 07777) : st->st_mode,
		.has_type = true,
		.rdev = st->st_rdev,
	};
	char text[96];
	size_t n = ovl_override_format(&o, text);

	return set_xattr(dirfd, name, fs->override_upper, text, n);
}

/* @now: the file as it is; without a record it is its owner that stays where none is set. */
static int override_change(struct fs *fs, int dirfd, const char *name, const struct stat *now, const struct stat *st,
			   unsigned set)
{
	struct ovl_override o = { .uid = now->st_uid, .gid = now->st_gid };
	int r;

	if (fs->options->fakeroot)
		return override_put(fs, dirfd, name, st, ids_fake_uid_image(fs, st->st_uid),
				    ids_fake_gid_image(fs, st->st_gid));
	r = override_get(dirfd, name, fs->override_upper, &o);
	if (r >= 0 && set & FS_SET_UID)
		r = ids_uid_disk(fs, st->st_uid, &o.uid);
	if (r >= 0 && set & FS_SET_GID)
		r = ids_gid_disk(fs, st->st_gid, &o.gid);
	return r < 0 ? r : override_put(fs, dirfd, name, st, o.uid, o.gid);
}

static void override_apply(const struct ovl_override *o, struct stat *st)
{
	st->st_uid = o->uid;
	st->st_gid = o->gid;
	st->st_mode = (st->st_mode & S_IFMT) | (o->mode & 07777);
	if (o->has_type && (o->mode & S_IFMT)) {
		st->st_mode = o->mode;
		st->st_rdev = o->rdev;
	}
}

int upper_stat_unmapped(int dirfd, const char *name, const char *override, struct stat *st)
{
	struct ovl_override o;
	int r = 0;

	if (fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return -errno;
	if (override && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)))
		r = override_get(dirfd, name, override, &o);
	if (r > 0)
		override_apply(&o, st);
	return r;
}

int upper_stat(struct fs *fs, int dirfd, const char *name, const char *override, struct stat *st)
{
	int r = upper_stat_unmapped(dirfd, name, override, st);

	if (r < 0)
		return r;
	if (r > 0) {
		st->st_uid = ids_uid_recorded_shown(fs, st->st_uid);
		st->st_gid = ids_gid_recorded_shown(fs, st->st_gid);
		return 0;
	}
	if (fs->options->fakeroot) { /* not recorded: of a lower, a symlink, or made behind our back */
		if (st->st_uid == 0)
			st->st_uid = fs->owner_uid;
		if (st->st_gid == 0)
			st->st_gid = fs->owner_gid;
		return 0;
	}
	st->st_uid = ids_uid_shown(fs, st->st_uid);
	st->st_gid = ids_gid_shown(fs, st->st_gid);
	return 0;
}

/* --- owner, mode, times --- */

/* Where owners are squashed nobody sees what they are: what the mounting user may not set stays as it is. */
static int chown_plain(struct fs *fs, int dirfd, const char *name, uid_t uid, gid_t gid)
{
	if (fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0)
		return 0;
	return ids_are_squashed(fs) && (errno == EPERM || errno == EINVAL) ? 0 : -errno;
}

static int chown_disk(struct fs *fs, int dirfd, const char *name, uid_t uid, gid_t gid)
{
	uid_t disk_uid = (uid_t)-1;
	gid_t disk_gid = (gid_t)-1;
	int r = 0;

	if (uid != (uid_t)-1)
		r = ids_uid_disk(fs, uid, &disk_uid);
	if (r == 0 && gid != (gid_t)-1)
		r = ids_gid_disk(fs, gid, &disk_gid);
	if (r < 0)
		return r;
	return chown_plain(fs, dirfd, name, disk_uid, disk_gid);
}

static int chmod_disk(int dirfd, const char *name, mode_t mode)
{
	char path[PROC_PATH_BYTES];

	if (*name)
		return fchmodat(dirfd, name, mode & 07777, 0) < 0 ? -errno : 0;
	return chmod(proc_path(path, dirfd, name), mode & 07777) < 0 ? -errno : 0;
}

/* The mounting user keeps access to what he recorded another owner for. */
static mode_t mode_on_disk(const struct fs *fs, mode_t mode)
{
	if (!fs->override_upper)
		return mode & 07777;
	return (mode & 0777) | (S_ISDIR(mode) ? 0700 : 0600);
}

/* The one owner that a symlink has without a record. */
static bool owner_is_plain(const struct fs *fs, const struct stat *st)
{
	if (!fs->options->fakeroot)
		return true;
	return ids_fake_uid_image(fs, st->st_uid) == fs->image_uid &&
	       ids_fake_gid_image(fs, st->st_gid) == fs->image_gid;
}

/* A real symlink gets an owner that has to be recorded: a file that holds its target takes its place. */
static int symlink_record(struct fs *fs, int dirfd, const char *name, const struct stat *st, const struct stat *now)
{
	AUTO(freep) char *target = malloc(PATH_MAX);
	char work[WORK_NAME_BYTES];
	ssize_t n;
	int r;

	if (!*name)
		return -EPERM; /* it has no name any more under which it could be replaced */
	if (!target)
		return -ENOMEM;
	n = readlinkat(dirfd, name, target, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	work_name(fs, work);
	r = upper_make(fs, fs->work_fd, work, st, target, (gid_t)-1, NULL);
	if (r < 0)
		return r;
	r = upper_set_times(fs->work_fd, work, now);
	if (r == 0 && renameat(fs->work_fd, work, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(fs->work_fd, work, 0);
	return r;
}

static int owner_mode_recorded(struct fs *fs, int dirfd, const char *name, const struct stat *st, unsigned set)
{
	struct stat now;

	if (fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return -errno;
	if (S_ISLNK(now.st_mode)) {
		if (!(set & (FS_SET_UID | FS_SET_GID)) || (fs->options->fakeroot && owner_is_plain(fs, st)))
			return 0;
		if (!fs->options->fakeroot)
			return chown_disk(fs, dirfd, name, st->st_uid, st->st_gid);
		return symlink_record(fs, dirfd, name, st, &now);
	}
	if (set & FS_SET_MODE && (now.st_mode & 07777) != mode_on_disk(fs, st->st_mode)) {
		int r = chmod_disk(dirfd, name, mode_on_disk(fs, st->st_mode));

		if (r < 0)
			return r;
	}
	return override_change(fs, dirfd, name, &now, st, set);
}

int upper_set_owner_mode(struct fs *fs, int dirfd, const char *name, const struct stat *st, unsigned set)
{
	int r = 0;

	if (fs->override_upper)
		return owner_mode_recorded(fs, dirfd, name, st, set);
	if (set & (FS_SET_UID | FS_SET_GID))
		r = chown_disk(fs, dirfd, name, set & FS_SET_UID ? st->st_uid : (uid_t)-1,
			       set & FS_SET_GID ? st->st_gid : (gid_t)-1);
	if (r == 0 && set & FS_SET_MODE && !S_ISLNK(st->st_mode))
		r = chmod_disk(dirfd, name, st->st_mode);
	return r;
}

int upper_set_times(int dirfd, const char *name, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	char path[PROC_PATH_BYTES];

	if (*name)
		return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	return utimensat(AT_FDCWD, proc_path(path, dirfd, name), times, 0) < 0 ? -errno : 0;
}

/* --- making --- */

static int make_regular(int dirfd, const char *name, mode_t mode, int *ret_fd)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* A symlink whose owner has to be recorded: a file that holds its target. */
static int make_recorded_symlink(int dirfd, const char *name, const char *target)
{
	AUTO(closep) int fd = -1;
	int r = make_regular(dirfd, name, 0600, &fd);

	return r < 0 ? r : io_write_full(fd, target, strlen(target));
}

/* As store/ovl.h has it. user.* can only be set on what one may write to, whatever mode was asked for. */
int upper_make_nested_whiteout(struct fs *fs, int dirfd, const char *name)
{
	AUTO(closep) int fd = -1;
	int r = make_regular(dirfd, name, 0600, &fd);

	if (r < 0)
		return r;
	r = upper_set_private(fs, fd, "", OVL_NESTED_WHITEOUT, "y", 1);
	if (r < 0)
		unlinkat(dirfd, name, 0);
	return r;
}

int upper_mark_nested_whiteouts(struct fs *fs, int dirfd)
{
	char value[2];
	int r;

	if (upper_get_private(fs, dirfd, "", OVL_NESTED_DEVICES, value, sizeof(value)) > 0)
		return 0;
	/* The nested overlay may have marked it otherwise: that is its own affair. */
	if (upper_get_private(fs, dirfd, "", OVL_NESTED_OPAQUE, value, sizeof(value)) == -ENODATA)
		(void)upper_set_private(fs, dirfd, "", OVL_NESTED_OPAQUE, "x", 1);
	r = upper_set_private(fs, dirfd, "", OVL_NESTED_DEVICES, "y", 1);
	return r == -ENOTSUP ? -EPERM : r; /* what mknod(2) says where no such device can be */
}

int upper_mark_for(struct fs *fs, struct node *node, int dirfd)
{
	struct stat st;
	int r;

	if (!S_ISCHR(node->mode))
		return 0;
	r = node_stat_named(fs, node, &st);
	if (r == 0 && ovl_is_whiteout_mode(st.st_mode, st.st_rdev))
		r = upper_mark_nested_whiteouts(fs, dirfd);
	return r;
}

static int make_inode(struct fs *fs, int dirfd, const char *name, const struct stat *st, const char *target, int *fd)
{
	mode_t mode = mode_on_disk(fs, st->st_mode);

	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		return make_regular(dirfd, name, mode, fd);
	case S_IFDIR:
		return mkdirat(dirfd, name, mode) < 0 ? -errno : 0;
	case S_IFLNK:
		if (!owner_is_plain(fs, st))
			return make_recorded_symlink(dirfd, name, target);
		return symlinkat(target, dirfd, name) < 0 ? -errno : 0;
	default:
		if (ovl_is_whiteout_mode(st->st_mode, st->st_rdev))
			return upper_make_nested_whiteout(fs, dirfd, name);
		if (fs->override_upper)
			return make_regular(dirfd, name, mode, fd);
		return mknodat(dirfd, name, (st->st_mode & S_IFMT) | mode, st->st_rdev) < 0 ? -errno : 0;
	}
}

/* A chown took them, and mkdir(2) gives a folder none. What a default ACL took beside them stays taken. */
static int make_priv(int dirfd, const char *name, const struct stat *st, bool other)
{
	const mode_t priv = st->st_mode & (S_ISUID | S_ISGID);
	struct stat now;

	if (!priv || S_ISLNK(st->st_mode) || (!other && !S_ISDIR(st->st_mode)))
		return 0;
	if (fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return -errno;
	return chmod_disk(dirfd, name, (now.st_mode & 01777) | priv);
}

static int make_owner(struct fs *fs, int dirfd, const char *name, const struct stat *st, gid_t born_gid)
{
	bool real_symlink = S_ISLNK(st->st_mode) && owner_is_plain(fs, st);
	bool other;
	uid_t uid;
	gid_t gid;
	int r = 0;

	if (born_gid == UPPER_NO_OWNER || (fs->options->fakeroot && real_symlink))
		return 0;
	if (fs->options->fakeroot)
		return override_put(fs, dirfd, name, st, ids_fake_uid_image(fs, st->st_uid),
				    ids_fake_gid_image(fs, st->st_gid));
	/*
	 * Who has no number on disk makes nobody's files, as with fuse-overlayfs: podman, root outside of the container,
	 * makes /etc/mtab and gives it away.  An idmapped mount of the kernel would answer EOVERFLOW.
	 */
	if (ids_uid_disk(fs, st->st_uid, &uid) < 0)
		uid = IDS_OVERFLOW;
	if (ids_gid_disk(fs, st->st_gid, &gid) < 0)
		gid = IDS_OVERFLOW;
	if (fs->override_upper && !real_symlink)
		return override_put(fs, dirfd, name, st, uid, gid);
	if (born_gid == (gid_t)-1)
		born_gid = fs->owner_gid;
	other = uid != fs->owner_uid || gid != born_gid;
	if (other)
		r = chown_plain(fs, dirfd, name, uid, gid);
	return r < 0 ? r : make_priv(dirfd, name, st, other);
}

int upper_keep_owner(struct fs *fs, struct node *node, int dirfd, const char *name, const struct stat *st)
{
	uid_t uid;
	gid_t gid;
	int r;

	r = node_owner(fs, node, &uid, &gid);
	if (r == 0 && fs->override_upper && !S_ISLNK(st->st_mode))
		return override_put(fs, dirfd, name, st, uid, gid);
	if (r == 0)
		r = chown_plain(fs, dirfd, name, uid, gid);
	return r < 0 ? r : make_priv(dirfd, name, st, true);
}

int upper_make(struct fs *fs, int dirfd, const char *name, const struct stat *st, const char *target, gid_t born_gid,
	       int *ret_fd)
{
	AUTO(closep) int fd = -1;
	int r = make_inode(fs, dirfd, name, st, target, &fd);

	if (r < 0)
		return r;
	r = make_owner(fs, dirfd, name, st, born_gid);
	if (r < 0) {
		unlinkat(dirfd, name, S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0);
		return r;
	}
	if (ret_fd)
		*ret_fd = S_ISREG(st->st_mode) ? TAKE_FD(fd) : -1;
	return 0;
}

#define DEFAULT_ACL "system.posix_acl_default"

static int copy_default_acl(int from, int to)
{
	AUTO(freep) char *acl = malloc(XATTR_SIZE_MAX);
	ssize_t n;

	if (!acl)
		return -ENOMEM;
	n = fgetxattr(from, DEFAULT_ACL, acl, XATTR_SIZE_MAX);
	if (n < 0)
		return errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
	return fsetxattr(to, DEFAULT_ACL, acl, (size_t)n, 0) < 0 ? -errno : 0;
}

int cradle_open(struct fs *fs, int dirfd, struct cradle *ret)
{
	int r;

	*ret = (struct cradle){ .fs = fs, .fd = -1 };
	work_name(fs, ret->work);
	if (mkdirat(fs->work_fd, ret->work, 0700) < 0)
		return -errno;
	ret->fd = openat(fs->work_fd, ret->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = ret->fd < 0 ? -errno : copy_default_acl(dirfd, ret->fd);
	if (r < 0)
		cradle_close(ret);
	return r;
}

void cradle_close(struct cradle *cradle)
{
	if (!cradle->fs)
		return;
	unlinkat(cradle->fs->work_fd, cradle->work, AT_REMOVEDIR);
	closep(&cradle->fd);
	*cradle = (struct cradle){ .fd = -1 };
}

int upper_make_nameless(struct fs *fs, int dirfd, const struct stat *st, int *ret_fd)
{
	AUTO(closep) int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode_on_disk(fs, st->st_mode));
	char work[WORK_NAME_BYTES];
	int r;

	if (fd < 0 && errno != EOPNOTSUPP)
		return -errno;
	if (fd < 0) { /* a file system without it: linkat(2) will not give this one a name again */
		work_name(fs, work);
		r = upper_make(fs, dirfd, work, st, NULL, (gid_t)-1, ret_fd);
		if (r == 0)
			unlinkat(dirfd, work, 0);
		return r;
	}
	r = make_owner(fs, fd, "", st, (gid_t)-1);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

ssize_t upper_readlink(struct fs *fs, int dirfd, const char *name, char *buf, size_t bytes)
{
	AUTO(closep) int fd = -1;
	ssize_t n = readlinkat(dirfd, name, buf, bytes);

	if (n >= 0)
		return n;
	if (errno != EINVAL)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC); /* a recorded one */
	return fd < 0 ? -errno : io_read_full(fd, buf, bytes);
}

/* --- what a copy keeps of its origin --- */

enum { INO_TEXT_BYTES = 96 };

static const char *private_name(const struct fs *fs, const char *what, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s.overlay.%s", fs->xattr_ns == OVL_TRUSTED ? "trusted" : "user", what);
	return buf;
}

ssize_t upper_get_private(struct fs *fs, int dirfd, const char *name, const char *what, void *value, size_t bytes)
{
	char xattr[64];

	return get_xattr(dirfd, name, private_name(fs, what, xattr, sizeof(xattr)), value, bytes);
}

int upper_set_private(struct fs *fs, int dirfd, const char *name, const char *what, const void *value, size_t bytes)
{
	char xattr[64];

	return set_xattr(dirfd, name, private_name(fs, what, xattr, sizeof(xattr)), value, bytes);
}

/*
 * "INO", or "INO SECONDS.NANOSECONDS" with the birth time; INO in hexadecimal.  Behind it "@MOUNT", if only that mount is to
 * show the number; the birth time is "-" then where there is none.
 */
static ssize_t read_ino_text(struct fs *fs, int dirfd, const char *name, char text[static INO_TEXT_BYTES])
{
	ssize_t n = upper_get_private(fs, dirfd, name, "nacre.ino", text, INO_TEXT_BYTES - 1);

	if (n >= 0)
		text[n] = '\0';
	return n;
}

int upper_read_ino(struct fs *fs, int dirfd, const char *name, struct upper_ino *ret)
{
	char text[INO_TEXT_BYTES];
	ssize_t n = read_ino_text(fs, dirfd, name, text);
	const char *mount = n < 0 ? NULL : strchr(text, '@');
	long long seconds;
	long ns;

	if (n < 0)
		return (int)n;
	*ret = (struct upper_ino){ .birth.tv_nsec = NO_BIRTH, .passing = mount };
	if (!mount || strtoull(mount + 1, NULL, 16) == fs->mount_id)
		ret->ino = strtoull(text, NULL, 16);
	if (sscanf(text, "%*x %lld.%9ld", &seconds, &ns) == 2 && ns >= 0)
		ret->birth = (struct timespec){ seconds, ns };
	return 0;
}

void upper_read_birth(struct fs *fs, int dirfd, const char *name, struct timespec *ret)
{
	struct upper_ino ino;

	if (upper_read_ino(fs, dirfd, name, &ino) == 0 && ino.birth.tv_nsec != NO_BIRTH)
		*ret = ino.birth;
}

int upper_write_ino(struct fs *fs, int dirfd, const char *name, uint64_t ino, bool passing,
		    const struct timespec *birth)
{
	char text[INO_TEXT_BYTES];
	int n = snprintf(text, sizeof(text), "%llx", (unsigned long long)ino);
	int r;

	if (birth->tv_nsec != NO_BIRTH)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %lld.%09ld", (long long)birth->tv_sec,
			      birth->tv_nsec);
	else if (passing)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " -");
	if (passing)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " @%llx", (unsigned long long)fs->mount_id);
	r = upper_set_private(fs, dirfd, name, "nacre.ino", text, (size_t)n);
	/* user.* cannot stand on symlinks and devices, some file systems have none: st_ino then changes
	 * with a remount, which is all. */
	return r == -EPERM || r == -ENOTSUP || r == -ENOSPC || r == -EACCES ? 0 : r;
}

void upper_mark_impure(struct fs *fs, struct dirnode *dir, int dirfd)
{
	if (node_is(&dir->node, NODE_IMPURE))
		return;
	(void)upper_set_private(fs, dirfd, "", "impure", "y", 1); /* as upper_write_ino() */
	node_set(&dir->node, NODE_IMPURE);
}
