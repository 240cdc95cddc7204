/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TESTS_STORE_UNIT_H
#define NACRE_TESTS_STORE_UNIT_H

/* A store in a scratch folder, tar archives made header by header, and short ways to look into a layer. */

#include "unit.h"

#include "store/base/buf.h"
#include "store/image.h"
#include "store/store_priv.h"

#include <inttypes.h>

/* ---- archives ---- */

struct tar_head {
	const char *name;
	char type;     /* 0: '0' */
	unsigned mode; /* 0: 0644, directories 0755 */
	const char *link;
	unsigned uid, gid, mtime, major, minor;
};

/* Octal digits and a NUL, as ustar has numbers. */
static inline void tar_number(unsigned char *field, size_t bytes, uint64_t value)
{
	field[--bytes] = 0;
	while (bytes > 0) {
		field[--bytes] = (unsigned char)('0' + value % 8);
		value /= 8;
	}
}

/* A field of 100 bytes; without a NUL if it is full. */
static inline void tar_string(unsigned char *field, const char *text)
{
	size_t len = strlen(text);

	memcpy(field, text, len < 100 ? len : 100);
}

static inline void tar_head_add(struct buf *tar, const struct tar_head *h, size_t size)
{
	unsigned char block[512] = { 0 };
	char type = h->type ? h->type : '0';
	unsigned sum = 0;

	tar_string(block, h->name);
	tar_number(block + 100, 8, h->mode ? h->mode : type == '5' ? 0755 : 0644);
	tar_number(block + 108, 8, h->uid);
	tar_number(block + 116, 8, h->gid);
	tar_number(block + 124, 12, size);
	tar_number(block + 136, 12, h->mtime);
	memset(block + 148, ' ', 8);
	block[156] = (unsigned char)type;
	if (h->link)
		tar_string(block + 157, h->link);
	memcpy(block + 257, "ustar\00000", 8);
	tar_number(block + 329, 8, h->major);
	tar_number(block + 337, 8, h->minor);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += block[i];
	tar_number(block + 148, 7, sum);
	buf_add(tar, block, sizeof(block));
}

static inline void tar_pad(struct buf *tar)
{
	static const char zeros[512];

	buf_add(tar, zeros, (512 - tar->len % 512) % 512);
}

static inline void tar_add(struct buf *tar, struct tar_head h, const void *data, size_t size)
{
	tar_head_add(tar, &h, size);
	buf_add(tar, data, size);
	tar_pad(tar);
}

static inline void tar_file(struct buf *tar, const char *name, const char *text)
{
	tar_add(tar, (struct tar_head){ .name = name }, text, strlen(text));
}

static inline void tar_dir(struct buf *tar, const char *name)
{
	tar_add(tar, (struct tar_head){ .name = name, .type = '5' }, NULL, 0);
}

static inline void tar_symlink(struct buf *tar, const char *name, const char *target)
{
	tar_add(tar, (struct tar_head){ .name = name, .type = '2', .link = target }, NULL, 0);
}

static inline void tar_hardlink(struct buf *tar, const char *name, const char *target)
{
	tar_add(tar, (struct tar_head){ .name = name, .type = '1', .link = target }, NULL, 0);
}

/* A pax header with one record, for the entry that follows. */
static inline void tar_pax(struct buf *tar, const char *key, const void *value, size_t bytes)
{
	AUTO(buf_release) struct buf record = { 0 };
	size_t rest = strlen(key) + bytes + 3, len = rest;
	char digits[24];

	do
		len = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", len);
	while (len != rest + strlen(digits) || (size_t)atoll(digits) != len);
	buf_addf(&record, "%zu %s=", len, key);
	buf_add(&record, value, bytes);
	buf_add(&record, "\n", 1);
	tar_add(tar, (struct tar_head){ .name = "PaxHeader", .type = 'x' }, record.data, record.len);
}

static inline void tar_end(struct buf *tar)
{
	static const char zeros[1024];

	buf_add(tar, zeros, sizeof(zeros));
}

/* ---- the store ---- */

static inline struct store *test_store(void)
{
	struct diag diag = { 0 };
	struct store *store = NULL;

	assert_int_equal(io_remove_tree(AT_FDCWD, "store"), 0);
	if (store_open("store", STORE_WRITE, &diag, &store) < 0)
		fail_msg("%s", diag.text);
	return store;
}

struct bytes_at {
	const char *bytes;
	size_t left, step; /* step: at most so many bytes a read; 0: any */
};

static inline ssize_t bytes_read(void *arg, void *to, size_t bytes)
{
	struct bytes_at *at = arg;
	size_t n = bytes < at->left ? bytes : at->left;

	if (at->step && n > at->step)
		n = at->step;
	if (n)
		memcpy(to, at->bytes, n);
	at->bytes += n;
	at->left -= n;
	return (ssize_t)n;
}

static inline int try_ingest(struct store *store, const void *bytes, size_t len, const struct ingest_options *options,
			     struct diag *diag, struct ingest_result *ret)
{
	const struct ingest_options plain = { .name = "test.tar", .blob_bytes = -1 };
	struct bytes_at at = { .bytes = bytes, .left = len };
	struct writer *writer = NULL;
	int r = writer_open(store, diag, &writer);

	if (r == 0)
		r = ingest_tar(writer, (struct byte_source){ .read = bytes_read, .arg = &at },
			       options ? options : &plain, diag, ret);
	writer_close(writer);
	return r;
}

static inline struct ingest_result ingest(struct store *store, const void *bytes, size_t len)
{
	struct ingest_result result;
	struct diag diag = { 0 };

	if (try_ingest(store, bytes, len, NULL, &diag, &result) < 0)
		fail_msg("%s", diag.text);
	return result;
}

/* Is refused, with @message in what is said, and nothing stays behind. */
static inline void assert_refused(struct store *store, const struct buf *tar, const char *message)
{
	struct ingest_result result;
	struct diag diag = { 0 };
	AUTO(closedirp) DIR *dir = NULL;
	struct dirent *de;

	assert_int_equal(try_ingest(store, tar->data, tar->len, NULL, &diag, &result), -EBADMSG);
	if (!strstr(diag.text, message) || !strstr(diag.text, "test.tar"))
		fail_msg("\"%s\" does not say \"%s\"", diag.text, message);
	dir = opendir("store/ingest");
	assert_non_null(dir);
	while ((de = readdir(dir)))
		assert_int_equal(de->d_name[0], '.');
}

/* ---- into a layer ---- */

struct found {
	struct layer_entry entry; /* name and target point into the arrays */
	char name[256], target[4096];
	bool found;
};

static inline int found_copy(const struct layer_entry *entry, void *arg)
{
	struct found *found = arg;

	found->entry = *entry;
	snprintf(found->name, sizeof(found->name), "%s", entry->name);
	snprintf(found->target, sizeof(found->target), "%s", entry->target ? entry->target : "");
	found->found = true;
	return 0;
}

/* "" is the root. */
static inline struct found find(struct store *store, struct layer_id layer, const char *path)
{
	struct found found = { 0 };
	char copy[4096], *save = NULL;

	assert_int_equal(layer_root(store, layer, found_copy, &found), 0);
	snprintf(copy, sizeof(copy), "%s", path);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		uint32_t no = found.entry.no;
		int r;

		found.found = false;
		r = layer_lookup(store, layer, no, name, found_copy, &found);
		if (r == -ENOENT)
			break;
		assert_int_equal(r, 0);
	}
	return found;
}

static inline struct found must_find(struct store *store, struct layer_id layer, const char *path)
{
	struct found found = find(store, layer, path);

	if (!found.found)
		fail_msg("%s is not there", path);
	return found;
}

static inline void assert_text(struct store *store, struct layer_id layer, const char *path, const char *text)
{
	struct found found = must_find(store, layer, path);
	struct content_place place;
	char buf[4096];

	assert_int_equal(found.entry.size, strlen(text));
	if (!*text)
		return;
	assert_int_equal(content_open(store, found.entry.content, &place), 0);
	assert_int_equal(place.bytes, strlen(text));
	assert_int_equal(io_pread_full(place.fd, buf, place.bytes, (off_t)place.offset), place.bytes);
	assert_memory_equal(buf, text, strlen(text));
	if (place.owned)
		close(place.fd);
}

static inline int digest_piece(void *arg, const void *bytes, size_t len)
{
	digest_update(arg, bytes, len);
	return 0;
}

/* The layer gives back the stream that its diff ID is the hash of. */
static inline void assert_comes_back(struct store *store, const struct ingest_result *result)
{
	struct digest_ctx *ctx = digest_ctx_new();
	struct diag diag = { 0 };
	struct digest digest;

	if (layer_write_tar(store, result->layer, digest_piece, ctx, &diag) < 0)
		fail_msg("%s", diag.text);
	digest_final(ctx, &digest);
	digest_ctx_free(ctx);
	assert_true(digest_eq(&digest, &result->diff_id));
}

static inline int64_t query(struct store *store, const char *sql)
{
	struct db *db;
	int64_t value = -1;

	assert_int_equal(db_open_index(store, &db), 0);
	assert_int_equal(db_int(db, sql, &value), 0);
	db_close(db);
	return value;
}

/* The invariants between contents, packs and what refers to them (schema.c). */
static inline void assert_consistent(struct store *store)
{
	assert_int_equal(query(store, "SELECT count(*) FROM content c WHERE refs <>"
				      " (SELECT count(*) FROM entry WHERE content = c.id) +"
				      " (SELECT count(*) FROM layer WHERE framing = c.id)"),
			 0);
	assert_int_equal(query(store, "SELECT count(*) FROM entry WHERE content IS NOT NULL"
				      " AND content NOT IN (SELECT id FROM content)"),
			 0);
	assert_int_equal(query(store, "SELECT count(*) FROM pack p WHERE live <>"
				      " (SELECT total(size) FROM content WHERE pack = p.id)"),
			 0);
	assert_int_equal(query(store, "SELECT count(*) FROM entry WHERE layer NOT IN (SELECT id FROM layer)"), 0);
	assert_int_equal(query(store, "SELECT count(*) FROM entry e WHERE (flags & 8 <> 0) <>"
				      " EXISTS(SELECT 1 FROM xattr x WHERE x.layer = e.layer AND x.no = e.no)"),
			 0);
}

#endif
