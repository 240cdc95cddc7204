/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_BASEVIEW_H
#define NACRE_FS_BASEVIEW_H

/* What a container started from, beside it in the same mount: baseview.c. */

#include "fs/ops.h"
#include "fs/options.h"

#include <sys/ioctl.h>

enum { BASE_VIEWS = 16, BASE_KEY_BYTES = 16, BASE_NAME_BYTES = 32 };

/* Another process asks for one by these on the root of the mount. */
struct base_ask {
	uint8_t key[BASE_KEY_BYTES]; /* in: base_keys() of the mount that is wanted */
	uint64_t writes;	     /* out of the first, into the second: WRITE requests that have come, */
	uint64_t done;		     /* and how many were answered of all that may wait in the kernel */
	uint32_t used;		     /* out of the first: a bit for each view that nobody need have any more */
	char name[BASE_NAME_BYTES];  /* out of the second: where it is in the root, to be looked up once */
};
#define BASE_IOC_BEGIN _IOWR('N', 0x72, struct base_ask)
#define BASE_IOC_MAKE  _IOWR('N', 0x73, struct base_ask)

/** base_name() - of the view of that number. */
void base_name(char name[BASE_NAME_BYTES], unsigned number);

/* What two mounts must have in common to show the same lowers in the same way. */
struct base_keys {
	uint8_t own[BASE_KEY_BYTES]; /* of all lowers of the mount */
	uint8_t offered
		[BASE_KEY_BYTES]; /* of those that a view of it shows: all, or of a read-only mount all but the first */
	bool offers;		  /* there are some */
};

/**
 * base_keys() - of a mount that is to be
 *
 * Return: 1: @ret is set; 0: it is not a container's, or such that no other mount shares its lowers; -errno.
 */
int base_keys(const struct mount_options *options, struct base_keys *ret);

struct baseviews;
/** baseviews_new() - none yet. @options and @mount are borrowed. NULL: out of memory. */
struct baseviews *baseviews_new(const struct mount_options *options, struct mount *mount,
				const uint8_t key[BASE_KEY_BYTES]);
void baseviews_free(struct baseviews *views);

/** baseviews_ioctl() - answers either, on the root of the mount. Return: 0 with @ask to be given back, or -errno. */
int baseviews_ioctl(struct baseviews *views, unsigned cmd, pid_t asking, struct base_ask *ask);
/** baseviews_lookup() - is @name of the root one of theirs? Then the answer is in @ret and @ret_tree. */
bool baseviews_lookup(struct baseviews *views, const char *name, struct fs_entry *ret, unsigned *ret_tree);

/* A folder of a view, while it is listed or looked in. */
struct base_dir {
	struct fs *fs;	   /* the container's; NULL: it is no view's folder, or nothing below it has changed */
	struct node *node; /* where it is there; NULL: nowhere */
};
void base_dir_open(const struct mount *mount, fuse_ino_t dir, struct base_dir *ret);
void base_dir_close(struct base_dir *dir);
/** base_dir_mark() - an entry of it that has changed gets a number that no file of the container has. */
void base_dir_mark(const struct base_dir *dir, const char *name, struct stat *st);
/** base_mark() - the same of one whose folder is not at hand, when its attributes are asked for again. */
void base_mark(const struct mount *mount, fuse_ino_t ino, struct stat *st);

#endif
