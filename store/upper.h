/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_UPPER_H
#define NACRE_STORE_UPPER_H

/*
 * The walk of an overlayfs upper against the image under it: what a layer must
 * say so that image plus layer is the tree that a mount of the two shows.
 *
 * An upper is written for a mount: its redirects and metacopies point into the
 * lower layers, and its marks are xattrs or devices.  A layer has none of this,
 * so the walk resolves it.  A directory is in one of two states:
 *
 *   delta   the layer says only what differs: the image's directory at the same
 *           path lies under it.  Whiteouts count.
 *   whole   the layer says everything: the directory is new, opaque, or its lower
 *           part comes from elsewhere (a redirect).  What the image has at that path
 *           is hidden by one opaque mark, and all below is covered by it.
 *
 * Files, their parts: upperdir.c lists a directory, upperinode.c reads an inode,
 * upper.c walks.  Consumers: uppertar.c writes the layer, diff.c lists changes.
 */

#include "store/base/diag.h"
#include "store/view.h"
#include "store/xattrs.h"

/* Names with equal keys and an nlink over 1 are hard links of one inode. */
struct inode_key {
	bool in_image;
	uint64_t space; /* device of the upper, or layer of the image */
	uint64_t no;
};

/* An inode as the new layer has it.  Zero-initialised but for fd -1 it is empty. */
struct upper_inode {
	uint32_t mode, uid, gid;
	uint32_t nlink;
	dev_t rdev;
	uint64_t size;
	int64_t mtime_ns;
	char *target; /* owned; of a symlink */
	struct xattr_list xattrs;
	struct inode_key key;
	int fd;			      /* owned; of a file in the upper or a directory there, readable; else -1 */
	struct stat st;		      /* of @fd, before anything was read */
	bool metacopy;		      /* its data is in the image */
	bool placeholder;	      /* an empty file that only stands there to be mounted on */
	const struct view_node *data; /* the image's file that has the data; NULL: @fd has it */
};

/* What the layer says of one path. */
struct upper_item {
	const char *path;		 /* relative; "" is the root */
	const struct view_node *here;	 /* what the image has at this path; NULL: nothing, or nobody asks (@whole) */
	const struct upper_inode *inode; /* NULL: the path is deleted */
	bool opaque;			 /* a directory that must hide the one of the image */
	bool covered;			 /* an opaque or new directory above says this already: no whiteout is needed */
};

typedef int (*upper_fn)(const struct upper_item *item, void *arg);

/**
 * upper_walk() - each path of the new layer: a directory before what is in it, each
 * directory's children in byte order of the names they have in a tar (whiteouts: ".wh.NAME")
 * @view: of the image below; NULL: there is none
 * @upper: folder; only read.  NULL with @whole: there is none
 * @whole: a layer for nothing to lie under it: the merged tree of both, without a whiteout
 *
 * The root comes first and always.  Sockets are left out (no tar holds them), and
 * deleted from what is below.  A whiteout of what the image does not have is left out, and so is a
 * placeholder that is still empty (ovl_set_placeholder()).
 * Nodes of the view that are made meanwhile are valid during the call of @fn only.
 * Memory: of the directories above the path at hand, whatever the size of the tree.
 * Return: 0; what @fn returned; -EAGAIN: a name vanished meanwhile; -EIO: a metacopy without data; ... .
 */
int upper_walk(struct store *store, struct view *view, const char *upper, bool whole, upper_fn fn, void *arg,
	       struct diag *diag);

/* upperdir.c: the names of one directory */

struct upper_name {
	char *written;	  /* owned: the name in a tar, ".wh.NAME" for a whiteout */
	const char *name; /* in @written */
	bool whiteout;
	bool replaces; /* there is a whiteout of the same name too: nothing below shines through */
};

struct upper_dir {
	struct upper_name *names; /* owned; sorted by @name, each once */
	size_t count;
};

/** upper_dir_read() - of directory @fd, which keeps its offset at the end. Every form of whiteout is known. */
int upper_dir_read(int fd, struct upper_dir *ret);
const struct upper_name *upper_dir_find(const struct upper_dir *dir, const char *name);
void upper_dir_release(struct upper_dir *dir);

/* upperinode.c */

/*
 * Who wrote an upper whose root has a recorded owner.  An inode there that has
 * none (a symlink can have no xattr) and belongs to him stands for one of root's,
 * or of whom user.overlay.nacre.root names, as the driver shows it (fs/ids.c).
 */
struct upper_writer {
	const char *recorded; /* the name that they are under; NULL: owners are what they are */
	uid_t uid;
	gid_t gid;
	uint32_t shown_uid, shown_gid; /* whom he stands for in the image: root, or who the driver wrote down */
};

/** upper_writer_read() - of the upper directory @fd */
int upper_writer_read(int fd, struct upper_writer *ret);

/** upper_inode_read() - @name in @dirfd ("." for the directory itself), with its recorded owner and type. A record
 * that is malformed is none. */
int upper_inode_read(int dirfd, const char *name, const struct upper_writer *writer, struct upper_inode *ret);
/** upper_inode_of_view() - an inode of the image */
int upper_inode_of_view(struct store *store, struct view *view, const struct view_node *node, struct upper_inode *ret);
/** upper_inode_same_attributes() - mode, owner, mtime, device and xattrs are equal (data is not looked at) */
bool upper_inode_same_attributes(const struct upper_inode *a, const struct upper_inode *b);
void upper_inode_release(struct upper_inode *inode);

#endif
