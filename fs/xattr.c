/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Extended attributes.  Overlay's own are never shown.  What a user of the mount
 * sets by such a name, because he runs an overlay on top of it, stands on disk by
 * another (store/ovl.h), so that our marks and his are never taken for each other.
 * A file system without xattrs says "no such attribute", never an error that an
 * open or a copy would stumble over.
 */

#include "fs/attrcache.h"
#include "fs/flags.h"
#include "fs/layername.h"
#include "fs/limits.h"
#include "fs/marks.h"
#include "fs/served.h"

#include <linux/capability.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static bool is_absent(int err)
{
	return err == ENODATA || err == ENOTSUP;
}

static bool is_acl(const char *name)
{
	return strncmp(name, "system.posix_acl_", strlen("system.posix_acl_")) == 0;
}

/*
 * Under fakeroot modes are recorded, and the file on disk stays open to its real
 * owner: an ACL on it would say something else, and might lock him out.  Where ACLs
 * are not known, programs use chmod.
 */
static bool is_unknown(const struct fs *fs, const char *name)
{
	return fs->options->fakeroot && is_acl(name);
}

static bool on_row(const struct fs *fs, const struct node *node)
{
	return !node_in_upper(fs, node) && node_is(node, NODE_ROW);
}

/* --- of an index row --- */

struct row_get {
	const char *name;
	void *value;
	size_t room;
	ssize_t ret;
};

static int row_get_one(const char *name, const void *value, size_t bytes, void *arg)
{
	struct row_get *get = arg;

	if (strcmp(name, get->name) != 0)
		return 0;
	get->ret = (ssize_t)bytes;
	if (get->room && bytes > get->room)
		get->ret = -ERANGE;
	else if (get->room && bytes)
		memcpy(get->value, value, bytes);
	return 1;
}

static int row_xattrs(struct fs *fs, struct node *node, layer_xattr_fn fn, void *arg)
{
	if (!node_is(node, NODE_XATTRS))
		return 0;
	return layer_xattrs(fs->store, layer_store_id(fs->layers[node->layer]), node->row.no, fn, arg);
}

/* --- reading --- */

/*
 * Most files have none, and who compares two trees asks three times for each: what a lower's file does not have is
 * found out once.  A listing is only trusted for the namespaces that all file systems list.
 */
static bool is_listed(const char *name)
{
	return strcmp(name, XATTR_CAPS) == 0 || is_acl(name) || strncmp(name, "user.", strlen("user.")) == 0 ||
	       strncmp(name, "trusted.", strlen("trusted.")) == 0;
}

/* @path, which is where @node is or was, has none: then the answer is known from now on. */
static bool is_bare(const struct fs *fs, struct node *node, const char *path, bool follow)
{
	ssize_t n;

	if (node_in_upper(fs, node))
		return false;
	if (!node_is(node, NODE_LOWER_LISTED)) {
		n = follow ? listxattr(path, NULL, 0) : llistxattr(path, NULL, 0);
		if (n < 0)
			return false;
		node_set(node, NODE_LOWER_LISTED | (n > 0 ? 0 : NODE_LOWER_BARE));
	}
	return node_is(node, NODE_LOWER_BARE);
}

static bool is_known_bare(const struct fs *fs, const struct node *node)
{
	return node_is(node, NODE_LOWER_BARE) && !node_in_upper(fs, node);
}

/* What is known without asking a directory layer. @name: as on disk. Return: false: nothing. */
static bool get_known(struct fs *fs, struct node *node, const char *shown, const char *name, struct row_get *get)
{
	int r;
	SHARED(&fs->names_lock);

	if (is_layer_xattr(shown)) {
		atomic_store(&fs->layer_asked, true);
		get->ret = layer_xattr_get(fs, node, get->value, get->room);
	} else if (mark_xattr_is(fs, node, shown)) {
		get->name = shown;
		row_get_one(shown, MARK_XATTR_VALUE, strlen(MARK_XATTR_VALUE), get);
	} else if (on_row(fs, node)) {
		r = row_xattrs(fs, node, row_get_one, get);
		if (r < 0)
			get->ret = r;
	} else {
		return is_known_bare(fs, node) && is_listed(name);
	}
	return true;
}

ssize_t fs_getxattr(struct fs *fs, struct node *node, const char *shown, void *value, size_t bytes)
{
	char escaped[OVL_XATTR_NAME_BYTES];
	const char *name = ovl_xattr_escape(shown, escaped);
	struct row_get get = { .name = name, .value = value, .room = bytes, .ret = -ENODATA };
	char path[PROC_PATH_BYTES];
	struct node_reach reach;
	const char *end;
	ssize_t n;
	int r;

	if (fs->options->noxattrs || is_unknown(fs, shown))
		return -ENOTSUP;
	if (!name)
		return -ENODATA;
	/* The kernel asks at the first write to each file, tar after each it makes; of those made here it is known. */
	if (node_is(node, NODE_PLAIN) && (strcmp(name, XATTR_CAPS) == 0 || is_acl(name)))
		return -ENODATA;
	if (get_known(fs, node, shown, name, &get))
		return get.ret;
	r = node_reach(fs, node, &reach);
	if (r < 0)
		return r;
	end = reach.at.name;
	proc_path(path, reach.at.ref.fd, end);
	if (is_listed(name) && is_bare(fs, node, path, !*end))
		n = -ENODATA;
	else if ((n = *end ? lgetxattr(path, name, value, bytes) : getxattr(path, name, value, bytes)) < 0)
		n = is_absent(errno) ? -ENODATA : -errno;
	node_reach_end(fs, &reach);
	return n;
}

struct row_list {
	const struct fs *fs;
	char *list;
	size_t room, bytes;
};

static int list_add(struct row_list *list, const char *name)
{
	size_t len = strlen(name) + 1;

	if (list->room && list->bytes + len > list->room)
		return -ERANGE;
	if (list->room)
		memcpy(list->list + list->bytes, name, len);
	list->bytes += len;
	return 0;
}

static int row_list_one(const char *disk, const void *value, size_t bytes, void *arg)
{
	struct row_list *list = arg;
	char shown[OVL_XATTR_NAME_BYTES];
	const char *name = ovl_xattr_unescape(disk, shown);

	if (!name || is_unknown(list->fs, name) || is_layer_xattr(name))
		return 0;
	return list_add(list, name);
}

/* Names of a file on disk, all of them. *@ret is to be freed. */
static ssize_t list_all(struct fs *fs, struct node *node, char **ret)
{
	char path[PROC_PATH_BYTES];
	struct node_reach reach;
	bool follow;
	ssize_t n;
	int r;

	*ret = malloc(XATTR_LIST_MAX);
	if (!*ret)
		return -ENOMEM;
	r = node_reach(fs, node, &reach);
	if (r < 0)
		return r;
	proc_path(path, reach.at.ref.fd, reach.at.name);
	follow = !*reach.at.name;
	if (is_bare(fs, node, path, follow))
		n = 0;
	else if ((n = follow ? listxattr(path, *ret, XATTR_LIST_MAX) : llistxattr(path, *ret, XATTR_LIST_MAX)) < 0)
		n = is_absent(errno) ? 0 : -errno;
	node_reach_end(fs, &reach);
	return n;
}

/* Of a row. Return: -EAGAIN: it is none. */
static int list_row(struct fs *fs, struct node *node, struct row_list *out)
{
	int r = 0;
	SHARED(&fs->names_lock);

	if (!on_row(fs, node))
		return -EAGAIN;
	if (mark_xattr(fs, node))
		r = list_add(out, mark_xattr(fs, node));
	return r < 0 ? r : row_xattrs(fs, node, row_list_one, out);
}

ssize_t fs_listxattr(struct fs *fs, struct node *node, char *list, size_t bytes)
{
	struct row_list out = { .fs = fs, .list = list, .room = bytes };
	AUTO(freep) char *all = NULL;
	ssize_t n;
	int r;

	if (fs->options->noxattrs)
		return 0;
	r = list_row(fs, node, &out);
	if (r != -EAGAIN)
		return r < 0 ? r : (ssize_t)out.bytes;
	r = 0;
	if (is_known_bare(fs, node))
		return 0;
	n = list_all(fs, node, &all);
	if (n < 0)
		return n;
	for (const char *name = all; r == 0 && name < all + n; name += strlen(name) + 1)
		r = row_list_one(name, NULL, 0, &out);
	return r < 0 ? r : (ssize_t)out.bytes;
}

/* --- changing --- */

struct xattr_change {
	const char *name; /* as on disk */
	const void *value;
	size_t bytes;
	int flags;
	bool remove;
};

static int change_at(const struct node_at *at, const struct xattr_change *change)
{
	char path[PROC_PATH_BYTES];
	const char *name = change->name;
	int r;

	proc_path(path, at->ref.fd, at->name);
	if (change->remove)
		r = *at->name ? lremovexattr(path, name) : removexattr(path, name);
	else if (*at->name)
		r = lsetxattr(path, name, change->value, change->bytes, change->flags);
	else
		r = setxattr(path, name, change->value, change->bytes, change->flags);
	return r < 0 ? -errno : 0;
}

static int change_in_upper(struct fs *fs, struct node *node, const struct xattr_change *change)
{
	struct growth growth;
	struct node_at at;
	int r;
	SHARED(&fs->names_lock);

	r = node_at(fs, node, &at);
	if (r < 0)
		return r;
	r = growth_begin(fs, node, at.ref.fd, at.name, 0, 0, &growth);
	if (r < 0) {
		fd_put(fs->fds, &at.ref);
		return r;
	}
	LOCKED(time_lock(fs, node)); /* a page on its way must not take it away again (file.c) */
	node_set(node, NODE_KILLPRIV);
	r = change_at(&at, change);
	attrs_lost_locked(fs, node, ATTRS_REST); /* an ACL changes the mode, any takes up room */
	growth_end(&growth);
	fd_put(fs->fds, &at.ref);
	if (r < 0)
		return r;
	if (node_is_dir(node))
		atomic_fetch_add(&fs->acl_changes, 1);
	node_clear(node, NODE_ACL_KNOWN | NODE_PLAIN);
	return 0;
}

static int change(struct fs *fs, struct node *node, const char *shown, struct xattr_change *change)
{
	char escaped[OVL_XATTR_NAME_BYTES];
	bool claimed;
	int r;

	change->name = ovl_xattr_escape(shown, escaped);
	if (fs->options->noxattrs || is_unknown(fs, shown))
		return -ENOTSUP;
	if (!change->name)
		return -ERANGE;
	if (is_layer_xattr(shown))
		return -EPERM;
	r = node_may_change(fs, node);
	if (r == 0)
		r = copyup_meta(fs, node);
	if (r < 0)
		return r;
	/* While the data of a metacopy comes in, that takes capabilities away, and puts back those that were there before. */
	claimed = node_is(node, NODE_METACOPY);
	if (claimed)
		node_claim(fs, node);
	r = change_in_upper(fs, node, change);
	if (claimed)
		node_release(fs, node);
	return r;
}

int fs_setxattr(struct fs *fs, struct node *node, const char *name, const void *value, size_t bytes, int flags)
{
	return change(fs, node, name, &(struct xattr_change){ .value = value, .bytes = bytes, .flags = flags });
}

int fs_removexattr(struct fs *fs, struct node *node, const char *name)
{
	return change(fs, node, name, &(struct xattr_change){ .remove = true });
}

int xattrs_kill_priv(int fd)
{
	char path[PROC_PATH_BYTES];

	/* Through /proc, since the descriptor may be O_PATH. */
	if (removexattr(proc_path(path, fd, ""), XATTR_CAPS) < 0 && !is_absent(errno))
		return -errno;
	return 0;
}

/* --- copying --- */

struct copy_to {
	char path[PROC_PATH_BYTES];
	int r;
};

/*
 * What the upper cannot hold is left out where the kernel's overlayfs leaves it
 * out too: attributes of a namespace the file system or the user has no right to.
 */
static int copy_one(const char *name, const void *value, size_t bytes, void *arg)
{
	struct copy_to *to = arg;

	if (ovl_private_xattr(name) || is_layer_xattr(name) || lsetxattr(to->path, name, value, bytes, 0) == 0)
		return 0;
	return errno == ENOTSUP || errno == EPERM ? 0 : -errno;
}

static int copy_from_disk(struct fs *fs, struct node *node, struct copy_to *to)
{
	AUTO(freep) char *all = NULL;
	AUTO(freep) char *value = NULL;
	ssize_t n = list_all(fs, node, &all);
	int r = 0;

	if (n <= 0)
		return (int)n;
	value = malloc(XATTR_SIZE_MAX);
	if (!value)
		return -ENOMEM;
	for (const char *name = all; r == 0 && name < all + n; name += strlen(name) + 1) {
		char path[PROC_PATH_BYTES];
		struct node_reach reach;
		ssize_t len;

		if (ovl_private_xattr(name))
			continue;
		r = node_reach(fs, node, &reach);
		if (r < 0)
			return r;
		proc_path(path, reach.at.ref.fd, reach.at.name);
		len = *reach.at.name ? lgetxattr(path, name, value, XATTR_SIZE_MAX)
				     : getxattr(path, name, value, XATTR_SIZE_MAX);
		if (len < 0)
			r = is_absent(errno) ? 0 : -errno;
		else
			r = copy_one(name, value, (size_t)len, to);
		node_reach_end(fs, &reach);
	}
	return r;
}

int xattrs_copy(struct fs *fs, struct node *node, int dirfd, const char *name)
{
	struct copy_to to;

	proc_path(to.path, dirfd, name);
	return on_row(fs, node) ? row_xattrs(fs, node, copy_one, &to) : copy_from_disk(fs, node, &to);
}

/* --- default ACLs --- */

bool dir_has_default_acl(struct fs *fs, struct node *dir)
{
	unsigned flags = node_flags(dir);
	uint32_t changes;
	bool has;

	if (fs->options->noacl || fs->options->fakeroot)
		return false;
	if (flags & NODE_ACL_KNOWN)
		return flags & NODE_DEFAULT_ACL;
	changes = atomic_load(&fs->acl_changes);
	has = fs_getxattr(fs, dir, "system.posix_acl_default", NULL, 0) > 0;
	LOCKED(time_lock(fs, dir));
	if (atomic_load(&fs->acl_changes) == changes) /* else it may be another by now */
		node_replace(dir, NODE_DEFAULT_ACL, NODE_ACL_KNOWN | (has ? NODE_DEFAULT_ACL : 0));
	return has;
}
