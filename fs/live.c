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
 * In memory each node of the upper becomes one of the new lower.  That is done at one
 * go with the gate closed (gate.h), so no request sees a part of it:
 *
 *   before   the folders are opened, the lower's number is taken from the spare ones
 *            in front of the others, so that no other node has to change; and the links
 *            of files that have several names are counted on disk, a few at a time with
 *            the gate closed (NODE_COUNTED, which goes when a name comes or goes)
 *   closed   gather(): all memory that is needed, and the link counts of files whose names
 *                      have changed since.  Else of the upper nothing is read: it may be large
 *            root_inherit(): the fresh root gets what the old one has
 *            apply(): cannot fail
 *   open     everything is as if the mount had been made with these layers: a change
 *            of what was in the upper copies it up
 *
 * The tree shows the same before and after, so the kernel may keep what it has.  Pages
 * that it has not written yet come afterwards, and are copied up like any other write.
 *
 * What stays with the old upper's file system although it is in no layer: files without
 * a name.  They remain files of the upper, reached through their pinned descriptors.
 */

#include "fs/attrcache.h"
#include "fs/limits.h"
#include "fs/live.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* A directory of the upper, with what will be its parts. */
struct frozen_dir {
	struct dirnode *dir;
	struct part *parts; /* owned; the first has a reference of its own, the others are those of dir->parts */
};

/* A file with several names. */
struct frozen_file {
	struct node *node;
	uint32_t names, links; /* that show; on disk, with that of the index */
};

struct switching {
	struct fs *fs;
	int upper_fd, index_fd;	 /* owned: the fresh ones */
	struct layer *layer;	 /* owned: what the upper becomes */
	uint16_t index;		 /* of it */
	struct frozen_dir *dirs; /* owned */
	size_t dir_count, dir_room;
	struct frozen_file *files; /* owned */
	size_t file_count, file_room;
	struct node **inodes; /* owned: for inodes_rekey() */
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
	for (size_t i = 0; i < s->dir_count; i++) {
		if (s->dirs[i].parts)
			s->layer->ops->leave(s->layer, s->dirs[i].parts[0].at);
		free(s->dirs[i].parts);
	}
	free(s->dirs);
	free(s->files);
	free(s->inodes);
	layer_free(s->layer);
	closep(&s->upper_fd);
	closep(&s->index_fd);
}

/* --- gathering; the gate is closed --- */

static void *grow(void *list, size_t count, size_t *room, size_t each)
{
	void *more;

	if (count < *room)
		return list;
	more = realloc(list, (*room ? *room * 2 : 256) * each);
	if (more)
		*room = *room ? *room * 2 : 256;
	return more;
}

/* Takes the reference in @at over, also when it fails. */
static int gather_dir(struct switching *s, struct dirnode *dir, union dref at)
{
	struct frozen_dir *more = grow(s->dirs, s->dir_count, &s->dir_room, sizeof(*more));
	struct part *parts = malloc((dir->part_count + 1) * sizeof(*parts));

	if (more)
		s->dirs = more;
	if (!more || !parts) {
		free(parts);
		s->layer->ops->leave(s->layer, at);
		return -ENOMEM;
	}
	parts[0] = (struct part){ .at = at, .layer = s->index };
	if (dir->part_count > 0)
		memcpy(parts + 1, dir->parts, dir->part_count * sizeof(*parts));
	s->dirs[s->dir_count++] = (struct frozen_dir){ .dir = dir, .parts = parts };
	return 0;
}

/* Those of the upper in @parent's table; a directory of the upper is in none but the upper's. */
static int gather_children(struct switching *s, const struct frozen_dir *parent)
{
	const struct table *table = &parent->dir->table;
	union dref in = parent->parts[0].at, at;
	int r = 0;

	for (uint32_t i = 0; r == 0 && table->subdirs > 0 && i < table->used; i++) {
		const struct link *link = table->slots[i];
		struct node *node = link ? link->node : NULL;

		if (!node || !node_is_dir(node) || !node_is(node, NODE_UPPER))
			continue;
		r = s->layer->ops->enter(s->layer, in, &(struct found){ .name = link->name, .mode = S_IFDIR }, &at);
		if (r == 0)
			r = gather_dir(s, node_dir(node), at);
	}
	return r;
}

/* Return: 1: it has a place in the upper; 0: it has no name on disk any more; -errno. */
static int stat_file(struct fs *fs, struct node *node, struct stat *st)
{
	struct node_at at;
	int r = node_at(fs, node, &at);

	if (r < 0)
		return r == -ESTALE ? 0 : r;
	r = fstatat(at.ref.fd, at.name, st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
	fd_put(fs->fds, &at.ref);
	return r < 0 ? r : st->st_nlink > 0;
}

/* How many names it has on disk, with that of the index. Return: as stat_file(). */
static int count_links(struct fs *fs, struct node *node, uint32_t *ret)
{
	struct stat st;
	int r = 0;

	if (node_is(node, NODE_INDEXED) && node->links)
		r = copyup_names(fs, node);
	if (r == 0)
		r = stat_file(fs, node, &st);
	if (r > 0)
		*ret = (uint32_t)st.st_nlink;
	return r;
}

static int gather_file(struct switching *s, struct node *node)
{
	struct frozen_file *more;
	uint32_t links = node->back.gone;
	int r = 1;

	if (!node_is(node, NODE_COUNTED))
		r = count_links(s->fs, node, &links);
	if (r <= 0)
		return r;
	more = grow(s->files, s->file_count, &s->file_room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->files = more;
	s->files[s->file_count++] = (struct frozen_file){
		.node = node,
		.names = node_is(node, NODE_INDEXED) ? node->back.nlink : links,
		.links = links,
	};
	return 0;
}

static int gather(struct switching *s)
{
	struct fs *fs = s->fs;
	union dref at;
	int r = s->layer->ops->keep(s->layer, s->layer->root, &at);

	if (r == 0)
		r = gather_dir(s, fs->root, at);
	for (size_t i = 0; r == 0 && i < s->dir_count; i++)
		r = gather_children(s, &s->dirs[i]);
	for (uint32_t i = 0; r == 0 && fs->inodes.slots && i <= fs->inodes.mask; i++) {
		struct node *node = fs->inodes.slots[i];

		if (node && node_is(node, NODE_UPPER))
			r = gather_file(s, node);
	}
	s->inodes = inodes_slots(fs);
	return r == 0 && fs->inodes.slots && !s->inodes ? -ENOMEM : r;
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

static void freeze_node(struct switching *s, struct node *node)
{
	attrs_drop(s->fs, node);
	if (node_is_dir(node))
		fd_drop(s->fs->fds, &node->slot);
	node->layer = s->index;
	node_clear(node, NODE_UPPER | NODE_INDEXED | NODE_IMPURE | NODE_LOWER_LISTED | NODE_LOWER_BARE | NODE_COUNTED);
}

static void freeze_dir(struct switching *s, struct frozen_dir *frozen)
{
	struct dirnode *dir = frozen->dir;
	struct table *table = &dir->table;

	free(dir->parts);
	dir->parts = TAKE(frozen->parts);
	dir->part_count++;
	table_drop_whiteouts(s->fs, table);
	for (uint32_t i = 0; i < table->used; i++) {
		struct link *link = table->slots[i];

		if (!link)
			continue;
		if (link->flags & LINK_UPPER)
			link->flags = LINK_LOWER;
		if (node_is(link->node, NODE_UPPER))
			freeze_node(s, link->node);
	}
}

/* As take_count() in lookup.c has it. */
static void freeze_file(struct switching *s, const struct frozen_file *file)
{
	struct node *node = file->node;

	if (node_is(node, NODE_UPPER)) /* has no name in memory */
		freeze_node(s, node);
	node->back.nlink = file->links;
	node->back.gone = file->links - file->names;
	node->back.origin_dev = node->back.origin_ino = 0;
}

static void apply(struct switching *s)
{
	struct fs *fs = s->fs;
	EXCLUSIVE(&fs->names_lock);

	for (size_t i = 0; i < s->dir_count; i++)
		freeze_dir(s, &s->dirs[i]);
	for (size_t i = 0; i < s->file_count; i++)
		freeze_file(s, &s->files[i]);
	inodes_rekey(fs, TAKE(s->inodes));
	node_clear(&fs->root->node, NODE_IMPURE);
	fs->layers[s->index] = TAKE(s->layer);
	fs->layer_first = s->index;
	close(fs->upper_fd);
	close(fs->index_fd);
	fs->upper_fd = TAKE_FD(s->upper_fd);
	fs->index_fd = TAKE_FD(s->index_fd);
	limits_restart(fs);
}

/* --- counting before; the gate is closed for a few at a time --- */

enum { COUNT_AT_A_TIME = 64 };

struct counting {
	struct fs *fs;
	uint32_t next; /* slot of fs->inodes; where those have been laid out anew meanwhile some are left to gather() */
	bool done;
};

static int count_closed(void *arg)
{
	struct counting *c = arg;
	struct inodes *inodes = &c->fs->inodes;
	unsigned left = COUNT_AT_A_TIME;
	int r = 0;

	for (; inodes->slots && c->next <= inodes->mask && left > 0; c->next++) {
		struct node *node = inodes->slots[c->next];
		uint32_t links;

		if (!node || !node_is(node, NODE_UPPER) || node_is(node, NODE_COUNTED))
			continue;
		r = count_links(c->fs, node, &links);
		if (r < 0)
			return r;
		if (r > 0) {
			node->back.gone = links;
			node_set(node, NODE_COUNTED);
		}
		left--;
	}
	c->done = left > 0;
	return 0;
}

static int count_before(struct fs *fs, uint64_t *longest_ns)
{
	struct counting c = { .fs = fs };
	uint64_t pause_ns;
	int r = 0;

	while (r == 0 && !c.done) {
		r = gate_closed(&fs->gate, count_closed, &c, &pause_ns);
		if (r == 0 && pause_ns > *longest_ns)
			*longest_ns = pause_ns;
	}
	return r;
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
		r = count_before(fs, &longest_ns);
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
static int names_missing(struct fs *fs, const struct node *node, ino_t *ino)
{
	struct layer *layer;
	struct fd_ref root;
	uint32_t known = 0;
	SHARED(&fs->names_lock);

	if (!node_was_upper(fs, node) || !node_is(node, NODE_MULTI))
		return -1;
	for (const struct link *link = node->links; link; link = link->next)
		known++;
	if (known >= node->back.nlink - node->back.gone)
		return -1;
	layer = fs->layers[node->layer];
	*ino = node->back.ino;
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
