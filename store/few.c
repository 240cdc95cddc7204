/* SPDX-License-Identifier: Apache-2.0 */
#include "store/few.h"

#include <string.h>

struct few_row {
	int64_t dir;
	char *name; /* owned */
	size_t len;
	uint32_t no;
	unsigned flags;
	struct tree_entry e; /* its target is owned; its xattrs are elsewhere */
};

struct few_xattr {
	uint32_t no;
	char *name;  /* owned */
	void *value; /* owned */
	size_t bytes;
};

struct few_links {
	uint32_t no;
	int64_t n;
};

struct few_content {
	int64_t local, offset;
	struct content_hash hash;
	uint64_t size;
};

struct few {
	size_t row_count, xattr_count, links_count, content_count;
	struct few_row rows[FEW_MAX];
	struct few_xattr xattrs[FEW_MAX];
	struct few_links links[FEW_MAX];
	struct few_content contents[FEW_MAX];
};

struct few *few_new(void)
{
	return calloc(1, sizeof(struct few));
}

void few_free(struct few *few)
{
	if (!few)
		return;
	for (size_t i = 0; i < few->row_count; i++) {
		free(few->rows[i].name);
		free((char *)few->rows[i].e.target);
	}
	for (size_t i = 0; i < few->xattr_count; i++) {
		free(few->xattrs[i].name);
		free(few->xattrs[i].value);
	}
	free(few);
}

void few_freep(struct few **few)
{
	int saved = errno;

	few_free(*few);
	errno = saved;
}

bool few_is_full(const struct few *few)
{
	return few->row_count == FEW_MAX || few->xattr_count == FEW_MAX || few->links_count == FEW_MAX ||
	       few->content_count == FEW_MAX;
}

/* ---- rows ---- */

static struct few_row *row_at(const struct few *few, int64_t dir, const char *name, size_t len)
{
	/* From the end: what comes in has to do with what came last. */
	for (size_t i = few->row_count; i-- > 0;) {
		const struct few_row *row = &few->rows[i];

		if (row->dir == dir && row->len == len && memcmp(row->name, name, len) == 0)
			return (struct few_row *)row;
	}
	return NULL;
}

int few_find(const struct few *few, int64_t dir, const char *name, size_t len, struct row *ret)
{
	const struct few_row *row = row_at(few, dir, name, len);

	if (!row)
		return 0;
	*ret = (struct row){
		.no = row->no,
		.mode = row->e.mode,
		.flags = row->flags,
		.content = row->e.content,
		.size = row->e.size,
	};
	return 1;
}

static void *copy_of(const void *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy && len)
		memcpy(copy, bytes, len);
	if (copy)
		copy[len] = '\0';
	return copy;
}

int few_put(struct few *few, int64_t dir, const char *name, size_t len, uint32_t no, unsigned flags,
	    const struct tree_entry *e)
{
	struct few_row *row = row_at(few, dir, name, len);
	char *target = NULL;

	if (!row && few->row_count == FEW_MAX)
		return -ENOBUFS;
	if (e->target && !(target = strdup(e->target)))
		return -ENOMEM;
	if (row) {
		free((char *)row->e.target);
	} else {
		row = &few->rows[few->row_count];
		*row = (struct few_row){ .dir = dir, .name = copy_of(name, len), .len = len };
		if (!row->name) {
			free(target);
			return -ENOMEM;
		}
		few->row_count++;
	}
	row->no = no;
	row->flags = flags;
	row->e = *e;
	row->e.target = target;
	row->e.xattrs = NULL;
	row->e.xattr_count = 0;
	return 0;
}

int few_put_xattr(struct few *few, uint32_t no, const struct tree_xattr *x)
{
	struct few_xattr *at = few->xattrs, *end = at + few->xattr_count;
	void *value;

	while (at < end && (at->no != no || strcmp(at->name, x->name) != 0))
		at++;
	if (at == few->xattrs + FEW_MAX)
		return -ENOBUFS;
	value = copy_of(x->value, x->bytes);
	if (!value)
		return -ENOMEM;
	if (at < end) {
		free(at->value);
	} else {
		*at = (struct few_xattr){ .no = no, .name = strdup(x->name) };
		if (!at->name) {
			free(value);
			return -ENOMEM;
		}
		few->xattr_count++;
	}
	at->value = value;
	at->bytes = x->bytes;
	return 0;
}

static int64_t *links_of(const struct few *few, uint32_t no)
{
	for (size_t i = 0; i < few->links_count; i++)
		if (few->links[i].no == no)
			return (int64_t *)&few->links[i].n;
	return NULL;
}

int few_add_links(struct few *few, uint32_t no, int delta)
{
	int64_t *n = links_of(few, no);

	if (!n) {
		if (few->links_count == FEW_MAX)
			return -ENOBUFS;
		few->links[few->links_count] = (struct few_links){ .no = no, .n = 1 };
		n = &few->links[few->links_count++].n;
	}
	*n += delta;
	return (int)*n;
}

uint64_t few_entries(const struct few *few)
{
	uint64_t n = 0;

	for (size_t i = 0; i < few->row_count; i++)
		n += few->rows[i].dir >= 0;
	return n;
}

/* ---- contents ---- */

int few_add_content(struct few *few, int64_t local, const struct content_hash *hash, uint64_t size, int64_t offset)
{
	if (few->content_count == FEW_MAX)
		return -ENOBUFS;
	few->contents[few->content_count++] =
		(struct few_content){ .local = local, .offset = offset, .hash = *hash, .size = size };
	return 0;
}

int few_next_content(const struct few *few, const struct content_hash *hash, uint64_t size, size_t *at,
		     int64_t *ret_local, int64_t *ret_offset)
{
	while (*at < few->content_count) {
		const struct few_content *c = &few->contents[(*at)++];

		if (c->size != size || memcmp(&c->hash, hash, sizeof(*hash)) != 0)
			continue;
		*ret_local = c->local;
		*ret_offset = c->offset;
		return 1;
	}
	return 0;
}

/* ---- into stage.db ---- */

static int spill_links(const struct few_links *links, struct db *db)
{
	return DB_RUN(db, "INSERT INTO links VALUES(?, ?)", links->no, links->n);
}

int few_spill(const struct few *few, struct db *db)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < few->row_count; i++) {
		const struct few_row *row = &few->rows[i];

		r = db_row_put(db, row->dir, row->name, row->len, row->no, row->flags, &row->e);
	}
	for (size_t i = 0; r == 0 && i < few->xattr_count; i++) {
		const struct few_xattr *x = &few->xattrs[i];

		r = db_row_put_xattr(db, x->no,
				     &(struct tree_xattr){ .name = x->name, .value = x->value, .bytes = x->bytes });
	}
	for (size_t i = 0; r == 0 && i < few->links_count; i++)
		r = spill_links(&few->links[i], db);
	for (size_t i = 0; r == 0 && i < few->content_count; i++) {
		const struct few_content *c = &few->contents[i];

		r = db_row_put_content(db, c->local, &c->hash, c->size, c->offset);
	}
	return r;
}

/* ---- into the index ---- */

static int64_t count_refs(const struct few *few, int64_t content, int64_t framing)
{
	int64_t n = content == framing;

	for (size_t i = 0; i < few->row_count; i++)
		n += few->rows[i].e.content == content;
	return n;
}

static int share_content(struct db *db, int64_t id, int64_t n)
{
	int r = DB_RUN(db, "UPDATE content SET refs = refs + ?2 WHERE id = ?1", id, n);

	/* Only a hand in the store's files can have taken it away. */
	return r == 0 && sqlite3_changes64(db_handle(db)) != 1 ? -ESTALE : r;
}

/* Each once, at the first row that has it. */
static int share_contents(const struct few *few, struct db *db, int64_t framing)
{
	int r = framing < 0 ? share_content(db, -framing, count_refs(few, framing, framing)) : 0;

	for (size_t i = 0; r == 0 && i < few->row_count; i++) {
		int64_t content = few->rows[i].e.content;
		bool seen = content == framing;

		for (size_t k = 0; !seen && k < i; k++)
			seen = few->rows[k].e.content == content;
		if (content < 0 && !seen)
			r = share_content(db, -content, count_refs(few, content, framing));
	}
	return r;
}

static int add_content(struct db *db, const struct few_content *c, const struct few_publish *p, int64_t refs)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, "INSERT INTO content(id, hash, size, pack, offset, refs) VALUES(?, ?, ?, ?, ?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, p->base + c->local);
	db_bind_blob(stmt, 2, c->hash.bytes, CONTENT_HASH_BYTES);
	db_bind_int(stmt, 3, (int64_t)c->size);
	db_bind_int(stmt, 4, p->pack);
	db_bind_int(stmt, 5, c->offset);
	db_bind_int(stmt, 6, refs);
	return db_run(stmt);
}

int few_publish_contents(const struct few *few, struct db *db, const struct few_publish *p)
{
	int64_t live = 0;
	int r = share_contents(few, db, p->framing);

	for (size_t i = 0; i < few->content_count; i++)
		live += (int64_t)few->contents[i].size;
	if (r == 0 && p->pack)
		r = DB_RUN(db, "INSERT INTO pack VALUES(?, ?, ?)", p->pack, p->pack_bytes, live);
	for (size_t i = 0; r == 0 && i < few->content_count; i++) {
		int64_t refs = count_refs(few, few->contents[i].local, p->framing);

		if (refs)
			r = add_content(db, &few->contents[i], p, refs);
	}
	return r;
}

static int add_entry(const struct few *few, struct db *db, struct layer_id layer, int64_t base,
		     const struct few_row *row)
{
	const int64_t *links = links_of(few, row->no);
	const struct tree_entry *e = &row->e;
	sqlite3_stmt *stmt;
	int r = db_stmt(db,
			"INSERT INTO entry(layer, dir, name, no, mode, uid, gid, rdev, mtime_ns, size, content, target,"
			" nlink, flags) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer.value);
	db_bind_int(stmt, 2, row->dir);
	db_bind_blob(stmt, 3, row->name, row->len);
	db_bind_int(stmt, 4, row->no);
	db_bind_int(stmt, 5, e->mode);
	db_bind_int(stmt, 6, e->uid);
	db_bind_int(stmt, 7, e->gid);
	db_bind_int(stmt, 8, (int64_t)e->rdev);
	db_bind_int(stmt, 9, e->mtime_ns);
	db_bind_int(stmt, 10, (int64_t)e->size);
	db_bind_id(stmt, 11, e->content > 0 ? base + e->content : -e->content);
	if (e->target)
		db_bind_blob(stmt, 12, e->target, strlen(e->target));
	db_bind_int(stmt, 13, links ? *links : e->mode != 0);
	db_bind_int(stmt, 14, row->flags);
	return db_run(stmt);
}

static int add_xattr(struct db *db, struct layer_id layer, const struct few_xattr *x)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, "INSERT INTO xattr(layer, no, name, value) VALUES(?, ?, ?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer.value);
	db_bind_int(stmt, 2, x->no);
	db_bind_text(stmt, 3, x->name);
	db_bind_blob(stmt, 4, x->value, x->bytes);
	return db_run(stmt);
}

static int compare_rows(const void *left, const void *right)
{
	const struct few_row *a = left, *b = right;
	int r = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);

	if (a->dir != b->dir)
		return a->dir < b->dir ? -1 : 1;
	return r ? r : a->len < b->len ? -1 : a->len > b->len;
}

static int compare_xattrs(const void *left, const void *right)
{
	const struct few_xattr *a = left, *b = right;

	if (a->no != b->no)
		return a->no < b->no ? -1 : 1;
	return strcmp(a->name, b->name);
}

int few_publish_entries(struct few *few, struct db *db, struct layer_id layer, int64_t base)
{
	int r = 0;

	qsort(few->rows, few->row_count, sizeof(few->rows[0]), compare_rows);
	qsort(few->xattrs, few->xattr_count, sizeof(few->xattrs[0]), compare_xattrs);
	for (size_t i = 0; r == 0 && i < few->row_count; i++)
		r = add_entry(few, db, layer, base, &few->rows[i]);
	for (size_t i = 0; r == 0 && i < few->xattr_count; i++)
		r = add_xattr(db, layer, &few->xattrs[i]);
	return r;
}
