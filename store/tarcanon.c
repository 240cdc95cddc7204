/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tarcanon.h"

#include "store/framing.h"
#include "store/ovl.h"
#include "store/pax.h"
#include "store/tarwrite.h"

#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

/*
 * One pass over the blocks: a header is copied out of them, a file's bytes are
 * handed on where they lie.  verify reads every layer by tar_read_rows() and compares
 * the rows, so the two readers cannot come to differ unseen.
 */

enum {
	FILE_MEMORY_BYTES = 8 * 1024 * 1024, /* as tarread.c */
	PAX_MAX_BYTES = 16 * 1024 * 1024,    /* the xattrs of one inode are far from that */
	ID_UNKNOWN = -1,
};

struct canon {
	struct stage *stage;	 /* borrowed */
	struct unpack *unpack;	 /* borrowed */
	const char *name;	 /* borrowed */
	struct diag *diag;	 /* borrowed; may be NULL */
	struct framing *framing; /* owned */
	struct tree *tree;	 /* owned */
	struct sink sink;
	struct block *block;	   /* the framing's; NULL before the first and after the last */
	size_t at;		   /* in it */
	struct buf pax;		   /* the records of the entry to come */
	struct tree_xattr *xattrs; /* owned */
	size_t xattr_room;
	uint64_t left_out;
};

/* What stands in the pax records and then not in the header. NULL, -1: it does not. */
struct records {
	const char *path, *target; /* borrowed from canon.pax */
	int64_t size, uid, gid, mtime_ns;
	bool has_mtime;
	size_t xattr_count;
};

static uint64_t position(const struct canon *c)
{
	return c->block ? c->block->pos + c->at : 0;
}

static int damaged(struct canon *c, const char *what)
{
	return diag_set(c->diag, -EBADMSG, "%s: %s at byte %" PRIu64, c->name, what, position(c));
}

/* ---- bytes ---- */

/* Have bytes in the block. Return: 1; 0: the stream has ended; -errno. */
static int have_bytes(struct canon *c)
{
	int r = 1;

	while (!c->block || c->at == c->block->len) {
		struct block *next;

		r = unpack_next(c->unpack, &next);
		if (r < 0)
			return diag_set(c->diag, r, "%s", diag_text(unpack_diag(c->unpack), r));
		if (r == 0)
			break;
		r = framing_feed(c->framing, next);
		if (r < 0)
			return r;
		c->block = next;
		c->at = 0;
		r = 1;
	}
	return r;
}

/* Up to @most bytes in one piece. */
static int piece(struct canon *c, uint64_t most, const uint8_t **ret, size_t *ret_bytes)
{
	size_t left;
	int r = have_bytes(c);

	if (r <= 0)
		return r < 0 ? r : damaged(c, "it ends too early");
	left = c->block->len - c->at;
	*ret = c->block->data + c->at;
	*ret_bytes = most < left ? (size_t)most : left;
	c->at += *ret_bytes;
	return 0;
}

static int take(struct canon *c, void *to, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		const uint8_t *from = NULL;
		size_t n = 0;
		int r = piece(c, bytes - done, &from, &n);

		if (r < 0)
			return r;
		memcpy((char *)to + done, from, n);
		done += n;
	}
	return 0;
}

static int skip_padding(struct canon *c, uint64_t bytes)
{
	char rest[TAR_BLOCK_BYTES];

	return take(c, rest, tar_padding(bytes));
}

/* ---- pax records ---- */

static int add_xattr(struct canon *c, struct records *rec, const char *name, const void *value, size_t bytes)
{
	if (ovl_private_xattr(name)) {
		c->left_out++;
		return 0;
	}
	if (rec->xattr_count == c->xattr_room) {
		size_t room = c->xattr_room ? 2 * c->xattr_room : 8;
		struct tree_xattr *xattrs = realloc(c->xattrs, room * sizeof(*xattrs));

		if (!xattrs)
			return -ENOMEM;
		c->xattrs = xattrs;
		c->xattr_room = room;
	}
	c->xattrs[rec->xattr_count++] = (struct tree_xattr){ .name = name, .value = value, .bytes = bytes };
	return 0;
}

static int add_record(struct canon *c, struct records *rec, const struct pax_record *p)
{
	static const char xattr[] = "SCHILY.xattr.";

	if (strncmp(p->key, xattr, sizeof(xattr) - 1) == 0) {
		char *name = p->key + sizeof(xattr) - 1;

		pax_xattr_unescape(name);
		return add_xattr(c, rec, name, p->value, p->bytes);
	}
	if (strcmp(p->key, "path") == 0) {
		rec->path = p->value;
	} else if (strcmp(p->key, "linkpath") == 0) {
		rec->target = p->value;
	} else if (strcmp(p->key, "size") == 0) {
		rec->size = (int64_t)strtoull(p->value, NULL, 10);
	} else if (strcmp(p->key, "uid") == 0) {
		rec->uid = (int64_t)strtoull(p->value, NULL, 10);
	} else if (strcmp(p->key, "gid") == 0) {
		rec->gid = (int64_t)strtoull(p->value, NULL, 10);
	} else if (strcmp(p->key, "mtime") == 0) {
		rec->mtime_ns = pax_time_ns(p->value);
		rec->has_mtime = true;
	} else if (strcmp(p->key, "hdrcharset") != 0) {
		return damaged(c, "an unknown pax record");
	}
	return 0;
}

static int read_records(struct canon *c, struct records *rec)
{
	char *at = c->pax.data;
	struct pax_record record;
	int r;

	while ((r = pax_next(&at, c->pax.data + c->pax.len, &record)) > 0) {
		r = add_record(c, rec, &record);
		if (r < 0)
			return r;
	}
	return r < 0 ? damaged(c, "a pax record that is none") : 0;
}

/* ---- entries ---- */

static uint64_t octal(const char *field)
{
	return strtoull(field, NULL, 8);
}

static int read_pax(struct canon *c, const struct tar_ustar *h, struct records *rec)
{
	uint64_t bytes = octal(h->size);
	int r;

	if (bytes > PAX_MAX_BYTES)
		return damaged(c, "too long a pax header");
	c->pax.len = 0;
	while (c->pax.len < bytes) {
		const uint8_t *from = NULL;
		size_t n = 0;

		r = piece(c, bytes - c->pax.len, &from, &n);
		if (r < 0)
			return r;
		buf_add(&c->pax, from, n);
	}
	r = buf_error(&c->pax);
	if (r == 0)
		r = skip_padding(c, bytes);
	return r == 0 ? read_records(c, rec) : r;
}

/* What lies in one piece needs no copy to be put together in. */
static int keep_piece(struct canon *c, const uint8_t *bytes, size_t count, struct tree_entry *e)
{
	return count == e->size ? stage_content(c->stage, bytes, count, &e->content) : sink_add(&c->sink, bytes, count);
}

static int read_content(struct canon *c, uint32_t no, struct tree_entry *e)
{
	for (uint64_t done = 0; done < e->size;) {
		uint64_t pos;
		const uint8_t *from = NULL;
		size_t n = 0;
		int r = piece(c, e->size - done, &from, &n);

		if (r < 0)
			return r;
		pos = position(c) - n;
		r = keep_piece(c, from, n, e);
		if (r == 0)
			r = framing_file(c->framing, pos, from, n, no, done);
		if (r < 0)
			return r;
		done += n;
	}
	int r = skip_padding(c, e->size);
	return r < 0 || e->content ? r : sink_finish(&c->sink, &e->content);
}

static uint32_t type_bits(char flag)
{
	static const uint32_t types[] = { S_IFREG, 0, S_IFLNK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFIFO };

	return flag >= '0' && flag <= '6' ? types[flag - '0'] : 0;
}

static void fill_entry(const struct canon *c, const struct tar_ustar *h, const struct records *rec,
		       struct tree_entry *e)
{
	e->uid = (uint32_t)(rec->uid >= 0 ? (uint64_t)rec->uid : octal(h->uid));
	e->gid = (uint32_t)(rec->gid >= 0 ? (uint64_t)rec->gid : octal(h->gid));
	e->mtime_ns = rec->has_mtime ? rec->mtime_ns : (int64_t)octal(h->mtime) * TAR_NS_PER_SECOND;
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
		e->rdev = makedev((unsigned)octal(h->devmajor), (unsigned)octal(h->devminor));
	if (S_ISREG(e->mode))
		e->size = rec->size >= 0 ? (uint64_t)rec->size : octal(h->size);
	e->xattrs = c->xattrs;
	e->xattr_count = rec->xattr_count;
}

static int put_entry(struct canon *c, const struct tar_ustar *h, const struct records *rec,
		     const struct tree_place *place, const char *target, struct diag *why)
{
	struct tree_entry e = { .mode = type_bits(h->typeflag) | (uint32_t)octal(h->mode) };
	int r = 0;

	if (h->typeflag == '1')
		return tree_link(c->tree, place, target, why);
	if (!(e.mode & S_IFMT))
		return damaged(c, "an entry of no known type");
	fill_entry(c, h, rec, &e);
	if (S_ISLNK(e.mode)) {
		e.target = target;
		e.size = strlen(target);
	} else if (S_ISREG(e.mode)) {
		r = read_content(c, place->no, &e);
	}
	if (r == 0 && ovl_is_whiteout_mode(e.mode, e.rdev))
		return tree_whiteout(c->tree, place);
	return r < 0 ? r : tree_put(c->tree, place, &e, why);
}

/* A field that is full has no NUL. */
static const char *field_text(const char *field, size_t room, char *copy)
{
	memcpy(copy, field, room);
	copy[room] = '\0';
	return copy;
}

static int read_entry(struct canon *c, const struct tar_ustar *h, const struct records *rec)
{
	char name[sizeof(h->name) + 1], link[sizeof(h->linkname) + 1];
	const char *path = rec->path ? rec->path : field_text(h->name, sizeof(h->name), name);
	const char *target = rec->target ? rec->target : field_text(h->linkname, sizeof(h->linkname), link);
	struct tree_place place;
	struct diag why = { 0 };
	int r = tree_place(c->tree, path, h->typeflag == '5', &why, &place);

	if (r == 0 && place.kind == TREE_ENTRY)
		r = put_entry(c, h, rec, &place, target, &why);
	if (r < 0 && why.text[0])
		return diag_set(c->diag, r, "%s: entry \"%s\": %s", c->name, path, why.text);
	return r;
}

/* Two blocks of zeros, of which the first was read; then nothing. */
static int read_end(struct canon *c)
{
	char second[TAR_BLOCK_BYTES];
	int r = take(c, second, sizeof(second));

	if (r == 0)
		r = have_bytes(c);
	return r > 0 ? damaged(c, "something follows its end") : r;
}

static int read_entries(struct canon *c)
{
	for (;;) {
		struct records rec = { .size = ID_UNKNOWN, .uid = ID_UNKNOWN, .gid = ID_UNKNOWN };
		struct tar_ustar h;
		int r = take(c, &h, sizeof(h));

		if (r == 0 && h.typeflag == 'x') {
			r = read_pax(c, &h, &rec);
			if (r == 0)
				r = take(c, &h, sizeof(h));
		}
		if (r == 0 && !h.name[0])
			return read_end(c);
		if (r == 0 && memcmp(h.magic, "ustar", 6) != 0)
			r = damaged(c, "a header that is none");
		if (r == 0)
			r = read_entry(c, &h, &rec);
		if (r < 0)
			return r;
	}
}

static void canon_release(struct canon *c)
{
	free(c->xattrs);
	buf_release(&c->pax);
	sink_release(&c->sink);
	tree_free(c->tree);
	framing_free(c->framing);
}

int tar_read_canonical(struct stage *stage, struct unpack *unpack, const char *name, struct diag *diag,
		       struct tar_result *ret)
{
	AUTO(canon_release) struct canon c = { .stage = stage, .unpack = unpack, .name = name, .diag = diag };
	int r = tree_new(stage, &c.tree);

	if (r == 0)
		r = framing_new(stage, unpack, &c.framing);
	if (r == 0)
		r = sink_init(&c.sink, stage, FILE_MEMORY_BYTES);
	if (r == 0)
		r = read_entries(&c);
	if (r == 0)
		r = tree_finish(c.tree, &ret->totals);
	ret->left_out = c.left_out;
	return r == 0 ? framing_finish(c.framing, &ret->framing) : r;
}
