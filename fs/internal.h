/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_INTERNAL_H
#define NACRE_FS_INTERNAL_H

/*
 * What the parts of the core share.
 *
 * Ownership: fs -> root directory -> its table -> links -> nodes.  A directory's
 * table is merged once, on first use (merge.c), and owns a link for each name
 * and, through the links, the nodes, whether the kernel knows them or not.  A
 * table is dropped when the kernel knows neither the directory nor anything in
 * it (node.c); a node that lost its last name lives until the kernel forgets it.
 *
 * Locks, in the order in which they are taken, all of them inside the gate (gate.h), which who
 * changes the stack of layers closes instead (live.c):
 *   1. a node's copy-up claim (copyup.c): the flag NODE_COPYING, waited for with fs->copy_cond
 *   2. fs->rename_lock: one rename at a time
 *   3. directories' locks: their tables.  Parent before child; two that are not
 *      related only under rename_lock
 *   4. fs->reap_lock: lookup counts that fall to 0, dropping tables, and finding in fs->inodes what may have such a count
 *   5. fs->names_lock: where things are: node->links, and a link's directory and name.
 *      Shared by whoever follows them, over the system call that uses the path;
 *      exclusive to change those of a node that others can know
 *   6. a file's growth lock (limits.c), then its time lock (file.c)
 *   7. fs->inodes.lock: the table of inodes that have several names
 *   8. fs->former_lock: directories' parts in former uppers (merge.c)
 *   9. the lock of the orphans; the lock of the descriptor cache
 */

#include "fs/fdcache.h"
#include "fs/fs.h"
#include "fs/gate.h"
#include "fs/layer.h"
#include "fs/orphans.h"
#include "fs/stack.h"
#include "fs/stats.h"
#include "fs/upper.h"
#include "store/base/auto.h"
#include "store/ovl.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	NODE_ENTERED = 1 << 0,	   /* directory of a former upper: its folder there is among its parts (merge.c) */
	NODE_RESOLVED = 1 << 1,	   /* ino is final, hard links are joined (resolve.c) */
	NODE_MULTI = 1 << 2,	   /* is, or was, in fs->inodes: may have several links */
	NODE_UNLINKED = 1 << 3,	   /* has no name (any more, or yet: O_TMPFILE); its descriptor is pinned */
	NODE_COPYING = 1 << 4,	   /* somebody copies it up */
	NODE_ROW = 1 << 5,	   /* its attributes are those of an index row: node->row */
	NODE_XATTRS = 1 << 6,	   /* the row has xattrs */
	NODE_KILLPRIV = 1 << 7,	   /* may have setuid, setgid or capabilities: look before a write */
	NODE_PARTS_FINAL = 1 << 8, /* directory: marks and redirects of its parts were followed */
	NODE_OPAQUE = 1 << 9,	   /* directory: nothing below its upper shows */
	NODE_IMPURE = 1 << 10,	   /* directory: its upper is marked as holding copied-up entries */
	NODE_LOADED = 1 << 11,	   /* directory: the table is there */
	NODE_IMPLICIT = 1 << 13,   /* directory: the row only stands for one below (LAYER_IMPLICIT) */
	NODE_ACL_KNOWN = 1 << 14,  /* directory: NODE_DEFAULT_ACL is right */
	NODE_DEFAULT_ACL = 1 << 15,
	NODE_PLAIN = 1 << 17,	/* made here, and no xattr set since: it has neither capabilities nor an ACL */
	NODE_COPIED = 1 << 16,	/* its st_ino is that of its origin, kept in an xattr */
	NODE_INDEXED = 1 << 12, /* the copy of a lower file of several names: in the upper found through fs->index_fd */
	NODE_METACOPY = 1 << 18, /* its file holds attributes only; the data is further down: back.data (metacopy.c) */
	NODE_MODE_CHANGED = 1 << 19,	 /* a write took setuid or setgid away; the kernel does not know yet */
	NODE_PASSED = 1 << 20,		 /* the kernel writes to its file without asking (open.c) */
	NODE_MAPPED = 1 << 21,		 /* or may do so, through a mapping */
	NODE_STALE_PAGES = 1 << 22,	 /* what the mount's own pages have of it may be older than its file */
	NODE_ROW_OPAQUE = 1 << 23,	 /* directory: the row says that it hides what is below */
	NODE_ORPHAN = 1 << 24,		 /* has had no name, and may have got one since: it is in fs->orphans */
	NODE_LOWER_LISTED = 1 << 26,	 /* of a directory lower: the next is right */
	NODE_LOWER_BARE = 1 << 27,	 /* the lower's file has no xattr at all, and so never will (xattr.c) */
	NODE_PROTECTION_KNOWN = 1 << 28, /* the next two are right (flags.c) */
	NODE_IMMUTABLE = 1 << 29,
	NODE_APPEND_ONLY = 1 << 30,
};

enum { TIME_LOCKS = 64 };

#define XATTR_CAPS "security.capability"

enum { SPARE_LAYERS = 1024 }; /* so often a layer may come, or an upper become a lower */

/* What a node is of: node->layer. A number stays what it is for the life of the mount. */
enum {
	UPPERS = 0xf000,   /* from here on: uppers, one after the other; the present one is fs->upper */
	NAMELESS = 0xfffe, /* of no layer, but where uppers are: lost its last name in a former upper */
	NO_LAYER = 0xffff,
	MOST_LAYERS = UPPERS, /* below it: indexes in fs->layers */
};

/* Attributes as the index has them; 48 bytes. */
struct node_row {
	uint32_t no, uid, gid, nlink;
	uint64_t rdev;
	int64_t mtime_ns;
	uint64_t size;
	struct content_id content;
};

/* Where the data of a metacopy is. */
struct node_data {
	struct fd_slot slot; /* its descriptor */
	bool in_store;	     /* it is @content, else the file that metacopy_open() finds */
	struct content_id content;
	uint64_t bytes; /* of @content */
};

struct node {
	_Atomic uint64_t nlookup; /* the kernel's references */
	uint64_t ino;		  /* st_ino; final once NODE_RESOLVED */
	struct link *links;	  /* its names; guarded by names_lock */
	struct fd_slot slot;	  /* descriptor: of the upper if there is one, else of the origin */
	_Atomic uint32_t flags;
	_Atomic uint32_t mode;	/* the type is always right; the rest with NODE_ROW only */
	_Atomic uint16_t layer; /* what has its data and attributes: index in fs->layers, or an upper's number */
	union {
		struct node_row row; /* NODE_ROW */
		struct {
			uint64_t dev, ino; /* of the backing inode, where it has several names */
			uint32_t nlink; /* NODE_INDEXED: names that show; of another lower's: that it has, 0: not known */
			uint32_t gone; /* names of a lower's that were taken away here */
			union {
				uint64_t origin_dev; /* NODE_INDEXED, and the next: what it is a copy of */
				uint32_t covered;    /* not resolved, of the upper: see ino_covered() */
			};
			union {
				uint64_t origin_ino;
				uint64_t birth_ns; /* of another lower's with several names, as index.c has it */
			};
			union {
				struct node_data *data;	  /* NODE_METACOPY: owned */
				struct node_attrs *attrs; /* else, a regular file of the upper: owned; attrcache.c */
			};
		} back;
	};
};

enum link_flags {
	LINK_UPPER = 1 << 0,	/* the upper's folder has this name (for a node with several names, not all need) */
	LINK_LOWER = 1 << 1,	/* a lower shows this name: taking it away needs a whiteout */
	LINK_WHITEOUT = 1 << 2, /* the upper's folder has a whiteout here; node is NULL */
	LINK_CLOSED = 1 << 3,	/* while a table is merged: what lower layers have of it does not show */
};

/* One name in a directory, or the place of one that the upper hides. */
struct link {
	struct node *node; /* NULL: a whiteout */
	struct dirnode *dir;
	struct link *next; /* another name of the same node */
	uint32_t cookie;   /* its place in listings, for its life */
	uint32_t hash;
	uint8_t flags; /* enum link_flags, as they were when fs->upper was @upper: see link_flags() */
	uint8_t name_len;
	uint16_t upper;
	char name[];
};

struct table {
	struct link **slots; /* in the order of cookies; NULL where one was removed */
	uint32_t *index;     /* hash -> slot + 1; 0 is free; open addressing */
	uint32_t used, room; /* slots */
	uint32_t count;	     /* slots that are not NULL */
	uint32_t whiteouts;  /* of them, those without a node */
	uint32_t index_mask; /* size of index - 1; 0: there is none, the names are few */
	uint32_t next_cookie;
	uint32_t subdirs;
	uint32_t stale; /* index entries of names that others have taken the slot of */
};

struct dirnode {
	struct node node; /* first, so that a struct node of type directory is one */
	pthread_mutex_t lock;
	struct table table;
	struct part *parts; /* owned: the lowers that have it, topmost first; lock and names_lock guard it */
	uint32_t part_count;
	_Atomic uint32_t live; /* reasons to keep the table: children that the kernel knows, children's tables */
	/* See fs_list_outworn(): */
	_Atomic uint32_t asked;	     /* 0: the kernel has no listing; else questions since it was told it, and 1 */
	_Atomic uint32_t asked_last; /* what the last question was about */
	uint8_t drops;		     /* so many listings are dropped as soon as they have been told; guarded by lock */
	_Atomic uint8_t next_drops;  /* and so many the next time */
};

/* Inodes with several names: (device or layer, inode number) -> node. */
struct inodes {
	pthread_mutex_t lock;
	struct node **slots;
	uint32_t mask, count;
};

struct fs {
	const struct fs_options *options; /* borrowed */
	bool is_shared;			  /* store, descriptors and statistics are others' too: borrowed */
	struct store *store;		  /* owned; NULL without store lowers */
	struct lease *lease;		  /* owned */
	struct layer **layers;		  /* owned; the topmost lower first, data-only ones last */
	uint32_t layer_first, layer_end; /* those that are merged, but for removed ones; before them is room for more */
	uint32_t data_layer_count;	 /* from layer_end on: only metacopies lead there */
	uint16_t upper;			 /* the number of the present upper, see live.c */
	uint16_t formers[SPARE_LAYERS];	 /* of each upper before it: its index in layers */
	int upper_fd, work_fd;		 /* roots of the upper and of what work/ holds; -1: read-only */
	int index_fd;			 /* links to the copies of lower files that have several names; -1: read-only */
	bool index_by_number;		 /* it had, when it was opened, such as older drivers make */
	uint64_t *devs;			 /* devices met, for st_ino; guarded by inodes.lock */
	uint32_t dev_count;
	enum ovl_namespace xattr_ns;
	const char *override_upper; /* what owners of the upper are recorded under; NULL: nothing */
	bool any_xattrs;
	_Atomic bool any_served;       /* there is, or was, a layer that others serve: served.h */
	struct xattr_scan *xattr_scan; /* owned; NULL: it would be of no use */
	_Atomic bool layer_asked;      /* somebody wants user.nacre.layer */
	uid_t owner_uid;	       /* who mounted: under fakeroot he is shown for */
	gid_t owner_gid;
	uid_t image_uid; /* this one of the image: root, see ids.c */
	gid_t image_gid;
	uint64_t mount_id;    /* of no other mount: see upper_write_ino() */
	struct gate gate;     /* see fs_enter() */
	struct dirnode *root; /* owned */
	pthread_mutex_t rename_lock;
	pthread_mutex_t reap_lock;
	pthread_rwlock_t names_lock;
	pthread_mutex_t copy_lock; /* with copy_cond: NODE_COPYING */
	pthread_cond_t copy_cond;
	pthread_mutex_t time_locks[TIME_LOCKS]; /* see time_lock() and attrcache.c */
	pthread_mutex_t former_lock;
	_Atomic bool names_lacking; /* a copy may have a name in memory that the upper has not */
	struct inodes inodes;
	struct orphans orphans;
	struct fdcache *fds;	      /* owned */
	struct stats *stats;	      /* owned */
	struct limits *limits;	      /* owned; NULL: none were asked for */
	_Atomic uint32_t work_serial; /* names in work/ */
	_Atomic uint32_t copies; /* made so far of files of several names; grows with names_lock held exclusively */
	_Atomic uint32_t acl_changes; /* of directories' xattrs, in all; grows with the directory's time lock held */
	_Atomic bool have_whiteout;   /* work/whiteout can be linked to */
	_Atomic bool has_redirects;   /* a directory was met whose lower part is elsewhere */
	pthread_mutex_t stack_lock;   /* before the gate: one change of the stack at a time */
	_Atomic bool names_pass;      /* a layer is about to come: see fs_names_last() */
	_Atomic bool settling;	      /* the kernel is being told what has changed (stack.c) */
	pthread_mutex_t moved_lock;
	struct stales moved; /* guarded by moved_lock: names that were moved meanwhile */
};

static inline unsigned node_flags(const struct node *node)
{
	return atomic_load_explicit(&node->flags, memory_order_acquire);
}
static inline bool node_is(const struct node *node, unsigned flag)
{
	return node_flags(node) & flag;
}
static inline void node_set(struct node *node, unsigned flags)
{
	atomic_fetch_or_explicit(&node->flags, flags, memory_order_release);
}
static inline void node_clear(struct node *node, unsigned flags)
{
	atomic_fetch_and_explicit(&node->flags, ~flags, memory_order_release);
}
/* In one step: nobody sees the one without the other. */
static inline void node_replace(struct node *node, unsigned cleared, unsigned set)
{
	uint32_t flags = node_flags(node);

	while (!atomic_compare_exchange_weak(&node->flags, &flags, (flags & ~cleared) | set))
		;
}
static inline bool node_is_dir(const struct node *node)
{
	return S_ISDIR(node->mode);
}
static inline struct dirnode *node_dir(struct node *node)
{
	return (struct dirnode *)node;
}

static inline void mutex_unlockp(pthread_mutex_t **lock)
{
	if (*lock)
		pthread_mutex_unlock(*lock);
}
static inline void rwlock_unlockp(pthread_rwlock_t **lock)
{
	if (*lock)
		pthread_rwlock_unlock(*lock);
}
static inline pthread_mutex_t *mutex_locked(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
	return lock;
}
static inline pthread_rwlock_t *rwlock_shared(pthread_rwlock_t *lock)
{
	pthread_rwlock_rdlock(lock);
	return lock;
}
static inline pthread_rwlock_t *rwlock_exclusive(pthread_rwlock_t *lock)
{
	pthread_rwlock_wrlock(lock);
	return lock;
}
/* Held until the end of the scope. */
#define LOCKED(lock)	AUTO(mutex_unlockp) pthread_mutex_t *locked_ __attribute__((unused)) = mutex_locked(lock)
#define SHARED(lock)	AUTO(rwlock_unlockp) pthread_rwlock_t *shared_ __attribute__((unused)) = rwlock_shared(lock)
#define EXCLUSIVE(lock) AUTO(rwlock_unlockp) pthread_rwlock_t *excl_ __attribute__((unused)) = rwlock_exclusive(lock)

/** node_in_upper() - does the upper have it?  Then its data and attributes are there. */
static inline bool node_in_upper(const struct fs *fs, const struct node *node)
{
	uint16_t layer = node->layer;

	return layer == fs->upper || layer == NAMELESS;
}

/**
 * node_was_upper() - is it of an upper that has become a lower?
 *
 * Then it has what else only the upper's files have: their st_ino, protection, and data that was not synced yet.
 */
static inline bool node_was_upper(const struct fs *fs, const struct node *node)
{
	uint16_t layer = node->layer;

	return layer >= UPPERS && layer < fs->upper;
}

/** node_layer_index() - of the layer that it is of; NO_LAYER: it is of none, or in the upper. */
static inline uint16_t node_layer_index(const struct fs *fs, const struct node *node)
{
	uint16_t layer = node->layer;

	if (layer < UPPERS)
		return layer;
	return layer < fs->upper ? fs->formers[layer - UPPERS] : NO_LAYER;
}

/** node_layer() - the same layer; NULL: none. */
static inline struct layer *node_layer(const struct fs *fs, const struct node *node)
{
	uint16_t index = node_layer_index(fs, node);

	return index == NO_LAYER ? NULL : fs->layers[index];
}

/** layer_number() - what nodes of fs->layers[@index] have in node->layer. */
static inline uint16_t layer_number(const struct fs *fs, uint16_t index)
{
	return fs->layers[index]->was_upper ? fs->layers[index]->number : index;
}

/**
 * link_flags() - enum link_flags of a name
 *
 * What a former upper's folder had is a lower's now, and what it hid is not there at all.
 */
static inline unsigned link_flags(const struct fs *fs, const struct link *link)
{
	if (link->upper == fs->upper || !(link->flags & (LINK_UPPER | LINK_WHITEOUT)))
		return link->flags;
	return link->flags & LINK_UPPER ? LINK_LOWER : 0;
}
static inline void link_set_flags(const struct fs *fs, struct link *link, unsigned flags)
{
	link->flags = (uint8_t)flags;
	link->upper = fs->upper;
}

/** layer_is_passing() - may it be gone while what is in the upper stays? Then no copy may depend on it. */
static inline bool layer_is_passing(const struct fs *fs, uint16_t layer)
{
	return layer != NO_LAYER && (fs->layers[layer]->added || fs->layers[layer]->leaving);
}

/** backing_is_passing() - is it in a folder that is a layer for the life of the mount, at most?  When that has gone, its
 * numbers are given to other files. */
static inline bool backing_is_passing(const struct fs *fs, const struct node *node)
{
	return node_was_upper(fs, node) || layer_is_passing(fs, node_layer_index(fs, node));
}

/** layer_is_lowest() - is there no merged layer below it? */
static inline bool layer_is_lowest(const struct fs *fs, uint16_t layer)
{
	uint32_t next = layer + 1u;

	while (next < fs->layer_end && fs->layers[next]->removed)
		next++;
	return next == fs->layer_end;
}

/* --- root.c --- */

/** root_make() - of a mount that is being set up: fs->root, known to the kernel. */
int root_make(struct fs *fs);
/** root_new() - a root directory as the layers have it now, which is not in the tree. */
int root_new(struct fs *fs, struct dirnode **ret);

/* --- fs.c --- */

/** fs_lease() - on the image for the life of the mount; its text tells where that is. */
int fs_lease(const struct fs_options *options, struct store *store, struct image_id image, struct diag *diag,
	     struct lease **ret);
enum { INDEX_FOLDER_BYTES = 24 };
/** index_folder() - the name in the workdir of the folder that belongs to the index of this upper (index.c). */
int index_folder(int upper_fd, int workdir, char name[static INDEX_FOLDER_BYTES]);
/** index_has_copies() - is there one in that folder? True also where that cannot be told. */
bool index_has_copies(int index_fd);
/** index_is_by_number() - is a lower's file told there by device and number alone? True also where that cannot be told. */
bool index_is_by_number(int index_fd);

/* --- node.c: nodes, names, tables --- */

/** node_new() - a node of this type, with no name; NULL: out of memory. */
struct node *node_new(uint32_t mode, uint16_t layer);
/** node_free() - one that no table and no kernel knows; closes its descriptor. */
void node_free(struct fs *fs, struct node *node);
/** node_get() - count a lookup. The directory it was found in is locked, or the node is known to the kernel. */
void node_get(struct fs *fs, struct node *node);
/** node_get_named() - the same with names_lock held; or the directory of one of its children that the kernel knows. */
void node_get_named(struct fs *fs, struct node *node);
/**
 * node_parent_get() - the directory of the node's (first) name, or NULL; a lookup of it is counted, for fs_forget()
 *
 * Without that it would go, once somebody takes the name away and then the directory.  The node is known to the kernel
 * or by a lookup.  names_lock is not held.
 */
struct dirnode *node_parent_get(struct fs *fs, struct node *node);
/** dir_drop() - forget the table of a directory that nobody uses; for fs_free(). */
void dir_drop(struct fs *fs, struct dirnode *dir);

uint32_t name_hash(const char *name, size_t len);
/** table_find() - the link of a name, or NULL. The directory is locked. */
struct link *table_find(const struct table *table, const char *name, size_t len, uint32_t hash);
/** table_reserve() - make room so that @more additions cannot fail. */
int table_reserve(struct table *table, uint32_t more);
/** table_fit() - nothing was removed from it: give back the room that is not used. */
void table_fit(struct table *table);
/** table_seek() - the first slot whose cookie is over @cookie; table->used if there is none. */
uint32_t table_seek(const struct table *table, uint64_t cookie);

/** link_new() - not in any table yet; NULL: out of memory (or a name over 255 bytes). */
struct link *link_new(const char *name, size_t len);
/** link_add() - put @link, naming @node (or NULL), into @dir (locked), which has room. Cannot fail. */
void link_add(struct fs *fs, struct dirnode *dir, struct link *link, struct node *node);
/** link_remove() - take it out again; the link is the caller's to free(). The node stays. */
void link_remove(struct fs *fs, struct link *link);
/** link_replace() - @fresh, of the same directory, takes the place in listings and the node of @link, which is the
 * caller's to free(). The table has room. */
void link_replace(struct link *link, struct link *fresh);
/** link_set_node() - let @link name another node, or none. Its former node stays the caller's. */
void link_set_node(struct link *link, struct node *node);
/** node_reap() - free a node that has lost its last name, if the kernel does not know it. */
void node_reap(struct fs *fs, struct node *node);
/** table_free() - drop a directory's table with its names and nodes. */
void table_free(struct fs *fs, struct dirnode *dir);

/** dir_find() - the link of a name in @dir (locked), or NULL. Places of names that a former upper hid are not found. */
struct link *dir_find(struct fs *fs, struct dirnode *dir, const char *name, size_t len);

/** inodes_find(), inodes_add() - of inodes with several names; inodes.lock is held. */
struct node *inodes_find_locked(struct fs *fs, uint16_t layer, uint64_t dev, uint64_t ino);
int inodes_add_locked(struct fs *fs, struct node *node);
/** inodes_remove() - before its key changes. */
void inodes_remove_locked(struct fs *fs, struct node *node);
/** dev_slot() - a small number for a device, the same for all its files; inodes.lock is not held. */
uint32_t dev_slot(struct fs *fs, uint64_t dev);

/* --- merge.c --- */

/** dir_load_locked() - merge the directory's table if that was not done yet. */
int dir_load_locked(struct fs *fs, struct dirnode *dir);
/** dir_parts_locked() - follow marks and redirects of its parts if that was not done yet. */
int dir_parts_locked(struct fs *fs, struct dirnode *dir);
/** node_take_row() - the node has the attributes of @row, of layer @layer. */
void node_take_row(struct node *node, uint16_t layer, const struct layer_entry *row);
/**
 * dir_enter_former() - let a directory of a former upper have its folder there among its parts
 *
 * Everybody calls it before he looks at parts that dir_parts_locked() was not called for.  names_lock is held.
 * Return: 0; -ENOMEM; -ESTALE: it has lost its name since.
 */
int dir_enter_former(struct fs *fs, struct dirnode *dir);
/** dir_enter_former_locked() - the same of one that is locked, without names_lock; one that lost its name stays as it is. */
int dir_enter_former_locked(struct fs *fs, struct dirnode *dir);
/** dir_part() - the part in layer @layer (an index), or NULL. dir_enter_former() came before. */
const struct part *dir_part(const struct dirnode *dir, uint16_t layer);
void parts_free(struct fs *fs, struct part *parts, uint32_t count);
/**
 * path_parts() - the folders at @path in the merged lowers from layer @first on, as far down as they show
 * @path: "a/b" from the root, @len bytes of it; "" is the root
 * @ret: to be released with parts_free(); no parts if there is no such folder
 */
int path_parts(struct fs *fs, const char *path, size_t len, uint16_t first, struct part **ret, uint32_t *ret_count);

/* --- lookup.c --- */

/**
 * struct node_at - where a node is on disk: @name in @fd; name "" is what @fd itself is
 *
 * Valid while names_lock is held.
 */
struct node_at {
	struct fd_ref ref; /* drop with fd_put() */
	const char *name;  /* borrowed from the node's link */
};

/** node_at() - of a node in the upper or of a directory lower. names_lock is held. -ESTALE: it has no place. */
int node_at(struct fs *fs, struct node *node, struct node_at *ret);
/** upper_dir() - a descriptor (O_PATH will not do: O_RDONLY) of a directory's folder in the upper. names_lock is held. */
int upper_dir(struct fs *fs, struct dirnode *dir, struct fd_ref *ret);
/** lower_at() - where a node that only a lower has stands in it. names_lock is held. */
int lower_at(struct fs *fs, struct node *node, struct layer **layer, union dref *at, const char **name);
/** node_stat() - attributes of any node, names_lock not held. */
int node_stat(struct fs *fs, struct node *node, struct stat *st);
/** node_stat_alone() - the same but for the link count of a directory. names_lock is not held. */
int node_stat_alone(struct fs *fs, struct node *node, struct stat *st);
/** dir_nlink() - that link count; the directory, which is known to the kernel or is the caller's, is not locked. */
int dir_nlink(struct fs *fs, struct dirnode *dir, struct stat *st);
/** node_names() - how many names show a file of several that is in a lower. names_lock is held. */
int node_names(struct fs *fs, struct node *node, uint32_t *ret);
/** node_owner() - the owner that is on disk or recorded, not mapped. names_lock is not held. */
int node_owner(struct fs *fs, struct node *node, uid_t *uid, gid_t *gid);
/** node_settle() - wait for whoever takes the node's name away: then it has another, or a pinned descriptor. */
void node_settle(struct fs *fs, struct node *node);
/** node_stat_named() - the same with names_lock held. */
int node_stat_named(struct fs *fs, struct node *node, struct stat *st);
/** node_stat_in_locked() - as node_stat(), of what stands in a directory that the caller has locked; -ESTALE: it is not there. */
int node_stat_in_locked(struct fs *fs, struct node *node, struct stat *st);
/** stat_metacopy() - what is a hole in its own file takes up room all the same. */
void stat_metacopy(const struct node *node, struct stat *st);
/** name_check() - may @name be created? -EINVAL: reserved; -ENAMETOOLONG. */
int name_check(const char *name);

/* --- resolve.c --- */

/**
 * node_resolve() - make ino final and join hard links, before the kernel sees it; and stat it
 *
 * The directory of @link is locked, names_lock is not.  May put another node in the link's place.
 */
int node_resolve(struct fs *fs, struct link *link, struct stat *st);
/* What fs->inodes knows an inode by: @dev is 0 for a row's. */
struct inode_key {
	uint16_t layer;
	uint64_t dev, ino;
};
/** node_join() - let the known inode of that identity take the place of @link's node. Return: false: there is none. */
bool node_join(struct fs *fs, struct link *link, const struct inode_key *key);
/** fs_entry_fill() - resolve the link and count a lookup for the kernel; the directory is locked. */
int fs_entry_fill(struct fs *fs, struct link *link, struct fs_entry *ret);

/* --- index.c: copies of lower files that have several names --- */

/**
 * index_join() - a name whose file has others, in the upper or in a lower: is it, or was it copied up to, a copy
 * that the index has?
 * @st: its attributes now; those of the copy afterwards
 * @joined: has the node of the copy, which was known, taken the place of the link's?
 *
 * Else the link's node has become that of the copy, if there is one.  The directory is locked.
 */
int index_join(struct fs *fs, struct link *link, struct stat *st, bool *joined);
/** index_open() - a descriptor of the copy (O_PATH). names_lock is held. */
int index_open(struct fs *fs, struct node *node, struct fd_ref *ret);
/**
 * index_add() - @work in work/, the copy of @node, gets an entry in the index; @nlink names show it
 * @ret: what goes into node->back once the copy is published
 */
struct index_origin {
	uint64_t dev, ino;
};
int index_add(struct fs *fs, struct node *node, const struct stat *lower, const char *work, struct index_origin *ret);
/** index_keep_count() - a lower file that has no copy has lost a name here: @names are left. names_lock is held. */
void index_keep_count(struct fs *fs, struct node *node, uint32_t names);
/** index_count() - how many of the @names that its layer has are left. */
uint32_t index_count(struct fs *fs, struct node *node, uint32_t names);
/** index_is_copy_of() - is @copy, which the index has, one of the lower's file @lower? names_lock is held. */
bool index_is_copy_of(struct fs *fs, const struct node *copy, struct node *lower);
/** index_nlink() - @change more names show the copy; at 0 its entry is removed. names_lock is held. */
int index_nlink(struct fs *fs, struct node *node, int change);

/* --- copyup.c --- */

/** copyup_dir() - make sure that the upper has this directory. No lock from 3 on is held. */
int copyup_dir(struct fs *fs, struct dirnode *dir);
/**
 * copyup() - make sure that the upper has this node, data included
 * @size_limit: copy no more than that many bytes of data: a truncation follows
 *
 * No lock is held but rename_lock.  One thread copies, the others that need the same node wait.
 */
int copyup(struct fs *fs, struct node *node, uint64_t size_limit);
/** copyup_meta() - make sure that the upper has its attributes; the data may stay where it is. */
int copyup_meta(struct fs *fs, struct node *node);
/** node_claim() - let no copy-up of the node begin until node_release(). No lock is held but rename_lock. */
void node_claim(struct fs *fs, struct node *node);
void node_release(struct fs *fs, struct node *node);

/* --- metacopy.c --- */

/** metacopy_detect() - before the kernel sees a regular file of attributes @st: is it one? @link's directory is locked. */
int metacopy_detect(struct fs *fs, struct link *link, const struct stat *st);
/** metacopy_wanted() - may the copy of @node, of attributes @st, leave the data where it is? */
bool metacopy_wanted(const struct fs *fs, const struct node *node, const struct stat *st);
/** metacopy_mark() - make @work in work/, @fd, a metacopy of @bytes. Return: 0; -ENOTSUP: it cannot be one here; -errno. */
int metacopy_mark(struct fs *fs, const char *work, int fd, off_t bytes);
/** metacopy_set() - the node is one. @data: what is known of its data, owned by the node from now on. */
void metacopy_set(struct node *node, struct node_data *data);
/** metacopy_clear() - it is none any more: its own file has the data. names_lock is held exclusively, if others know it. */
void metacopy_clear(struct fs *fs, struct node *node);
/** metacopy_unmark() - the same on disk, for its file @fd. */
int metacopy_unmark(int fd);
/** metacopy_keep_place() - before its name changes: let its file say where the data is. names_lock is held. */
int metacopy_keep_place(struct fs *fs, struct node *node, const char *lower_path);
/** metacopy_redirect() - where its file says that the data is, to be freed; NULL: under its name. names_lock is held. */
int metacopy_redirect(struct fs *fs, struct node *node, char **ret);
/** metacopy_open() - its data. names_lock is held. -EIO: there is none. */
struct content_ref;
int metacopy_open(struct fs *fs, struct node *node, struct content_ref *ret);

/* --- file.c --- */

/** Where a file's bytes are: at @offset of @fd, @bytes of them (UINT64_MAX: until its end). */
struct content_ref {
	int fd;
	struct fd_ref ref; /* drop with fd_put() */
	uint64_t offset;
	uint64_t bytes;
};
/** node_open() - a regular file for reading. No lock is held. */
int node_open(struct fs *fs, struct node *node, struct content_ref *ret);
/** file_open_at() - open regular file @name in @dirfd ("": itself), also if its mode keeps its owner out. */
int file_open_at(int dirfd, const char *name, bool writable);
/** content_open_slot() - content of the store, its descriptor kept in @slot if it has one of its own. */
int content_open_slot(struct fs *fs, struct content_id content, uint64_t bytes, struct fd_slot *slot,
		      struct content_ref *ret);
/** upper_open() - a file of the upper for reading and writing. No lock is held. */
int upper_open(struct fs *fs, struct node *node, struct fd_ref *ret);
/* What changing a file's data takes away from it: capabilities, and from who lacks CAP_FSETID setuid and setgid. */
struct priv {
	char caps[64];
	ssize_t caps_bytes;
	mode_t mode;
};
void priv_save(int fd, const struct stat *st, struct priv *priv);
int priv_restore(int fd, const struct priv *priv);
/** time_lock() - held while a file's mtime is set, or set back after a change; one for several files. */
static inline pthread_mutex_t *time_lock(struct fs *fs, const struct node *node)
{
	return &fs->time_locks[((uintptr_t)node >> 6) % TIME_LOCKS];
}
/** file_truncate() - copied up as far as needed, then cut or grown to @size; @flags: enum fs_write_flags. */
int file_truncate(struct fs *fs, struct node *node, off_t size, unsigned flags);
/** node_pin() - open what is about to lose its last name, and keep it open. names_lock is held. */
int node_pin(struct fs *fs, struct node *node);

/* --- rename.c --- */

struct buf;
/** lower_path() - where the lowers have the directory or metacopy, as overlayfs writes it. names_lock is held. */
int lower_path(struct fs *fs, struct node *node, struct buf *path);

/* --- xattr.c --- */

/** xattrs_copy() - all xattrs of a node that is being copied but overlay's own onto @name in @dirfd. names_lock is not held. */
int xattrs_copy(struct fs *fs, struct node *node, int dirfd, const char *name);
/** xattrs_kill_priv() - remove security.capability of what @fd is. */
int xattrs_kill_priv(int fd);

/** dir_has_default_acl() - do new entries of @dir get their mode from it, not from the umask? */
bool dir_has_default_acl(struct fs *fs, struct node *dir);

/* --- dir.c --- */

/** link_into_upper() - give the upper the name of an inode that it has under another. The directory is locked. */
int link_into_upper(struct fs *fs, struct link *link);
/** link_gone() - in memory: the name was taken away on disk. names_lock is held exclusively. */
void link_gone(struct fs *fs, struct link *link);
/** name_lost() - in memory: @node has a name less. names_lock is held exclusively. */
void name_lost(struct fs *fs, struct node *node);
/** dir_is_empty_locked() - 0, -ENOTEMPTY, or an error. */
int dir_is_empty_locked(struct fs *fs, struct dirnode *dir);

#endif
