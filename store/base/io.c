/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/io.h"

#include "store/base/auto.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum {
	COPY_CHUNK_BYTES = 256 * 1024,
	WRITE_OUT_BYTES = 8 * 1024 * 1024, /* so much is copied before the disk is given it */
	COPY_RANGE_BYTES = 1 << 30,
};

void io_keep_standard(void)
{
	static const int wrong_way[] = { O_WRONLY, O_RDONLY, O_RDONLY };

	for (int fd = 0; fd < (int)ARRAY_SIZE(wrong_way); fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", wrong_way[fd]); /* the lowest one: this */
}

bool io_is_zero(const void *buf, size_t count)
{
	const char *p = buf;

	return count > 0 && p[0] == 0 && memcmp(p, p + 1, count - 1) == 0;
}

ssize_t io_read_full(int fd, void *buf, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = read(fd, (char *)buf + done, count - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t io_pread_full(int fd, void *buf, size_t count, off_t offset)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = pread(fd, (char *)buf + done, count - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int io_write_full(int fd, const void *buf, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = write(fd, (const char *)buf + done, count - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int io_pwrite_full(int fd, const void *buf, size_t count, off_t offset)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = pwrite(fd, (const char *)buf + done, count - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static int copy_by_buffer(int in, off_t in_offset, int out, off_t out_offset, uint64_t bytes)
{
	AUTO(freep) char *buf = malloc(COPY_CHUNK_BYTES);

	if (!buf)
		return -ENOMEM;
	while (bytes > 0) {
		size_t want = bytes < COPY_CHUNK_BYTES ? (size_t)bytes : COPY_CHUNK_BYTES;
		ssize_t n = io_pread_full(in, buf, want, in_offset);
		int r;

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		r = io_pwrite_full(out, buf, (size_t)n, out_offset);
		if (r < 0)
			return r;
		in_offset += n;
		out_offset += n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

int io_make_file(int dirfd, const char *name, int (*fill)(int fd, void *arg), void *arg)
{
	AUTO(closep) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = fill(fd, arg);
	if (close(TAKE_FD(fd)) < 0 && r == 0)
		r = -errno;
	if (r != 0)
		unlinkat(dirfd, name, 0);
	return r;
}

int io_copy_to_end(int in, int out)
{
	AUTO(freep) char *buf = malloc(COPY_CHUNK_BYTES);
	ssize_t n;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (r == 0 && (n = io_read_full(in, buf, COPY_CHUNK_BYTES)) != 0)
		r = n < 0 ? (int)n : io_write_full(out, buf, (size_t)n);
	return r;
}

int io_unnamed_file(const char *dir)
{
	AUTO(freep) char *path = NULL;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd < 0 ? -errno : fd;
	if (asprintf(&path, "%s/nacre-XXXXXX", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

/* What copy_file_range() says where the two files cannot be joined in the kernel. */
static bool needs_buffer(int err)
{
	return err == EXDEV || err == ENOSYS || err == EOPNOTSUPP || err == EINVAL || err == EBADF || err == EPERM ||
	       err == ETXTBSY;
}

static int copy_some(int in, off_t in_offset, int out, off_t out_offset, uint64_t bytes)
{
	while (bytes > 0) {
		size_t want = bytes < COPY_RANGE_BYTES ? (size_t)bytes : COPY_RANGE_BYTES;
		ssize_t n = copy_file_range(in, &in_offset, out, &out_offset, want, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !needs_buffer(errno))
			return -errno;
		if (n <= 0) /* 0: some file systems (proc, old fuse) say so of a file that has data */
			return copy_by_buffer(in, in_offset, out, out_offset, bytes);
		bytes -= (uint64_t)n;
	}
	return 0;
}

int io_copy_range(int in, off_t in_offset, int out, off_t out_offset, uint64_t bytes, enum io_copy how)
{
	int r = 0;

	while (r == 0 && how == IO_COPY_TO_SYNC && bytes > WRITE_OUT_BYTES) {
		r = copy_some(in, in_offset, out, out_offset, WRITE_OUT_BYTES);
		/* Only begun, and whoever cannot does not: the sync does all that is left. */
		if (r == 0)
			sync_file_range(out, out_offset, WRITE_OUT_BYTES, SYNC_FILE_RANGE_WRITE);
		in_offset += WRITE_OUT_BYTES;
		out_offset += WRITE_OUT_BYTES;
		bytes -= WRITE_OUT_BYTES;
	}
	return r < 0 ? r : copy_some(in, in_offset, out, out_offset, bytes);
}

int io_copy_sparse(int in, int out, uint64_t bytes, enum io_copy how)
{
	off_t end = (off_t)bytes;
	off_t data = 0;
	struct stat st;

	if (fstat(in, &st) < 0)
		return -errno;
	if (st.st_size < end)
		return -EIO; /* what lies behind its end is no hole */
	if (bytes > 0 && ioctl(out, FICLONE, in) == 0)
		return 0;
	while (data < end) {
		off_t hole;
		int r;

		off_t next = lseek(in, data, SEEK_DATA);

		if (next < 0 && errno == ENXIO)
			break;	/* only a hole is left */
		if (next < 0) { /* no SEEK_DATA here: all of it is data */
			next = data;
			hole = end;
		} else {
			hole = lseek(in, next, SEEK_HOLE);
			if (hole < 0 || hole > end)
				hole = end;
		}
		if (next >= end)
			break;
		r = io_copy_range(in, next, out, next, (uint64_t)(hole - next), how);
		if (r < 0)
			return r;
		data = hole;
	}
	if (ftruncate(out, end) < 0)
		return -errno;
	return 0;
}

int io_read_file(int dirfd, const char *path, size_t limit, char **ret, size_t *ret_bytes)
{
	AUTO(closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	AUTO(freep) char *buf = NULL;
	size_t have = 0, room = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (have + 1 >= room) {
			char *more;

			room = room ? room * 2 : 4096;
			more = realloc(buf, room);
			if (!more)
				return -ENOMEM;
			buf = more;
		}
		n = io_read_full(fd, buf + have, room - have - 1);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		have += (size_t)n;
		if (have > limit)
			return -EFBIG;
	}
	buf[have] = '\0';
	*ret = TAKE(buf);
	if (ret_bytes)
		*ret_bytes = have;
	return 0;
}

int io_mkdirs(const char *path, mode_t mode)
{
	AUTO(freep) char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return -ENOMEM;
	for (char *slash = copy + 1; *copy && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
		*slash = '/';
	}
	if (mkdir(copy, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int open_dir_for_removal(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno != EACCES)
		return -errno;
	if (fchmodat(dirfd, name, 0700, 0) < 0)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int remove_children(int fd)
{
	AUTO(closedirp) DIR *dir = fdopendir(fd); /* takes fd */
	int first = 0;
	struct dirent *de;

	if (!dir) {
		int err = errno;

		close(fd);
		return -err;
	}
	while ((de = readdir(dir))) {
		int r;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		r = io_remove_tree(dirfd(dir), de->d_name);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

/* Whoever else removes it may be the first. */
static int unless_gone(int err)
{
	return err == ENOENT ? 0 : -err;
}

int io_remove_tree(int dirfd, const char *name)
{
	struct stat st;
	int fd, r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EACCES)
		return -errno;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return unless_gone(errno);
	if (!S_ISDIR(st.st_mode)) {
		/* The folder above forbids it; it is ours, or nothing can be done. */
		if (fchmod(dirfd, 0700) < 0 || unlinkat(dirfd, name, 0) < 0)
			return unless_gone(errno);
		return 0;
	}
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == EBUSY) /* a mount point: what is there is not ours to remove */
		return -EBUSY;
	fd = open_dir_for_removal(dirfd, name);
	if (fd < 0)
		return unless_gone(-fd);
	if ((st.st_mode & 0700) != 0700)
		(void)fchmod(fd, 0700); /* else removing the children says why it failed */
	r = remove_children(fd);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return r < 0 ? r : -errno;
	return r;
}

int io_check_empty(int dirfd)
{
	AUTO(closep) int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir)
		return -errno;
	(void)TAKE_FD(fd);
	while ((de = readdir(dir))) {
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			return -ENOTEMPTY;
	}
	return 0;
}
