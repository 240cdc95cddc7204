/* SPDX-License-Identifier: Apache-2.0 */
#include "store/upper.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/ovl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

enum { NS_PER_SECOND = 1000000000 };

/* A readable descriptor of the inode that @path_fd (O_PATH) pins, whatever its name leads to by now. */
static int reopen(int path_fd, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	return fd < 0 ? -errno : fd;
}

static int read_link(int path_fd, char **ret)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(path_fd, "", target, sizeof(target));

	if (n < 0)
		return -errno;
	*ret = strndup(target, (size_t)n);
	return *ret ? 0 : -ENOMEM;
}

/* A symlink that is recorded on a regular file: its content is the target. */
static int read_recorded_link(int path_fd, char **ret)
{
	AUTO(closep) int fd = reopen(path_fd, 0);
	char target[PATH_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = io_pread_full(fd, target, sizeof(target), 0);
	if (n < 0)
		return (int)n;
	if (n == 0 || n == sizeof(target) || memchr(target, '\0', (size_t)n))
		return -EINVAL;
	*ret = strndup(target, (size_t)n);
	return *ret ? 0 : -ENOMEM;
}

/* A type is recorded where an unprivileged writer could not make the real thing, so a regular file stands for it. */
static void apply_override(const struct ovl_override *o, struct upper_inode *inode)
{
	bool stands_for = S_ISREG(inode->mode) && o->has_type && !S_ISDIR(o->mode);

	inode->uid = o->uid;
	inode->gid = o->gid;
	inode->mode = (stands_for ? o->mode & S_IFMT : inode->mode & S_IFMT) | (o->mode & 07777);
	if (stands_for && (S_ISCHR(o->mode) || S_ISBLK(o->mode)))
		inode->rdev = o->rdev;
}

/* Times beyond the years that 64 bits of nanoseconds hold (1677 to 2262) become the last one they hold. */
static int64_t mtime_of(const struct stat *st)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)st->st_mtim.tv_sec, NS_PER_SECOND, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)st->st_mtim.tv_nsec, &ns))
		return st->st_mtim.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

/* An inode without a record, in an upper that has them. */
static void apply_writer(const struct upper_writer *writer, struct upper_inode *inode)
{
	if (!writer->recorded)
		return;
	if (inode->uid == writer->uid)
		inode->uid = writer->shown_uid;
	if (inode->gid == writer->gid)
		inode->gid = writer->shown_gid;
}

int upper_writer_read(int fd, struct upper_writer *ret)
{
	struct stat st;
	char text[32];
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct upper_writer){ .recorded = ovl_override_name(fd), .uid = st.st_uid, .gid = st.st_gid };
	n = fgetxattr(fd, "user.overlay.nacre.root", text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%" SCNu32 " %" SCNu32, &ret->shown_uid, &ret->shown_gid) != 2)
		ret->shown_uid = ret->shown_gid = 0;
	return 0;
}

static int read_attributes(int path_fd, const struct upper_writer *writer, struct upper_inode *inode,
			   unsigned *ret_marks)
{
	struct ovl_override override;
	struct stat *st = &inode->st;
	int r;

	if (fstat(path_fd, st) < 0)
		return -errno;
	inode->mode = st->st_mode;
	inode->uid = st->st_uid;
	inode->gid = st->st_gid;
	inode->nlink = (uint32_t)st->st_nlink;
	inode->rdev = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? st->st_rdev : 0;
	inode->mtime_ns = mtime_of(st);
	inode->key = (struct inode_key){ .space = st->st_dev, .no = st->st_ino };
	r = xattr_list_read_marked(path_fd, &inode->xattrs, ret_marks);
	if (r == 0 && *ret_marks & XATTR_MARK_OVERRIDE)
		r = ovl_override_read(path_fd, writer->recorded ? writer->recorded : OVL_OVERRIDE_STAT, &override);
	if (r > 0)
		apply_override(&override, inode);
	else if (r == 0 || r == -EINVAL)
		apply_writer(writer, inode);
	return r < 0 && r != -EINVAL ? r : 0;
}

static int read_data(int path_fd, unsigned marks, struct upper_inode *inode)
{
	int r = 0;

	if (S_ISREG(inode->mode)) {
		r = marks & XATTR_MARK_METACOPY ? ovl_is_metacopy(path_fd) : 0;
		inode->metacopy = r > 0;
		inode->size = (uint64_t)inode->st.st_size;
		/* A metacopy's descriptor is needed for its redirect only, which O_PATH can read. */
		if (r == 0)
			r = inode->fd = reopen(path_fd, 0);
		else if (r > 0)
			r = inode->fd = fcntl(path_fd, F_DUPFD_CLOEXEC, 0);
		if (r >= 0 && inode->size == 0 && marks & XATTR_MARK_PLACEHOLDER) {
			r = ovl_is_placeholder(path_fd);
			inode->placeholder = r > 0;
		}
	} else if (S_ISDIR(inode->mode)) {
		r = inode->fd = reopen(path_fd, O_DIRECTORY);
	} else if (S_ISLNK(inode->st.st_mode)) {
		r = read_link(path_fd, &inode->target);
	} else if (S_ISLNK(inode->mode)) {
		r = read_recorded_link(path_fd, &inode->target);
	}
	return r < 0 ? r : 0;
}

int upper_inode_read(int dirfd, const char *name, const struct upper_writer *writer, struct upper_inode *ret)
{
	AUTO(closep) int path_fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	unsigned marks;
	int r;

	*ret = (struct upper_inode){ .fd = -1 };
	if (path_fd < 0)
		return -errno;
	r = read_attributes(path_fd, writer, ret, &marks);
	if (r == 0)
		r = read_data(path_fd, marks, ret);
	if (r < 0)
		upper_inode_release(ret);
	return r;
}

int upper_inode_of_view(struct store *store, struct view *view, const struct view_node *node, struct upper_inode *ret)
{
	const struct layer_entry *e = view_entry(node);
	struct layer_id layer = view_layer_id(view, view_layer(node));

	*ret = (struct upper_inode){
		.mode = e->mode,
		.uid = e->uid,
		.gid = e->gid,
		.nlink = e->nlink,
		.rdev = (dev_t)e->rdev,
		.size = S_ISREG(e->mode) ? e->size : 0,
		.mtime_ns = e->mtime_ns,
		.key = { .in_image = true, .space = (uint64_t)layer.value, .no = e->no },
		.fd = -1,
		.data = node,
	};
	if (S_ISLNK(e->mode)) {
		ret->target = strdup(e->target ? e->target : "");
		if (!ret->target)
			return -ENOMEM;
	}
	if (e->flags & LAYER_XATTRS) {
		int r = xattr_list_of_layer(store, layer, e->no, &ret->xattrs);

		if (r < 0) {
			upper_inode_release(ret);
			return r;
		}
	}
	return 0;
}

bool upper_inode_same_attributes(const struct upper_inode *a, const struct upper_inode *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->rdev == b->rdev &&
	       a->mtime_ns == b->mtime_ns && xattr_list_eq(&a->xattrs, &b->xattrs);
}

void upper_inode_release(struct upper_inode *inode)
{
	closep(&inode->fd);
	free(inode->target);
	xattr_list_release(&inode->xattrs);
	*inode = (struct upper_inode){ .fd = -1 };
}
