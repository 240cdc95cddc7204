// SPDX-License-Identifier: Apache-2.0
#include "tools/copytar.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/libarchive.h"
#include "store/tarattr.h"
#include "store/tarwrite.h"
#include "tools/rootdir.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { ARCHIVE_BLOCK_BYTES = 64 * 1024 };

/* Each name in a directory changes its time: it is set at the end. */
struct dir_time {
	char *path; /* owned; below the root */
	struct timespec mtime;
};

struct reader {
	struct copytar *copy; /* borrowed */
	struct archive *archive;
	int root;	 /* borrowed */
	const char *dir; /* borrowed */
	struct tar_attrs attrs;
	struct dir_time *times; /* owned */
	size_t time_count;
	struct diag *diag;
};

static void reader_release(struct reader *rd)
{
	for (size_t i = 0; i < rd->time_count; i++)
		free(rd->times[i].path);
	free(rd->times);
	tar_attrs_release(&rd->attrs);
	if (rd->archive)
		archive_read_free(rd->archive);
}

static int left_out(struct reader *rd, const char *path, int err, const char *what)
{
	AUTO(freep) char *why = ui_format("%s: %s", what, strerror(-err));

	rd->copy->warn(path, why, rd->copy->arg);
	if (rd->copy->status == 0)
		rd->copy->status = err;
	return 0;
}

static int damaged(struct reader *rd)
{
	const char *text = archive_error_string(rd->archive);

	if (archive_format(rd->archive) == 0)
		return diag_set(rd->diag, -EBADMSG, "standard input: it is not a tar archive");
	return diag_set(rd->diag, -EBADMSG, "standard input: damaged or truncated: %s", text ? text : "unknown error");
}

/*
 * Names: "./a//b/" is "a/b", "" the folder itself.  A path is cleaned so that its last name is what is made, and none
 * leads upwards; symbolic links that it passes lead where they lead in the container.
 */
static int clean(struct reader *rd, const char *path, char **ret)
{
	AUTO(buf_release) struct buf out = { 0 };
	size_t len;

	for (; *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0 || (len == 1 && *path == '.'))
			continue;
		if (len == 2 && strncmp(path, "..", 2) == 0)
			return diag_set(rd->diag, -EBADMSG, "an entry of the archive leads out of the folder");
		if (out.len > 0)
			buf_adds(&out, "/");
		buf_add(&out, path, len);
	}
	*ret = out.len > 0 ? ui_need(buf_take(&out)) : ui_need(strdup(""));
	return 0;
}

static char *below(const struct reader *rd, const char *path)
{
	char *joined;

	if (asprintf(&joined, "%s/%s", rd->dir, path) < 0)
		ui_out_of_memory();
	return joined;
}

/*
 * What an entry says.
 */

static int set_xattrs(const struct tree_entry *e, const char *target)
{
	int r = 0;

	for (size_t i = 0; i < e->xattr_count; i++)
		if (setxattr(target, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].bytes, 0) < 0 &&
		    errno != EPERM && errno != EACCES && errno != ENOTSUP)
			r = -errno;
	return r;
}

/* The order is that of copytree.c, for the same reasons. */
static void set_attributes(struct reader *rd, const struct tree_entry *e, const char *path, int dirfd, const char *name)
{
	AUTO(closep) int to = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	const struct timespec mtime = { e->mtime_ns / TAR_NS_PER_SECOND, e->mtime_ns % TAR_NS_PER_SECOND };
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, mtime };
	mode_t mode = e->mode & 07777;
	int r = to < 0 ? -errno : 0;

	if (r == 0 && fchownat(to, "", e->uid, e->gid, AT_EMPTY_PATH) < 0) {
		r = errno == EPERM || errno == EINVAL ? 0 : -errno;
		mode &= ~(mode_t)(S_ISUID | S_ISGID);
	}
	if (r == 0 && !S_ISLNK(e->mode)) {
		AUTO(freep) char *target = ui_format("/proc/self/fd/%d", to);

		r = set_xattrs(e, target);
		if (r == 0 && chmod(target, mode) < 0)
			r = -errno;
	}
	if (r == 0 && utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r < 0)
		left_out(rd, path, r, "cannot give it its owner, mode or time");
	if (S_ISDIR(e->mode)) {
		rd->times = ui_need(realloc(rd->times, (rd->time_count + 1) * sizeof(*rd->times)));
		rd->times[rd->time_count++] = (struct dir_time){ below(rd, path), mtime };
	}
}

static void set_dir_times(const struct reader *rd)
{
	for (size_t i = rd->time_count; i-- > 0;) {
		AUTO(closep) int fd = rootdir_open(rd->root, rd->times[i].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, rd->times[i].mtime };

		if (fd >= 0)
			futimens(fd, times);
	}
}

/*
 * Making files.  What fails for the disk's or the folder's sake is told of one file, and the archive is read on; what is
 * wrong with the archive ends it: 1.
 */

enum { ARCHIVE_IS_WRONG = 1 };

struct data_of {
	struct reader *rd; /* borrowed */
	const struct tree_entry *entry;
};

static int write_data(int fd, void *arg)
{
	const struct data_of *of = arg;
	const void *bytes;
	la_int64_t offset;
	size_t len;
	int got, r = 0;

	while (r == 0 && (got = archive_read_data_block(of->rd->archive, &bytes, &len, &offset)) != ARCHIVE_EOF)
		r = got != ARCHIVE_OK ? ARCHIVE_IS_WRONG : io_pwrite_full(fd, bytes, len, offset);
	if (r == 0 && ftruncate(fd, (off_t)of->entry->size) < 0)
		r = -errno;
	return r;
}

/*
 * Of a file that is somebody else's, and set-id or not to be written to, the kernel lets a user make no link (see
 * fs.protected_hardlinks in proc(5)), also where he may change its owner as in a mount of his own: so it is his for a
 * moment.
 */
static int link_as_own(const char *target, int dirfd, const char *name)
{
	struct stat st;
	int r;

	if (stat(target, &st) < 0 || chown(target, geteuid(), (gid_t)-1) < 0)
		return -EPERM;
	r = linkat(AT_FDCWD, target, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
	if (chown(target, st.st_uid, st.st_gid) < 0 || chmod(target, st.st_mode & 07777) < 0)
		return -errno;
	return r;
}

static int make_link(struct reader *rd, const char *first, int dirfd, const char *name)
{
	AUTO(freep) char *path = NULL, *whole = NULL, *target = NULL;
	int r = clean(rd, first, &path);

	if (r < 0)
		return ARCHIVE_IS_WRONG;
	whole = below(rd, path);
	AUTO(closep) int fd = rootdir_open(rd->root, whole, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	target = ui_format("/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, target, dirfd, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return errno == EPERM ? link_as_own(target, dirfd, name) : -errno;
}

/* A directory joins one that is there, any other file takes a file's place. */
static int make(struct reader *rd, struct archive_entry *entry, const struct tree_entry *e, int dirfd, const char *name)
{
	const char *link = archive_entry_hardlink(entry), *target = archive_entry_symlink(entry);
	struct stat st;

	if (S_ISDIR(e->mode) && !link) {
		if (mkdirat(dirfd, name, 0700) == 0)
			return 0;
		return errno == EEXIST && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)
			       ? 0
			       : -errno;
	}
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (link)
		return make_link(rd, link, dirfd, name);
	if (S_ISREG(e->mode))
		return io_make_file(dirfd, name, write_data, &(struct data_of){ rd, e });
	if (S_ISLNK(e->mode))
		return symlinkat(target ? target : "", dirfd, name) < 0 ? -errno : 0;
	return mknodat(dirfd, name, (e->mode & S_IFMT) | 0600, (dev_t)e->rdev) < 0 ? -errno : 0;
}

static int make_at(struct reader *rd, struct archive_entry *entry, char *path)
{
	struct tree_entry e = { .mode = (uint32_t)archive_entry_mode(entry),
				.size = (uint64_t)archive_entry_size(entry) };
	bool link = archive_entry_hardlink(entry) != NULL;
	AUTO(freep) char *parent = below(rd, path);
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	int r = link ? 0 : tar_attrs_read(&rd->attrs, entry, rd->diag, &e);

	if (r < 0 || !*path)
		return r;
	parent[strlen(parent) - strlen(name) - 1] = '\0';
	AUTO(closep) int dirfd = rootdir_make(rd->root, parent);
	r = dirfd < 0 ? dirfd : make(rd, entry, &e, dirfd, name);
	if (r == ARCHIVE_IS_WRONG)
		return rd->diag->text[0] ? -EBADMSG : damaged(rd);
	if (r < 0)
		return left_out(rd, path, r, "cannot make it");
	if (!link)
		set_attributes(rd, &e, path, dirfd, name);
	return 0;
}

/* That it cannot be shown in the locale is no fault of a name. */
static bool is_of_the_locale(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	return text && strstr(text, "current locale");
}

static int read_entries(struct reader *rd)
{
	struct archive_entry *entry;
	int r = 0, got;

	while (r == 0 && (got = archive_read_next_header(rd->archive, &entry)) != ARCHIVE_EOF) {
		AUTO(freep) char *path = NULL;

		if (got != ARCHIVE_OK && !(got == ARCHIVE_WARN && is_of_the_locale(rd->archive)))
			return damaged(rd);
		r = clean(rd, archive_entry_pathname(entry) ? archive_entry_pathname(entry) : "", &path);
		if (r == 0)
			r = make_at(rd, entry, path);
	}
	return r;
}

static int open_archive(struct reader *rd, int in)
{
	struct archive *a = rd->archive = ui_need(archive_read_new());

	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_tar(a);
	return archive_read_open_fd(a, in, ARCHIVE_BLOCK_BYTES) == ARCHIVE_OK ? 0 : damaged(rd);
}

int copytar_in(struct copytar *copy, int in, int root, const char *dir, struct diag *diag)
{
	AUTO(reader_release) struct reader rd = { .copy = copy, .root = root, .dir = dir, .diag = diag };
	/* So that names are the bytes that the archive has: see tar_read(). */
	locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	locale_t before = uselocale(locale);
	int r = open_archive(&rd, in);

	if (r == 0)
		r = read_entries(&rd);
	set_dir_times(&rd);
	uselocale(before);
	if (locale)
		freelocale(locale);
	return r;
}
