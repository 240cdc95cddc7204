// SPDX-License-Identifier: Apache-2.0
#include "tools/copytree.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <linux/magic.h>

enum { SECTOR_BYTES = 512 };

static int failed(struct copytree *copy, const char *path, int err, const char *what)
{
	AUTO(freep) char *why = ui_format("%s: %s", what, strerror(-err));

	copy->warn(path, why, copy->arg);
	if (copy->status == 0)
		copy->status = err;
	return err;
}

/* Through /proc, since the calls on extended attributes and open(2) take no O_PATH descriptor. */
static char *name_of(int fd)
{
	return ui_format("/proc/self/fd/%d", fd);
}

int copytree_reopen(int fd, int flags)
{
	AUTO(freep) char *name = name_of(fd);
	int ret = open(name, flags | O_CLOEXEC | O_NONBLOCK);

	return ret < 0 ? -errno : ret;
}

/*
 * What all files have.
 */

/* As cp -a: what the caller may not set, and what the file system has not, is left out. */
static bool is_left_out(int err)
{
	return err == EPERM || err == EACCES || err == ENOTSUP || err == ENODATA;
}

/* A copy that the kernel has no place for is a failure as any other. */
static int copy_xattr(const char *from, const char *to, const char *name)
{
	AUTO(freep) char *value = NULL;
	ssize_t bytes = lgetxattr(from, name, NULL, 0);

	if (bytes < 0)
		return is_left_out(errno) ? 0 : -errno;
	value = ui_need(malloc((size_t)bytes + 1));
	bytes = lgetxattr(from, name, value, (size_t)bytes);
	if (bytes < 0 || lsetxattr(to, name, value, (size_t)bytes, 0) < 0)
		return is_left_out(errno) ? 0 : -errno;
	return 0;
}

/* Of symlinks there are none that a user can set. */
static void copy_xattrs(struct copytree *copy, int from, int to, const char *path)
{
	AUTO(freep) char *source = name_of(from), *target = name_of(to), *names = NULL;
	ssize_t bytes = listxattr(source, NULL, 0);

	if (bytes <= 0)
		return;
	names = ui_need(malloc((size_t)bytes));
	bytes = listxattr(source, names, (size_t)bytes);
	for (const char *name = names; bytes > 0 && name < names + bytes; name += strlen(name) + 1) {
		/* Labels are of the place. */
		if (strcmp(name, "security.selinux") == 0)
			continue;
		int r = copy_xattr(source, target, name);
		if (r < 0)
			failed(copy, path, r, name);
	}
}

/*
 * The order matters: a change of owner takes set-id bits and capabilities away, a mode may forbid its owner to set
 * extended attributes, and each of these changes the times.
 */
static void set_attributes(struct copytree *copy, int from, const struct stat *st, const char *path, int dirfd,
			   const char *name)
{
	AUTO(closep) int to = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	mode_t mode = st->st_mode & 07777;
	struct stat made;

	if (to < 0) {
		failed(copy, path, -errno, "it was taken away while it was copied");
		return;
	}
	if (copy->owners && fchownat(to, "", st->st_uid, st->st_gid, AT_EMPTY_PATH) < 0 && errno != EPERM &&
	    errno != EINVAL)
		failed(copy, path, -errno, "cannot give it its owner");
	if (!S_ISLNK(st->st_mode)) {
		AUTO(freep) char *target = name_of(to);

		copy_xattrs(copy, from, to, path);
		if (fstat(to, &made) < 0 || made.st_uid != st->st_uid || made.st_gid != st->st_gid)
			mode &= ~(mode_t)(S_ISUID | S_ISGID);
		if (chmod(target, mode) < 0)
			failed(copy, path, -errno, "cannot give it its mode");
	}
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		failed(copy, path, -errno, "cannot give it its time");
}

/*
 * Making files.
 */

/* To its end, wherever that is by then: it may be written to, and those of /proc have no size. */
static int copy_data(int from, const struct stat *st, int out)
{
	AUTO(closep) int in = copytree_reopen(from, O_RDONLY);
	bool sparse = (uint64_t)st->st_blocks * SECTOR_BYTES < (uint64_t)st->st_size;

	if (in < 0)
		return in;
	return sparse && st->st_blocks > 0 ? io_copy_sparse(in, out, (uint64_t)st->st_size, IO_COPY)
					   : io_copy_to_end(in, out);
}

struct data_of {
	int from; /* borrowed */
	const struct stat *st;
};

static int write_data(int fd, void *arg)
{
	const struct data_of *of = arg;

	return copy_data(of->from, of->st, fd);
}

static int make_symlink(int from, int dirfd, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, "", target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, dirfd, name) < 0 ? -errno : 0;
}

static int make_other(int from, const struct stat *st, int dirfd, const char *name)
{
	if (S_ISREG(st->st_mode))
		return io_make_file(dirfd, name, write_data, &(struct data_of){ from, st });
	if (S_ISLNK(st->st_mode))
		return make_symlink(from, dirfd, name);
	return mknodat(dirfd, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0 ? -errno : 0;
}

static struct linkset_key key_of(const struct stat *st)
{
	return (struct linkset_key){ st->st_dev, st->st_ino };
}

static void copy_other(struct copytree *copy, int from, const struct stat *st, const char *path, int dirfd,
		       const char *name)
{
	/* A file that is there makes room; a directory does not. */
	int r = unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;

	if (r == 0 && st->st_nlink > 1 && linkset_link(&copy->links, key_of(st), dirfd, name))
		return;
	if (r == 0)
		r = make_other(from, st, dirfd, name);
	if (r < 0) {
		failed(copy, path, r, "cannot make it");
		return;
	}
	set_attributes(copy, from, st, path, dirfd, name);
	if (st->st_nlink > 1)
		linkset_add(&copy->links, key_of(st), dirfd, name);
}

/*
 * Directories.
 */

bool copytree_is_kernels(int fd, const char *name)
{
	static const unsigned long kinds[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC };
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	if (fs.f_type == TMPFS_MAGIC && strcmp(name, "dev") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((unsigned long)fs.f_type == kinds[i])
			return true;
	return false;
}

static void copy_child(struct copytree *copy, int dir, dev_t dev, const char *child, const char *path, int dirfd)
{
	AUTO(closep) int from = openat(dir, child, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO(freep) char *below = NULL;
	struct stat st;

	if (asprintf(&below, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", child) < 0)
		ui_out_of_memory();
	if (from < 0 || fstat(from, &st) < 0) {
		/* What went away meanwhile is no file of the container any more. */
		if (errno != ENOENT)
			failed(copy, below, -errno, "cannot open it");
		return;
	}
	/* A folder of the machine may be in the container, and be the one that is copied to. */
	if (st.st_dev == copy->target_dev && st.st_ino == copy->target_ino) {
		failed(copy, below, -ELOOP, "it is where the copy goes");
		return;
	}
	if (S_ISDIR(st.st_mode) && st.st_dev != dev && copytree_is_kernels(from, child)) {
		if (mkdirat(dirfd, child, st.st_mode & 07777) < 0 && errno != EEXIST)
			failed(copy, below, -errno, "cannot make it");
		return;
	}
	copytree_node(copy, from, below, dirfd, child);
}

int copytree_children(struct copytree *copy, int from, const char *path, int dirfd)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir || fstat(fd, &st) < 0)
		return failed(copy, path, -errno, "cannot read it");
	while ((errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			copy_child(copy, fd, st.st_dev, entry->d_name, path, dirfd);
	if (errno)
		failed(copy, path, -errno, "cannot read all of it");
	return copy->status;
}

/* The attributes come last: a directory may not let its owner write, and each child changes its time. */
static void copy_directory(struct copytree *copy, int from, const struct stat *st, const char *path, int dirfd,
			   const char *name)
{
	AUTO(closep) int fd = -1;

	if (mkdirat(dirfd, name, 0700) == 0 || errno == EEXIST)
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		failed(copy, path, -errno, "cannot make it");
		return;
	}
	copytree_children(copy, from, path, fd);
	set_attributes(copy, from, st, path, dirfd, name);
}

int copytree_node(struct copytree *copy, int from, const char *path, int dirfd, const char *name)
{
	struct stat st;

	if (fstat(from, &st) < 0)
		return failed(copy, path, -errno, "cannot open it");
	if (S_ISDIR(st.st_mode))
		copy_directory(copy, from, &st, path, dirfd, name);
	else if (!S_ISSOCK(st.st_mode))
		copy_other(copy, from, &st, path, dirfd, name);
	return copy->status;
}

int copytree_onto(struct copytree *copy, int from, const char *path, int to)
{
	AUTO(closep) int out = copytree_reopen(to, O_WRONLY | O_TRUNC);
	struct stat st;
	int r = out < 0 ? out : fstat(from, &st) < 0 ? -errno : copy_data(from, &st, out);

	if (r == 0 && close(TAKE_FD(out)) < 0)
		r = -errno;
	return r < 0 ? failed(copy, path, r, "cannot write over the file that is there") : 0;
}
