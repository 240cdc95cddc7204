/* SPDX-License-Identifier: Apache-2.0 */
#include "store/members.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/base/io.h"
#include "store/libarchive.h"
#include "store/store_priv.h"
#include "store/tarwrite.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	READ_BYTES = 64 * 1024,
	LINKS_MAX = 8,	       /* followed one after the other */
	TRIES_MAX = 10000,     /* to open one file of a folder */
	MEMBERS_MAX = 1000000, /* an image archive has a few for each layer */
};

struct tar_member {
	char *name;   /* owned */
	char *target; /* owned: a link's, relative to the archive's root; NULL: a regular file */
	uint64_t offset, bytes;
	size_t order; /* in the archive: of equal names the last counts */
};

struct members {
	char *source; /* owned */
	int fd;	      /* owned: the folder or the tar */
	bool folder;
	off_t start;		  /* where in fd the tar begins */
	struct tar_member *items; /* owned; sorted by name */
	size_t count, room;
};

static void archive_read_freep(struct archive **a)
{
	int saved = errno;

	if (*a)
		archive_read_free(*a);
	errno = saved;
}

const char *members_source(const struct members *members)
{
	return members->source;
}

void members_close(struct members *members)
{
	if (!members)
		return;
	for (size_t i = 0; i < members->count; i++) {
		free(members->items[i].name);
		free(members->items[i].target);
	}
	free(members->items);
	closep(&members->fd);
	free(members->source);
	free(members);
}

void members_closep(struct members **members)
{
	int saved = errno;

	members_close(*members);
	errno = saved;
}

/*
 * The path that @name is from directory @dir of the archive, without "." and
 * ".."; both are relative to its root, and above it there is nothing.
 */
static char *resolve(const char *dir, size_t dir_len, const char *name)
{
	AUTO(buf_release) struct buf all = { 0 };
	AUTO(buf_release) struct buf out = { 0 };
	char *rest, *part;

	if (name[0] != '/')
		buf_add(&all, dir, dir_len);
	buf_addf(&all, "/%s", name);
	if (buf_error(&all) < 0)
		return NULL;
	for (rest = all.data; (part = strsep(&rest, "/"));) {
		if (strcmp(part, "..") == 0) {
			char *slash = out.data ? strrchr(out.data, '/') : NULL;

			out.len = slash ? (size_t)(slash - out.data) : 0;
			if (out.data)
				out.data[out.len] = '\0';
		} else if (*part && strcmp(part, ".") != 0) {
			buf_adds(&out, out.len > 0 ? "/" : "");
			buf_adds(&out, part);
		}
	}
	return buf_take(&out);
}

static size_t parent_len(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? (size_t)(slash - name) : 0;
}

static int index_add(struct members *m, struct archive *a, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	const char *hard = archive_entry_hardlink(entry);
	const char *soft = archive_entry_filetype(entry) == AE_IFLNK ? archive_entry_symlink(entry) : NULL;
	struct tar_member *item;

	if (!name || (!hard && !soft && archive_entry_filetype(entry) != AE_IFREG))
		return 0;
	if (m->count == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct tar_member *items = realloc(m->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		m->items = items;
		m->room = room;
	}
	item = &m->items[m->count];
	*item = (struct tar_member){ .order = m->count };
	m->count++;
	item->name = resolve("", 0, name);
	if (hard)
		item->target = resolve("", 0, hard);
	else if (soft)
		item->target = resolve(name, parent_len(name), soft);
	if (!item->name || ((hard || soft) && !item->target))
		return -ENOMEM;
	/* The headers are consumed and nothing of the data is: what was taken so far ends where the data begins. */
	item->offset = (uint64_t)archive_filter_bytes(a, 0);
	item->bytes = (uint64_t)archive_entry_size(entry);
	return 0;
}

static int member_order(const void *a, const void *b)
{
	const struct tar_member *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order != 0)
		return order;
	return x->order > y->order ? -1 : x->order < y->order;
}

static int index_all(struct members *m, struct archive *a, struct diag *diag)
{
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(a, &entry)) != ARCHIVE_EOF) {
		if (r < ARCHIVE_WARN)
			return diag_set(diag, -EBADMSG, "%s: not a tar archive, or damaged at byte %lld: %s", m->source,
					(long long)archive_filter_bytes(a, 0), archive_error_string(a));
		if (m->count >= MEMBERS_MAX)
			return diag_set(diag, -EBADMSG, "%s: more than %d members, so no image archive", m->source,
					MEMBERS_MAX);
		r = index_add(m, a, entry);
		if (r < 0)
			return r;
	}
	if (m->count > 1)
		qsort(m->items, m->count, sizeof(*m->items), member_order);
	return 0;
}

/* @start: where in the file the tar begins; standard input may be somewhere in a file. */
static int index_tar(struct members *m, off_t start, struct diag *diag)
{
	AUTO(archive_read_freep) struct archive *a = NULL;
	int r = libarchive_load(diag);

	if (r < 0)
		return r;
	a = archive_read_new();
	if (!a)
		return -ENOMEM;
	m->start = start;
	if (lseek(m->fd, start, SEEK_SET) < 0)
		return diag_errno(diag, -errno, "%s: cannot seek", m->source);
	archive_read_support_format_tar(a);
	archive_read_support_format_empty(a);
	if (archive_read_open_fd(a, m->fd, READ_BYTES) != ARCHIVE_OK)
		return diag_set(diag, -EBADMSG, "%s: not a tar archive: %s", m->source, archive_error_string(a));
	r = index_all(m, a, diag);
	for (size_t i = 0; i < m->count; i++)
		m->items[i].offset += (uint64_t)start;
	return r;
}

/* A tar header's sum of its bytes, its own field taken as blanks, tells a plain tar from all else. */
static bool is_plain_tar(int fd, off_t start)
{
	unsigned char block[TAR_BLOCK_BYTES];
	unsigned long sum = 8 * ' ';
	char field[9] = { 0 };

	if (io_pread_full(fd, block, sizeof(block), start) != (ssize_t)sizeof(block))
		return false;
	for (size_t i = 0; i < sizeof(block); i++)
		sum += i >= 148 && i < 156 ? 0 : block[i];
	memcpy(field, block + 148, 8);
	return strtoul(field, NULL, 8) == sum;
}

static int open_spool(struct store *store, struct diag *diag)
{
	AUTO(freep) char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/ingest", store_dir(store)) < 0)
		return -ENOMEM;
	fd = io_unnamed_file(path);
	return fd < 0 ? diag_errno(diag, fd, "cannot make a file in %s", path) : fd;
}

static int spool_data(struct archive *a, int out, const struct store_limits *limits, const char *source,
		      struct diag *diag)
{
	for (uint64_t done = 0;;) {
		const void *bytes;
		size_t count;
		int64_t offset;
		int r = archive_read_data_block(a, &bytes, &count, &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return diag_set(diag, -EBADMSG, "%s: truncated or damaged: %s", source,
					archive_error_string(a));
		done += count;
		r = limits_check_stream(limits, done, (uint64_t)archive_filter_bytes(a, -1), source, diag);
		if (r < 0)
			return r;
		r = io_write_full(out, bytes, count);
		if (r < 0)
			return diag_errno(diag, r, "%s: cannot unpack it into the store", source);
	}
}

/* @m's descriptor becomes one of the uncompressed bytes. */
static int spool(struct members *m, struct store *store, struct diag *diag)
{
	AUTO(archive_read_freep) struct archive *a = NULL;
	AUTO(closep) int out = open_spool(store, diag);
	struct archive_entry *entry;
	int r = out < 0 ? out : libarchive_load(diag);

	if (r < 0)
		return r;
	a = archive_read_new();
	if (!a)
		return -ENOMEM;
	/* Not filter_all(): that would run programs on what a stranger sent. */
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_format_raw(a);
	archive_read_support_format_empty(a);
	if (archive_read_open_fd(a, m->fd, READ_BYTES) != ARCHIVE_OK)
		return diag_set(diag, -EBADMSG, "%s: cannot read it: %s", m->source, archive_error_string(a));
	r = archive_read_next_header(a, &entry);
	if (r == ARCHIVE_EOF)
		return diag_set(diag, -EBADMSG, "%s: is empty", m->source);
	if (r < ARCHIVE_WARN)
		return diag_set(diag, -EBADMSG, "%s: cannot read it: %s", m->source, archive_error_string(a));
	r = spool_data(a, out, &store->limits, m->source, diag);
	if (r < 0)
		return r;
	closep(&m->fd);
	m->fd = TAKE_FD(out);
	return 0;
}

static int open_archive(struct members *m, struct store *store, struct diag *diag)
{
	off_t start = lseek(m->fd, 0, SEEK_CUR);
	int r;

	if (start >= 0 && is_plain_tar(m->fd, start))
		return index_tar(m, start, diag);
	r = spool(m, store, diag);
	if (r < 0)
		return r;
	if (!is_plain_tar(m->fd, 0))
		return diag_set(diag, -EBADMSG, "%s: not a tar archive", m->source);
	return index_tar(m, 0, diag);
}

int members_open(struct store *store, const char *path, struct diag *diag, struct members **ret)
{
	AUTO(members_closep) struct members *m = calloc(1, sizeof(*m));
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat st;
	int r = 0;

	if (!m)
		return -ENOMEM;
	m->fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	if (m->fd < 0)
		return diag_errno(diag, -errno, "cannot open %s", is_stdin ? "standard input" : path);
	m->source = strdup(is_stdin ? "standard input" : path);
	if (!m->source)
		return -ENOMEM;
	if (fstat(m->fd, &st) < 0)
		return diag_errno(diag, -errno, "cannot read %s", m->source);
	m->folder = S_ISDIR(st.st_mode);
	if (!m->folder)
		r = open_archive(m, store, diag);
	if (r == 0)
		*ret = TAKE(m);
	return r;
}

static const struct tar_member *find_item(const struct members *m, const char *name)
{
	size_t low = 0, high = m->count;

	while (low < high) { /* the first of equal names */
		size_t mid = low + (high - low) / 2;

		if (strcmp(m->items[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->count && strcmp(m->items[low].name, name) == 0 ? &m->items[low] : NULL;
}

static int find_in_tar(struct members *m, const char *name, struct diag *diag, struct member *ret)
{
	AUTO(freep) char *path = resolve("", 0, name);
	const struct tar_member *item;
	struct stat st;
	int links = 0;

	if (!path)
		return -ENOMEM;
	item = find_item(m, path);
	while (item && item->target) {
		if (++links > LINKS_MAX)
			return diag_set(diag, -EBADMSG, "%s: %s: too many links one after the other", m->source, name);
		item = find_item(m, item->target);
	}
	if (!item)
		return -ENOENT;
	if (fstat(m->fd, &st) < 0)
		return diag_errno(diag, -errno, "cannot read %s", m->source);
	if (item->bytes > (uint64_t)st.st_size || item->offset > (uint64_t)st.st_size - item->bytes)
		return diag_set(diag, -EBADMSG, "%s: truncated: it ends within %s", m->source, name);
	*ret = (struct member){ .fd = m->fd, .offset = item->offset, .bytes = item->bytes };
	return 0;
}

/*
 * The kernel gives up on a ".." that is to stay beneath when anything at all is renamed or mounted meanwhile.  That is
 * over soon.
 */
static int open_beneath(int dir, const char *name)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH };
	int fd;

	for (int tries = 0; tries < TRIES_MAX; tries++) {
		fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			return fd < 0 ? -errno : fd;
		sched_yield();
	}
	return -EAGAIN;
}

static int find_in_folder(struct members *m, const char *name, struct diag *diag, struct member *ret)
{
	/* No name that comes from the archive leads out of the folder. */
	AUTO(closep) int fd = open_beneath(m->fd, name);
	struct stat st;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? -ENOENT
						       : diag_errno(diag, fd, "%s: cannot open %s", m->source, name);
	if (fstat(fd, &st) < 0)
		return diag_errno(diag, -errno, "%s: cannot read %s", m->source, name);
	if (!S_ISREG(st.st_mode))
		return diag_set(diag, -EBADMSG, "%s: %s is no regular file", m->source, name);
	*ret = (struct member){ .fd = TAKE_FD(fd), .owned = true, .bytes = (uint64_t)st.st_size };
	return 0;
}

int members_find(struct members *members, const char *name, struct diag *diag, struct member *ret)
{
	return members->folder ? find_in_folder(members, name, diag, ret) : find_in_tar(members, name, diag, ret);
}

static int each_in_tar(struct members *m, int (*fn)(const char *name, void *arg), void *arg)
{
	char last[NAME_MAX + 1] = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->count; i++) {
		const char *name = m->items[i].name;
		size_t len = strcspn(name, "/");

		if (!name[len] || len > NAME_MAX || (strncmp(name, last, len) == 0 && !last[len]))
			continue;
		memcpy(last, name, len);
		last[len] = '\0';
		r = fn(last, arg);
	}
	return r;
}

static int each_in_folder(struct members *m, int (*fn)(const char *name, void *arg), void *arg, struct diag *diag)
{
	struct dirent **list;
	int count = scandirat(m->fd, ".", &list, NULL, alphasort);
	int r = 0;

	if (count < 0)
		return diag_errno(diag, -errno, "cannot read %s", m->source);
	for (int i = 0; i < count; i++) {
		const char *name = list[i]->d_name;
		struct stat st;

		if (r == 0 && fstatat(m->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			r = fn(name, arg);
		free(list[i]);
	}
	free(list);
	return r;
}

int members_each_folder(struct members *members, int (*fn)(const char *name, void *arg), void *arg, struct diag *diag)
{
	return members->folder ? each_in_folder(members, fn, arg, diag) : each_in_tar(members, fn, arg);
}

bool members_folder(const struct members *members)
{
	return members->folder;
}

int members_whole(struct members *m, struct diag *diag, struct member *ret)
{
	struct stat st;

	if (fstat(m->fd, &st) < 0)
		return diag_errno(diag, -errno, "cannot read %s", m->source);
	*ret = (struct member){ .fd = m->fd, .offset = (uint64_t)m->start, .bytes = (uint64_t)(st.st_size - m->start) };
	return 0;
}

void member_release(struct member *member)
{
	if (member->owned)
		closep(&member->fd);
	*member = (struct member){ .fd = -1 };
}

int members_load(struct members *members, const char *name, size_t limit, struct diag *diag, char **ret,
		 size_t *ret_bytes)
{
	AUTO(member_release) struct member member = { .fd = -1 };
	AUTO(freep) char *text = NULL;
	int r = members_find(members, name, diag, &member);
	ssize_t n;

	if (r < 0)
		return r;
	if (member.bytes > limit)
		return diag_set(diag, -EBADMSG, "%s: %s: larger than %zu bytes", members->source, name, limit);
	text = malloc((size_t)member.bytes + 1);
	if (!text)
		return -ENOMEM;
	n = io_pread_full(member.fd, text, (size_t)member.bytes, (off_t)member.offset);
	if (n < 0)
		return diag_errno(diag, (int)n, "%s: cannot read %s", members->source, name);
	if ((uint64_t)n < member.bytes)
		return diag_set(diag, -EBADMSG, "%s: truncated: it ends within %s", members->source, name);
	text[n] = '\0';
	*ret = TAKE(text);
	*ret_bytes = (size_t)n;
	return 0;
}

static ssize_t member_read(void *arg, void *buf, size_t bytes)
{
	struct member *member = arg;
	uint64_t left = member->bytes - member->done;
	ssize_t n;

	if (bytes > left)
		bytes = (size_t)left;
	n = io_pread_full(member->fd, buf, bytes, (off_t)(member->offset + member->done));
	if (n > 0)
		member->done += (uint64_t)n;
	return n;
}

struct byte_source member_source(struct member *member)
{
	return (struct byte_source){ .read = member_read, .arg = member };
}
