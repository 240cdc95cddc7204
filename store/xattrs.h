/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_XATTRS_H
#define NACRE_STORE_XATTRS_H

/*
 * The extended attributes of one inode that belong to an image, sorted by
 * name.  Zero-initialised the list is empty and valid.
 */

#include "store/layer.h"

struct xattr {
	char *name;  /* owned */
	char *value; /* owned; any bytes */
	size_t bytes;
};

struct xattr_list {
	struct xattr *items; /* owned; sorted by the bytes of the names */
	size_t count;
};

/**
 * xattr_belongs_to_image() - is it the image's, not the machine's or the mount's?
 *
 * Kept: user.*, trusted.* and POSIX ACLs, security.capability.  Left out: what
 * ovl_private_xattr() says, and labels that a security module of this machine put
 * there (security.selinux, security.ima, ...).
 */
bool xattr_belongs_to_image(const char *name);

/** xattr_list_read() - of @fd, which may be O_PATH. A file system without xattrs has none. */
int xattr_list_read(int fd, struct xattr_list *ret);

/* Marks of an overlay that an inode may have; which are listed says that the others need not be asked for. */
enum {
	XATTR_MARK_OVERRIDE = 1,    /* ovl_override_read() */
	XATTR_MARK_METACOPY = 2,    /* ovl_is_metacopy() */
	XATTR_MARK_PLACEHOLDER = 4, /* ovl_is_placeholder() */
	XATTR_MARKS_ALL = 7,
};

/** xattr_list_read_marked() - xattr_list_read(), and in @ret_marks the marks it may have. */
int xattr_list_read_marked(int fd, struct xattr_list *ret, unsigned *ret_marks);

/** xattr_list_of_layer() - of inode @no of a layer */
int xattr_list_of_layer(struct store *store, struct layer_id layer, uint32_t no, struct xattr_list *ret);

bool xattr_list_eq(const struct xattr_list *a, const struct xattr_list *b);
void xattr_list_release(struct xattr_list *list);

#endif
