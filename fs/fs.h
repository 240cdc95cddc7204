/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_H
#define NACRE_FS_H

/*
 * The driver's core: one merged tree of read-only lowers and an optional
 * upper.  It never talks to the kernel's FUSE device, so tests drive it
 * unmounted; fs/ops.c decodes requests, calls what stands here, and replies.
 *
 * A node is one inode of the merged tree.  A call that gives a node to the
 * kernel (those with a struct fs_entry) counts one lookup, which
 * fs_forget() gives back.  All functions return 0 or -errno, and may be called
 * from any thread.
 */

#include "fs/fdcache.h"
#include "store/base/diag.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct fs;
struct node;
struct stats;
struct store;
struct layer_id;
struct buf;

/* To copy a small file costs hardly more than to mark it, and a whole one can be read by everybody. */
enum { FS_METACOPY_FROM = 16 * 1024 };

struct fs_idmap {
	uint32_t disk, shown, count;
};

enum fs_redirect {
	FS_REDIRECT_ON,
	FS_REDIRECT_FOLLOW,   /* a directory that lowers have is not renamed: EXDEV */
	FS_REDIRECT_NOFOLLOW, /* and one that was renamed cannot be entered: EPERM */
};

/* What a mount shows. */
enum fs_trees {
	FS_TREES_ONE,	 /* one merged tree */
	FS_TREES_LAYERS, /* each layer of an image, and the image; see catalog.h */
	FS_TREES_ALL,	 /* all of a store */
};

/* How the whiteouts of one layer, shown by itself, are seen. */
enum fs_whiteouts {
	FS_WHITEOUTS_HIDE,
	FS_WHITEOUTS_MARK,   /* as in its archive: files .wh.NAME, .wh..wh..opq */
	FS_WHITEOUTS_DEVICE, /* as the kernel's overlayfs has them */
};

struct fs_options {
	char **lowers; /* owned: paths, the topmost first */
	size_t lower_count;
	size_t data_lower_count;	  /* of them, the last so many are data-only: no name of theirs shows */
	char *upper, *work;		  /* owned; NULL: read-only */
	char *store, *image;		  /* owned; NULL: lowers are directories */
	const char *mountpoint;		  /* borrowed; for the lease on the image: who has it. NULL: nobody knows */
	uint32_t first_layer, last_layer; /* of the image, 1 is the lowest; last_layer 0: all */
	enum fs_whiteouts whiteouts;	  /* of one layer of an image */
	enum fs_trees trees;
	struct fs_idmap *uid_maps, *gid_maps; /* owned */
	size_t uid_map_count, gid_map_count;
	int64_t squash_uid, squash_gid; /* -1: not asked for */
	bool fakeroot; /* owners and devices are recorded in override_stat, the image's root is the mounting user */
	const char *override_stat; /* the same record without being root, under this name (store/ovl.h); NULL: none */
	bool volatile_upper;	   /* nothing is synced */
	bool frozen_upper;	   /* nobody writes: what lies in workdir is left as it is */
	bool userxattr;		   /* user.overlay.* even where trusted.overlay.* would do */
	bool noxattrs;		   /* no xattr is shown or set */
	bool layer_xattr;	   /* user.nacre.layer is answered also where no file can have an xattr */
	bool noacl;
	bool static_nlink; /* directories have nlink 1 */
	bool ino32;	   /* inode numbers have 32 bits */
	enum fs_redirect redirect;
	uint64_t size_limit, inode_limit; /* of the upper; 0: none */
	/* A change of attributes copies no data of files of so many bytes or more; 0: it copies all.  Such copies that are
	 * there already are followed in any case. */
	off_t metacopy_from;
};

void fs_options_release(struct fs_options *options);

/** Who asks: taken from the request. */
struct fs_cred {
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

/** What the kernel is told of a node. */
struct fs_entry {
	struct node *node; /* NULL: there is no such name */
	struct stat st;
};

/* What several trees of one process have in common. */
struct fs_shared {
	struct store *store; /* owned */
	struct fdcache *fds; /* owned */
	struct stats *stats; /* owned */
};

/** fs_shared_open() - @store: its folder. Release @ret in any case. */
int fs_shared_open(const char *store, struct diag *diag, struct fs_shared *ret);
void fs_shared_release(struct fs_shared *shared);
void fs_shared_describe(const struct fs_shared *shared, bool json, struct buf *ret);

/**
 * fs_new() - open the layers and the upper
 * @options: borrowed for the life of the fs
 */
int fs_new(const struct fs_options *options, struct diag *diag, struct fs **ret);
/** fs_new_tree() - of these layers of @shared->store, the lowest first; read-only. @options, @shared: borrowed for its life. */
int fs_new_tree(const struct fs_options *options, const struct fs_shared *shared, const struct layer_id *layers,
		size_t count, struct diag *diag, struct fs **ret);
/** fs_free() - NULL is fine; no other call may be under way. */
void fs_free(struct fs *fs);
/**
 * fs_enter(), fs_leave() - around each call of what follows, or several of them
 *
 * In between the tree is changed by requests only, not as a whole (fs/live.h).  fs_fsync() does it itself.
 */
void fs_enter(struct fs *fs);
void fs_leave(struct fs *fs);
/**
 * fs_alone() - @fn(@arg) while nobody is in between, nor about to leave
 *
 * The caller is not.  Return: what @fn returned; -EBUSY: somebody does not leave, and it was not called.
 */
int fs_alone(struct fs *fs, int (*fn)(void *arg), void *arg);
/**
 * fs_names_last() - may the kernel keep what it is told of names now?
 *
 * Not while a layer is about to come (stack.c): who opens a name then must ask for it. Asked within the same fs_enter() as the name.
 */
bool fs_names_last(const struct fs *fs);
struct node *fs_root(struct fs *fs);
/** fs_only_folder() - the folder that has @node, to be compared only. Return: false: it has no name, or several. */
bool fs_only_folder(struct fs *fs, const struct node *node, const struct node **ret);
/** fs_root_entry() - the root as an answer to a lookup: one is counted. */
int fs_root_entry(struct fs *fs, struct fs_entry *ret);
bool fs_read_only(const struct fs *fs);
/** fs_syncs() - can fs_fsync() have anything to do? */
bool fs_syncs(const struct fs *fs);
/** fs_has_xattrs() - false: no file of this mount can have an xattr to show. */
bool fs_has_xattrs(const struct fs *fs);
/** fs_is_bare() - false: a file of this mount may have one, as far as is known. */
bool fs_is_bare(const struct fs *fs);
/** fs_look_for_xattrs() - "none" was answered once more: is it so for all files? Nobody changes lowers unseen. */
void fs_look_for_xattrs(struct fs *fs);
/** fs_answers_xattrs() - false: no file of it ever will, and it is not asked for user.nacre.layer either. */
bool fs_answers_xattrs(const struct fs *fs);
/** fs_stats() - what is counted of its work; borrowed. */
struct stats *fs_stats(struct fs *fs);
/** fs_describe() - that as text, or as JSON. */
void fs_describe(struct fs *fs, bool json, struct buf *ret);

int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct fs_entry *ret);
void fs_forget(struct fs *fs, struct node *node, uint64_t lookups);
int fs_getattr(struct fs *fs, struct node *node, struct stat *st);
/**
 * fs_counterpart() - the folder of @fs that stands where @dir stands in @of, another tree over the same lowers
 * @ret: a lookup of it is counted; NULL: there is none
 * @ret_same: there is one, but nothing below it has changed: @ret is NULL
 */
int fs_counterpart(struct fs *of, struct node *dir, struct fs *fs, struct node **ret, bool *ret_same);
/** fs_has_changed() - is @name of that folder no more what the lowers show? */
bool fs_has_changed(struct fs *fs, struct node *dir, const char *name);
/** fs_node_has_changed() - is what stands in @fs where @node stands in @of, another tree, no more what the lowers show? */
bool fs_node_has_changed(struct fs *of, struct node *node, struct fs *fs);
/** fs_changes_are_in_upper() - does the upper have every folder below which something has changed? */
bool fs_changes_are_in_upper(struct fs *fs);
/** fs_root_lookups() - how many are counted of its root; one is for whoever has the fs. */
uint64_t fs_root_lookups(const struct fs *fs);
/** fs_is_forgotten() - does the kernel know no node of it any more? Its root counts once for whoever has the fs. */
bool fs_is_forgotten(struct fs *fs);
/** fs_readlink() - *@ret is to be freed. */
int fs_readlink(struct fs *fs, struct node *node, char **ret);
int fs_statfs(struct fs *fs, struct statvfs *st);

/* Which members of struct stat fs_setattr() is to apply. */
enum fs_set {
	FS_SET_MODE = 1 << 0,
	FS_SET_UID = 1 << 1,
	FS_SET_GID = 1 << 2,
	FS_SET_SIZE = 1 << 3,
	FS_SET_ATIME = 1 << 4, /* tv_nsec may be UTIME_NOW */
	FS_SET_MTIME = 1 << 5,
	FS_SET_KILL_PRIV = 1 << 6,  /* clear setuid, setgid and capabilities */
	FS_SET_KEEP_MTIME = 1 << 7, /* with FS_SET_SIZE: as FS_WRITE_KEEP_MTIME */
	FS_SET_KILL_SGID = 1 << 8,  /* with FS_SET_SIZE: as FS_WRITE_KILL_SGID */
	FS_SET_ANY_CTIME =
		1 << 9, /* a regular file's st_ctim need not be right in the answer: the kernel has its own */
};
int fs_setattr(struct fs *fs, struct node *node, const struct stat *want, unsigned set, struct stat *st);

/**
 * fs_readdir() - entries after @cookie (0: from the start), "." and ".." included
 * @plus: resolve each and count a lookup for it (not for "." and "..")
 * @fn: returns false if the entry did not fit: then it is not counted. @cookie of an entry continues after it.
 */
typedef bool (*fs_dirent_fn)(const char *name, const struct fs_entry *entry, uint64_t cookie, void *arg);
int fs_readdir(struct fs *fs, struct node *dir, uint64_t cookie, bool plus, fs_dirent_fn fn, void *arg);
/** fs_list_begin() - the kernel is told what is in @dir, with attributes and from the start: it may keep the listing. */
void fs_list_begin(struct node *dir);
/** fs_list_end() - to its end. Return: it is better told anew the next time too, and counts as dropped. */
bool fs_list_end(struct node *dir);
/**
 * fs_list_outworn() - count a question about @node, of which a listing tells too: is that better told anew?
 *
 * It is where one file of a folder after the other is asked for.
 * Return: the folder, a lookup of it counted, and its listing counts as dropped; NULL: no.
 */
struct node *fs_list_outworn(struct fs *fs, struct node *node);
/**
 * fs_next_dir() - the folder that who walks the tree lists after @dir, which he has listed
 *
 * The first in it; if it has none, the one behind it or behind a folder that it is in.  In the order of listings.
 * Return: a lookup of it is counted; NULL: there is none, or it is not known.
 */
struct node *fs_next_dir(struct fs *fs, struct node *dir);
/** fs_remember() - count one more lookup of a node that the kernel knows. */
void fs_remember(struct fs *fs, struct node *node);

int fs_mknod(struct fs *fs, struct node *dir, const char *name, mode_t mode, dev_t rdev, const struct fs_cred *cred,
	     struct fs_entry *ret);
int fs_mkdir(struct fs *fs, struct node *dir, const char *name, mode_t mode, const struct fs_cred *cred,
	     struct fs_entry *ret);
int fs_symlink(struct fs *fs, struct node *dir, const char *name, const char *target, const struct fs_cred *cred,
	       struct fs_entry *ret);
int fs_link(struct fs *fs, struct node *node, struct node *dir, const char *name, struct fs_entry *ret);
int fs_unlink(struct fs *fs, struct node *dir, const char *name);
int fs_rmdir(struct fs *fs, struct node *dir, const char *name);
/** fs_rename() - @flags as renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
int fs_rename(struct fs *fs, struct node *dir, const char *name, struct node *newdir, const char *newname,
	      unsigned flags);
/** fs_tmpfile() - a file without a name (O_TMPFILE); fs_link() may give it one. */
int fs_tmpfile(struct fs *fs, struct node *dir, mode_t mode, const struct fs_cred *cred, struct fs_entry *ret);

/** fs_read() - Return: bytes read, or -errno. */
ssize_t fs_read(struct fs *fs, struct node *node, void *buf, size_t bytes, off_t offset);
/** Where a read finds its bytes: @bytes at @offset of @fd; fewer only if the file ends before. */
struct fs_data {
	int fd;
	off_t offset;
	size_t bytes;
	struct fd_ref ref;
};
/** fs_data_get() - for who passes the bytes on without looking at them. Return: 0, -errno; fs_data_put() when done. */
int fs_data_get(struct fs *fs, struct node *node, size_t bytes, off_t offset, struct fs_data *ret);
void fs_data_put(struct fs *fs, struct fs_data *data);

/**
 * fs_open() - somebody opens the node (io=passthrough; otherwise opens are not heard of)
 * @flags: of open(2); for writing it is copied up, with O_TRUNC emptied
 * @write_flags: enum fs_write_flags, for O_TRUNC
 */
int fs_open(struct fs *fs, struct node *node, int flags, unsigned write_flags);
/** fs_backing_get() - the file that the kernel may use in the node's place. -EOPNOTSUPP: it may not. fs_data_put(). */
int fs_backing_get(struct fs *fs, struct node *node, struct fs_data *ret);
/**
 * fs_pass_begin() - the kernel is going to write to the node's file itself
 * @may_map: also through a mapping, of which nobody says when it ends
 *
 * Return: is that new?
 */
bool fs_pass_begin(struct node *node, bool may_map);
/** fs_pass_end() - nobody has it open any more; @dropped_pages: and what the mount had of it was dropped at each open. */
void fs_pass_end(struct node *node, bool dropped_pages);
/** fs_is_passed() - may its file change without our knowledge? fs_pages_are_stale() - may the mount's pages be older? */
bool fs_is_passed(const struct node *node);
bool fs_pages_are_stale(const struct node *node);

enum fs_write_flags {
	FS_WRITE_KILL_PRIV = 1 << 0,  /* clear setuid and setgid, as for a writer without CAP_FSETID */
	FS_WRITE_KEEP_MTIME = 1 << 1, /* the kernel's write-back: it has set the time of the write, or will */
	FS_WRITE_BACK = 1 << 2,	      /* of pages that were written some time ago: what the write cleared is cleared */
	FS_WRITE_KILL_SGID = 1 << 3,  /* setgid also where the group may not execute: the writer is not in it */
};
/** fs_has_priv() - may the file have setuid or setgid? False is certain. */
bool fs_has_priv(const struct fs *fs, const struct node *node);
/** fs_mode_changed() - did a write take one away since this was asked last? */
bool fs_mode_changed(struct node *node);
/** fs_write() - all of it. */
int fs_write(struct fs *fs, struct node *node, const void *buf, size_t bytes, off_t offset, unsigned flags);
int fs_fallocate(struct fs *fs, struct node *node, int mode, off_t offset, off_t bytes, unsigned flags);
off_t fs_lseek(struct fs *fs, struct node *node, off_t offset, int whence);
ssize_t fs_copy_range(struct fs *fs, struct node *in, off_t in_offset, struct node *out, off_t out_offset, size_t bytes,
		      unsigned flags);
enum fs_fsync_flags {
	FS_FSYNC_DATA = 1 << 0,	  /* as fdatasync(2) */
	FS_FSYNC_PASSED = 1 << 1, /* the kernel may have changed the file without asking */
};
/** fs_fsync() - the node's file, or folder, is on the disk, with what finds it again. @flags: enum fs_fsync_flags. */
int fs_fsync(struct fs *fs, struct node *node, unsigned flags);

/**
 * fs_get_flags(), ... - inode flags, as FS_IOC_GETFLAGS, SETFLAGS, FSGETXATTR and FSSETXATTR have them
 *
 * -ENOTTY: the backing file has none.
 */
struct fsxattr;
int fs_get_flags(struct fs *fs, struct node *node, unsigned *flags);
int fs_set_flags(struct fs *fs, struct node *node, unsigned flags);
int fs_get_xflags(struct fs *fs, struct node *node, struct fsxattr *fsx);
int fs_set_xflags(struct fs *fs, struct node *node, const struct fsxattr *fsx);
/** fs_birth() - when it was made. -ENODATA: nobody knows. */
int fs_birth(struct fs *fs, struct node *node, struct timespec *ret);

/** fs_getxattr() - @bytes 0 asks for the size. Return: bytes, or -errno. */
ssize_t fs_getxattr(struct fs *fs, struct node *node, const char *name, void *value, size_t bytes);
ssize_t fs_listxattr(struct fs *fs, struct node *node, char *list, size_t bytes);
int fs_setxattr(struct fs *fs, struct node *node, const char *name, const void *value, size_t bytes, int flags);
int fs_removexattr(struct fs *fs, struct node *node, const char *name);

#endif
