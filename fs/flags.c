/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/flags.h"

/*
 * Inode flags (chattr, FS_IOC_SETFLAGS) and birth times.
 *
 * Flags are those of the backing file, which is copied up before one changes.  Two
 * of them, immutable and append-only, would keep us out of the upper as well: on a
 * copy they stand in overlay.protattr ("a", "i"), as in kernel overlayfs, and are
 * enforced here.  A lower's file that really is immutable is so in the mount, and
 * its copy keeps it.
 *
 * The kernel does not know of them, since FUSE has no word for it.  It opens such a
 * file for writing, and the error comes back when the write arrives here: at fsync
 * or close.  What goes by a request of its own, as truncation, fails at once.
 */

#include "fs/attrcache.h"
#include "fs/served.h"
#include "store/base/auto.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

/* --- what a file is protected from --- */

static unsigned protection_of_text(const char *text, ssize_t n)
{
	unsigned protection = 0;

	for (ssize_t i = 0; i < n; i++)
		protection |= text[i] == 'i' ? FS_IMMUTABLE_FL : text[i] == 'a' ? FS_APPEND_FL : 0;
	return protection;
}

static int protection_write(struct fs *fs, int dirfd, const char *name, unsigned protection)
{
	char text[3];
	size_t n = 0;

	if (protection & FS_APPEND_FL)
		text[n++] = 'a';
	if (protection & FS_IMMUTABLE_FL)
		text[n++] = 'i';
	return upper_set_private(fs, dirfd, name, "protattr", text, n);
}

/*
 * A file system that is never written (erofs) says of all that it has that it is immutable.  What counts is
 * whether somebody could have made it so.
 */
static bool has_flags(const struct node_at *at)
{
	AUTO(closep)
	int fd = *at->name ? openat(at->ref.fd, at->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	unsigned flags;

	return ioctl(*at->name ? fd : at->ref.fd, FS_IOC_GETFLAGS, &flags) == 0 ||
	       (errno != ENOTTY && errno != EOPNOTSUPP);
}

static int extra_at(struct fs *fs, struct node *node, const struct node_reach *reach, struct node_extra *ret)
{
	const struct node_at *at = &reach->at;
	struct statx stx;
	char text[8];
	ssize_t n;

	if (statx(at->ref.fd, at->name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BTIME, &stx) < 0)
		return -errno;
	if (stx.stx_mask & STATX_BTIME)
		ret->birth = (struct timespec){ .tv_sec = stx.stx_btime.tv_sec, .tv_nsec = stx.stx_btime.tv_nsec };
	if (stx.stx_attributes & STATX_ATTR_IMMUTABLE)
		ret->protection |= FS_IMMUTABLE_FL;
	if (stx.stx_attributes & STATX_ATTR_APPEND)
		ret->protection |= FS_APPEND_FL;
	if (ret->protection && !node_in_upper(fs, node) && !has_flags(at))
		ret->protection = 0;
	if (reach->layer)
		return 0;
	if (!node_in_upper(fs, node) && !node_was_upper(fs, node))
		return 0;
	n = upper_get_private(fs, at->ref.fd, at->name, "protattr", text, sizeof(text));
	ret->protection |= protection_of_text(text, n);
	if (node_is(node, NODE_COPIED))
		upper_read_birth(fs, at->ref.fd, at->name, &ret->birth);
	return 0;
}

int node_extra(struct fs *fs, struct node *node, struct node_extra *ret)
{
	struct node_reach reach;
	int r;

	*ret = (struct node_extra){ .birth.tv_nsec = NO_BIRTH };
	if (!node_in_upper(fs, node) && node_is(node, NODE_ROW))
		return 0;
	r = node_reach(fs, node, &reach);
	if (r < 0)
		return r;
	r = extra_at(fs, node, &reach, ret);
	node_reach_end(fs, &reach);
	return r;
}

static unsigned protection_flags(unsigned protection)
{
	return NODE_PROTECTION_KNOWN | (protection & FS_IMMUTABLE_FL ? NODE_IMMUTABLE : 0) |
	       (protection & FS_APPEND_FL ? NODE_APPEND_ONLY : 0);
}

/* What was read from the disk does not take the place of what somebody has set since. */
static void protection_found(struct node *node, unsigned protection)
{
	uint32_t flags = node_flags(node);

	while (!(flags & NODE_PROTECTION_KNOWN) &&
	       !atomic_compare_exchange_weak(&node->flags, &flags, flags | protection_flags(protection)))
		;
}

/* Flags of a node, NODE_IMMUTABLE and NODE_APPEND_ONLY among them. */
static unsigned protected_flags(struct fs *fs, struct node *node)
{
	unsigned flags = node_flags(node);
	struct node_extra extra;

	if (flags & (NODE_PROTECTION_KNOWN | NODE_PLAIN))
		return flags;
	if (!S_ISREG(node->mode) && !node_is_dir(node))
		return flags;
	if (node_extra(fs, node, &extra) < 0)
		return flags; /* whoever goes on will meet the same error */
	protection_found(node, extra.protection);
	return node_flags(node);
}

int node_may_change(struct fs *fs, struct node *node)
{
	return protected_flags(fs, node) & (NODE_IMMUTABLE | NODE_APPEND_ONLY) ? -EPERM : 0;
}

int node_may_grow(struct fs *fs, struct node *node)
{
	return protected_flags(fs, node) & NODE_IMMUTABLE ? -EPERM : 0;
}

bool node_is_append_only(struct fs *fs, struct node *node)
{
	return protected_flags(fs, node) & NODE_APPEND_ONLY;
}

int extra_copy(struct fs *fs, const struct node_extra *extra, int dirfd, const char *name)
{
	return extra->protection ? protection_write(fs, dirfd, name, extra->protection) : 0;
}

/* --- the flags of the backing file --- */

/* A descriptor that takes ioctls; -ENOTTY: what is no file or directory has none. */
static int open_for_flags(struct fs *fs, struct node *node, struct fd_ref *ret)
{
	struct content_ref content;
	struct layer *layer;
	const char *name;
	union dref at;
	int r;

	if (S_ISREG(node->mode)) {
		r = node_open(fs, node, &content);
		*ret = content.ref;
		return r;
	}
	if (!node_is_dir(node))
		return -ENOTTY;
	SHARED(&fs->names_lock);
	if (node_in_upper(fs, node))
		return upper_dir(fs, node_dir(node), ret);
	r = lower_at(fs, node, &layer, &at, &name);
	return r < 0 ? r : layer->ops->dir_fd(layer, at, ret);
}

/* Both calls, by their number: unsigned int or struct fsxattr. */
static int flags_ioctl(struct fs *fs, struct node *node, unsigned long request, void *arg)
{
	struct fd_ref ref;
	int r = open_for_flags(fs, node, &ref);

	if (r < 0)
		return r;
	if (ioctl(ref.fd, request, arg) < 0)
		r = -errno;
	fd_put(fs->fds, &ref);
	return r;
}

/* An inode of the store has no flags, unless a copy of it in the upper could have some. */
static int flags_of_row(struct fs *fs, unsigned long request)
{
	struct fsxattr probe;

	if (fs->upper_fd < 0)
		return -ENOTTY;
	return ioctl(fs->upper_fd, request, &probe) < 0 ? -errno : 0;
}

static int flags_get(struct fs *fs, struct node *node, unsigned long request, void *arg)
{
	if (!S_ISREG(node->mode) && !node_is_dir(node))
		return -ENOTTY;
	if (!node_in_upper(fs, node) && node_is(node, NODE_ROW))
		return flags_of_row(fs, request);
	return flags_ioctl(fs, node, request, arg);
}

static int set_protection(struct fs *fs, struct node *node, unsigned protection)
{
	struct node_at at;
	int r;
	SHARED(&fs->names_lock);

	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	r = protection_write(fs, at.ref.fd, at.name, protection);
	fd_put(fs->fds, &at.ref);
	if (r == 0)
		node_replace(node, NODE_IMMUTABLE | NODE_APPEND_ONLY, protection_flags(protection));
	return r;
}

/* What is to become of a file's flags. */
struct flag_change {
	unsigned long get, set; /* the ioctls */
	union {
		unsigned flags;
		struct fsxattr fsx;
	} value;	     /* as asked for */
	unsigned *bits;	     /* the flags in it */
	unsigned protection; /* of FS_IMMUTABLE_FL and FS_APPEND_FL, those wanted; *bits has neither */
};

/*
 * The copy need not have the flags that the lower's file had: they depend on the
 * file system.  What changes is the difference to what was shown.
 */
static int change_of_copy(struct fs *fs, struct node *node, struct flag_change *change, unsigned shown)
{
	bool plain = change->bits == &change->value.flags;
	unsigned changed = shown ^ *change->bits;
	struct flag_change now = { .bits = plain ? &now.value.flags : &now.value.fsx.fsx_xflags };
	int r = flags_ioctl(fs, node, change->get, &now.value);

	if (r < 0)
		return changed ? r : 0;
	*change->bits = (*now.bits & ~changed) | (*change->bits & changed);
	if (memcmp(&change->value, &now.value, plain ? sizeof(unsigned) : sizeof(struct fsxattr)) == 0)
		return 0;
	return flags_ioctl(fs, node, change->set, &change->value);
}

static int flags_set(struct fs *fs, struct node *node, struct flag_change *change, unsigned shown)
{
	unsigned now = protected_flags(fs, node);
	unsigned before = (now & NODE_IMMUTABLE ? FS_IMMUTABLE_FL : 0) | (now & NODE_APPEND_ONLY ? FS_APPEND_FL : 0);
	int r = copyup(fs, node, UINT64_MAX);

	if (r == 0)
		r = change_of_copy(fs, node, change, shown);
	if (r == 0 && before != change->protection)
		r = set_protection(fs, node, change->protection);
	attrs_lost(fs, node, 0);
	return r;
}

int fs_get_flags(struct fs *fs, struct node *node, unsigned *flags)
{
	unsigned known = protected_flags(fs, node);
	int r;

	*flags = 0;
	r = flags_get(fs, node, FS_IOC_GETFLAGS, flags);
	if (known & NODE_IMMUTABLE)
		*flags |= FS_IMMUTABLE_FL;
	if (known & NODE_APPEND_ONLY)
		*flags |= FS_APPEND_FL;
	return r;
}

int fs_set_flags(struct fs *fs, struct node *node, unsigned flags)
{
	const unsigned protecting = FS_IMMUTABLE_FL | FS_APPEND_FL;
	struct flag_change change = {
		.get = FS_IOC_GETFLAGS,
		.set = FS_IOC_SETFLAGS,
		.value.flags = flags & ~protecting,
		.bits = &change.value.flags,
		.protection = flags & protecting,
	};
	unsigned shown;
	int r = fs_get_flags(fs, node, &shown);

	return r < 0 ? r : flags_set(fs, node, &change, shown & ~protecting);
}

int fs_get_xflags(struct fs *fs, struct node *node, struct fsxattr *fsx)
{
	unsigned known = protected_flags(fs, node);
	int r;

	*fsx = (struct fsxattr){ 0 };
	r = flags_get(fs, node, FS_IOC_FSGETXATTR, fsx);
	if (known & NODE_IMMUTABLE)
		fsx->fsx_xflags |= FS_XFLAG_IMMUTABLE;
	if (known & NODE_APPEND_ONLY)
		fsx->fsx_xflags |= FS_XFLAG_APPEND;
	return r;
}

int fs_set_xflags(struct fs *fs, struct node *node, const struct fsxattr *fsx)
{
	const unsigned protecting = FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND;
	struct flag_change change = {
		.get = FS_IOC_FSGETXATTR,
		.set = FS_IOC_FSSETXATTR,
		.value.fsx = *fsx,
		.bits = &change.value.fsx.fsx_xflags,
		.protection = (fsx->fsx_xflags & FS_XFLAG_IMMUTABLE ? FS_IMMUTABLE_FL : 0) |
			      (fsx->fsx_xflags & FS_XFLAG_APPEND ? FS_APPEND_FL : 0),
	};
	struct fsxattr shown;
	int r = fs_get_xflags(fs, node, &shown);

	*change.bits &= ~protecting;
	return r < 0 ? r : flags_set(fs, node, &change, shown.fsx_xflags & ~protecting);
}

int fs_birth(struct fs *fs, struct node *node, struct timespec *ret)
{
	struct node_extra extra;
	int r = node_extra(fs, node, &extra);

	if (r < 0)
		return r;
	*ret = extra.birth;
	return ret->tv_nsec == NO_BIRTH ? -ENODATA : 0;
}

/* --- appending --- */

/*
 * The kernel sends whole pages: what is in the file already may come again, but must
 * be the same.
 */
int append_check(int fd, const void *data, size_t bytes, off_t offset)
{
	AUTO(freep) char *now = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (offset >= st.st_size)
		return 0;
	if ((off_t)bytes > st.st_size - offset)
		bytes = (size_t)(st.st_size - offset);
	now = malloc(bytes);
	if (!now)
		return -ENOMEM;
	n = io_pread_full(fd, now, bytes, offset);
	if (n < 0)
		return (int)n;
	return (size_t)n == bytes && memcmp(now, data, bytes) == 0 ? 0 : -EPERM;
}
