// SPDX-License-Identifier: Apache-2.0
#include "tools/copytar.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/tarwrite.h"
#include "tools/copytree.h"
#include "tools/ui.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { DATA_BYTES = 256 * 1024 };

/* The first name of an inode that has several, for the others to be links to. */
struct first_name {
	dev_t dev;
	ino_t ino;
	char *name; /* owned */
};

struct writer {
	struct copytar *copy; /* borrowed */
	int out;
	struct buf headers;	  /* of the entry under way */
	struct first_name *names; /* owned */
	size_t name_count;
	char *data; /* owned, DATA_BYTES */
};

static void writer_release(struct writer *w)
{
	for (size_t i = 0; i < w->name_count; i++)
		free(w->names[i].name);
	free(w->names);
	free(w->data);
	buf_release(&w->headers);
}

/* Of one file that cannot be read: the others follow. */
static int left_out(struct writer *w, const char *path, int err, const char *what)
{
	AUTO(freep) char *why = ui_format("%s: %s", what, strerror(-err));

	w->copy->warn(path, why, w->copy->arg);
	if (w->copy->status == 0)
		w->copy->status = err;
	return 0;
}

static const char *first_name(struct writer *w, const struct stat *st, const char *name)
{
	for (size_t i = 0; i < w->name_count; i++)
		if (w->names[i].dev == st->st_dev && w->names[i].ino == st->st_ino)
			return w->names[i].name;
	w->names = ui_need(realloc(w->names, (w->name_count + 1) * sizeof(*w->names)));
	w->names[w->name_count++] = (struct first_name){ st->st_dev, st->st_ino, ui_need(strdup(name)) };
	return NULL;
}

static int write_headers(struct writer *w, const struct tar_entry *entry)
{
	w->headers.len = 0;
	int r = tar_header(&w->headers, entry);
	return r < 0 ? r : io_write_full(w->out, w->headers.data, w->headers.len);
}

/* As many bytes as the header says, whatever has become of the file. */
static int write_data(struct writer *w, int in, uint64_t size, const char *path)
{
	static const char zeros[TAR_BLOCK_BYTES];
	uint64_t left = size;
	bool told = false;

	while (left > 0) {
		size_t want = left < DATA_BYTES ? (size_t)left : DATA_BYTES;
		ssize_t n = io_read_full(in, w->data, want);

		if (n < (ssize_t)want && !told) {
			left_out(w, path, n < 0 ? (int)n : -EIO, "it has become shorter while it was copied");
			told = true;
		}
		if (n < (ssize_t)want)
			memset(w->data + (n > 0 ? n : 0), 0, want - (size_t)(n > 0 ? n : 0));
		int r = io_write_full(w->out, w->data, want);
		if (r < 0)
			return r;
		left -= want;
	}
	return io_write_full(w->out, zeros, tar_padding(size));
}

static int write_file(struct writer *w, int from, const struct tar_entry *entry, const char *path)
{
	AUTO(closep) int in = copytree_reopen(from, O_RDONLY);

	if (in < 0)
		return left_out(w, path, in, "cannot read it");
	int r = write_headers(w, entry);
	return r < 0 ? r : write_data(w, in, entry->size, path);
}

static void fill_entry(const struct writer *w, const struct stat *st, const char *name, struct tar_entry *ret)
{
	*ret = (struct tar_entry){
		.path = name,
		.mode = st->st_mode,
		.uid = w->copy->own_is_root && st->st_uid == geteuid() ? 0 : st->st_uid,
		.gid = w->copy->own_is_root && st->st_gid == getegid() ? 0 : st->st_gid,
		.rdev = st->st_rdev,
		.size = (uint64_t)st->st_size,
		.mtime_ns = st->st_mtim.tv_sec * (int64_t)TAR_NS_PER_SECOND + st->st_mtim.tv_nsec,
	};
}

/* All but what is in a directory. */
static int write_one(struct writer *w, int from, const struct stat *st, const char *path, const char *name)
{
	AUTO(xattr_list_release) struct xattr_list xattrs = { 0 };
	char target[PATH_MAX];
	struct tar_entry entry;
	int r = xattr_list_read(from, &xattrs);

	if (r < 0)
		left_out(w, path, r, "cannot read its extended attributes");
	fill_entry(w, st, name, &entry);
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		entry.target = first_name(w, st, name);
		entry.hard_link = entry.target;
	}
	entry.xattrs = entry.hard_link ? NULL : &xattrs;
	if (S_ISLNK(st->st_mode) && !entry.hard_link) {
		ssize_t n = readlinkat(from, "", target, sizeof(target) - 1);

		if (n < 0)
			return left_out(w, path, -errno, "cannot read it");
		target[n] = '\0';
		entry.target = target;
	}
	return S_ISREG(st->st_mode) && !entry.hard_link ? write_file(w, from, &entry, path) : write_headers(w, &entry);
}

static int write_node(struct writer *w, int from, const char *path, const char *name);

static int write_child(struct writer *w, int dir, dev_t dev, const char *child, const char *path, const char *name)
{
	AUTO(closep) int from = openat(dir, child, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO(freep) char *below = NULL, *inner = NULL;
	struct stat st;

	if (asprintf(&below, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", child) < 0)
		ui_out_of_memory();
	if (asprintf(&inner, "%s%s%s", name ? name : "", name ? "/" : "", child) < 0)
		ui_out_of_memory();
	if (from < 0 || fstat(from, &st) < 0)
		return errno == ENOENT ? 0 : left_out(w, below, -errno, "cannot open it");
	if (S_ISDIR(st.st_mode) && st.st_dev != dev && copytree_is_kernels(from, child))
		return write_one(w, from, &st, below, inner);
	return write_node(w, from, below, inner);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Sorted, so that the same files make the same archive. */
static int write_children(struct writer *w, int from, const char *path, const char *name)
{
	AUTO(closep) int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **entries = NULL;
	struct stat st;
	int r = 0, count = fd < 0 || fstat(fd, &st) < 0 ? -1 : scandirat(fd, ".", &entries, is_entry, by_bytes);

	if (count < 0)
		return left_out(w, path, -errno, "cannot read it");
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = write_child(w, fd, st.st_dev, entries[i]->d_name, path, name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

static int write_node(struct writer *w, int from, const char *path, const char *name)
{
	struct stat st;
	int r = 0;

	if (fstat(from, &st) < 0)
		return left_out(w, path, -errno, "cannot open it");
	if (name && !S_ISSOCK(st.st_mode))
		r = write_one(w, from, &st, path, name);
	return r == 0 && S_ISDIR(st.st_mode) ? write_children(w, from, path, name) : r;
}

int copytar_out(struct copytar *copy, int from, const char *path, const char *name, int out, struct diag *diag)
{
	AUTO(writer_release)
	struct writer w = { .copy = copy, .out = out, .data = ui_need(malloc(DATA_BYTES)) };
	int r = write_node(&w, from, path, name);

	if (r == 0) {
		w.headers.len = 0;
		tar_end(&w.headers);
		r = buf_error(&w.headers);
	}
	if (r == 0)
		r = io_write_full(out, w.headers.data, w.headers.len);
	return r < 0 ? diag_set(diag, r, "%s", strerror(-r)) : 0;
}
