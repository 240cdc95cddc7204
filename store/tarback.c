/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tarback.h"

#include "store/base/io.h"
#include "store/content.h"
#include "store/framing.h"

#include <inttypes.h>
#include <string.h>
#include <zstd.h>

/*
 * A layer's tar stream, from its framing (framing.h) and its contents.  The
 * framing is read as a stream too: for a layer of a million entries it unfolds to hundreds of megabytes.
 */
enum { CHUNK_BYTES = 128 * 1024 };

struct tarback {
	struct store *store; /* borrowed */
	tar_write_fn fn;
	void *arg;
	const struct content_pair *pairs; /* borrowed: contents that stand in for others */
	size_t pair_count;
	struct tarback_files files; /* owned */
	bool given;		    /* files were; those without a content are zeros */
	uint64_t no_max; /* no inode of the layer can have a higher number: a damaged row must not cost gigabytes */
	uint8_t *chunk;	 /* owned, of CHUNK_BYTES */

	struct content_place framing;
	uint64_t framing_at; /* read so far */
	ZSTD_DCtx *zstd;     /* owned */
	ZSTD_inBuffer in;
	uint8_t *in_buf, *out_buf; /* owned */
	size_t in_room, out_room, out_at, out_len;
	size_t frame_left; /* 0: the zstd frame is complete */

	struct content_place file; /* the one read last */
	uint32_t file_no;	   /* 0: none */
	uint64_t at_no;		   /* the inode whose bytes are being written; 0: it is the framing's own */
};

/* ---- the framing as a stream of bytes ---- */

static int refill_input(struct tarback *t)
{
	uint64_t left = t->framing.bytes - t->framing_at;
	size_t want = left < t->in_room ? (size_t)left : t->in_room;
	ssize_t n = io_pread_full(t->framing.fd, t->in_buf, want, (off_t)(t->framing.offset + t->framing_at));

	if (n < 0)
		return (int)n;
	if ((size_t)n != want)
		return -EIO;
	t->framing_at += want;
	t->in = (ZSTD_inBuffer){ .src = t->in_buf, .size = want };
	return 0;
}

/* Return: 1: there are bytes at out_at; 0: the end; -errno. */
static int refill(struct tarback *t)
{
	while (t->out_at == t->out_len) {
		ZSTD_outBuffer out = { .dst = t->out_buf, .size = t->out_room };
		int r = 0;

		if (t->in.pos == t->in.size) {
			if (t->framing_at == t->framing.bytes)
				return t->frame_left == 0 ? 0 : -EIO;
			r = refill_input(t);
		}
		if (r < 0)
			return r;
		t->frame_left = ZSTD_decompressStream(t->zstd, &out, &t->in);
		if (ZSTD_isError(t->frame_left))
			return -EIO;
		t->out_at = 0;
		t->out_len = out.pos;
	}
	return 1;
}

static int get_varint(struct tarback *t, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		int r = refill(t);
		uint8_t byte;

		if (r <= 0)
			return r < 0 ? r : -EIO;
		byte = t->out_buf[t->out_at++];
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return 0;
		}
	}
	return -EIO;
}

/* ---- records ---- */

static int write_raw(struct tarback *t, uint64_t len)
{
	while (len > 0) {
		int r = refill(t);
		size_t part;

		if (r <= 0)
			return r < 0 ? r : -EIO;
		part = t->out_len - t->out_at;
		part = part < len ? part : (size_t)len;
		r = t->fn(t->arg, t->out_buf + t->out_at, part);
		if (r < 0)
			return r;
		t->out_at += part;
		len -= part;
	}
	return 0;
}

static int open_file(struct tarback *t, uint64_t no)
{
	int r;

	if (no == t->file_no)
		return 0;
	if (no >= t->files.count || t->files.contents[no] == 0)
		return -EIO;
	content_place_release(&t->file);
	t->file_no = 0;
	r = content_open(t->store, (struct content_id){ t->files.contents[no] }, &t->file);
	if (r == 0)
		t->file_no = (uint32_t)no;
	return r == -ENOENT ? -EIO : r;
}

static int write_zeros(struct tarback *t, uint64_t len)
{
	int r = 0;

	memset(t->chunk, 0, CHUNK_BYTES);
	while (r == 0 && len > 0) {
		size_t part = len < CHUNK_BYTES ? (size_t)len : CHUNK_BYTES;

		r = t->fn(t->arg, t->chunk, part);
		len -= part;
	}
	return r;
}

/* Of files that were given: how much there is of this one is noted. */
static int note_part(struct tarback *t, uint64_t no, uint64_t offset, uint64_t len)
{
	if (no > t->no_max)
		return -EIO;
	if (no >= t->files.count) {
		int r = tarback_files_note(&t->files, no, 0);

		if (r < 0)
			return r;
	}
	if (offset + len > t->files.bytes[no])
		t->files.bytes[no] = offset + len;
	return 0;
}

static int write_file_part(struct tarback *t, uint64_t no, uint64_t offset, uint64_t len)
{
	int r = t->given ? note_part(t, no, offset, len) : 0;

	if (r == 0 && t->given && t->files.contents[no] == 0)
		return write_zeros(t, len);
	if (r == 0)
		r = open_file(t, no);
	if (r == 0 && (offset > t->file.bytes || len > t->file.bytes - offset))
		r = -EIO;
	while (r == 0 && len > 0) {
		size_t want = len < CHUNK_BYTES ? (size_t)len : CHUNK_BYTES;
		ssize_t n = io_pread_full(t->file.fd, t->chunk, want, (off_t)(t->file.offset + offset));

		if (n < 0 || (size_t)n != want)
			return n < 0 ? (int)n : -EIO;
		r = t->fn(t->arg, t->chunk, want);
		offset += want;
		len -= want;
	}
	return r;
}

static int write_file(struct tarback *t, uint64_t len)
{
	uint64_t no, offset;
	int r = get_varint(t, &no);

	if (r == 0)
		r = get_varint(t, &offset);
	if (r < 0)
		return r;
	t->at_no = no;
	r = write_file_part(t, no, offset, len);
	if (r == 0)
		t->at_no = 0;
	return r;
}

static int write_records(struct tarback *t)
{
	int r = refill(t);

	if (r <= 0)
		return r < 0 ? r : -EIO;
	if (t->out_buf[t->out_at++] != FRAMING_VERSION)
		return -EIO;
	while ((r = refill(t)) > 0) {
		uint64_t head;

		r = get_varint(t, &head);
		if (r == 0)
			r = head & 1 ? write_file(t, head >> 1) : write_raw(t, head >> 1);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- begin and end ---- */

static int64_t stand_in(const struct tarback *t, int64_t content)
{
	for (size_t i = 0; i < t->pair_count; i++)
		if (t->pairs[i].damaged.value == content)
			return t->pairs[i].equal.value;
	return content;
}

void tarback_files_release(struct tarback_files *files)
{
	free(files->contents);
	free(files->bytes);
	*files = (struct tarback_files){ 0 };
}

int tarback_files_note(struct tarback_files *files, uint64_t no, int64_t content)
{
	if (no >= files->count) {
		size_t count = files->count ? files->count * 2 : 1024;
		int64_t *contents;
		uint64_t *bytes;

		while (count <= no)
			count *= 2;
		contents = realloc(files->contents, count * sizeof(*contents));
		if (!contents)
			return -ENOMEM;
		files->contents = contents;
		bytes = realloc(files->bytes, count * sizeof(*bytes));
		if (!bytes)
			return -ENOMEM;
		files->bytes = bytes;
		memset(contents + files->count, 0, (count - files->count) * sizeof(*contents));
		memset(bytes + files->count, 0, (count - files->count) * sizeof(*bytes));
		files->count = count;
	}
	files->contents[no] = content;
	return 0;
}

static int note_content(struct tarback *t, uint64_t no, int64_t content)
{
	return no > t->no_max ? -EIO : tarback_files_note(&t->files, no, stand_in(t, content));
}

/* Hidden rows too: the framing needs what later entries replaced. */
static int load_contents(struct tarback *t, struct layer_id id, struct content_id *ret_framing)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = t->store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	AUTO(db_resetp) sqlite3_stmt *layer = NULL;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db,
			    /* An entry of the archive takes a number, and so do the folders above it that it lacks. */
			    "SELECT framing, tar_bytes / 512 + (SELECT count(*) FROM entry WHERE layer = ?1) + 16"
			    " FROM layer WHERE id = ?1",
			    &layer);
	if (r < 0)
		return r;
	db_bind_int(layer, 1, id.value);
	r = db_step(layer);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	ret_framing->value = stand_in(t, sqlite3_column_int64(layer, 0));
	t->no_max = (uint64_t)sqlite3_column_int64(layer, 1);
	if (t->no_max > UINT32_MAX)
		t->no_max = UINT32_MAX;
	if (t->given)
		return 0;
	r = db_stmt(loan.db, "SELECT no, content FROM entry WHERE layer = ? AND content IS NOT NULL", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id.value);
	while ((r = db_step(stmt)) > 0) {
		r = note_content(t, (uint64_t)sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1));
		if (r < 0)
			return r;
	}
	return r;
}

static int tarback_init(struct tarback *t, struct layer_id id)
{
	struct content_id framing;
	int r = load_contents(t, id, &framing);

	if (r < 0)
		return r;
	r = content_open(t->store, framing, &t->framing);
	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	t->in_room = ZSTD_DStreamInSize();
	t->out_room = ZSTD_DStreamOutSize();
	t->chunk = malloc(CHUNK_BYTES);
	t->in_buf = malloc(t->in_room);
	t->out_buf = malloc(t->out_room);
	t->zstd = ZSTD_createDCtx();
	return t->chunk && t->in_buf && t->out_buf && t->zstd ? 0 : -ENOMEM;
}

static void tarback_release(struct tarback *t)
{
	content_place_release(&t->framing);
	content_place_release(&t->file);
	ZSTD_freeDCtx(t->zstd);
	tarback_files_release(&t->files);
	free(t->chunk);
	free(t->in_buf);
	free(t->out_buf);
}

static int write_layer(struct tarback *t, struct layer_id id, struct diag *diag)
{
	int r = tarback_init(t, id);

	if (r == 0)
		r = write_records(t);
	if (r == -EIO && t->at_no)
		diag_set(diag, r,
			 "the content of inode %" PRIu64 " of layer %" PRId64
			 " is damaged, or not the one that the index names (" DIAG_VERIFY ")",
			 t->at_no, id.value);
	else if (r == -EIO)
		diag_set(diag, r,
			 "the tar framing of layer %" PRId64
			 " is damaged, or not the one that the index names (" DIAG_VERIFY ")",
			 id.value);
	return r;
}

int tarback_write(struct store *store, struct layer_id id, const struct content_pair *pairs, size_t count,
		  tar_write_fn fn, void *arg, struct diag *diag, uint64_t *ret_no)
{
	AUTO(tarback_release)
	struct tarback t = { .store = store, .fn = fn, .arg = arg, .pairs = pairs, .pair_count = count };
	int r = write_layer(&t, id, diag);

	if (ret_no)
		*ret_no = r == -EIO ? t.at_no : 0;
	return r;
}

int tarback_write_files(struct store *store, struct layer_id id, struct tarback_files *files, tar_write_fn fn,
			void *arg, struct diag *diag)
{
	AUTO(tarback_release) struct tarback t = { .store = store, .fn = fn, .arg = arg, .given = true };
	int r;

	t.files = *files;
	r = write_layer(&t, id, diag);
	*files = t.files;
	t.files = (struct tarback_files){ 0 };
	return r;
}

int layer_write_tar(struct store *store, struct layer_id id, tar_write_fn fn, void *arg, struct diag *diag)
{
	return tarback_write(store, id, NULL, 0, fn, arg, diag, NULL);
}
