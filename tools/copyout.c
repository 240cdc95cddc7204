// SPDX-License-Identifier: Apache-2.0
#include "tools/copyout.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "tools/entrytext.h"
#include "tools/linkset.h"
#include "tools/treepath.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

struct copyout {
	struct store *store;
	struct view *view;
	copyout_warn_fn warn;
	void *arg;
	bool root;
	int status; /* the first error */
	struct linkset links;
};

struct copyout *copyout_new(struct store *store, struct view *view, copyout_warn_fn warn, void *arg)
{
	struct copyout *ret = ui_need(calloc(1, sizeof(*ret)));

	*ret = (struct copyout){ .store = store, .view = view, .warn = warn, .arg = arg, .root = geteuid() == 0 };
	return ret;
}

void copyout_freep(struct copyout **copyout)
{
	if (!*copyout)
		return;
	linkset_release(&(*copyout)->links);
	free(*copyout);
}

static int failed(struct copyout *copyout, const char *path, int err, const char *what)
{
	AUTO(freep) char *why = ui_format("%s: %s", what, strerror(-err));

	copyout->warn(path, why, copyout->arg);
	if (copyout->status == 0)
		copyout->status = err;
	return err;
}

/*
 * What all files have.
 */

struct xattr_target {
	struct copyout *copyout;
	const char *path;
	const char *at; /* where lsetxattr(2) finds the file */
};

static int set_xattr(const char *name, const void *value, size_t bytes, void *arg)
{
	struct xattr_target *target = arg;

	if (lsetxattr(target->at, name, value, bytes, 0) == 0)
		return 0;
	/* As cp -a: what only root may set, and what the file system has not, is left out by others. */
	if (!target->copyout->root && (errno == EPERM || errno == ENOTSUP))
		return 0;
	failed(target->copyout, target->path, -errno, name);
	return 0;
}

static void set_xattrs(struct copyout *copyout, const struct view_node *node, const char *path, int dirfd,
		       const char *name)
{
	const struct layer_entry *entry = view_entry(node);
	AUTO(freep) char *at = NULL;
	struct xattr_target target = { copyout, path, NULL };
	int r;

	if (!(entry->flags & LAYER_XATTRS))
		return;
	if (asprintf(&at, "/proc/self/fd/%d/%s", dirfd, name) < 0)
		ui_out_of_memory();
	target.at = at;
	r = layer_xattrs(copyout->store, view_layer_id(copyout->view, view_layer(node)), entry->no, set_xattr, &target);
	if (r < 0)
		failed(copyout, path, r, "cannot read its extended attributes");
}

/*
 * The order matters: a change of owner takes set-id bits and capabilities away, a mode may forbid its owner to set
 * extended attributes, and each of these changes the times.
 */
static void set_attributes(struct copyout *copyout, const struct view_node *node, const char *path, int dirfd,
			   const char *name)
{
	const struct layer_entry *entry = view_entry(node);
	mode_t mode = entry->mode & 07777;
	struct timespec times[2];
	int64_t seconds;

	if (copyout->root && fchownat(dirfd, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		failed(copyout, path, -errno, "cannot give it its owner");
	set_xattrs(copyout, node, path, dirfd, name);
	if (!copyout->root)
		mode &= ~(mode_t)(S_ISUID | S_ISGID);
	if (!S_ISLNK(entry->mode) && fchmodat(dirfd, name, mode, 0) < 0)
		failed(copyout, path, -errno, "cannot give it its mode");
	entry_time(entry->mtime_ns, &seconds, &times[1].tv_nsec);
	times[1].tv_sec = (time_t)seconds;
	times[0] = times[1];
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		failed(copyout, path, -errno, "cannot give it its time");
}

/*
 * Making files.
 */

/* A file that is there makes room; a directory does not. */
static int make_room(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

struct content_of {
	struct store *store; /* borrowed */
	const struct layer_entry *entry;
};

static int write_content(int fd, void *arg)
{
	const struct content_of *of = arg;
	struct content_place place = { .fd = -1 };
	int r;

	if (of->entry->size == 0)
		return 0;
	r = content_open(of->store, of->entry->content, &place);
	if (r < 0)
		return r;
	r = io_copy_range(place.fd, (off_t)place.offset, fd, 0, place.bytes, IO_COPY);
	if (place.owned)
		close(place.fd);
	return r;
}

static int make_other(struct copyout *copyout, const struct layer_entry *entry, int dirfd, const char *name)
{
	int r;

	if (S_ISREG(entry->mode))
		return io_make_file(dirfd, name, write_content, &(struct content_of){ copyout->store, entry });
	if (S_ISLNK(entry->mode))
		r = symlinkat(entry->target, dirfd, name);
	else
		r = mknodat(dirfd, name, (entry->mode & S_IFMT) | 0600, entry->rdev);
	return r < 0 ? -errno : 0;
}

static struct linkset_key key_of(const struct view_node *node)
{
	return (struct linkset_key){ view_layer(node), view_entry(node)->no };
}

static void copy_other(struct copyout *copyout, const struct view_node *node, const char *path, int dirfd,
		       const char *name)
{
	const struct layer_entry *entry = view_entry(node);
	int r = make_room(dirfd, name);

	if (r == 0 && entry->nlink > 1 && linkset_link(&copyout->links, key_of(node), dirfd, name))
		return;
	if (r == 0)
		r = make_other(copyout, entry, dirfd, name);
	if (r < 0) {
		failed(copyout, path, r, r == -EIO ? "its content is not in the store" : "cannot make it");
		return;
	}
	set_attributes(copyout, node, path, dirfd, name);
	if (entry->nlink > 1)
		linkset_add(&copyout->links, key_of(node), dirfd, name);
}

static int open_directory(int dirfd, const char *name)
{
	int fd;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The attributes come last: a directory may not let its owner write, and each child changes its time. */
static void copy_directory(struct copyout *copyout, const struct view_node *node, const char *path, int dirfd,
			   const char *name)
{
	AUTO(tree_children_release) struct tree_children children = { 0 };
	AUTO(closep) int fd = open_directory(dirfd, name);
	int r = fd;

	if (r >= 0)
		r = tree_children(copyout->view, node, &children);
	if (r < 0) {
		failed(copyout, path, r, "cannot make it");
		return;
	}
	for (size_t i = 0; i < children.count; i++) {
		const char *child = view_entry(children.nodes[i])->name;
		AUTO(freep) char *below = NULL;

		if (asprintf(&below, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", child) < 0)
			ui_out_of_memory();
		copyout_node(copyout, children.nodes[i], below, fd, child);
	}
	set_attributes(copyout, node, path, dirfd, name);
}

int copyout_node(struct copyout *copyout, const struct view_node *node, const char *path, int dirfd, const char *name)
{
	if (S_ISDIR(view_entry(node)->mode))
		copy_directory(copyout, node, path, dirfd, name);
	else
		copy_other(copyout, node, path, dirfd, name);
	return copyout->status;
}
