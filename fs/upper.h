/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_UPPER_H
#define NACRE_FS_UPPER_H

/* What is written to the upper, and in which form (upper.c). */

#include "fs/fdcache.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct dirnode;
struct fs;
struct node;

/** proc_path() - "/proc/self/fd/FD/NAME" (NAME may be ""), for the xattr calls that take no descriptor. */
enum { PROC_PATH_BYTES = 300 };
const char *proc_path(char *buf, int dirfd, const char *name);
/** upper_stat() - of @name in @dirfd ("": itself), id maps applied; @override: and a recorded owner, under that name. */
int upper_stat(struct fs *fs, int dirfd, const char *name, const char *override, struct stat *st);
/** upper_stat_unmapped() - the same with the owner that is on disk or recorded. Return: 1: recorded; 0; -errno. */
int upper_stat_unmapped(int dirfd, const char *name, const char *override, struct stat *st);
/** upper_set_times() - give @name the access and modification time of @st (UTIME_OMIT, UTIME_NOW allowed). */
int upper_set_times(int dirfd, const char *name, const struct stat *st);
/**
 * upper_set_owner_mode() - make @name in @dirfd show the owner and mode of @st
 * @st: all of type, mode, owner and rdev as they are to be
 * @set: FS_SET_UID, FS_SET_GID, FS_SET_MODE: what of it changes
 */
int upper_set_owner_mode(struct fs *fs, int dirfd, const char *name, const struct stat *st, unsigned set);
/**
 * upper_make() - make @name in @dirfd as @st says: type, mode, owner, rdev
 * @target: of a symlink
 * @born_gid: the group that the file system gives a new file there; -1: the process's; UPPER_NO_OWNER: the
 *	owner is set by upper_keep_owner()
 * @ret_fd: if not NULL and it is a regular file, a descriptor O_RDWR of it, else -1
 *
 * Nothing is left behind on failure.
 */
int upper_make(struct fs *fs, int dirfd, const char *name, const struct stat *st, const char *target, gid_t born_gid,
	       int *ret_fd);
#define UPPER_NO_OWNER ((gid_t)-2)
/** upper_keep_owner() - @name, a copy of @node, gets the owner that @node has on disk, whatever is shown (@st). */
int upper_keep_owner(struct fs *fs, struct node *node, int dirfd, const char *name, const struct stat *st);
/** upper_make_nested_whiteout() - what upper_make() makes of a 0:0 device (store/ovl.h), with no owner set. */
int upper_make_nested_whiteout(struct fs *fs, int dirfd, const char *name);
/** upper_mark_nested_whiteouts() - folder @dirfd is going to hold one. */
int upper_mark_nested_whiteouts(struct fs *fs, int dirfd);
/** upper_mark_for() - folder @dirfd is going to hold @node, whatever it is. names_lock is held. */
int upper_mark_for(struct fs *fs, struct node *node, int dirfd);
enum { WORK_NAME_BYTES = 24 };
/** upper_make_nameless() - a regular file as @st says, O_RDWR, that a link may give a name; made in @dirfd. */
int upper_make_nameless(struct fs *fs, int dirfd, const struct stat *st, int *ret_fd);
/**
 * struct cradle - a folder in work/ with the default ACL of another
 *
 * What is born in it inherits what it would have inherited there.
 */
struct cradle {
	struct fs *fs; /* NULL: it is not open */
	char work[WORK_NAME_BYTES];
	int fd;
};
/** cradle_open() - with the default ACL of folder @dirfd. */
int cradle_open(struct fs *fs, int dirfd, struct cradle *ret);
/** cradle_close() - what was born in it has been moved out. */
void cradle_close(struct cradle *cradle);
/** work_name() - a name that is not used in work/. */
void work_name(struct fs *fs, char *name);
/** upper_whiteout() - a whiteout named @name in @dirfd, where nothing is. */
int upper_whiteout(struct fs *fs, int dirfd, const char *name);
/** upper_cover() - a whiteout takes the place of @name at once; what was there (also a directory) is removed. */
int upper_cover(struct fs *fs, int dirfd, const char *name);
/**
 * upper_cover_by_file() - the same by a file ".wh.NAME", in steps; also where nothing is.  A later upper_uncover_file()
 * shows @name again.
 */
int upper_cover_by_file(struct fs *fs, int dirfd, const char *name);
/** upper_uncover_file() - the file ".wh.NAME" goes, if there is one. */
int upper_uncover_file(int dirfd, const char *name);
/** upper_replace_whiteout() - @work of work/ takes the place of the whiteout @name. */
int upper_replace_whiteout(struct fs *fs, const char *work, int dirfd, const char *name, bool is_dir);
/** upper_get_private(), upper_set_private() - an xattr of overlay's own, {trusted,user}.overlay.WHAT. */
ssize_t upper_get_private(struct fs *fs, int dirfd, const char *name, const char *what, void *value, size_t bytes);
int upper_set_private(struct fs *fs, int dirfd, const char *name, const char *what, const void *value, size_t bytes);
/* What a copy keeps of its origin. */
struct upper_ino {
	uint64_t ino;	       /* the st_ino that it had before; 0: a mount that has ended had it */
	bool passing;	       /* another file may have the number when this mount has ended */
	struct timespec birth; /* tv_nsec NO_BIRTH: not known */
};
/** upper_read_ino(), upper_write_ino() - the st_ino that a copied-up inode had before, and its birth time */
int upper_read_ino(struct fs *fs, int dirfd, const char *name, struct upper_ino *ret);
int upper_write_ino(struct fs *fs, int dirfd, const char *name, uint64_t ino, bool passing,
		    const struct timespec *birth);
/** upper_read_birth() - the birth time of a copy; @ret stays as it is where none was kept. */
void upper_read_birth(struct fs *fs, int dirfd, const char *name, struct timespec *ret);
/** upper_mark_impure() - mark folder @dirfd of @dir so. */
void upper_mark_impure(struct fs *fs, struct dirnode *dir, int dirfd);
/** upper_readlink() - target of a symlink, also of a recorded one; not terminated. Return: bytes or -errno. */
ssize_t upper_readlink(struct fs *fs, int dirfd, const char *name, char *buf, size_t bytes);

#endif
