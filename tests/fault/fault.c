/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library for LD_PRELOAD that counts the calls by which a program changes
 * files, and lets one of them go wrong.
 *
 *   NACRE_FAULT_AT=N	the N-th call, from 1
 *   NACRE_FAULT=WHAT	kill: the process is killed before it
 *			torn: of a write one half is done, then the process is killed
 *			ENOSPC, EIO: it fails with that, and is not done; so do all after it with ENOSPC
 *	NACRE_FAULT_COUNT=FILE	where the number of calls is written when the program ends by itself
 *	NACRE_FAULT_NFS=4	all file systems say that they are NFS, and are as it is: flock(2) wants a descriptor
 *			that may write for an exclusive lock, and two names cannot be exchanged.  For the programs
 *			that it starts, too.  3: of version 3, which has no xattrs
 *	NACRE_FAULT_SLOW=MS	each write to a file takes so many milliseconds
 *	NACRE_FAULT_SLOW_READS=MS	each read from a file at a place takes so many
 *	NACRE_FAULT_HOLD=FOLDER	the N-th time that a driver tells the kernel to forget a name, FOLDER/held.N is made,
 *			and it waits until FOLDER/go.N is there, or FOLDER/go
 *	NACRE_FAULT_HOLD_SENDS=FOLDER	the same for each message that is sent over a socket
 *	NACRE_FAULT_HOLD_READ=FOLDER	the same when a driver has answered a request with more than 16 KiB of data, and so
 *			before it has done with that request
 *
 * Calls to what is no regular file (terminals, pipes) are not counted.  The
 * counter is this process's own: a child begins at 0 and is left alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fuse.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LARGE_ANSWER = 16 * 1024 };

enum kind {
	NOTHING,
	KILL,
	TORN,
	FAIL_NOSPC,
	FAIL_IO,
};

static struct {
	enum kind kind;
	long at;
	atomic_long calls;
	pid_t pid;
	long nfs; /* its version; 0: none */
	useconds_t slow_us, slow_read_us;
	const char *hold, *hold_sends, *hold_read;
	atomic_long names, sends, answers;
} fault;

__attribute__((constructor)) static void fault_begin(void)
{
	static const char *const names[] = { "", "kill", "torn", "ENOSPC", "EIO" };
	const char *at = getenv("NACRE_FAULT_AT"), *what = getenv("NACRE_FAULT");
	const char *nfs = getenv("NACRE_FAULT_NFS"), *slow = getenv("NACRE_FAULT_SLOW");
	const char *slow_reads = getenv("NACRE_FAULT_SLOW_READS");

	fault.pid = getpid();
	fault.at = at ? atol(at) : 0;
	for (size_t i = 0; what && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], what) == 0)
			fault.kind = (enum kind)i;
	fault.nfs = nfs ? atol(nfs) : 0;
	fault.slow_us = slow ? (useconds_t)atol(slow) * 1000 : 0;
	fault.slow_read_us = slow_reads ? (useconds_t)atol(slow_reads) * 1000 : 0;
	fault.hold = getenv("NACRE_FAULT_HOLD");
	fault.hold_sends = getenv("NACRE_FAULT_HOLD_SENDS");
	fault.hold_read = getenv("NACRE_FAULT_HOLD_READ");
	/* Programs that this one starts are none of our business. */
	if (!fault.nfs)
		unsetenv("LD_PRELOAD");
}

__attribute__((destructor)) static void fault_end(void)
{
	const char *path = getenv("NACRE_FAULT_COUNT");
	FILE *f = path && getpid() == fault.pid ? fopen(path, "w") : NULL;

	if (f) {
		fprintf(f, "%ld\n", atomic_load(&fault.calls));
		fclose(f);
	}
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* The errno for this call, 0: let it be done. A torn write is KILL to all but the writes, which pass @tears. */
static int strike(bool *tears)
{
	long n = atomic_fetch_add(&fault.calls, 1) + 1;

	if (tears && fault.slow_us)
		usleep(fault.slow_us);
	if (fault.kind == NOTHING || fault.at == 0 || n < fault.at || getpid() != fault.pid)
		return 0;
	if (fault.kind == FAIL_NOSPC)
		return ENOSPC; /* a full disk stays full */
	if (n > fault.at)
		return 0;
	if (fault.kind == FAIL_IO)
		return EIO;
	if (fault.kind == TORN && tears) {
		*tears = true;
		return 0;
	}
	die();
	return 0;
}

static bool is_file(int fd)
{
	int saved = errno;
	struct stat st;
	bool yes = fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));

	errno = saved;
	return yes;
}

#define REAL(ret, name, ...) ((ret(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

/* A call that is done whole or not at all. */
#define WHOLE(ret, name, counted, params, args, ...)       \
	ret name params;                                   \
	ret name params                                    \
	{                                                  \
		int err = (counted) ? strike(NULL) : 0;    \
                                                           \
		if (err) {                                 \
			errno = err;                       \
			return -1;                         \
		}                                          \
		return REAL(ret, #name, __VA_ARGS__) args; \
	}

/* A write of @count bytes, which may be torn. */
#define WRITE(name, params, half, args, ...)                            \
	ssize_t name params;                                            \
	ssize_t name params                                             \
	{                                                               \
		bool tears = false;                                     \
		int err = is_file(fd) ? strike(&tears) : 0;             \
                                                                        \
		if (err) {                                              \
			errno = err;                                    \
			return -1;                                      \
		}                                                       \
		if (tears) {                                            \
			if (REAL(ssize_t, #name, __VA_ARGS__) half < 0) \
				_exit(98);                              \
			die();                                          \
		}                                                       \
		return REAL(ssize_t, #name, __VA_ARGS__) args;          \
	}

WRITE(write, (int fd, const void *bytes, size_t count), (fd, bytes, count / 2), (fd, bytes, count), int, const void *,
      size_t)
WRITE(pwrite, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count / 2, at), (fd, bytes, count, at),
      int, const void *, size_t, off_t)
WRITE(pwrite64, (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count / 2, at),
      (fd, bytes, count, at), int, const void *, size_t, off64_t)

WHOLE(ssize_t, copy_file_range, is_file(out),
      (int in, off64_t *in_at, int out, off64_t *out_at, size_t count, unsigned flags),
      (in, in_at, out, out_at, count, flags), int, off64_t *, int, off64_t *, size_t, unsigned)
WHOLE(int, fsync, is_file(fd), (int fd), (fd), int)
WHOLE(int, fdatasync, is_file(fd), (int fd), (fd), int)
WHOLE(int, syncfs, is_file(fd), (int fd), (fd), int)
WHOLE(int, ftruncate, is_file(fd), (int fd, off_t size), (fd, size), int, off_t)
WHOLE(int, ftruncate64, is_file(fd), (int fd, off64_t size), (fd, size), int, off64_t)
WHOLE(int, fallocate, is_file(fd), (int fd, int mode, off_t at, off_t count), (fd, mode, at, count), int, int, off_t,
      off_t)
WHOLE(int, fallocate64, is_file(fd), (int fd, int mode, off64_t at, off64_t count), (fd, mode, at, count), int, int,
      off64_t, off64_t)
WHOLE(int, fchmod, is_file(fd), (int fd, mode_t mode), (fd, mode), int, mode_t)
WHOLE(int, rename, true, (const char *from, const char *to), (from, to), const char *, const char *)
WHOLE(int, renameat, true, (int fd, const char *from, int to_fd, const char *to), (fd, from, to_fd, to), int,
      const char *, int, const char *)
WHOLE(int, link, true, (const char *from, const char *to), (from, to), const char *, const char *)
WHOLE(int, linkat, true, (int fd, const char *from, int to_fd, const char *to, int flags), (fd, from, to_fd, to, flags),
      int, const char *, int, const char *, int)
WHOLE(int, symlink, true, (const char *target, const char *path), (target, path), const char *, const char *)
WHOLE(int, unlink, true, (const char *path), (path), const char *)
WHOLE(int, unlinkat, true, (int fd, const char *path, int flags), (fd, path, flags), int, const char *, int)
WHOLE(int, rmdir, true, (const char *path), (path), const char *)
WHOLE(int, mkdir, true, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
WHOLE(int, mkdirat, true, (int fd, const char *path, mode_t mode), (fd, path, mode), int, const char *, mode_t)
WHOLE(int, mkostemp, true, (char *path, int flags), (path, flags), char *, int)
WHOLE(int, mkostemp64, true, (char *path, int flags), (path, flags), char *, int)

char *mkdtemp(char *path)
{
	int err = strike(NULL);

	if (err) {
		errno = err;
		return NULL;
	}
	return REAL(char *, "mkdtemp", char *)(path);
}

/* Opening counts where it makes or empties a file. */
static mode_t open_mode(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;
}

static int open_strike(int flags)
{
	return flags & (O_CREAT | O_TRUNC | __O_TMPFILE) & ~O_DIRECTORY ? strike(NULL) : 0;
}

#define OPEN(name)                                                                  \
	int name(const char *path, int flags, ...)                                  \
	{                                                                           \
		int err = open_strike(flags);                                       \
		va_list ap;                                                         \
		mode_t mode;                                                        \
                                                                                    \
		va_start(ap, flags);                                                \
		mode = open_mode(flags, ap);                                        \
		va_end(ap);                                                         \
		if (err) {                                                          \
			errno = err;                                                \
			return -1;                                                  \
		}                                                                   \
		return REAL(int, #name, const char *, int, ...)(path, flags, mode); \
	}

#define OPENAT(name)                                                                         \
	int name(int fd, const char *path, int flags, ...)                                   \
	{                                                                                    \
		int err = open_strike(flags);                                                \
		va_list ap;                                                                  \
		mode_t mode;                                                                 \
                                                                                             \
		va_start(ap, flags);                                                         \
		mode = open_mode(flags, ap);                                                 \
		va_end(ap);                                                                  \
		if (err) {                                                                   \
			errno = err;                                                         \
			return -1;                                                           \
		}                                                                            \
		return REAL(int, #name, int, const char *, int, ...)(fd, path, flags, mode); \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* ---- slow reads ---- */

static void read_slowly(int fd)
{
	if (fault.slow_read_us && is_file(fd))
		usleep(fault.slow_read_us);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at)
{
	read_slowly(fd);
	return REAL(ssize_t, "pread", int, void *, size_t, off_t)(fd, bytes, count, at);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at)
{
	read_slowly(fd);
	return REAL(ssize_t, "pread64", int, void *, size_t, off64_t)(fd, bytes, count, at);
}

ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t count, unsigned flags)
{
	read_slowly(in);
	return REAL(ssize_t, "splice", int, off64_t *, int, off64_t *, size_t, unsigned)(in, in_at, out, out_at, count,
											 flags);
}

/* ---- the kernel's names, and messages ---- */

static bool forgets_name(const struct iovec *iov)
{
	const struct fuse_out_header *out = iov->iov_base;

	return iov->iov_len == sizeof(*out) && out->unique == 0 && out->error == FUSE_NOTIFY_INVAL_ENTRY;
}

static void hold(const char *folder, atomic_long *count)
{
	long n = atomic_fetch_add(count, 1) + 1;
	char held[PATH_MAX], go[PATH_MAX], all[PATH_MAX];
	int fd;

	snprintf(held, sizeof(held), "%s/held.%ld", folder, n);
	snprintf(go, sizeof(go), "%s/go.%ld", folder, n);
	snprintf(all, sizeof(all), "%s/go", folder);
	fd = open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	while (access(go, F_OK) < 0 && access(all, F_OK) < 0)
		usleep(1000);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	ssize_t n;

	if (fault.hold && count > 0 && forgets_name(iov))
		hold(fault.hold, &fault.names);
	n = REAL(ssize_t, "writev", int, const struct iovec *, int)(fd, iov, count);
	if (fault.hold_read && n > LARGE_ANSWER && !is_file(fd))
		hold(fault.hold_read, &fault.answers);
	return n;
}

ssize_t send(int fd, const void *bytes, size_t count, int flags)
{
	if (fault.hold_sends)
		hold(fault.hold_sends, &fault.sends);
	return REAL(ssize_t, "send", int, const void *, size_t, int)(fd, bytes, count, flags);
}

/* ---- NFS ---- */

int flock(int fd, int operation)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;

	if (fault.nfs && ((operation & LOCK_EX && mode == O_RDONLY) || (operation & LOCK_SH && mode == O_WRONLY))) {
		errno = EBADF;
		return -1;
	}
	return REAL(int, "flock", int, int)(fd, operation);
}

int renameat2(int fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	int err = strike(NULL);

	if (err || (fault.nfs && flags)) {
		errno = err ? err : EINVAL;
		return -1;
	}
	return REAL(int, "renameat2", int, const char *, int, const char *, unsigned)(fd, from, to_fd, to, flags);
}

#define SETXATTR(name, type)                                                                                    \
	int name(type at, const char *xattr, const void *value, size_t bytes, int flags)                        \
	{                                                                                                       \
		if (fault.nfs == 3) {                                                                           \
			errno = ENOTSUP;                                                                        \
			return -1;                                                                              \
		}                                                                                               \
		return REAL(int, #name, type, const char *, const void *, size_t, int)(at, xattr, value, bytes, \
										       flags);                  \
	}

#define GETXATTR(name, type)                                                                              \
	ssize_t name(type at, const char *xattr, void *value, size_t bytes)                               \
	{                                                                                                 \
		if (fault.nfs == 3) {                                                                     \
			errno = ENOTSUP;                                                                  \
			return -1;                                                                        \
		}                                                                                         \
		return REAL(ssize_t, #name, type, const char *, void *, size_t)(at, xattr, value, bytes); \
	}

SETXATTR(setxattr, const char *)
SETXATTR(lsetxattr, const char *)
SETXATTR(fsetxattr, int)
GETXATTR(getxattr, const char *)
GETXATTR(lgetxattr, const char *)
GETXATTR(fgetxattr, int)

#define STATFS(name, kind, type)                                       \
	int name(type at, struct kind *st)                             \
	{                                                              \
		int r = REAL(int, #name, type, struct kind *)(at, st); \
                                                                       \
		if (r == 0 && fault.nfs)                               \
			st->f_type = NFS_SUPER_MAGIC;                  \
		return r;                                              \
	}

STATFS(statfs, statfs, const char *)
STATFS(fstatfs, statfs, int)
STATFS(statfs64, statfs64, const char *)
STATFS(fstatfs64, statfs64, int)
