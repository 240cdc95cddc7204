/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * What in the upper is nothing without a certain layer: metacopies whose data is there,
 * and directories that were renamed and have their lower part there.
 *
 * Only the upper's disk knows all of them: it is read from end to end.  Once a layer is
 * marked as leaving, no copy comes to depend on it, so what is found is all there will be.
 */

#include "store/base/auto.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct leaning {
	struct fs *fs;
	struct layer *layer;
	struct diag *diag;
};

/* A folder of the upper. */
struct place {
	const char *path;  /* from the root */
	const char *lower; /* where the lowers have it; NULL: they have no part in it */
};

struct step {
	struct layer *layer;
	union dref at;
	uint32_t mode;
};

static int step_found(const struct found *found, void *arg)
{
	struct step *step = arg;
	union dref next;
	int r;

	step->mode = found->mode;
	if (!S_ISDIR(found->mode))
		return 0;
	r = step->layer->ops->enter(step->layer, step->at, found, &next);
	if (r < 0)
		return r;
	step->layer->ops->leave(step->layer, step->at);
	step->at = next;
	return 0;
}

/* Return: 1: the layer has @path, of that type; 0; -errno. */
static int layer_has(struct layer *layer, const char *path, mode_t type)
{
	struct step step = { .layer = layer, .mode = S_IFDIR };
	AUTO(freep) char *copy = strdup(path);
	char *save = NULL;
	int r = copy ? layer->ops->keep(layer, layer->root, &step.at) : -ENOMEM;

	if (r < 0)
		return r;
	for (char *name = strtok_r(copy, "/", &save); r == 0 && name; name = strtok_r(NULL, "/", &save))
		r = S_ISDIR(step.mode) ? layer->ops->find(layer, step.at, name, step_found, &step) : -ENOENT;
	layer->ops->leave(layer, step.at);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	return r < 0 ? r : (step.mode & S_IFMT) == type;
}

/* Where @redirect, or if there is none @name, leads from the folder; to be freed. */
static int path_below(const struct place *place, const char *name, const char *redirect, char **ret)
{
	*ret = NULL;
	if (redirect && redirect[0] == '/')
		return (*ret = strdup(redirect)) ? 0 : -ENOMEM;
	if (!place->lower)
		return 0;
	if (asprintf(ret, "%s/%s", place->lower, redirect ? redirect : name) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int look_at_file(struct leaning *l, int dirfd, const struct place *place, const char *name)
{
	enum { XATTR_BLOCKS = 8 }; /* a file without data takes up no more, for its xattrs */
	AUTO(freep) char *redirect = NULL;
	AUTO(freep) char *data = NULL;
	AUTO(closep) int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_blocks > XATTR_BLOCKS)
		return 0;
	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = ovl_is_metacopy(fd);
	if (r > 0)
		r = ovl_redirect(fd, &redirect);
	else
		return r;
	if (r == 0)
		r = path_below(place, name, redirect, &data);
	if (r == 0 && data)
		r = layer_has(l->layer, data, S_IFREG);
	return r > 0 ? diag_set(l->diag, -EBUSY,
				"only the attributes of %s%s%s were changed: its data is in that layer", place->path,
				*place->path ? "/" : "", name)
		     : r;
}

static int walk(struct leaning *l, int fd, const struct place *place);

static int look_at_folder(struct leaning *l, int dirfd, const struct place *place, const char *name)
{
	AUTO(freep) char *redirect = NULL;
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *lower = NULL;
	bool opaque = false;
	int r, fd = folder_open(dirfd, name);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = ovl_marks(fd, &opaque, &redirect);
	if (r == 0 && !opaque)
		r = path_below(place, name, redirect, &lower);
	if (r == 0 && asprintf(&path, "%s%s%s", place->path, *place->path ? "/" : "", name) < 0) {
		path = NULL;
		r = -ENOMEM;
	}
	if (r == 0 && lower && redirect) {
		r = layer_has(l->layer, lower, S_IFDIR);
		if (r > 0)
			r = diag_set(l->diag, -EBUSY, "%s was renamed, and its content is in that layer", path);
	}
	if (r == 0)
		return walk(l, fd, &(struct place){ .path = path, .lower = lower });
	close(fd);
	return r;
}

/* @fd is its own from now on. */
static int walk(struct leaning *l, int fd, const struct place *place)
{
	AUTO(closedirp) DIR *dir = fdopendir(fd);
	struct dirent *de;
	struct stat st;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, de = readdir(dir))) {
		bool is_dir = de->d_type == DT_DIR;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (de->d_type == DT_UNKNOWN && fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			is_dir = S_ISDIR(st.st_mode);
		if (is_dir)
			r = look_at_folder(l, fd, place, de->d_name);
		else if (de->d_type == DT_REG || de->d_type == DT_UNKNOWN)
			r = look_at_file(l, fd, place, de->d_name);
	}
	return r == 0 ? -errno : r;
}

static int walk_root(struct leaning *l, int root)
{
	int fd = folder_open(root, ".");

	return fd < 0 ? -errno : walk(l, fd, &(struct place){ .path = "", .lower = "" });
}

int stack_leaning(struct fs *fs, struct layer *layer, struct diag *diag)
{
	struct leaning l = { .fs = fs, .layer = layer, .diag = diag };
	int r = fs->upper_fd >= 0 ? walk_root(&l, fs->upper_fd) : 0;

	for (uint32_t i = fs->layer_first; r == 0 && i < fs->layer_end; i++) {
		struct layer *former = fs->layers[i];
		struct fd_ref ref;

		if (!former->was_upper)
			continue;
		r = former->ops->dir_fd(former, former->root, &ref);
		if (r < 0)
			break;
		r = walk_root(&l, ref.fd);
		fd_put(fs->fds, &ref);
	}
	return r;
}
