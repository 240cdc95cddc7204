/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stopped.h"

/*
 * From version 1.5x on containers/storage looks at a container that does not run through a read-only mount, with the
 * container's own layer as the topmost lower.  That layer is not all that the container showed: a copy of a file of several
 * names is in the layer under those that somebody used, and the index in the workdir leads there from the others (index.c).
 * Without it a commit would bring the old file back under them.
 *
 * So where the index has a copy, the layer is mounted as the upper that it was, read-only as before; and nothing in its workdir
 * is touched, in case that somebody has mounted it to write.
 */

#include "fs/internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ID/diff mounted on ID/merged: the length of "ID"; 0: it is not that. */
static size_t container_folder(const struct mount_options *o)
{
	static const char layer_name[] = "/diff", point_name[] = "/merged";
	const char *layer = o->fs.lower_count > 1 ? o->fs.lowers[0] : "";
	size_t len = strlen(layer);

	if (!o->in_storage || o->fs.upper || o->fs.store || len < sizeof(layer_name))
		return 0;
	len -= strlen(layer_name);
	if (strcmp(layer + len, layer_name) != 0 || strncmp(layer, o->mountpoint, len) != 0 ||
	    strcmp(o->mountpoint + len, point_name) != 0)
		return 0;
	return len;
}

static bool has_copies(const char *layer, const char *work)
{
	AUTO(closep) int upper = open(layer, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(closep) int workdir = open(work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char name[INDEX_FOLDER_BYTES];
	AUTO(closep) int index = -1;

	if (upper < 0 || workdir < 0 || index_folder(upper, workdir, name) < 0)
		return false;
	index = openat(workdir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return index >= 0 && index_has_copies(index);
}

int stopped_options(struct mount_options *o)
{
	size_t len = container_folder(o);
	struct fs_options *fs = &o->fs;
	AUTO(freep) char *work = NULL;

	if (len == 0)
		return 0;
	if (asprintf(&work, "%.*s/work", (int)len, fs->lowers[0]) < 0) {
		work = NULL;
		return -ENOMEM;
	}
	if (!has_copies(fs->lowers[0], work))
		return 0;
	fs->upper = fs->lowers[0];
	fs->work = TAKE(work);
	memmove(fs->lowers, fs->lowers + 1, --fs->lower_count * sizeof(*fs->lowers));
	fs->frozen_upper = fs->volatile_upper = true;
	return 0;
}
