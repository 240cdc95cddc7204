/* SPDX-License-Identifier: Apache-2.0 */
#include "store/framing.h"

#include "store/base/buf.h"

#include <string.h>
#include <zstd.h>

/*
 * The window is the part of the stream from `pos`, up to which records were
 * written, to the end of the block fed last.  framing_file() writes what lies
 * before the file as raw bytes and moves `pos` behind it.  A claim about bytes
 * that are not in the window any more is not believed, so that whatever the archive
 * reader does (read ahead, skip, copy), the records always make the stream.
 *
 * The window is kept short by framing_feed(): once it has UNPACK_KEEP_MAX
 * blocks, the older ones become raw bytes.  That happens when a reader skips data, or
 * reads headers of megabytes.
 */
enum {
	SINK_LIMIT_BYTES = 1024 * 1024,
	PENDING_FLUSH_BYTES = 256 * 1024,
	ZSTD_LEVEL = 1, /* headers shrink to a twentieth at any level; a higher one fills 400 KB of tables first */
};

struct framing {
	struct unpack *unpack;		       /* borrowed */
	struct block *blocks[UNPACK_KEEP_MAX]; /* owned: oldest first */
	size_t block_count;
	uint64_t pos;	/* the stream is recorded up to here */
	struct buf raw; /* raw bytes that are not yet a record */
	struct {
		uint32_t no;
		uint64_t offset, len; /* 0: none */
	} file;			      /* a file record that may still grow */
	struct buf pending;	      /* records to be compressed */
	ZSTD_CCtx *zstd;	      /* owned */
	uint8_t *out;		      /* owned, of ZSTD_CStreamOutSize() */
	struct sink sink;
};

/* ---- compression ---- */

static int compress(struct framing *f, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = { .src = f->pending.data, .size = f->pending.len };
	size_t left;

	do {
		ZSTD_outBuffer out = { .dst = f->out, .size = ZSTD_CStreamOutSize() };
		int r;

		left = ZSTD_compressStream2(f->zstd, &out, &in, end);
		if (ZSTD_isError(left))
			return -ENOMEM;
		r = sink_add(&f->sink, f->out, out.pos);
		if (r < 0)
			return r;
	} while (end == ZSTD_e_end ? left > 0 : in.pos < in.size);
	f->pending.len = 0;
	return 0;
}

/* ---- records ---- */

static void add_varint(struct buf *buf, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)(value & 0x7f);
		value >>= 7;
		if (value)
			bytes[n] |= 0x80;
		n++;
	} while (value);
	buf_add(buf, bytes, n);
}

static void flush_file(struct framing *f)
{
	if (f->file.len == 0)
		return;
	add_varint(&f->pending, f->file.len << 1 | 1);
	add_varint(&f->pending, f->file.no);
	add_varint(&f->pending, f->file.offset);
	f->file.len = 0;
}

static int flush_raw(struct framing *f)
{
	if (f->raw.len > 0) {
		add_varint(&f->pending, (uint64_t)f->raw.len << 1);
		buf_add(&f->pending, f->raw.data, f->raw.len);
		f->raw.len = 0;
	}
	if (buf_error(&f->pending) < 0 || buf_error(&f->raw) < 0)
		return -ENOMEM;
	return f->pending.len >= PENDING_FLUSH_BYTES ? compress(f, ZSTD_e_continue) : 0;
}

static int add_raw(struct framing *f, const void *bytes, size_t len)
{
	if (len == 0)
		return 0;
	flush_file(f);
	buf_add(&f->raw, bytes, len);
	return f->raw.len >= PENDING_FLUSH_BYTES ? flush_raw(f) : buf_error(&f->raw);
}

static int add_file(struct framing *f, uint32_t no, uint64_t offset, uint64_t len)
{
	int r;

	if (f->file.len > 0 && f->raw.len == 0 && f->file.no == no && f->file.offset + f->file.len == offset) {
		f->file.len += len;
		return 0;
	}
	flush_file(f);
	r = flush_raw(f);
	f->file.no = no;
	f->file.offset = offset;
	f->file.len = len;
	return r;
}

/* ---- the window ---- */

static void drop_oldest(struct framing *f)
{
	unpack_give_back(f->unpack, f->blocks[0]);
	f->block_count--;
	memmove(f->blocks, f->blocks + 1, f->block_count * sizeof(f->blocks[0]));
}

static uint64_t block_end(const struct block *b)
{
	return b->pos + b->len;
}

/* Record all up to @to as raw bytes. */
static int raw_until(struct framing *f, uint64_t to)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->block_count && f->pos < to; i++) {
		const struct block *b = f->blocks[i];
		uint64_t end = block_end(b) < to ? block_end(b) : to;

		if (f->pos >= end)
			continue;
		r = add_raw(f, b->data + (f->pos - b->pos), (size_t)(end - f->pos));
		f->pos = end;
	}
	return r;
}

/* Does the window have @bytes at @pos? */
static bool window_has(const struct framing *f, uint64_t pos, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; len > 0 && i < f->block_count; i++) {
		const struct block *b = f->blocks[i];
		const uint8_t *here;
		size_t part;

		if (pos < b->pos || pos >= block_end(b))
			continue;
		part = (size_t)(block_end(b) - pos);
		part = part < len ? part : len;
		here = b->data + (pos - b->pos);
		/* Usually the reader gives us our own block: nothing to compare. */
		if (here != bytes && memcmp(here, bytes, part) != 0)
			return false;
		pos += part;
		bytes += part;
		len -= part;
	}
	return len == 0;
}

int framing_file(struct framing *f, uint64_t pos, const void *bytes, size_t len, uint32_t no, uint64_t offset)
{
	int r;

	if (pos < f->pos || !window_has(f, pos, bytes, len))
		return 0;
	r = raw_until(f, pos);
	if (r == 0)
		r = add_file(f, no, offset, len);
	f->pos = pos + len;
	return r;
}

size_t framing_peek(const struct framing *f, uint64_t pos, void *to, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < f->block_count; i++)
		done += block_peek(f->blocks[i], pos + done, (char *)to + done, len - done);
	return done;
}

int framing_feed(struct framing *f, struct block *block)
{
	int r = 0;

	if (f->block_count == UNPACK_KEEP_MAX)
		r = raw_until(f, block_end(f->blocks[f->block_count - 2]));
	while (f->block_count > 0 && block_end(f->blocks[0]) <= f->pos)
		drop_oldest(f);
	f->blocks[f->block_count++] = block;
	return r;
}

/* ---- begin and end ---- */

int framing_new(struct stage *stage, struct unpack *unpack, struct framing **ret)
{
	AUTO(framing_freep) struct framing *f = calloc(1, sizeof(*f));
	const uint8_t version = FRAMING_VERSION;

	if (!f)
		return -ENOMEM;
	f->unpack = unpack;
	sink_init(&f->sink, stage, SINK_LIMIT_BYTES);
	f->zstd = ZSTD_createCCtx();
	f->out = malloc(ZSTD_CStreamOutSize());
	if (!f->zstd || !f->out)
		return -ENOMEM;
	ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_checksumFlag, 1);
	buf_add(&f->pending, &version, 1);
	*ret = TAKE(f);
	return 0;
}

int framing_finish(struct framing *f, int64_t *ret)
{
	int r = f->block_count ? raw_until(f, block_end(f->blocks[f->block_count - 1])) : 0;

	flush_file(f);
	if (r == 0)
		r = flush_raw(f);
	if (r == 0)
		r = compress(f, ZSTD_e_end);
	return r == 0 ? sink_finish(&f->sink, ret) : r;
}

void framing_free(struct framing *f)
{
	if (!f)
		return;
	while (f->block_count > 0)
		drop_oldest(f);
	buf_release(&f->raw);
	buf_release(&f->pending);
	ZSTD_freeCCtx(f->zstd);
	free(f->out);
	sink_release(&f->sink);
	free(f);
}

void framing_freep(struct framing **f)
{
	int saved = errno;

	framing_free(*f);
	errno = saved;
}
