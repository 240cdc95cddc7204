/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LAYER_H
#define NACRE_FS_LAYER_H

/*
 * A lower layer, whatever it is made of: a directory (layer_dir.c) or rows of the
 * store's index (layer_store.c).  It is never written.
 *
 * A directory within a layer is named by a dref.  Everything else is named by
 * the dref of its directory and its name, and for store layers also by its
 * inode number there.
 */

#include "fs/fdcache.h"
#include "store/image.h"
#include "store/layer.h"

#include <stdlib.h>
#include <sys/types.h>

struct layer;
struct lowdir;
struct mounts;

union dref {
	uint32_t no;	    /* store layer: the directory's number */
	struct lowdir *dir; /* directory layer: counted */
};

/* A directory of the merged tree as one layer has it. */
struct part {
	union dref at;
	uint16_t layer; /* index in fs->layers */
};

/* An entry as a layer has it; borrowed for the call. */
struct found {
	const char *name;
	uint32_t mode;		       /* the type at least; 0: a whiteout */
	const struct layer_entry *row; /* store layers: all there is to know */
};
typedef int (*found_fn)(const struct found *found, void *arg);

struct layer_ops {
	void (*free)(struct layer *layer);
	/** Every entry of a directory, whiteouts too, once, in any order; @fn's value other than 0 ends it. */
	int (*scan)(struct layer *layer, union dref at, found_fn fn, void *arg);
	/** One entry, through @fn.  Return: what @fn returned, or -ENOENT. */
	int (*find)(struct layer *layer, union dref at, const char *name, found_fn fn, void *arg);
	/** One more reference to a directory; drop it with leave(). */
	int (*keep)(struct layer *layer, union dref at, union dref *ret);
	/** A reference to subdirectory @name; drop it with leave(). */
	int (*enter)(struct layer *layer, union dref at, const struct found *dir, union dref *ret);
	void (*leave)(struct layer *layer, union dref at);
	/** Are both the same directory? */
	bool (*same)(struct layer *layer, union dref a, union dref b);
	/** Nothing is looked for in it any more: what it is on may be unmounted. References are still left() afterwards. */
	void (*retire)(struct layer *layer);
	/** Does it hide what is below (@opaque), and is its lower part elsewhere (@redirect, to be freed)? */
	int (*marks)(struct layer *layer, union dref at, bool *opaque, char **redirect);
	/** A descriptor of the folder, O_RDONLY; directory layers only, NULL else. */
	int (*dir_fd)(struct layer *layer, union dref at, struct fd_ref *ret);
	/** Where the folder's attributes can be asked for, without opening it for that: @ret and @name below it, "" for
	 * itself.  Directory layers only. */
	int (*named)(struct layer *layer, union dref at, struct fd_ref *ret, const char **name);
};

struct layer {
	const struct layer_ops *ops;
	union dref root;
	bool has_xattrs;	   /* false: nothing in it has one */
	const char *override_stat; /* what owners are recorded under: ovl_override_name(); NULL: nothing */
	bool is_mapped;		   /* on an idmapped mount: its owners are those to be shown, not those on disk */
	bool is_store;
	bool is_served;	     /* by somebody who may take his time: a server, or a driver like this one */
	bool was_upper;	     /* of this mount, until live.c made it a lower: what is written to uppers only is in it */
	uint16_t number;     /* of such a one: what its nodes have in node->layer */
	int index_fd;	     /* owned; of such a one: its links to copies (index.c) */
	bool added;	     /* to a mount in use: at a remount it is not there (restack.c) */
	bool leaving;	     /* somebody wants it removed: no copy may come to depend on it */
	bool removed;	     /* it only stands here for nodes that have outlived it */
	struct lease *lease; /* owned; of one that was added: on an image that has it */
	char *name;   /* owned: what user.nacre.layer says: a diff ID, or the path of a directory as it was given */
	uint64_t dev; /* st_dev of a directory layer; of a store layer a number of its own */
};

/**
 * layer_dir_open() - a directory as a lower
 * @mounts: see detached.h
 * @fds: borrowed from the fs
 *
 * Return: 0; -ENOENT, -ENOTDIR, ... with diag naming the path.
 */
int layer_dir_open(const char *path, const struct mounts *mounts, struct fdcache *fds, struct diag *diag,
		   struct layer **ret);

/**
 * layer_dir_freeze() - what was the upper, as a lower
 * @root_fd, @index_fd: owned by the layer from now on, if it succeeds
 * @override: what owners are recorded under in it, NULL: nothing
 */
int layer_dir_freeze(int root_fd, int index_fd, const char *override, struct fdcache *fds, struct layer **ret);

/** layer_store_open() - a layer of the store. @store is borrowed. */
int layer_store_open(struct store *store, struct layer_id id, struct diag *diag, struct layer **ret);
struct layer_id layer_store_id(const struct layer *layer);
struct store *layer_store_store(const struct layer *layer);

/** folder_open() - to be read without changing its access time, where the owner allows that. Return: descriptor, or -1
 * and errno. */
int folder_open(int dirfd, const char *name);
/** dir_scan_fd() - scan() for a folder just opened; the upper is read by it too. @fd stays the caller's. */
int dir_scan_fd(int fd, found_fn fn, void *arg);

static inline void layer_free(struct layer *layer)
{
	if (!layer)
		return;
	lease_drop(layer->lease);
	free(layer->name);
	layer->ops->free(layer);
}

#endif
