/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tree.h"

#include "store/dirmap.h"
#include "store/ovl.h"
#include "store/rows.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

struct tree {
	struct stage *stage; /* borrowed */
	struct dirmap dirs;
	uint32_t next_no;
	uint64_t content_bytes;
	bool has_xattrs;

	/* The parent of the last entry; archives list a directory's children in a row. */
	char last_path[PATH_MAX];
	size_t last_len;
	uint32_t last_dir; /* DIRMAP_NONE: not valid */
};

static uint32_t dir_no(const struct tree *t, uint32_t dir)
{
	return t->dirs.dirs[dir].no;
}

static int xattrs_put(struct tree *t, uint32_t no, const struct tree_entry *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->xattr_count; i++) {
		r = row_put_xattr(t->stage, no, &e->xattrs[i]);
		t->stage->xattr_bytes += e->xattrs[i].bytes;
	}
	t->has_xattrs |= e->xattr_count > 0;
	return r;
}

/* ---- taking entries away ---- */

/* A content that the framing needs stays, in a row that no lookup sees. */
static int hide_content(struct tree *t, const struct row *row)
{
	struct tree_entry e = { .mode = row->mode, .size = row->size, .content = row->content };
	char name[16];
	int n = snprintf(name, sizeof(name), "%" PRIu32, row->no);

	return row_put(t->stage, -1, name, (size_t)n, row->no, 0, &e);
}

static int remove_file(struct tree *t, int64_t dir, const char *name, size_t len, const struct row *row)
{
	int r = row_delete(t->stage, dir, name, len);
	int left = 0;

	if (r == 0 && row->mode != 0)
		left = r = row_add_links(t->stage, row->no, -1);
	if (r < 0 || left > 0)
		return r < 0 ? r : 0;
	if (S_ISREG(row->mode))
		t->content_bytes -= row->size;
	if (row->content)
		r = hide_content(t, row);
	return r == 0 ? row_delete_xattrs(t->stage, row->no) : r;
}

/* A directory and all below it. Without recursion: depth is the archive's choice. */
static int remove_dir(struct tree *t, uint32_t top)
{
	uint32_t dir = top;
	int r;

	t->last_dir = DIRMAP_NONE;
	for (;;) {
		char name[NAME_MAX + 1];
		struct dirmap_dir *d = &t->dirs.dirs[dir];
		struct row row;
		size_t len;

		r = row_first_child(t->stage, d->no, name, &len, &row);
		if (r > 0 && S_ISDIR(row.mode)) {
			dir = dirmap_find(&t->dirs, dir, name, len);
			continue;
		}
		if (r > 0)
			r = remove_file(t, d->no, name, len, &row);
		else if (r == 0) {
			r = row_delete(t->stage, dir_no(t, d->parent), t->dirs.names + d->name, d->name_len);
			if (r == 0)
				r = row_delete_xattrs(t->stage, d->no);
			dirmap_remove(&t->dirs, dir);
			if (dir == top)
				return r;
			dir = d->parent;
		}
		if (r < 0)
			return r;
	}
}

/* ---- names ---- */

/* The next component of @*path, "." left out. Return: its length; 0: there is none. */
static size_t next_component(const char **path, const char **ret)
{
	const char *p = *path;

	for (;;) {
		size_t len;

		while (*p == '/')
			p++;
		len = strcspn(p, "/");
		*ret = p;
		*path = p + len;
		if (len != 1 || *p != '.')
			return len;
		p += len;
	}
}

static bool begins(const char *text, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && memcmp(text, with, n) == 0;
}

static int component_check(const char *name, size_t len, struct diag *diag)
{
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return diag_set(diag, -EBADMSG, "its name has a \"..\" component");
	if (len > NAME_MAX)
		return diag_set(diag, -EBADMSG, "its name has a component of %zu bytes, more than %d", len, NAME_MAX);
	return 0;
}

static int path_check(const char *path, const char *what, struct diag *diag)
{
	if (!*path)
		return diag_set(diag, -EBADMSG, "%s is empty", what);
	if (strlen(path) >= PATH_MAX)
		return diag_set(diag, -EBADMSG, "%s is longer than %d bytes", what, PATH_MAX - 1);
	return 0;
}

/* ---- directories ---- */

static int dir_insert(struct tree *t, uint32_t parent, const char *name, size_t len, unsigned flags,
		      const struct tree_entry *e, uint32_t no, uint32_t *ret)
{
	int r = dirmap_add(&t->dirs, parent, name, len, no, ret);

	return r < 0 ? r : row_put(t->stage, dir_no(t, parent), name, len, no, flags, e);
}

/* A directory that an entry needs and that is not there (yet). */
static int dir_imply(struct tree *t, uint32_t parent, const char *name, size_t len, struct diag *diag, uint32_t *ret)
{
	struct tree_entry e = { .mode = S_IFDIR | 0755 };
	unsigned flags = LAYER_IMPLICIT;
	struct row row;
	int r = row_find(t->stage, dir_no(t, parent), name, len, &row);

	if (r > 0 && !(row.flags & LAYER_WHITEOUT))
		return diag_set(diag, -EBADMSG, "\"%.*s\" on the way to it is %s in this archive, not a directory",
				(int)len, name, S_ISLNK(row.mode) ? "a symbolic link" : "a file");
	if (r > 0)
		flags |= LAYER_OPAQUE;
	return r < 0 ? r : dir_insert(t, parent, name, len, flags, &e, t->next_no++, ret);
}

/* The directory of all but the last component. @make: or it must be there (DIRMAP_NONE if not). */
static int walk_parent(struct tree *t, const char *path, bool make, struct diag *diag, uint32_t *ret_dir,
		       const char **ret_name, size_t *ret_len)
{
	const char *at = path, *name, *after;
	size_t len = next_component(&at, &name), after_len;
	uint32_t dir = 0;

	while (len > 0 && (after_len = next_component(&at, &after)) > 0) {
		uint32_t child = dirmap_find(&t->dirs, dir, name, len);
		int r = component_check(name, len, diag);

		if (r == 0 && begins(name, len, OVL_WH_PREFIX) && make)
			r = diag_set(diag, -EBADMSG, "\"%.*s\" in its name is a whiteout, not a directory", (int)len,
				     name);
		if (r == 0 && child == DIRMAP_NONE && make)
			r = dir_imply(t, dir, name, len, diag, &child);
		if (r < 0)
			return r;
		dir = child;
		if (dir == DIRMAP_NONE)
			break;
		name = after;
		len = after_len;
	}
	*ret_dir = dir;
	*ret_name = name;
	*ret_len = len;
	return len > 0 ? component_check(name, len, diag) : 0;
}

/* walk_parent() with a memory of the last parent. */
static int find_parent(struct tree *t, const char *path, struct diag *diag, struct tree_place *p)
{
	const char *end = path + strlen(path), *slash;
	size_t parent_len;
	int r;

	while (end > path && end[-1] == '/')
		end--;
	slash = memrchr(path, '/', (size_t)(end - path));
	parent_len = slash ? (size_t)(slash - path) : 0;
	if (t->last_dir != DIRMAP_NONE && slash && parent_len == t->last_len &&
	    memcmp(path, t->last_path, parent_len) == 0 && !(end - slash == 2 && slash[1] == '.')) {
		p->parent = t->last_dir;
		p->name = slash + 1;
		p->name_len = (size_t)(end - slash - 1);
		return component_check(p->name, p->name_len, diag);
	}
	r = walk_parent(t, path, true, diag, &p->parent, &p->name, &p->name_len);
	t->last_dir = DIRMAP_NONE;
	if (r == 0 && slash && p->name == slash + 1) {
		memcpy(t->last_path, path, parent_len);
		t->last_len = parent_len;
		t->last_dir = p->parent;
	}
	return r;
}

/* ---- whiteouts ---- */

static int put_whiteout(struct tree *t, uint32_t parent, const char *name, size_t len)
{
	struct tree_entry e = { 0 };
	struct row row;
	int r = row_find(t->stage, dir_no(t, parent), name, len, &row);

	if (r == 0)
		return row_put(t->stage, dir_no(t, parent), name, len, t->next_no++, LAYER_WHITEOUT, &e);
	/* The real entry wins; what it no longer shows is what lies below a directory. */
	if (r > 0 && S_ISDIR(row.mode))
		return row_set_flags(t->stage, dir_no(t, parent), name, len, row.flags | LAYER_OPAQUE);
	return r < 0 ? r : 0;
}

static int put_opaque(struct tree *t, uint32_t dir)
{
	const struct dirmap_dir *d = &t->dirs.dirs[dir];
	const char *name = dir ? t->dirs.names + d->name : "";
	int64_t parent = dir ? dir_no(t, d->parent) : 0;
	struct row row;
	int r = row_find(t->stage, parent, name, d->name_len, &row);

	if (r <= 0)
		return r < 0 ? r : -EIO;
	return row_set_flags(t->stage, parent, name, d->name_len, row.flags | LAYER_OPAQUE);
}

static int place_mark(struct tree *t, struct tree_place *p, struct diag *diag)
{
	const char *hidden = p->name + strlen(OVL_WH_PREFIX);
	size_t len = p->name_len - strlen(OVL_WH_PREFIX);

	p->kind = TREE_DONE;
	if (p->name_len == strlen(OVL_WH_OPAQUE) && begins(p->name, p->name_len, OVL_WH_OPAQUE))
		return put_opaque(t, p->parent);
	if (begins(hidden, len, OVL_WH_PREFIX)) {
		p->kind = TREE_IGNORED;
		return 0;
	}
	if (len == 0 || (len == 1 && hidden[0] == '.') || (len == 2 && hidden[0] == '.' && hidden[1] == '.'))
		return diag_set(diag, -EBADMSG, "it is a whiteout of no possible name");
	return put_whiteout(t, p->parent, hidden, len);
}

/* AUFS kept its hard links and orphans in folders of such names at the root; they are no part of the tree. */
static bool is_aufs_private(const char *path)
{
	const char *name;
	size_t len = next_component(&path, &name);

	return begins(name, len, OVL_WH_PREFIX OVL_WH_PREFIX) && strcmp(name, OVL_WH_OPAQUE) != 0;
}

/* ---- from outside ---- */

int tree_place(struct tree *t, const char *path, bool is_dir, struct diag *diag, struct tree_place *ret)
{
	int r = path_check(path, "its name", diag);

	*ret = (struct tree_place){ .kind = TREE_ENTRY, .name = "" };
	/* "/" alone is the root directory: kaniko begins its layers with it. */
	if (r == 0 && *path == '/' && path[strspn(path, "/")])
		r = diag_set(diag, -EBADMSG, "its name is absolute");
	if (r == 0)
		r = stage_entry(t->stage);
	if (r < 0)
		return r;
	if (is_aufs_private(path)) {
		ret->kind = TREE_IGNORED;
		return 0;
	}
	r = find_parent(t, path, diag, ret);
	if (r < 0)
		return r;
	if (ret->name_len == 0) {
		ret->no = LAYER_ROOT;
		return is_dir ? 0 : diag_set(diag, -EBADMSG, "it would replace the root directory");
	}
	if (begins(ret->name, ret->name_len, OVL_WH_PREFIX))
		return place_mark(t, ret, diag);
	ret->no = t->next_no++;
	return 0;
}

int tree_whiteout(struct tree *t, const struct tree_place *p)
{
	return put_whiteout(t, p->parent, p->name, p->name_len);
}

/* A directory over what is there: over a directory it only changes the attributes. */
static int put_dir(struct tree *t, const struct tree_place *p, const struct tree_entry *e, const struct row *old)
{
	unsigned flags = e->xattr_count ? LAYER_XATTRS : 0;
	int64_t parent = p->name_len ? dir_no(t, p->parent) : 0;
	uint32_t no = p->no, dir;
	int r;

	if (old && S_ISDIR(old->mode)) {
		no = old->no;
		r = old->flags & LAYER_XATTRS ? row_delete_xattrs(t->stage, no) : 0;
		if (r == 0)
			r = row_put(t->stage, parent, p->name, p->name_len, no, flags | (old->flags & LAYER_OPAQUE), e);
	} else {
		if (old && old->flags & LAYER_WHITEOUT)
			flags |= LAYER_OPAQUE;
		r = old ? remove_file(t, parent, p->name, p->name_len, old) : 0;
		if (r == 0)
			r = dir_insert(t, p->parent, p->name, p->name_len, flags, e, no, &dir);
	}
	return r < 0 ? r : xattrs_put(t, no, e);
}

static int remove_old(struct tree *t, const struct tree_place *p, const struct row *old)
{
	if (!S_ISDIR(old->mode))
		return remove_file(t, dir_no(t, p->parent), p->name, p->name_len, old);
	return remove_dir(t, dirmap_find(&t->dirs, p->parent, p->name, p->name_len));
}

int tree_put(struct tree *t, const struct tree_place *p, const struct tree_entry *e, struct diag *diag)
{
	int64_t parent = p->name_len ? dir_no(t, p->parent) : 0;
	struct row old;
	int r = row_find(t->stage, parent, p->name, p->name_len, &old);

	if (r < 0)
		return r;
	if (S_ISDIR(e->mode))
		return put_dir(t, p, e, r > 0 ? &old : NULL);
	if (r > 0)
		r = remove_old(t, p, &old);
	if (r == 0)
		r = row_put(t->stage, parent, p->name, p->name_len, p->no, e->xattr_count ? LAYER_XATTRS : 0, e);
	if (r == 0)
		r = xattrs_put(t, p->no, e);
	if (S_ISREG(e->mode))
		t->content_bytes += e->size;
	return r;
}

/* A target that begins with a slash is one from the layer's root: kaniko writes them so, and all who unpack read them so. */
static int find_target(struct tree *t, const char *target, struct diag *diag, int64_t *ret_dir, const char **ret_name,
		       size_t *ret_len, struct row *ret)
{
	uint32_t dir;
	int r = path_check(target, "the name it links to", diag);

	if (r == 0)
		r = walk_parent(t, target, false, diag, &dir, ret_name, ret_len);
	if (r < 0)
		return diag_context(diag, r, "hard link to \"%.300s\"", target);
	r = 0;
	if (dir != DIRMAP_NONE && *ret_len > 0) {
		*ret_dir = dir_no(t, dir);
		r = row_find(t->stage, *ret_dir, *ret_name, *ret_len, ret);
	}
	if (r < 0)
		return r;
	if (r == 0 || ret->flags & LAYER_WHITEOUT)
		return diag_set(diag, -EBADMSG, "hard link to \"%.300s\", which is not in the archive before it",
				target);
	if (S_ISDIR(ret->mode))
		return diag_set(diag, -EBADMSG, "hard link to \"%.300s\", which is a directory", target);
	return 0;
}

int tree_link(struct tree *t, const struct tree_place *p, const char *target, struct diag *diag)
{
	int64_t parent = dir_no(t, p->parent), from_dir = 0;
	const char *from;
	size_t from_len;
	struct row row, old;
	int r;

	if (p->name_len == 0)
		return diag_set(diag, -EBADMSG, "it would replace the root directory");
	r = find_target(t, target, diag, &from_dir, &from, &from_len, &row);
	if (r < 0)
		return r;
	r = row_find(t->stage, parent, p->name, p->name_len, &old);
	if (r < 0 || (r > 0 && old.no == row.no))
		return r < 0 ? r : 0; /* a second link to itself changes nothing */
	if (r > 0) {
		r = remove_old(t, p, &old);
		/* What was removed may have been the directory that held the target. */
		if (r == 0)
			r = find_target(t, target, diag, &from_dir, &from, &from_len, &row);
	}
	if (r == 0)
		r = row_copy(t->stage, from_dir, from, from_len, parent, p->name, p->name_len);
	if (r == 0)
		r = row_add_links(t->stage, row.no, 1);
	return r < 0 ? r : 0;
}

/* nlink of a directory counts its subdirectories, which only the map knows. */
static int finish_links(struct tree *t)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < t->dirs.count; i++) {
		const struct dirmap_dir *d = &t->dirs.dirs[i];

		if (!d->removed)
			r = row_add_links(t->stage, d->no, (int)d->subdirs + 1);
	}
	return r < 0 ? r : 0;
}

int tree_finish(struct tree *t, struct tree_totals *ret)
{
	uint64_t entries = 0;
	int r = finish_links(t);

	if (r == 0)
		r = row_count(t->stage, &entries);
	*ret = (struct tree_totals){
		.entries = entries,
		.content_bytes = t->content_bytes,
		.has_xattrs = t->has_xattrs,
	};
	return r;
}

int tree_new(struct stage *stage, struct tree **ret)
{
	AUTO(tree_freep) struct tree *t = calloc(1, sizeof(*t));
	struct tree_entry root = { .mode = S_IFDIR | 0755 };
	int r;

	if (!t)
		return -ENOMEM;
	t->stage = stage;
	t->last_dir = DIRMAP_NONE;
	t->next_no = LAYER_ROOT + 1;
	r = dirmap_init(&t->dirs, LAYER_ROOT);
	if (r == 0)
		r = row_put(t->stage, 0, "", 0, LAYER_ROOT, LAYER_IMPLICIT, &root);
	if (r < 0)
		return r;
	*ret = TAKE(t);
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	dirmap_release(&t->dirs);
	free(t);
}

void tree_freep(struct tree **t)
{
	int saved = errno;

	tree_free(*t);
	errno = saved;
}
