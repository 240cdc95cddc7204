/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Setting a mount up: its layers, its upper, its workdir; the root of the tree is made in root.c.
 *
 *   workdir/work/    what is being built; emptied here, as the kernel does it
 *   workdir/links/   copies of lower files that have several names (index.c); of an upper that took another's
 *                    place in a live mount (live.c) links-INO, INO being that of its root in hexadecimal
 */

#include "fs/detached.h"
#include "fs/limits.h"
#include "fs/overlap.h"
#include "fs/xattrscan.h"
#include "store/base/io.h"
#include "store/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

void fs_options_release(struct fs_options *options)
{
	for (size_t i = 0; i < options->lower_count; i++)
		free(options->lowers[i]);
	free(options->lowers);
	free(options->upper);
	free(options->work);
	free(options->store);
	free(options->image);
	free(options->uid_maps);
	free(options->gid_maps);
	*options = (struct fs_options){ 0 };
}

/* --- lowers --- */

/*
 * The root of a container that runs is mounted in its folder of the store, by a driver in a process namespace of
 * its own: nobody else sees that mount, and the driver's number is another one outside.  NULL: it is none.
 */
static char *container_of(const struct fs_options *options, const char *place)
{
	AUTO(freep) char *store = options->store && place ? realpath(options->store, NULL) : NULL;
	AUTO(freep) char *prefix = NULL;

	if (!store || asprintf(&prefix, "%s/containers/", store) < 0) {
		prefix = NULL;
		return NULL;
	}
	if (strncmp(place, prefix, strlen(prefix)) != 0)
		return NULL;
	return strndup(place + strlen(prefix), strcspn(place + strlen(prefix), "/"));
}

static int lease_says(const struct fs_options *options, char **ret)
{
	const char *place = options->mountpoint;
	AUTO(freep) char *full = place ? realpath(place, NULL) : NULL, *container = NULL;
	int n;

	if (full)
		place = full;
	container = container_of(options, place);
	if (container)
		n = asprintf(ret, "used by container %s", container);
	else
		n = asprintf(ret, "mounted%s%s by process %d", place ? " on " : "", place ? place : "", (int)getpid());
	if (n < 0)
		*ret = NULL;
	return n < 0 ? -ENOMEM : 0;
}

int fs_lease(const struct fs_options *options, struct store *store, struct image_id image, struct diag *diag,
	     struct lease **ret)
{
	AUTO(freep) char *what = NULL;
	int r = lease_says(options, &what);

	return r < 0 ? r : lease_take(store, image, what, diag, ret);
}

static int layers_room(struct fs *fs, size_t count)
{
	uint32_t spare = fs->is_shared ? 0 : SPARE_LAYERS;

	if (spare + count > MOST_LAYERS)
		return -E2BIG;
	fs->layers = calloc(spare + count + 1, sizeof(struct layer *));
	fs->layer_first = fs->layer_end = spare;
	return fs->layers ? 0 : -ENOMEM;
}

/* Those from @first to @last, counted from 1, the lowest. */
static int layers_open(struct fs *fs, const struct layer_id *ids, size_t first, size_t last, struct diag *diag)
{
	int r = layers_room(fs, last);

	for (size_t i = last; r == 0 && i > 0 && i >= first; i--) {
		r = layer_store_open(fs->store, ids[i - 1], diag, &fs->layers[fs->layer_end]);
		if (r == 0)
			fs->layer_end++;
	}
	return r;
}

static int layers_from_store(struct fs *fs, struct diag *diag)
{
	const struct fs_options *options = fs->options;
	struct image_info info = { 0 };
	struct image_id image;
	size_t last;
	int r = store_open(options->store, STORE_READ, diag, &fs->store);

	if (r == 0)
		r = image_find(fs->store, options->image, diag, &image);
	if (r == 0)
		r = fs_lease(options, fs->store, image, diag, &fs->lease);
	if (r == 0)
		r = image_info(fs->store, image, diag, &info);
	if (r < 0)
		return r;
	if (options->last_layer > info.layer_count)
		r = diag_set(diag, -EINVAL, "layers: the image has no layer %u, but %zu", options->last_layer,
			     info.layer_count);
	last = options->last_layer ? options->last_layer : info.layer_count;
	if (r == 0)
		r = layers_open(fs, info.layers, options->first_layer, last, diag);
	image_info_release(&info);
	return r;
}

static int layers_from_dirs(struct fs *fs, const struct mounts *mounts, struct diag *diag)
{
	const struct fs_options *options = fs->options;
	int r = layers_room(fs, options->lower_count);

	for (size_t i = 0; r == 0 && i < options->lower_count; i++) {
		r = layer_dir_open(options->lowers[i], mounts, fs->fds, diag, &fs->layers[fs->layer_first + i]);
		if (r < 0)
			break;
		if (i + options->data_lower_count < options->lower_count)
			fs->layer_end++;
		else
			fs->data_layer_count++;
	}
	return r;
}

/* --- the upper --- */

/* Files are built in workdir and renamed into the upper. */
static int open_folders(struct fs *fs, const struct mounts *mounts, struct diag *diag, int *ret_work)
{
	const char *const paths[2] = { fs->options->upper, fs->options->work };
	int fds[2], failed;
	int r = detached_open_two(mounts, paths, fds, &failed);

	if (r < 0)
		return diag_errno(diag, r, "%s %s", failed ? "workdir" : "upperdir", paths[failed]);
	fs->upper_fd = fds[0];
	*ret_work = fds[1];
	return 0;
}

static int subfolder(int dirfd, const char *name, int *ret)
{
	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	*ret = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

int index_folder(int upper_fd, int workdir, char name[static INDEX_FOLDER_BYTES])
{
	struct stat st;

	if (fstat(upper_fd, &st) < 0)
		return -errno;
	snprintf(name, INDEX_FOLDER_BYTES, "links-%llx", (unsigned long long)st.st_ino);
	if (fstatat(workdir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		snprintf(name, INDEX_FOLDER_BYTES, "links");
	return 0;
}

/* trusted.* needs CAP_SYS_ADMIN in the first user namespace: try. */
static enum ovl_namespace namespace_of(const struct fs_options *options, int work_fd)
{
	static const char probe[] = "trusted.overlay.nacre.probe";

	if (options->userxattr || options->fakeroot)
		return OVL_USER;
	if (fsetxattr(work_fd, probe, "y", 1, 0) < 0)
		return OVL_USER;
	fremovexattr(work_fd, probe);
	return OVL_TRUSTED;
}

/* security.* needs CAP_SYS_ADMIN in the first user namespace, and not each file system keeps user.*: try. */
static int check_override(const struct fs *fs, struct diag *diag)
{
	bool privileged = fs->override_upper && strcmp(fs->override_upper, OVL_OVERRIDE_PRIVILEGED) == 0;
	const char *probe = privileged ? "security.fuseoverlayfs.nacre.probe" : "user.containers.nacre.probe";

	int r = 0;

	if (!fs->override_upper)
		return 0;
	if (fsetxattr(fs->work_fd, probe, "y", 1, 0) < 0)
		r = -errno;
	else
		fremovexattr(fs->work_fd, probe);
	if (r < 0 && privileged)
		return diag_errno(diag, r,
				  "option xattr_permissions=1: cannot set %s (xattr_permissions=2 needs no root)",
				  OVL_OVERRIDE_PRIVILEGED);
	if (r != -ENOTSUP) /* a full disk, say: the files will tell */
		return 0;
	return diag_errno(
		diag, r,
		"upperdir %s: owners and modes are recorded in %s, which cannot be set there (a tmpfs has user.* "
		"attributes from Linux 6.6 on, NFS in version 4.2)",
		fs->options->upper, OVL_OVERRIDE_STAT);
}

static int upper_open_dirs(struct fs *fs, const struct mounts *mounts, struct diag *diag)
{
	const struct fs_options *options = fs->options;
	char index[INDEX_FOLDER_BYTES];
	AUTO(closep) int workdir = -1;
	int r = open_folders(fs, mounts, diag, &workdir);

	if (r == 0)
		r = overlap_check(fs, mounts, workdir, diag);
	if (r < 0)
		return r;
	if (!options->frozen_upper)
		r = io_remove_tree(workdir, "work");
	if (r == 0)
		r = subfolder(workdir, "work", &fs->work_fd);
	if (r == 0)
		r = index_folder(fs->upper_fd, workdir, index);
	if (r == 0)
		r = subfolder(workdir, index, &fs->index_fd);
	if (r < 0)
		return diag_errno(diag, r, "cannot prepare workdir %s", options->work);
	fs->index_by_number = index_is_by_number(fs->index_fd);
	/* workdir's own ACLs, if it has some, are nothing to what is only built there. */
	(void)fremovexattr(fs->work_fd, "system.posix_acl_default");
	(void)fremovexattr(fs->work_fd, "system.posix_acl_access");
	fs->xattr_ns = namespace_of(options, fs->work_fd);
	fs->override_upper = options->fakeroot ? OVL_OVERRIDE_STAT : options->override_stat;
	return check_override(fs, diag);
}

/* --- life --- */

enum {
	MOST_DESCRIPTORS = 7168,  /* cached */
	OTHER_DESCRIPTORS = 1024, /* layers, index, device */
};

/*
 * The kernel's table of our descriptors doubles where it is too small, and where there are threads it waits each time until
 * no processor can still use the old one: 10 to 20 ms, of which many small files have their share each.
 */
static void make_room_for(rlim_t descriptors)
{
	AUTO(closep) int some = open("/", O_PATH | O_CLOEXEC);
	int last = some < 0 ? -1 : fcntl(some, F_DUPFD_CLOEXEC, (int)descriptors - 1);

	if (last >= 0)
		close(last);
}

/* Descriptors are cached; the more may be open the better, within reason. Return: how many. */
static uint32_t prepare_descriptors(void)
{
	rlim_t most = MOST_DESCRIPTORS + OTHER_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	make_room_for(limit.rlim_cur < most ? limit.rlim_cur : most);
	return limit.rlim_cur < 2 * MOST_DESCRIPTORS ? (uint32_t)limit.rlim_cur / 2 : MOST_DESCRIPTORS;
}

/*
 * The same layers get the same numbers in each mount, whatever is looked at first: a copy keeps the st_ino that its
 * origin had in an earlier one (resolve.c).
 */
static void number_devices(struct fs *fs)
{
	struct stat st;

	if (fs->upper_fd >= 0 && fstat(fs->upper_fd, &st) == 0)
		dev_slot(fs, st.st_dev);
	for (uint32_t i = fs->layer_end; i > fs->layer_first; i--) {
		if (!fs->layers[i - 1]->is_store)
			dev_slot(fs, fs->layers[i - 1]->dev);
	}
}

static int layers_of_options(struct fs *fs, const struct mounts *mounts, struct diag *diag)
{
	fs->fds = fdcache_new(prepare_descriptors());
	fs->stats = stats_new();
	if (!fs->fds || !fs->stats)
		return -ENOMEM;
	return fs->options->store ? layers_from_store(fs, diag) : layers_from_dirs(fs, mounts, diag);
}

static int layers_of_tree(struct fs *fs, const struct fs_shared *shared, const struct layer_id *layers, size_t count,
			  struct diag *diag)
{
	fs->is_shared = true;
	fs->store = shared->store;
	fs->fds = shared->fds;
	fs->stats = shared->stats;
	return layers_open(fs, layers, 1, count, diag);
}

/* The layers are open. */
static int fs_init(struct fs *fs, const struct mounts *mounts, struct diag *diag)
{
	int r = 0;

	if (r == 0 && fs->options->upper)
		r = upper_open_dirs(fs, mounts, diag);
	if (r < 0)
		return r;
	if (fs->upper_fd >= 0)
		r = limits_new(fs, diag);
	if (r < 0)
		return r;
	number_devices(fs);
	fs->any_xattrs = fs->upper_fd >= 0 || fs->options->whiteouts == FS_WHITEOUTS_DEVICE;
	for (uint32_t i = fs->layer_first; i < fs->layer_end; i++) {
		fs->any_xattrs |= fs->layers[i]->has_xattrs;
		if (fs->layers[i]->is_served)
			fs->any_served = true;
	}
	if (fs_read_only(fs) && fs_has_xattrs(fs) && fs->options->whiteouts == FS_WHITEOUTS_HIDE) {
		fs->xattr_scan = xattr_scan_new(fs);
		if (!fs->xattr_scan)
			return -ENOMEM;
	}
	r = root_make(fs);
	return r < 0 ? diag_errno(diag, r, "cannot read the root of the layers") : 0;
}

static struct fs *fs_alloc(const struct fs_options *options)
{
	struct fs *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	fs->options = options;
	if (getrandom(&fs->mount_id, sizeof(fs->mount_id), GRND_NONBLOCK) < 0)
		fs->mount_id = (uint64_t)time(NULL) << 32 | (uint32_t)getpid();
	fs->upper_fd = fs->work_fd = fs->index_fd = -1;
	fs->owner_uid = geteuid();
	fs->owner_gid = getegid();
	gate_init(&fs->gate);
	pthread_mutex_init(&fs->rename_lock, NULL);
	pthread_mutex_init(&fs->reap_lock, NULL);
	pthread_rwlock_init(&fs->names_lock, NULL);
	pthread_mutex_init(&fs->copy_lock, NULL);
	pthread_cond_init(&fs->copy_cond, NULL);
	pthread_mutex_init(&fs->inodes.lock, NULL);
	pthread_mutex_init(&fs->stack_lock, NULL);
	pthread_mutex_init(&fs->moved_lock, NULL);
	pthread_mutex_init(&fs->former_lock, NULL);
	fs->upper = UPPERS;
	orphans_init(&fs->orphans);
	for (size_t i = 0; i < TIME_LOCKS; i++)
		pthread_mutex_init(&fs->time_locks[i], NULL);
	return fs;
}

int fs_new(const struct fs_options *options, struct diag *diag, struct fs **ret)
{
	AUTO(mounts_freep) struct mounts *mounts = mounts_read();
	struct fs *fs = fs_alloc(options);
	int r;

	if (!fs)
		return -ENOMEM;
	r = layers_of_options(fs, mounts, diag);
	if (r == 0)
		r = fs_init(fs, mounts, diag);
	if (r < 0) {
		fs_free(fs);
		return r;
	}
	*ret = fs;
	return 0;
}

int fs_new_tree(const struct fs_options *options, const struct fs_shared *shared, const struct layer_id *layers,
		size_t count, struct diag *diag, struct fs **ret)
{
	struct fs *fs = fs_alloc(options);
	int r;

	if (!fs)
		return -ENOMEM;
	r = layers_of_tree(fs, shared, layers, count, diag);
	if (r == 0)
		r = fs_init(fs, NULL, diag);
	if (r < 0) {
		fs_free(fs);
		return r;
	}
	*ret = fs;
	return 0;
}

int fs_shared_open(const char *store, struct diag *diag, struct fs_shared *ret)
{
	*ret = (struct fs_shared){ .fds = fdcache_new(prepare_descriptors()), .stats = stats_new() };
	if (!ret->fds || !ret->stats)
		return -ENOMEM;
	return store_open(store, STORE_READ, diag, &ret->store);
}

void fs_shared_release(struct fs_shared *shared)
{
	fdcache_free(shared->fds);
	stats_free(shared->stats);
	store_close(shared->store);
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	if (fs->root) {
		dir_drop(fs, fs->root);
		stats_add(fs->stats, STAT_NODES, -1);
		node_free(fs, &fs->root->node);
	}
	orphans_free(fs);
	xattr_scan_free(fs->xattr_scan);
	for (uint32_t i = fs->layer_first; fs->layers && i < fs->layer_end + fs->data_layer_count; i++)
		layer_free(fs->layers[i]);
	free(fs->layers);
	closep(&fs->upper_fd);
	closep(&fs->work_fd);
	closep(&fs->index_fd);
	limits_free(fs->limits);
	free(fs->inodes.slots);
	free(fs->devs);
	lease_drop(fs->lease);
	if (!fs->is_shared)
		fs_shared_release(&(struct fs_shared){ fs->store, fs->fds, fs->stats });
	gate_release(&fs->gate);
	pthread_mutex_destroy(&fs->rename_lock);
	pthread_mutex_destroy(&fs->reap_lock);
	pthread_rwlock_destroy(&fs->names_lock);
	pthread_mutex_destroy(&fs->copy_lock);
	pthread_cond_destroy(&fs->copy_cond);
	pthread_mutex_destroy(&fs->inodes.lock);
	pthread_mutex_destroy(&fs->stack_lock);
	pthread_mutex_destroy(&fs->moved_lock);
	pthread_mutex_destroy(&fs->former_lock);
	stales_release(&fs->moved);
	for (size_t i = 0; i < TIME_LOCKS; i++)
		pthread_mutex_destroy(&fs->time_locks[i]);
	free(fs);
}

void fs_enter(struct fs *fs)
{
	gate_enter(&fs->gate);
}

void fs_leave(struct fs *fs)
{
	gate_leave(&fs->gate);
}

int fs_alone(struct fs *fs, int (*fn)(void *arg), void *arg)
{
	uint64_t pause_ns;

	return gate_closed(&fs->gate, fn, arg, &pause_ns);
}

struct node *fs_root(struct fs *fs)
{
	return &fs->root->node;
}

bool fs_only_folder(struct fs *fs, const struct node *node, const struct node **ret)
{
	SHARED(&fs->names_lock);

	if (!node->links || node->links->next)
		return false;
	*ret = &node->links->dir->node;
	return true;
}

int fs_root_entry(struct fs *fs, struct fs_entry *ret)
{
	struct node *node = fs_root(fs);
	int r = node_stat(fs, node, &ret->st);

	if (r < 0)
		return r;
	ret->node = node;
	node_get(fs, node);
	return 0;
}

bool fs_read_only(const struct fs *fs)
{
	return !fs->options->upper;
}

bool fs_syncs(const struct fs *fs)
{
	return !fs_read_only(fs) && !fs->options->volatile_upper;
}

bool fs_has_xattrs(const struct fs *fs)
{
	return fs->any_xattrs && !fs->options->noxattrs;
}

bool fs_is_bare(const struct fs *fs)
{
	return !fs_has_xattrs(fs) || xattr_scan_found_none(fs->xattr_scan);
}

bool fs_answers_xattrs(const struct fs *fs)
{
	bool layer = fs->options->layer_xattr || (fs_has_xattrs(fs) && atomic_load(&fs->layer_asked));

	return !fs_is_bare(fs) || !fs_read_only(fs) || (layer && !fs->options->noxattrs);
}

void fs_look_for_xattrs(struct fs *fs)
{
	xattr_scan_go_on(fs->xattr_scan);
}

struct stats *fs_stats(struct fs *fs)
{
	return fs->stats;
}

void fs_shared_describe(const struct fs_shared *shared, bool json, struct buf *ret)
{
	const struct stats_descriptors fds = { .open = fdcache_count(shared->fds),
					       .limit = fdcache_limit(shared->fds) };

	stats_format(shared->stats, &fds, json ? STATS_JSON : STATS_TEXT, ret);
}

void fs_describe(struct fs *fs, bool json, struct buf *ret)
{
	fs_shared_describe(&(struct fs_shared){ fs->store, fs->fds, fs->stats }, json, ret);
}
