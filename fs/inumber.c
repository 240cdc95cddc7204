/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inumber.h"

/*
 * Inode numbers.
 *
 * st_ino: of a store layer's inode bit 62, the layer and the number in it; of a
 * backing inode its own number, with a small number for the device above bit 48
 * on all devices but the first.
 *
 * A copy shows the number of what it was copied from, which nobody else shows since the copy covers it.  Which one that
 * is stands in an xattr of the copy (upper.c).  But when that file is removed from the lower between two mounts, its file
 * system gives the number to another file, of the lower or of the upper.  So a copy is given its origin's number only if the
 * origin is there, as in the kernel's overlayfs, which keeps a file handle of it; else it shows that of its own file.  The
 * origin is looked for, once when a name is looked up for the first time,
 *
 *   under the name of the copy    in the lowers that have its folder
 *   overlay.nacre.home            once the copy was renamed, or has several names: a path from the root of the lowers
 *
 * What has been there since before the mount is not asked for: rows of the store, and files that somebody else serves.
 */

#include "fs/flags.h"
#include "fs/served.h"
#include "store/base/auto.h"
#include "store/base/buf.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* With ino32_t: the layer or device, in the upper half, goes where the numbers of small file systems have nothing. */
static uint64_t ino_shown(const struct fs *fs, uint64_t ino)
{
	uint32_t low = (uint32_t)ino ^ (uint32_t)(ino >> 32) * 0x9e3779b1u;

	if (!fs->options->ino32)
		return ino;
	return low ? low : 1;
}

uint64_t ino_of_backing(struct fs *fs, const struct stat *st)
{
	uint64_t slot = dev_slot(fs, st->st_dev);

	if (st->st_ino >> 48)
		return ino_shown(fs, st->st_ino ^ (slot << 40)); /* numbers that large are hashes already */
	return ino_shown(fs, st->st_ino | slot << 48);
}

int backing_identity(struct fs *fs, struct node *node, uint64_t *dev, uint64_t *ino)
{
	struct node_at at;
	struct stat st;
	int r = node_at(fs, node, &at);

	if (r < 0)
		return r;
	if (fstatat(at.ref.fd, at.name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		r = -errno;
	fd_put(fs->fds, &at.ref);
	*dev = st.st_dev;
	*ino = st.st_ino;
	return r;
}

uint64_t ino_of_row(struct fs *fs, const struct node *node)
{
	return ino_shown(fs, INO_OF_ROW | fs->layers[node->layer]->dev << 32 | node->row.no);
}

bool ino_is_passing(const struct fs *fs, const struct node *node)
{
	return !(node->ino & INO_OF_ROW) && backing_is_passing(fs, node);
}

/* --- of copies --- */

/* A copy, and the number of its origin once that was found. names_lock is held. */
struct copied {
	struct fs *fs;
	const struct node *node;
	struct upper_ino kept;
	uint64_t ino; /* 0: the origin was not found yet */
};

static bool is_origin(const struct copied *c, const struct statx *stx, uint64_t ino)
{
	/* Where the index does not know the copy, the other names show that number. */
	if (!node_is_dir(c->node) && stx->stx_nlink > 1 && !node_is(c->node, NODE_INDEXED))
		return false;
	if (ino != ino_shown(c->fs, c->kept.ino))
		return false;
	if (c->kept.birth.tv_nsec == NO_BIRTH || !(stx->stx_mask & STATX_BTIME))
		return true;
	return stx->stx_btime.tv_sec == c->kept.birth.tv_sec && stx->stx_btime.tv_nsec == c->kept.birth.tv_nsec;
}

/* Is it @name in that folder of a lower? "": the folder itself. */
static void look_at(struct copied *c, const struct part *part, const char *name)
{
	struct layer *layer = c->fs->layers[part->layer];
	struct statx stx;
	struct fd_ref ref;
	int r;

	if (layer->is_store || layer->is_served) {
		c->ino = ino_shown(c->fs, c->kept.ino);
		return;
	}
	r = *name ? layer->ops->dir_fd(layer, part->at, &ref) : layer->ops->named(layer, part->at, &ref, &name);
	if (r < 0)
		return;
	r = statx(ref.fd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_INO | STATX_NLINK | STATX_BTIME, &stx);
	fd_put(c->fs->fds, &ref);
	if (r == 0) {
		const struct stat st = { .st_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor),
					 .st_ino = stx.stx_ino };
		uint64_t ino = ino_of_backing(c->fs, &st);

		if (is_origin(c, &stx, ino))
			c->ino = ino;
	}
}

static void look_in(struct copied *c, const struct part *parts, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count && !c->ino; i++)
		look_at(c, &parts[i], name);
}

/* Under the name that it has. @covered: the layer that is known to have it, and 1. */
static void look_under_name(struct copied *c, const struct link *link, uint32_t covered)
{
	const struct part *part = NULL;

	if (dir_enter_former(c->fs, link->dir) < 0)
		return;
	if (covered)
		part = dir_part(link->dir, (uint16_t)(covered - 1));
	if (part)
		look_at(c, part, link->name);
	else
		look_in(c, link->dir->parts, link->dir->part_count, link->name);
}

static void look_at_home(struct copied *c, const struct node_at *at)
{
	AUTO(freep) char *path = malloc(PATH_MAX + 1);
	ssize_t n = path ? upper_get_private(c->fs, at->ref.fd, at->name, "nacre.home", path, PATH_MAX) : -1;
	struct part *parts;
	uint32_t count;
	char *name;

	if (n <= 0)
		return;
	path[n] = '\0';
	name = strrchr(path, '/');
	if (!name || path_parts(c->fs, path, (size_t)(name - path), 0, &parts, &count) < 0)
		return;
	look_in(c, parts, count, name + 1);
	parts_free(c->fs, parts, count);
}

static uint64_t ino_of_copied(struct copied *c, const struct link *link, uint32_t covered, const struct node_at *at)
{
	/* A server would be waited for with locks held. */
	if (c->kept.passing || c->kept.ino & INO_OF_ROW || c->fs->any_served)
		return ino_shown(c->fs, c->kept.ino);
	if (node_is_dir(c->node)) {
		const struct dirnode *dir = node_dir((struct node *)c->node);

		look_in(c, dir->parts, dir->part_count, "");
		return c->ino;
	}
	if (link_flags(c->fs, link) & LINK_LOWER)
		look_under_name(c, link, covered);
	if (!c->ino)
		look_at_home(c, at);
	return c->ino;
}

/* The folder of @link is locked. What its parts are is to be known before names_lock is taken. */
static int settle_parts(struct fs *fs, struct node *node)
{
	if (!node_is_dir(node))
		return 0;
	LOCKED(&node_dir(node)->lock);
	return dir_parts_locked(fs, node_dir(node));
}

uint32_t ino_covered(const struct fs *fs, const struct node *node)
{
	if (node_is_dir(node))
		return 0;
	return node_in_upper(fs, node) ? node->back.covered : node_layer_index(fs, node) + 1u;
}

/* What was copied up: names that a lower has too, and what a folder so marked holds. */
uint64_t ino_of_upper(struct fs *fs, struct link *link, uint32_t covered, const struct stat *st)
{
	struct copied c = { .fs = fs, .node = link->node };
	uint64_t ino = 0;
	struct node_at at;

	if ((link_flags(fs, link) & LINK_LOWER || node_is(&link->dir->node, NODE_IMPURE)) &&
	    settle_parts(fs, link->node) == 0) {
		SHARED(&fs->names_lock);

		if (node_at(fs, link->node, &at) == 0) {
			if (upper_read_ino(fs, at.ref.fd, at.name, &c.kept) == 0) {
				node_set(link->node, NODE_COPIED);
				ino = c.kept.ino ? ino_of_copied(&c, link, covered, &at) : 0;
			}
			fd_put(fs->fds, &at.ref);
		}
	}
	return ino ? ino : ino_of_backing(fs, st);
}

enum { HOME_BYTES = 3000 }; /* what an xattr holds on any file system */

void ino_keep_home(struct fs *fs, const struct link *link)
{
	struct node *node = link->node;
	struct buf path = { 0 };
	struct node_at at;

	if (!node_is(node, NODE_COPIED) || node->ino & INO_OF_ROW || !(link_flags(fs, link) & LINK_LOWER) ||
	    node_at(fs, node, &at) < 0)
		return;
	/* One that is there tells where it stood when it was copied up. Without it, st_ino is another with a remount. */
	if (upper_get_private(fs, at.ref.fd, at.name, "nacre.home", NULL, 0) == -ENODATA &&
	    lower_path(fs, &link->dir->node, &path) == 0) {
		buf_addf(&path, "/%s", link->name);
		if (buf_error(&path) == 0 && path.len <= HOME_BYTES)
			(void)upper_set_private(fs, at.ref.fd, at.name, "nacre.home", buf_str(&path), path.len);
	}
	buf_release(&path);
	fd_put(fs->fds, &at.ref);
}
