/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/layerstore.h"

/*
 * The form (containers/storage, drivers/overlay/overlay.go; it is called experimental there):
 *
 *   DIGEST/             a layer, by the digest of its archive as the image's manifest has it; or by its diff ID
 *   DIGEST/diff/        what it holds, with whiteouts as overlayfs has them: a lower
 *   DIGEST/info         JSON: digests and sizes
 *   DIGEST/blob         its archive; the uncompressed stream
 *   DIGEST/use          never there.  Who begins to use a layer tries to make it, and removes DIGEST/ when he ends: the
 *                       answer ENOENT says that both were heard
 *   BASE64/DIGEST/...   the same, for who asks with the reference of an image, in base64 (":ref")
 *   images/             all images, as an additional image store: imagestore.c
 *
 * A layer is named by what it holds, so it is the same for each reference.  No layer is listed in the folders
 * above: they are found when they are asked for, also what came into the store a moment ago.
 *
 * The nodes of this form are few.  They are numbered from 2 on in tree 0, and stay.  What is in diff/ is a tree of its own
 * (layertrees.h), made when somebody enters it; it has a lease on the layer, here until the mount ends.
 */

#include "fs/imagestore.h"
#include "fs/layerref.h"
#include "fs/layertrees.h"
#include "fs/namelist.h"
#include "fs/ops_internal.h"
#include "store/base/auto.h"
#include "store/layerfile.h"
#include "store/origin.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	FIRST_INO = FUSE_ROOT_ID + 1,
	ENTRIES_MAX = 4 * TREES_MAX,
	INFO_BYTES = 512,
	NAMES_VALID_SECONDS = 1, /* a layer may go */
};

enum entry_kind { ENTRY_REFERENCE, ENTRY_LAYER, ENTRY_INFO, ENTRY_BLOB };

struct entry {
	enum entry_kind kind;
	fuse_ino_t parent;
	char *name; /* owned */
	/* Of a layer, and of its files: */
	struct digest asked; /* what it was asked for by */
	uint64_t asked_bytes;
	struct layer_info layer;
	struct shown_layer shown; /* of a layer */
	/* Of a blob; guarded by making: */
	struct layerfile file; /* made when it is read */
	/* Of the information: */
	char info[INFO_BYTES];
};

struct layerstore {
	struct mount *mount;	   /* borrowed */
	struct layertrees *trees;  /* owned */
	struct store *store;	   /* borrowed from the trees */
	struct imagestore *images; /* owned */
	pthread_mutex_t making;	   /* held while an archive is made */
	pthread_mutex_t lock;	   /* to add an entry */
	_Atomic size_t count;
	struct entry *entries[ENTRIES_MAX]; /* owned; those below @count never change */
};

static struct layerstore *layerstore_of(fuse_req_t req)
{
	return mount_of(req)->layerstore;
}

/* NULL: the node is of a tree, or the root. */
static struct entry *entry_of(const struct layerstore *ls, fuse_ino_t ino)
{
	return !trees_number(ino) && ino >= FIRST_INO && ino - FIRST_INO < atomic_load(&ls->count)
		       ? ls->entries[ino - FIRST_INO]
		       : NULL;
}

/* Is it, and what is below it, of this form, rather than of a tree? */
static bool is_ours(fuse_ino_t ino)
{
	return !trees_number(ino);
}

/* --- life --- */

int layerstore_new(const char *dir, struct mount *mount, struct diag *diag, struct layerstore **ret)
{
	struct layerstore *ls = calloc(1, sizeof(*ls));
	int r;

	if (!ls)
		return -ENOMEM;
	r = layertrees_new(dir, mount, diag, &ls->trees);
	if (r == 0) {
		ls->store = layertrees_store(ls->trees);
		r = imagestore_new(ls->trees, ls->store, &ls->images);
	}
	if (r < 0) {
		layertrees_free(ls->trees);
		free(ls);
		return r;
	}
	ls->mount = mount;
	pthread_mutex_init(&ls->making, NULL);
	pthread_mutex_init(&ls->lock, NULL);
	*ret = ls;
	return 0;
}

static void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	layerfile_release(&entry->file);
	free(entry->name);
	free(entry);
}

void layerstore_free(struct layerstore *ls)
{
	if (!ls)
		return;
	for (size_t i = 0; i < atomic_load(&ls->count); i++)
		entry_free(ls->entries[i]);
	imagestore_free(ls->images);
	layertrees_free(ls->trees);
	pthread_mutex_destroy(&ls->making);
	pthread_mutex_destroy(&ls->lock);
	free(ls);
}

void layerstore_stop(struct layerstore *ls)
{
	layertrees_stop(ls->trees);
}

/* --- finding --- */

/* By the digest of its archive, or else by its diff ID. */
static int layer_get(struct layerstore *ls, const char *name, struct entry *ret)
{
	struct layer_id id;
	int r = digest_parse(name, &ret->asked);

	if (r < 0)
		return -ENOENT;
	r = origin_layer(ls->store, &ret->asked, &id, &ret->asked_bytes);
	if (r == 0)
		return layer_info(ls->store, id, &ret->layer);
	if (r == -ENOENT)
		r = layer_find(ls->store, &ret->asked, &id);
	if (r == 0)
		r = layer_info(ls->store, id, &ret->layer);
	ret->asked_bytes = ret->layer.tar_bytes;
	return r;
}

/* archive.Uncompressed is 0; the names are those of containers/storage's struct Layer. */
static void write_info(struct entry *entry)
{
	char asked[DIGEST_TEXT_BYTES], diff_id[DIGEST_TEXT_BYTES];

	snprintf(
		entry->info, sizeof(entry->info),
		"{\"compressed-diff-digest\":\"%s\",\"compressed-size\":%llu,\"diff-digest\":\"%s\",\"diff-size\":%llu,"
		"\"compression\":0}\n",
		digest_format(&entry->asked, asked), (unsigned long long)entry->asked_bytes,
		digest_format(&entry->layer.diff_id, diff_id), (unsigned long long)entry->layer.tar_bytes);
}

/* What is called @name in @parent, whose entry is @in; NULL: the root. */
static int entry_fill(struct layerstore *ls, const struct entry *in, const char *name, struct entry *ret)
{
	int r;

	if (in && in->kind == ENTRY_LAYER) {
		ret->kind = strcmp(name, "info") == 0 ? ENTRY_INFO : ENTRY_BLOB;
		if (ret->kind == ENTRY_BLOB && strcmp(name, "blob") != 0)
			return -ENOENT;
		ret->asked = in->asked;
		ret->asked_bytes = in->asked_bytes;
		ret->layer = in->layer;
		write_info(ret);
		return 0;
	}
	if (!in && layerref_is(name)) {
		ret->kind = ENTRY_REFERENCE;
		return 0;
	}
	ret->kind = ENTRY_LAYER;
	if (in && in->kind != ENTRY_REFERENCE)
		return -ENOTDIR;
	r = layer_get(ls, name, ret);
	/* Podman keeps what it once had of it in images of its own. */
	ret->shown = (struct shown_layer){ .info = ret->layer, .for_good = true };
	return r;
}

static int entry_new(struct layerstore *ls, fuse_ino_t parent, const char *name, struct entry **ret)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	int r;

	if (!entry)
		return -ENOMEM;
	entry->file.fd = -1;
	entry->parent = parent;
	entry->name = strdup(name);
	r = entry->name ? entry_fill(ls, entry_of(ls, parent), name, entry) : -ENOMEM;
	if (r < 0)
		entry_free(entry);
	else
		*ret = entry;
	return r;
}

/* Also by the layer: one that was removed and came again is another. */
static bool entry_is(const struct entry *a, const struct entry *b)
{
	return a->parent == b->parent && a->layer.id.value == b->layer.id.value && strcmp(a->name, b->name) == 0;
}

/* Return: the place of @entry, or of one that is the same; ENTRIES_MAX: there is no room. */
static size_t entry_place_locked(struct layerstore *ls, struct entry *entry)
{
	size_t count = atomic_load(&ls->count);

	for (size_t i = 0; i < count; i++) {
		if (entry_is(ls->entries[i], entry))
			return i;
	}
	if (count == ENTRIES_MAX)
		return count;
	entry->shown.parent = FIRST_INO + count;
	ls->entries[count] = entry;
	atomic_store(&ls->count, count + 1); /* pairs with entry_of() */
	return count;
}

/* The store is asked each time: what is here may have been removed. */
static int entry_get(struct layerstore *ls, fuse_ino_t parent, const char *name, fuse_ino_t *ret)
{
	struct entry *entry;
	size_t place;
	int r = entry_new(ls, parent, name, &entry);

	if (r < 0)
		return r;
	pthread_mutex_lock(&ls->lock);
	place = entry_place_locked(ls, entry);
	pthread_mutex_unlock(&ls->lock);
	*ret = FIRST_INO + place;
	if (entry_of(ls, *ret) != entry)
		entry_free(entry);
	return place == ENTRIES_MAX ? -ENFILE : 0;
}

/* --- answers --- */

static void entry_stat(const struct entry *entry, fuse_ino_t ino, struct stat *st)
{
	bool is_dir = entry->kind == ENTRY_REFERENCE || entry->kind == ENTRY_LAYER;

	*st = (struct stat){
		.st_ino = ino,
		/* Writable, or the kernel would refuse what tells of a layer's use. */
		.st_mode = is_dir ? S_IFDIR | 0755 : S_IFREG | 0444,
		.st_nlink = is_dir ? 2 : 1,
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_mtim.tv_sec = entry->layer.created,
		.st_blksize = 4096,
	};
	if (entry->kind == ENTRY_INFO)
		st->st_size = (off_t)strlen(entry->info);
	else if (entry->kind == ENTRY_BLOB)
		st->st_size = (off_t)entry->layer.tar_bytes;
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_atim = st->st_ctim = st->st_mtim;
}

static void forget(struct layerstore *ls, fuse_ino_t ino, uint64_t lookups)
{
	if (!is_ours(ino))
		layertrees_forget(ls->trees, ino, lookups);
	else if (imagestore_has(ino))
		imagestore_forget(ls->images, ino, lookups);
}

static void ls_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct layerstore *ls = layerstore_of(req);
	struct entry *in = entry_of(ls, parent);
	struct fuse_entry_param e = { .attr_timeout = NAMES_VALID_SECONDS, .entry_timeout = NAMES_VALID_SECONDS };
	int r;

	if (!is_ours(parent)) {
		nacrefs_ops.lookup(req, parent, name);
		return;
	}
	if (imagestore_has(parent) || (parent == FUSE_ROOT_ID && strcmp(name, "images") == 0)) {
		r = imagestore_lookup(ls->images, parent, name, &e);
	} else if (in && in->kind == ENTRY_LAYER && strcmp(name, "diff") == 0) {
		r = layertrees_enter(ls->trees, &in->shown, &e);
	} else {
		r = entry_get(ls, parent, name, &e.ino);
		if (r == 0)
			entry_stat(entry_of(ls, e.ino), e.ino, &e.attr);
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_entry(req, &e) < 0)
		forget(ls, e.ino, 1);
}

static void ls_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	forget(layerstore_of(req), ino, lookups);
	fuse_reply_none(req);
}

static void ls_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(layerstore_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static bool is_node(struct layerstore *ls, fuse_ino_t ino)
{
	return imagestore_has(ino) || entry_of(ls, ino);
}

/* Above the layers owners are not mapped: it is whoever mounted it. */
static int root_stat(struct layerstore *ls, struct stat *ret)
{
	struct fs *fs = ls->mount->fs;
	int r;

	fs_enter(fs);
	r = fs_getattr(fs, fs_root(fs), ret);
	fs_leave(fs);
	ret->st_uid = geteuid();
	ret->st_gid = getegid();
	return r;
}

static int node_stat(struct layerstore *ls, fuse_ino_t ino, struct stat *ret)
{
	if (ino == FUSE_ROOT_ID)
		return root_stat(ls, ret);
	if (imagestore_has(ino))
		return imagestore_stat(ls->images, ino, ret);
	entry_stat(entry_of(ls, ino), ino, ret);
	return 0;
}

static void ls_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int r;

	if (ino != FUSE_ROOT_ID && !is_node(layerstore_of(req), ino)) {
		nacrefs_ops.getattr(req, ino, fi);
		return;
	}
	r = node_stat(layerstore_of(req), ino, &st);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, NAMES_VALID_SECONDS);
}

/* @ret: NUL-terminated names, one after the other; owned */
static int list_names(struct layerstore *ls, fuse_ino_t ino, char **ret, size_t *ret_bytes)
{
	static const char top[] = "images", layer[] = "diff\0info\0blob";
	const struct entry *entry = entry_of(ls, ino);
	bool is_layer = entry && entry->kind == ENTRY_LAYER;

	*ret = NULL;
	*ret_bytes = 0;
	if (imagestore_has(ino))
		return imagestore_names(ls->images, ino, ret, ret_bytes);
	if (entry && !is_layer)
		return 0;
	*ret_bytes = is_layer ? sizeof(layer) : sizeof(top);
	*ret = malloc(*ret_bytes);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, is_layer ? layer : top, *ret_bytes);
	return 0;
}

static void reply_names(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	AUTO(freep) char *names = NULL;
	size_t bytes;
	int r = list_names(layerstore_of(req), ino, &names, &bytes);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		namelist_reply(req, ino, names, bytes, size, offset, plus);
}

static void ls_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	if (is_ours(ino))
		reply_names(req, ino, size, offset, false);
	else
		nacrefs_ops.readdir(req, ino, size, offset, fi);
}

static void ls_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	if (is_ours(ino))
		reply_names(req, ino, size, offset, true);
	else
		nacrefs_ops.readdirplus(req, ino, size, offset, fi);
}

/* The archive is made again, once, in a file without a name. */
static int blob_open(struct layerstore *ls, struct entry *entry)
{
	int r = 0;

	pthread_mutex_lock(&ls->making);
	if (entry->file.fd < 0)
		r = layerfile_make(ls->store, entry->layer.id, false, NULL, NULL, &entry->file);
	pthread_mutex_unlock(&ls->making);
	return r < 0 ? r : entry->file.fd;
}

/* Of a file of an entry. */
static ssize_t entry_read(struct layerstore *ls, struct entry *entry, char *buf, size_t size, off_t offset)
{
	size_t len = strlen(entry->info);
	ssize_t n;
	int fd;

	if (entry->kind == ENTRY_BLOB) {
		fd = blob_open(ls, entry);
		n = fd < 0 ? fd : pread(fd, buf, size, offset);
		return fd >= 0 && n < 0 ? -errno : n;
	}
	if ((size_t)offset >= len)
		return 0;
	if (size > len - (size_t)offset)
		size = len - (size_t)offset;
	memcpy(buf, entry->info + offset, size);
	return (ssize_t)size;
}

static void ls_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct layerstore *ls = layerstore_of(req);
	AUTO(freep) char *buf = NULL;
	ssize_t n = -ENOMEM;

	if (!is_node(ls, ino)) {
		nacrefs_ops.read(req, ino, size, offset, fi);
		return;
	}
	buf = malloc(size);
	if (buf)
		n = imagestore_has(ino) ? imagestore_read(ls->images, ino, buf, size, offset)
					: entry_read(ls, entry_of(ls, ino), buf, size, offset);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void ls_readlink(fuse_req_t req, fuse_ino_t ino)
{
	AUTO(freep) char *text = NULL;
	int r;

	if (!imagestore_has(ino)) {
		nacrefs_ops.readlink(req, ino);
		return;
	}
	r = imagestore_link(layerstore_of(req)->images, ino, &text);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, text);
}

static void ls_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct stat st;
	int r;

	if (!is_node(layerstore_of(req), ino)) {
		nacrefs_ops.lseek(req, ino, offset, whence, fi);
		return;
	}
	r = node_stat(layerstore_of(req), ino, &st);
	if (r < 0 || offset >= st.st_size)
		fuse_reply_err(req, r < 0 ? -r : ENXIO);
	else
		fuse_reply_lseek(req, whence == SEEK_DATA ? offset : st.st_size);
}

static void ls_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
		     const void *in, size_t in_bytes, size_t out_bytes)
{
	if (is_node(layerstore_of(req), ino))
		fuse_reply_err(req, ENOTTY);
	else
		nacrefs_ops.ioctl(req, ino, cmd, arg, fi, flags, in, in_bytes, out_bytes);
}

static void ls_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	if (is_ours(ino))
		fuse_reply_err(req, ENODATA);
	else
		nacrefs_ops.getxattr(req, ino, name, size);
}

static void ls_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (!is_ours(ino))
		nacrefs_ops.listxattr(req, ino, size);
	else if (size == 0)
		fuse_reply_xattr(req, 0);
	else
		fuse_reply_buf(req, NULL, 0);
}

/* --- changes: only the two that tell of a layer's use --- */

static void ls_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	const struct entry *entry = entry_of(layerstore_of(req), parent);

	fuse_reply_err(req, entry && entry->kind == ENTRY_LAYER && strcmp(name, "use") == 0 ? ENOENT : EROFS);
}

static void ls_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, is_ours(parent) ? ENOENT : EROFS);
}

static void ls_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	fuse_reply_err(req, EROFS);
}

static void ls_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void ls_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void ls_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void ls_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void ls_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
		      unsigned flags)
{
	fuse_reply_err(req, EROFS);
}

static void ls_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void ls_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	fuse_reply_err(req, EROFS);
}

static void ls_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void ls_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void ls_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void ls_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

void layerstore_ops(struct fuse_lowlevel_ops *ret)
{
	*ret = nacrefs_ops;
	ret->lookup = ls_lookup;
	ret->forget = ls_forget;
	ret->forget_multi = ls_forget_multi;
	ret->getattr = ls_getattr;
	ret->readdir = ls_readdir;
	ret->readdirplus = ls_readdirplus;
	ret->read = ls_read;
	ret->readlink = ls_readlink;
	ret->lseek = ls_lseek;
	ret->ioctl = ls_ioctl;
	ret->getxattr = ls_getxattr;
	ret->listxattr = ls_listxattr;
	ret->mknod = ls_mknod;
	ret->rmdir = ls_rmdir;
	ret->mkdir = ls_mkdir;
	ret->symlink = ls_symlink;
	ret->link = ls_link;
	ret->tmpfile = ls_tmpfile;
	ret->unlink = ls_unlink;
	ret->rename = ls_rename;
	ret->setattr = ls_setattr;
	ret->setxattr = ls_setxattr;
	ret->removexattr = ls_removexattr;
	ret->write = ls_write;
	ret->fallocate = ls_fallocate;
	ret->fsync = ret->fsyncdir = ls_fsync;
	/* Done without them everywhere; the kernel has its own ways. */
	ret->copy_file_range = NULL;
#ifdef HAVE_FUSE_STATX
	ret->statx = NULL;
#endif
}
