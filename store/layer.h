/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LAYER_H
#define NACRE_STORE_LAYER_H

/*
 * Reading layers: the rows of a layer's tree, its xattrs, its content.
 * A layer never changes, so what is read stays true while the layer is leased.
 */

#include "store/base/digest.h"
#include "store/store.h"

#include <sys/stat.h>

/* The number of an inode within its layer.  Names of one hard-linked file share it. */
enum { LAYER_ROOT = 1 };

/* No archive's name has more components: a longer way up is a ring of damaged rows. */
enum { LAYER_DEPTH_MAX = 4096 };

enum layer_entry_flags {
	LAYER_WHITEOUT = 1 << 0,	/* hides the name in the layers below; mode is 0 */
	LAYER_OPAQUE = 1 << 1,		/* a directory that hides the one below it */
	LAYER_IMPLICIT = 1 << 2,	/* a directory the archive did not name: if there is one
					 * below, that one's owner, mode and times are shown */
	LAYER_XATTRS = 1 << 3,		/* has rows in xattr */
};

struct layer_entry {
	const char *name;	/* NUL-terminated; no '/' in it; "" for the root */
	uint32_t name_len;
	uint32_t no;		/* inode number within the layer */
	uint32_t mode;		/* st_mode with its type bits; 0 for a whiteout */
	uint32_t uid, gid;
	uint32_t nlink;		/* names in this layer; for directories 2 + subdirectories */
	uint64_t rdev;		/* as makedev(3) */
	int64_t mtime_ns;	/* since the epoch */
	uint64_t size;
	struct content_id content;	/* of a regular file that is not empty */
	const char *target;	/* of a symlink; NUL-terminated */
	unsigned flags;		/* enum layer_entry_flags */
};

/** Return 0 to go on, another value to stop: it is passed on. The entry is borrowed for the call. */
typedef int (*layer_entry_fn)(const struct layer_entry *entry, void *arg);

struct layer_info {
	struct layer_id id;
	struct digest diff_id;
	uint64_t tar_bytes;	/* uncompressed stream */
	uint64_t entries;
	uint64_t content_bytes;	/* sum of the file sizes */
	bool has_xattrs;	/* false: no entry has any */
	int64_t created;	/* seconds: when it came into this store */
};

/** layer_find() - by diff ID. Return: 0, -ENOENT. */
int layer_find(struct store *store, const struct digest *diff_id, struct layer_id *ret);

/** layer_info() */
int layer_info(struct store *store, struct layer_id id, struct layer_info *ret);

/** layer_root() - the root directory's row, through @fn. */
int layer_root(struct store *store, struct layer_id id, layer_entry_fn fn, void *arg);

/**
 * layer_scan() - all children of a directory, in byte order of their names
 * @dir: the directory's number in this layer
 *
 * Any thread; call it with no lock of yours that @fn takes.
 */
int layer_scan(struct store *store, struct layer_id id, uint32_t dir, layer_entry_fn fn, void *arg);

/** layer_lookup() - one child, through @fn. Return: what @fn returned, or -ENOENT. */
int layer_lookup(struct store *store, struct layer_id id, uint32_t dir, const char *name,
		 layer_entry_fn fn, void *arg);
/** layer_lookup_by() - the same by a connection that the caller has: for many lookups in one transaction. */
struct db;
int layer_lookup_by(struct db *db, struct layer_id id, uint32_t dir, const char *name, layer_entry_fn fn, void *arg);

/**
 * layer_names() - every name of an inode that has several (nlink > 1), or of a directory
 *
 * @fn gets each as a path from the layer's root, "usr/bin/perl", borrowed for the call;
 * its value other than 0 ends it and is passed on.  It may call into the store.
 */
typedef int (*layer_name_fn)(const char *path, void *arg);
int layer_names(struct store *store, struct layer_id id, uint32_t no, layer_name_fn fn, void *arg);

/** layer_xattrs() - each xattr of inode @no; the value is borrowed for the call. */
typedef int (*layer_xattr_fn)(const char *name, const void *value, size_t bytes, void *arg);
int layer_xattrs(struct store *store, struct layer_id id, uint32_t no, layer_xattr_fn fn, void *arg);

/*
 * Where a content's bytes are.
 */
struct content_place {
	int fd;			/* readable at [offset, offset + bytes) */
	bool owned;		/* true: a descriptor of an object, the caller closes it;
				 * false: a pack, borrowed from the store for its life */
	uint64_t offset;
	uint64_t bytes;
};

/** content_open() - Return: 0; -ENOENT: no such row; -EIO: its file is not there. */
int content_open(struct store *store, struct content_id id, struct content_place *ret);

/**
 * layer_write_tar() - the layer's uncompressed tar stream, byte for byte as it came in
 * @fn: gets piece after piece; returns 0 or -errno, which ends it and is passed on
 *
 * The stream is not hashed here: who gives it on compares it with the diff ID.
 * Return: 0; -ENOENT: no such layer; -EIO: the store is damaged.
 */
typedef int (*tar_write_fn)(void *arg, const void *bytes, size_t len);
int layer_write_tar(struct store *store, struct layer_id id, tar_write_fn fn, void *arg, struct diag *diag);

#endif
