/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/overlap.h"

/*
 * Folders of a mount that lie in one another.
 *
 * A lower that is the upper or the workdir, or in one of them, changes with what is written to the mount; an upper and a
 * workdir in one another show, or remove, what is not theirs.  The kernel's overlayfs refuses both, and so do we.
 *
 * An upper or a workdir in a lower is in order, there as here: podman's volume /:/x:O has it so.  Lowers in one another, which
 * the kernel refuses too, do no harm, since nobody writes to them.
 */

#include "fs/detached.h"
#include "fs/internal.h"

#include <string.h>
#include <sys/stat.h>

struct folder {
	const char *what; /* the option */
	const char *path; /* without symlinks, see value_folder() */
	dev_t dev;
	ino_t ino;
};

static int folder_read(const char *what, const char *path, int fd, struct folder *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct folder){ .what = what, .path = path, .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

static bool is_same(const struct folder *a, const struct folder *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/* By path, and so that nothing else is mounted in between: what is there then is no part of it. */
static bool is_in(const struct folder *folder, const struct folder *of, const struct mounts *mounts)
{
	return folder->dev == of->dev && strcmp(folder->path, of->path) != 0 &&
	       path_is_within(folder->path, of->path) && !mounts_between(mounts, of->path, folder->path);
}

static int refuse(struct diag *diag, int error, const struct folder *folder, const char *how, const struct folder *of)
{
	return diag_set(diag, error, "%s %s %s %s %s", folder->what, folder->path, how, of->what, of->path);
}

static int check_pair(const struct folder *upper, const struct folder *work, const struct mounts *mounts,
		      struct diag *diag)
{
	if (upper->dev != work->dev)
		return diag_set(diag, -EXDEV, "workdir %s is on another file system than upperdir %s", work->path,
				upper->path);
	if (is_same(upper, work))
		return diag_set(diag, -EINVAL, "workdir and upperdir are the same folder: %s", upper->path);
	if (is_in(work, upper, mounts))
		return refuse(diag, -EINVAL, work, "is in", upper);
	return is_in(upper, work, mounts) ? refuse(diag, -EINVAL, upper, "is in", work) : 0;
}

static int check_lower(const struct folder *lower, const struct folder *of, const struct mounts *mounts,
		       struct diag *diag)
{
	if (is_same(lower, of))
		return refuse(diag, -ELOOP, lower, "is the folder of", of);
	return is_in(lower, of, mounts) ? refuse(diag, -ELOOP, lower, "is in", of) : 0;
}

static int check_layer(struct fs *fs, struct layer *layer, const struct folder *upper, const struct folder *work,
		       const struct mounts *mounts, struct diag *diag)
{
	struct folder lower = { 0 };
	struct fd_ref ref;
	int r;

	if (layer->is_store || (layer->dev != upper->dev && layer->dev != work->dev))
		return 0;
	r = layer->ops->dir_fd(layer, layer->root, &ref);
	if (r < 0)
		return r;
	r = folder_read("lowerdir", layer->name, ref.fd, &lower);
	fd_put(fs->fds, &ref);
	if (r == 0)
		r = check_lower(&lower, upper, mounts, diag);
	return r < 0 ? r : check_lower(&lower, work, mounts, diag);
}

int overlap_check(struct fs *fs, const struct mounts *mounts, int workdir, struct diag *diag)
{
	struct folder upper = { 0 }, work = { 0 };
	int r = folder_read("upperdir", fs->options->upper, fs->upper_fd, &upper);

	if (r == 0)
		r = folder_read("workdir", fs->options->work, workdir, &work);
	if (r == 0)
		r = check_pair(&upper, &work, mounts, diag);
	for (uint32_t i = fs->layer_first; r == 0 && i < fs->layer_end + fs->data_layer_count; i++)
		r = check_layer(fs, fs->layers[i], &upper, &work, mounts, diag);
	return r;
}
