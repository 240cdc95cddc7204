/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * The upper becomes the topmost lower, while programs go on with their files.
 *
 * On disk nothing moves: who asks has put an empty folder in the upper's place and
 * the upper aside, which its open descriptors do not notice.  From then on a remount
 * takes the empty folder for the upper and what was put aside for a lower: the same
 * tree, whether this here has happened or not.
 *
 * In memory nothing moves either, however much of the upper is there.  Uppers have
 * numbers.  A node says by its number which upper has it, and a name says in which
 * upper's folder it was seen: in the upper is what has the number of the present one,
 * and once that is another number, what was in the upper is in a lower:
 *
 *   node->layer       node_in_upper(), node_was_upper(), node_layer()
 *   link->flags       link_flags(): what the upper had, a lower has; what it hid is not there
 *   dirnode->parts    dir_enter_former() adds the folder in the former upper when it is needed (merge.c)
 *   fs->inodes        a node keeps its number, and so its place
 *
 * What else is known of a node of the upper (NODE_INDEXED, NODE_IMPURE, its attributes) stays
 * true, or is of no interest in a lower; when it is copied up all of it is forgotten first
 * (node_becomes_upper()).
 *
 * What is left is done with the gate closed (gate.h), so no request sees a part of it, and
 * takes as long for a million files as for one:
 *
 *   before   the folders are opened, the lower's place is taken from the spare ones
 *            in front of the others, so that no other layer has to move
 *   closed   gather(): all memory that is needed
 *            root_inherit(): the fresh root gets what the old one has
 *            apply(): cannot fail
 *   open     everything is as if the mount had been made with these layers: a change
 *            of what was in the upper copies it up
 *
 * The tree shows the same before and after, so the kernel may keep what it has.  Pages
 * that it has not written yet come afterwards, and are copied up like any other write.
 *
 * What stays with the old upper's file system although it is in no layer: files without
 * a name.  They get a number that is in each upper (NAMELESS), and are reached through
 * their pinned descriptors.  They are in use, so there are no more of them than descriptors.
 */

#include "fs/attrcache.h"
#include "fs/limits.h"
#include "fs/live.h"
#include "fs/othernames.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

struct switching {
	struct fs *fs;
	int upper_fd, index_fd; /* owned: the fresh ones */
	struct layer *layer;	/* owned: what the upper becomes */
	uint16_t index;		/* of it */
	struct part *parts;	/* owned: those of the root; the first has a reference of its own, the others are its */
};

/* --- the folders --- */

/* Beside the present one and through it, so that files can be moved there from work/ (detached.h). */
static int open_upper(struct switching *s)
{
	const char *path = s->fs->options->upper, *name = strrchr(path, '/');
	AUTO(freep) char *beside = NULL;

	if (asprintf(&beside, "../%s", name ? name + 1 : path) < 0) {
		beside = NULL;
		return -ENOMEM;
	}
	s->upper_fd = openat(s->fs->upper_fd, beside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return s->upper_fd < 0 ? -errno : 0;
}

static int open_index(struct switching *s)
{
	char name[INDEX_FOLDER_BYTES];
	AUTO(closep) int workdir = openat(s->fs->work_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = workdir < 0 ? -errno : index_folder(s->upper_fd, workdir, name);

	if (r < 0)
		return r;
	s->index_fd = openat(workdir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return s->index_fd < 0 ? -errno : 0;
}

static int same_folder(int a, int b)
{
	struct stat sa, sb;

	if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
		return -errno;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Return: 1: it is the upper already; 0; -errno. */
static int prepare(struct switching *s)
{
	struct fs *fs = s->fs;
	AUTO(closep) int root = -1, index = -1;
	int r = open_upper(s);

	if (r == 0)
		r = same_folder(s->upper_fd, fs->upper_fd);
	if (r != 0)
		return r;
	r = io_check_empty(s->upper_fd);
	if (r == 0)
		r = open_index(s);
	if (r == 0)
		r = same_folder(s->index_fd, fs->index_fd);
	if (r != 0) /* each upper has an index of its own */
		return r < 0 ? r : -EINVAL;
	if (fs->layer_first == 0)
		return -EMFILE;
	s->index = (uint16_t)(fs->layer_first - 1);
	root = fcntl(fs->upper_fd, F_DUPFD_CLOEXEC, 0);
	index = fcntl(fs->index_fd, F_DUPFD_CLOEXEC, 0);
	if (root < 0 || index < 0)
		return -errno;
	r = layer_dir_freeze(root, index, fs->override_upper, fs->fds, &s->layer);
	if (r < 0)
		return r;
	(void)TAKE_FD(root);
	(void)TAKE_FD(index);
	return 0;
}

static void release(struct switching *s)
{
	if (s->parts)
		s->layer->ops->leave(s->layer, s->parts[0].at);
	free(s->parts);
	layer_free(s->layer);
	closep(&s->upper_fd);
	closep(&s->index_fd);
}

/* --- names of copies that the upper lacks --- */

/*
 * A copy of a file of several names has all of them in the upper, or the former upper would
 * show less than the mount does.  Where one may lack (fs->names_lacking) all copies in memory
 * are looked at, a few at a time with the gate closed for it, so that little is left for the switch.
 */
enum { COPIES_AT_A_TIME = 64, SLOTS_AT_A_TIME = 64 * 1024 };

struct completing {
	struct fs *fs;
	uint32_t next; /* slot of fs->inodes; where those are laid out anew meanwhile some are left to the switch */
	bool done;
};

static int complete_names(struct completing *c, uint32_t copies, uint32_t slots)
{
	struct inodes *inodes = &c->fs->inodes;
	int r = 0;

	for (; r == 0 && inodes->slots && c->next <= inodes->mask && copies > 0 && slots > 0; slots--) {
		struct node *node = inodes->slots[c->next++];

		if (!node || !node_is(node, NODE_INDEXED) || !node_in_upper(c->fs, node) || !node->links)
			continue;
		r = other_names_place_known(c->fs, node);
		copies--;
	}
	c->done = copies > 0 && slots > 0;
	return r;
}

static int complete_closed(void *arg)
{
	return complete_names(arg, COPIES_AT_A_TIME, SLOTS_AT_A_TIME);
}

static int complete_before(struct fs *fs, uint64_t *longest_ns)
{
	struct completing c = { .fs = fs, .done = !atomic_load(&fs->names_lacking) };
	uint64_t pause_ns;
	int r = 0;

	while (r == 0 && !c.done) {
		r = gate_closed(&fs->gate, complete_closed, &c, &pause_ns);
		if (r == 0 && pause_ns > *longest_ns)
			*longest_ns = pause_ns;
	}
	return r;
}

/* --- gathering; the gate is closed --- */

static int gather(struct switching *s)
{
	struct fs *fs = s->fs;
	const struct dirnode *root = fs->root;
	struct completing c = { .fs = fs };
	union dref at;
	int r = atomic_load(&fs->names_lacking) ? complete_names(&c, UINT32_MAX, UINT32_MAX) : 0;

	if (r == 0)
		r = s->layer->ops->keep(s->layer, s->layer->root, &at);
	if (r < 0)
		return r;
	s->parts = malloc((root->part_count + 1) * sizeof(*s->parts));
	if (!s->parts) {
		s->layer->ops->leave(s->layer, at);
		return -ENOMEM;
	}
	s->parts[0] = (struct part){ .at = at, .layer = s->index };
	if (root->part_count > 0)
		memcpy(s->parts + 1, root->parts, root->part_count * sizeof(*s->parts));
	return 0;
}

/* --- the fresh root; the gate is closed --- */

/* Marks say of the old upper what is true of it alone; what the driver keeps in the root is true of both. */
static bool is_inherited(const char *name)
{
	static const char *const kept[] = { ".overlay.nacre.root", ".overlay.protattr" };

	if (!ovl_private_xattr(name) || strcmp(name, OVL_OVERRIDE_STAT) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (strlen(name) > strlen(kept[i]) && strcmp(name + strlen(name) - strlen(kept[i]), kept[i]) == 0)
			return true;
	}
	return false;
}

static int xattr_inherit(int from, int to, const char *name, char *value)
{
	ssize_t n = fgetxattr(from, name, value, XATTR_SIZE_MAX);

	if (n >= 0 && fsetxattr(to, name, value, (size_t)n, 0) == 0)
		return 0;
	return errno == ENODATA || errno == ENOTSUP || errno == EPERM ? 0 : -errno;
}

static int root_inherit(struct switching *s)
{
	AUTO(freep) char *names = malloc(XATTR_LIST_MAX);
	AUTO(freep) char *value = malloc(XATTR_SIZE_MAX);
	int old = s->fs->upper_fd;
	struct stat st;
	ssize_t n;
	int r = 0;

	if (!names || !value)
		return -ENOMEM;
	if (fstat(old, &st) < 0 || fchown(s->upper_fd, st.st_uid, st.st_gid) < 0 ||
	    fchmod(s->upper_fd, st.st_mode & 07777) < 0)
		return -errno;
	n = flistxattr(old, names, XATTR_LIST_MAX);
	if (n < 0 && errno != ENOTSUP)
		return -errno;
	for (const char *name = names; r == 0 && name < names + n; name += strlen(name) + 1) {
		if (is_inherited(name))
			r = xattr_inherit(old, s->upper_fd, name, value);
	}
	return r < 0 ? r : upper_set_times(s->upper_fd, "", &st);
}

/* --- applying; nothing fails --- */

/* Has the file of a node that has no name in memory one on disk? If that cannot be told, nobody may write to it. */
static bool has_name_on_disk(struct fs *fs, struct node *node)
{
	struct node_at at;
	struct stat st;
	bool has;

	if (!node_is(node, NODE_MULTI))
		return false;
	if (node_at(fs, node, &at) < 0)
		return true;
	has = fstatat(at.ref.fd, at.name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 || st.st_nlink > 0;
	fd_put(fs->fds, &at.ref);
	return has;
}

static void keep_nameless(struct fs *fs, struct node *node)
{
	if (node->links || !node_is(node, NODE_UNLINKED) || !node_in_upper(fs, node) || has_name_on_disk(fs, node))
		return;
	if (node_is(node, NODE_MULTI)) {
		LOCKED(&fs->inodes.lock);

		inodes_remove_locked(fs, node);
		attrs_drop(fs, node); /* they were not kept up to date */
		node_clear(node, NODE_MULTI);
	}
	node->layer = NAMELESS;
}

static void apply(struct switching *s)
{
	struct fs *fs = s->fs;
	struct dirnode *root = fs->root;
	EXCLUSIVE(&fs->names_lock);

	orphans_each(fs, keep_nameless);
	free(root->parts);
	root->parts = TAKE(s->parts);
	root->part_count++;
	s->layer->number = fs->upper;
	fs->formers[fs->upper - UPPERS] = s->index;
	fs->layers[s->index] = TAKE(s->layer);
	fs->layer_first = s->index;
	root->node.layer = ++fs->upper;
	node_clear(&root->node, NODE_IMPURE);
	close(fs->upper_fd);
	close(fs->index_fd);
	fs->upper_fd = TAKE_FD(s->upper_fd);
	fs->index_fd = TAKE_FD(s->index_fd);
	atomic_store(&fs->names_lacking, false);
	limits_restart(fs);
}

/* --- the whole --- */

static int switch_closed(void *arg)
{
	struct switching *s = arg;
	int r = gather(s);

	if (r == 0)
		r = root_inherit(s);
	if (r == 0)
		apply(s);
	return r;
}

int fs_switch_upper(struct fs *fs, uint64_t *ret_pause_ns)
{
	struct switching s = { .fs = fs, .upper_fd = -1, .index_fd = -1 };
	uint64_t longest_ns = 0;
	int r;
	LOCKED(&fs->stack_lock);

	*ret_pause_ns = 0;
	if (fs->upper_fd < 0)
		return -EROFS;
	if (!fs->store)
		return -EOPNOTSUPP;
	r = prepare(&s);
	if (r == 0)
		r = complete_before(fs, &longest_ns);
	if (r == 0)
		r = gate_closed(&fs->gate, switch_closed, &s, ret_pause_ns);
	if (*ret_pause_ns < longest_ns)
		*ret_pause_ns = longest_ns;
	release(&s);
	return r < 0 ? r : 0;
}

/* --- names --- */

struct name_walk {
	ino_t ino;
	int (*fn)(const char *path, void *arg);
	void *arg;
};

static int walk_entry(const struct name_walk *walk, int dirfd, const char *path, const struct dirent *de);

/* Takes @fd over. */
static int walk_folder(const struct name_walk *walk, int fd, const char *path)
{
	AUTO(closedirp) DIR *dir = fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, de = readdir(dir))) {
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			r = walk_entry(walk, fd, path, de);
	}
	return r == 0 ? -errno : r;
}

static int walk_entry(const struct name_walk *walk, int dirfd, const char *path, const struct dirent *de)
{
	bool is_dir = de->d_type == DT_DIR || de->d_type == DT_UNKNOWN;
	AUTO(freep) char *below = NULL;
	int fd;

	if (!is_dir && de->d_ino != walk->ino)
		return 0;
	if (asprintf(&below, "%s%s%s", path, *path ? "/" : "", de->d_name) < 0) {
		below = NULL;
		return -ENOMEM;
	}
	if (de->d_ino == walk->ino)
		return walk->fn(below, walk->arg);
	fd = folder_open(dirfd, de->d_name);
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	return walk_folder(walk, fd, below);
}

/* Return: the root of the layer, if memory does not have all names; else -1. */
static int names_missing(struct fs *fs, struct node *node, ino_t *ino)
{
	uint32_t known = 0, names;
	struct layer *layer;
	struct fd_ref root;
	SHARED(&fs->names_lock);

	if (!node_was_upper(fs, node) || !node_is(node, NODE_MULTI) || node_names(fs, node, &names) < 0)
		return -1;
	for (const struct link *link = node->links; link; link = link->next)
		known++;
	if (known >= names)
		return -1;
	*ino = node->back.ino;
	layer = node_layer(fs, node);
	return layer->ops->dir_fd(layer, layer->root, &root) < 0 ? -1 : root.fd;
}

int live_names(struct fs *fs, struct node *node, int (*fn)(const char *path, void *arg), void *arg)
{
	struct name_walk walk = { .fn = fn, .arg = arg };
	int root = names_missing(fs, node, &walk.ino), fd;

	if (root < 0)
		return 0;
	fd = folder_open(root, ".");
	return fd < 0 ? -errno : walk_folder(&walk, fd, "");
}
