/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/baseview.h"

/*
 * containers/storage finds out what changed in a container by walking two mounts: the container's, and one of its layers
 * alone.  It passes over entries that have one inode number in both, on one device: a file system with snapshots tells it
 * so that nothing below has changed.  Two mounts are two devices; so the second is made a part of the first, a tree of its
 * own (trees.h) that whoever wants it mounts by binding it (basemount.c).  Then all that is walked is what the upper has
 * brought up, with nothing asked of the thousands of other files.
 *
 * Numbers mean what the walk takes them for:
 *
 *   not in the upper, not below a folder that is    the same number in both, by way of the lowers (resolve.c)
 *   in the upper, or hidden by it                   the view has a number that nothing has (base_dir_mark())
 *
 * although st_ino stays the same over a copy-up.  That a folder stands in the upper as soon as something below it does is
 * overlayfs' own rule; where it does not hold (fs_changes_are_in_upper()) no view is made.
 *
 * The kernel may hold writes back.  So whoever asks has it write everything (syncfs), and then asks for the view: writes
 * come through the same queue as that question, before it.  If any came, or is at work, he has to ask once more.
 *
 * Newer ones look at a container that does not run through two read-only mounts, its own and that of the layers below it.  What is
 * read-only offers a view of what is below its topmost layer: there the numbers are those of the layers' own files, and no
 * mark is needed.
 *
 * A view's listings stay in the kernel, and what they say holds for the moment it was made: each walk gets a new one.  One
 * that the kernel has forgotten serves again.  Its name is answered once; the next time it does not exist, so that the kernel
 * drops what it has below it, unless that is mounted.
 */

#include "fs/control.h"
#include "fs/ops_internal.h"
#include "store/base/auto.h"
#include "store/ovl.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CHANGED_BIT (1ull << 63)
#define BASE_PREFIX OVL_WH_PREFIX ".nacre-base." /* no file can have such a name */

struct view {
	unsigned tree;
	bool named; /* its name has not been looked up yet */
};

struct baseviews {
	struct mount *mount;	   /* borrowed */
	struct fs_options options; /* the mount's, which owns what they point to, without what is on top */
	uint8_t key[BASE_KEY_BYTES];
	pthread_mutex_t lock; /* guards what follows */
	struct view views[BASE_VIEWS];
	unsigned count;
};

void base_name(char name[BASE_NAME_BYTES], unsigned number)
{
	snprintf(name, BASE_NAME_BYTES, BASE_PREFIX "%u", number);
}

/* --- which mounts show the same --- */

static int add_lower(struct buf *text, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	buf_addf(text, "%llx:%llx ", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 0;
}

/*
 * Where a layer has none below it, containers/storage gives overlayfs, which wants one, an empty folder of that name.  The
 * container above it is not given that one.
 */
static bool is_stand_in(const char *path)
{
	const char *name = strrchr(path, '/');
	struct dirent *entry;
	bool empty = true;
	DIR *dir;

	if (!name || strcmp(name, "/empty") != 0 || !(dir = opendir(path)))
		return false;
	while (empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(dir);
	return empty;
}

static void add_maps(struct buf *text, const struct fs_idmap *maps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_addf(text, "%u:%u:%u ", maps[i].disk, maps[i].shown, maps[i].count);
	buf_adds(text, "; ");
}

static void hash_of(const char *text, size_t bytes, uint8_t ret[BASE_KEY_BYTES])
{
	XXH128_canonical_t hash;

	XXH128_canonicalFromHash(&hash, XXH3_128bits(text, bytes));
	memcpy(ret, hash.digest, BASE_KEY_BYTES);
}

int base_keys(const struct mount_options *o, struct base_keys *ret)
{
	const struct fs_options *fs = &o->fs;
	size_t lowers = fs->lower_count, below = 0;
	struct buf text = { 0 };
	int r = 0;

	*ret = (struct base_keys){ 0 };
	if (fs->store || fs->data_lower_count || fs->ino32 || o->passthrough || o->timeout >= 0 || !o->in_storage)
		return 0;
	if (lowers > 1 && is_stand_in(fs->lowers[lowers - 1]))
		lowers--;
	for (size_t i = 0; r == 0 && i < lowers; i++) {
		r = add_lower(&text, fs->lowers[i]);
		if (i == 0 && !fs->upper)
			below = text.len;
	}
	add_maps(&text, fs->uid_maps, fs->uid_map_count);
	add_maps(&text, fs->gid_maps, fs->gid_map_count);
	buf_addf(&text, "%lld %lld %d%d%d%d%d%d%d %d %d%d%d%d%d %s", (long long)fs->squash_uid,
		 (long long)fs->squash_gid, fs->fakeroot, fs->override_stat != NULL, fs->userxattr, fs->noxattrs,
		 fs->layer_xattr, fs->noacl, fs->static_nlink, o->squash_to_root, o->allow_other, o->suid, o->dev,
		 o->no_suid, o->no_dev, buf_str(&o->kernel));
	if (r == 0)
		r = buf_error(&text);
	if (r == 0) {
		hash_of(text.data, text.len, ret->own);
		hash_of(text.data + below, text.len - below, ret->offered);
		ret->offers = fs->upper || lowers > 1;
	}
	buf_release(&text);
	return r < 0 ? r : 1;
}

/* --- life --- */

struct baseviews *baseviews_new(const struct mount_options *options, struct mount *mount,
				const uint8_t key[BASE_KEY_BYTES])
{
	struct baseviews *views = calloc(1, sizeof(*views));

	if (!views)
		return NULL;
	views->mount = mount;
	views->options = options->fs;
	if (!options->fs.upper) {
		views->options.lowers++;
		views->options.lower_count--;
	}
	views->options.upper = views->options.work = NULL;
	views->options.size_limit = views->options.inode_limit = 0;
	memcpy(views->key, key, BASE_KEY_BYTES);
	pthread_mutex_init(&views->lock, NULL);
	return views;
}

void baseviews_free(struct baseviews *views)
{
	if (!views)
		return;
	pthread_mutex_destroy(&views->lock);
	free(views);
}

/* --- making one --- */

/* What a container runs is in a mount namespace of its own, and has no business with this. */
static bool is_neighbour(pid_t pid)
{
	struct stat mine, other;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	return pid > 0 && stat("/proc/self/ns/mnt", &mine) == 0 && stat(path, &other) == 0 &&
	       mine.st_dev == other.st_dev && mine.st_ino == other.st_ino;
}

/*
 * Since somebody saw what @ask says, has no write come, and was so little under way that the kernel left none for later (see
 * driver_sync())?  A thread that reads may have one that is not counted yet; while none does, each that came before the
 * request that is being served is.
 */
static bool is_quiet(struct mount *mount, const struct base_ask *ask)
{
	return atomic_load(&mount->readers) == 0 && mount_writes_taken(mount) == ask->writes &&
	       atomic_load(&mount->writes_done) == ask->writes &&
	       mount_later_taken(mount) < ask->done + CONTROL_CONGESTED;
}

/* Return: the index of a view to be used, -EBUSY, or another error. */
static int view_find(struct baseviews *views)
{
	struct mount *mount = views->mount;
	struct fs *fs;
	int r;

	for (unsigned i = 0; i < views->count; i++) {
		if (!views->views[i].named && fs_is_forgotten(trees_get(mount->trees, views->views[i].tree)))
			return (int)i;
	}
	if (views->count == BASE_VIEWS) {
		/* Also those that nobody came for. */
		for (unsigned i = 0; i < BASE_VIEWS; i++)
			views->views[i].named = false;
		return -EBUSY;
	}
	r = fs_new(&views->options, NULL, &fs);
	if (r < 0)
		return r;
	r = trees_add(mount->trees, fs);
	if (r < 0) {
		fs_free(fs);
		return r;
	}
	views->views[views->count].tree = (unsigned)r;
	return (int)views->count++;
}

static int view_make(struct baseviews *views, struct base_ask *ask)
{
	int r;

	if (!is_quiet(views->mount, ask))
		return -EAGAIN;
	if (!fs_changes_are_in_upper(views->mount->fs))
		return -EBUSY;
	pthread_mutex_lock(&views->lock);
	r = view_find(views);
	if (r >= 0) {
		views->views[r].named = true;
		base_name(ask->name, (unsigned)r);
	}
	pthread_mutex_unlock(&views->lock);
	return r < 0 ? r : 0;
}

int baseviews_ioctl(struct baseviews *views, unsigned cmd, pid_t asking, struct base_ask *ask)
{
	/* What has come by a ring and is not counted yet cannot be told. */
	if (!views || views->mount->rings)
		return -ENOTTY;
	if (!is_neighbour(asking))
		return -EPERM;
	if (memcmp(ask->key, views->key, BASE_KEY_BYTES) != 0)
		return -ENOENT;
	if (cmd == BASE_IOC_MAKE)
		return view_make(views, ask);
	ask->writes = mount_writes_taken(views->mount);
	ask->done = atomic_load(&views->mount->later_done);
	ask->used = 0;
	pthread_mutex_lock(&views->lock);
	for (unsigned i = 0; i < views->count; i++)
		ask->used |= views->views[i].named ? 0 : 1u << i;
	pthread_mutex_unlock(&views->lock);
	return 0;
}

/* --- its names --- */

bool baseviews_lookup(struct baseviews *views, const char *name, struct fs_entry *ret, unsigned *ret_tree)
{
	char known[BASE_NAME_BYTES];
	struct fs *fs = NULL;

	if (!views || strncmp(name, BASE_PREFIX, strlen(BASE_PREFIX)) != 0)
		return false;
	*ret = (struct fs_entry){ 0 };
	pthread_mutex_lock(&views->lock);
	for (unsigned i = 0; i < views->count; i++) {
		base_name(known, i);
		if (strcmp(name, known) != 0)
			continue;
		if (views->views[i].named) {
			*ret_tree = views->views[i].tree;
			fs = trees_get(views->mount->trees, *ret_tree);
		}
		views->views[i].named = false;
	}
	if (fs)
		(void)fs_root_entry(fs, ret);
	pthread_mutex_unlock(&views->lock);
	return true;
}

/* --- its numbers --- */

/* Is it of a view beside what can be written to? */
static bool is_marked(const struct mount *mount, fuse_ino_t ino)
{
	return mount->baseviews && trees_number(ino) && !fs_read_only(mount->fs);
}

void base_dir_open(const struct mount *mount, fuse_ino_t dir, struct base_dir *ret)
{
	bool same = false;

	*ret = (struct base_dir){ 0 };
	if (!is_marked(mount, dir))
		return;
	/* Without an answer all of it has changed: it will be looked at. */
	(void)fs_counterpart(trees_get(mount->trees, trees_number(dir)), trees_node(dir), mount->fs, &ret->node, &same);
	ret->fs = same ? NULL : mount->fs;
}

void base_dir_close(struct base_dir *dir)
{
	if (dir->node)
		fs_forget(dir->fs, dir->node, 1);
}

void base_dir_mark(const struct base_dir *dir, const char *name, struct stat *st)
{
	if (dir->fs && (!dir->node || fs_has_changed(dir->fs, dir->node, name)))
		st->st_ino ^= CHANGED_BIT;
}

void base_mark(const struct mount *mount, fuse_ino_t ino, struct stat *st)
{
	if (is_marked(mount, ino) &&
	    fs_node_has_changed(trees_get(mount->trees, trees_number(ino)), trees_node(ino), mount->fs))
		st->st_ino ^= CHANGED_BIT;
}
