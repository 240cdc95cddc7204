/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options.h"

/* What the options of one command line mean together: which exclude each other, and which others they choose. */

#include "store/base/auto.h"

#include <string.h>

/* ID/diff and ID/work, beside them the file ID/link: a layer of containers/storage, which podman and CRI-O stand on. */
static bool is_storage_layer(const struct fs_options *fs)
{
	static const char upper_name[] = "/diff", work_name[] = "/work";
	size_t len = fs->upper ? strlen(fs->upper) : 0;
	AUTO(freep) char *link = NULL;

	if (len < sizeof(upper_name) || strcmp(fs->upper + len - strlen(upper_name), upper_name) != 0)
		return false;
	len -= strlen(upper_name);
	if (strncmp(fs->upper, fs->work, len) != 0 || strcmp(fs->work + len, work_name) != 0 ||
	    asprintf(&link, "%.*s/link", (int)len, fs->upper) < 0)
		return false;
	return access(link, F_OK) == 0;
}

/* ID/merged, beside it the file ID/link. */
static bool is_storage_mount(const char *point)
{
	static const char name[] = "/merged";
	size_t len = point ? strlen(point) : 0;
	AUTO(freep) char *link = NULL;

	if (len < sizeof(name) || strcmp(point + len - strlen(name), name) != 0 ||
	    asprintf(&link, "%.*s/link", (int)(len - strlen(name)), point) < 0)
		return false;
	return access(link, F_OK) == 0;
}

/*
 * A container's upper is used with whatever driver podman finds the next time.
 * fuse-overlayfs shows a file without its data as zeros and a renamed folder as empty,
 * kernel overlayfs refuses the one, and a user's the other too: write neither, as those
 * two do not, unless told.
 */
static void choose_forms(struct mount_options *o)
{
	o->in_storage = o->fs.upper ? is_storage_layer(&o->fs) : is_storage_mount(o->mountpoint);
	if (!o->in_storage)
		return;
	if (!o->metacopy_set)
		o->fs.metacopy_from = 0;
	if (!o->redirect_set && o->fs.metacopy_from != 1)
		o->fs.redirect = FS_REDIRECT_FOLLOW;
}

static int check_trees(const struct fs_options *fs, struct diag *diag)
{
	bool all = fs->trees == FS_TREES_ALL;

	if (!fs->store || !fs->image != all)
		return diag_set(diag, -EINVAL,
				all ? "trees=all shows all of a store: give that, and no image"
				    : "trees=layers shows the layers of an image: give store and image");
	if (fs->upper || fs->last_layer)
		return diag_set(diag, -EINVAL, "trees, and upperdir or layers, cannot be combined");
	return 0;
}

/* What is shown is made of all of the store; the root is the folder that is mounted on. */
static int check_layerstore(struct mount_options *o, struct diag *diag)
{
	struct fs_options *fs = &o->fs;

	if (!o->layerstore)
		return 0;
	if (fs->store || fs->image || fs->lower_count || fs->upper)
		return diag_set(diag, -EINVAL,
				"layerstore shows a store: it has no lowerdir, upperdir, store or image");
	if (o->passthrough)
		return diag_set(diag, -EINVAL, "layerstore and io=passthrough cannot be combined");
	fs->lowers = calloc(1, sizeof(*fs->lowers));
	if (!fs->lowers)
		return -ENOMEM;
	fs->lowers[0] = strdup(o->mountpoint);
	fs->lower_count = fs->lowers[0] ? 1 : 0;
	return fs->lower_count ? 0 : -ENOMEM;
}

static int check_layers(const struct fs_options *fs, struct diag *diag)
{
	if (fs->store && fs->lower_count)
		return diag_set(diag, -EINVAL, "lowerdir and store cannot be combined");
	if (fs->trees != FS_TREES_ONE)
		return check_trees(fs, diag);
	if (!fs->store != !fs->image)
		return diag_set(diag, -EINVAL, "store and image go together");
	if (!fs->store && !fs->lower_count)
		return diag_set(diag, -EINVAL, "no lowerdir, and no store with an image, given");
	if (fs->last_layer && !fs->image)
		return diag_set(diag, -EINVAL, "layers chooses among those of an image: there is none");
	if (fs->whiteouts != FS_WHITEOUTS_HIDE && (!fs->last_layer || fs->first_layer != fs->last_layer))
		return diag_set(diag, -EINVAL, "whiteouts are shown of one layer only: layers=N-N chooses it");
	if (fs->whiteouts != FS_WHITEOUTS_HIDE && fs->upper)
		return diag_set(diag, -EINVAL, "whiteouts and upperdir cannot be combined");
	if (fs->data_lower_count > 0 && fs->data_lower_count == fs->lower_count)
		return diag_set(diag, -EINVAL, "data-only lowers need a lowerdir above them");
	if (fs->data_lower_count > 0 && !fs->metacopy_from)
		return diag_set(diag, -EINVAL, "data-only lowers and metacopy=off cannot be combined");
	return 0;
}

static int check_upper(struct mount_options *o, struct diag *diag)
{
	struct fs_options *fs = &o->fs;

	if (!fs->upper != !fs->work)
		return diag_set(diag, -EINVAL, "upperdir and workdir go together");
	choose_forms(o);
	if (fs->metacopy_from == 1 && fs->redirect != FS_REDIRECT_ON)
		return diag_set(diag, -EINVAL, "metacopy=on needs redirect_dir=on");
	if (fs->redirect != FS_REDIRECT_ON && fs->upper)
		fs->metacopy_from = 0;
	if ((fs->size_limit || fs->inode_limit) && !fs->upper)
		return diag_set(diag, -EINVAL, "size and inodes limit an upperdir: there is none");
	/* Of a read-only mount nobody would hear that a layer is used. */
	if (!fs->upper && !o->layerstore)
		o->read_only = true;
	return 0;
}

static int check_io(struct mount_options *o, struct diag *diag)
{
	if (o->passthrough && o->fs.trees != FS_TREES_ONE)
		return diag_set(diag, -EINVAL, "io=passthrough and trees cannot be combined");
	if (o->fs.size_limit && !o->writeback_set)
		o->writeback = false; /* a write beyond it is to fail itself, not what comes later */
	if (o->passthrough && o->writeback && o->writeback_set)
		return diag_set(diag, -EINVAL, "io=passthrough and writeback=1 cannot be combined");
	if (o->passthrough)
		o->writeback = false; /* the kernel has the one or the other */
	/* With it the kernel asks for a file's attributes again after each close: for nothing, where nobody writes. */
	if (o->read_only)
		o->writeback = false;
	return 0;
}

static int check_identity(struct mount_options *o, struct diag *diag)
{
	struct fs_options *fs = &o->fs;

	if (fs->fakeroot && fs->uid_map_count + fs->gid_map_count > 0)
		return diag_set(diag, -EINVAL, "fakeroot and ID mappings cannot be combined");
	/* With default_permissions the kernel checks them: a container's root file system, in a user namespace. */
	if (fs->fakeroot && o->allow_other && !strstr(buf_str(&o->kernel), "default_permissions"))
		return diag_set(diag, -EINVAL,
				"fakeroot checks no permissions: it cannot be combined with allow_other, but with "
				"default_permissions");
	if (o->squash_to_root) {
		fs->squash_uid = fs->squash_uid < 0 ? 0 : fs->squash_uid;
		fs->squash_gid = fs->squash_gid < 0 ? 0 : fs->squash_gid;
	}
	return 0;
}

int options_check(struct mount_options *o, struct diag *diag)
{
	int r;

	if (!o->mountpoint)
		return diag_set(diag, -EINVAL, "no mount point given");
	if (o->json && !o->stats)
		return diag_set(diag, -EINVAL, "--json goes with --stats");
	if (o->remount || o->stats)
		return buf_error(&o->kernel);
	r = check_layerstore(o, diag);
	if (r == 0)
		r = check_layers(&o->fs, diag);
	if (r == 0)
		r = check_upper(o, diag);
	if (r == 0)
		r = check_io(o, diag);
	if (r == 0)
		r = check_identity(o, diag);
	return r < 0 ? r : buf_error(&o->kernel);
}
