/* SPDX-License-Identifier: Apache-2.0 */
#include "store/unpack.h"

#include "store/base/auto.h"
#include "store/gunzip.h"
#include "store/libarchive.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

/*
 * Two lists under one lock: free blocks, which the thread fills, and full ones,
 * which the consumer takes.  Only the thread touches the source, the input
 * buffer and the blob hash; the stream's hash is the thread's for an
 * uncompressed source and the consumer's for a compressed one, which balances two
 * cores: inflating is the thread's full load, reading is none.
 *
 * What is at hand becomes full blocks at once, which borrow its bytes; the thread, if there is enough for one, only
 * hashes it.
 */
enum { HASH_BESIDE_BYTES = 64 * 1024 }; /* about as long as a thread takes to start */

struct unpack {
	struct byte_source source;
	const struct ingest_options *options; /* borrowed */
	const struct store_limits *limits;    /* borrowed; NULL: none */
	const char *name;		      /* borrowed */
	pthread_t thread;
	bool started, plain;
	bool at_hand; /* the blocks' bytes are the caller's */

	uint8_t *in;   /* owned: input buffer, of UNPACK_BLOCK_BYTES */
	size_t in_len; /* what is in it and was not used yet */
	const uint8_t *in_at;
	bool in_eof;
	uint64_t source_bytes;
	struct digest_ctx *blob_hash; /* owned; NULL: not needed */
	struct digest_ctx *diff_hash; /* owned */
	uint64_t stream_bytes;	      /* given out by the thread */
	struct diag diag;	      /* the thread's until done */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct block *free_list, *full_head, **full_tail;
	bool done, cancelled;
	int result; /* valid once done */
};

size_t block_peek(const struct block *block, uint64_t pos, void *to, size_t len)
{
	size_t left;

	if (pos < block->pos || pos - block->pos >= block->len)
		return 0;
	left = block->len - (size_t)(pos - block->pos);
	if (len > left)
		len = left;
	memcpy(to, block->data + (pos - block->pos), len);
	return len;
}

/* ---- the ring ---- */

static struct block *ring_get_free(struct unpack *u)
{
	struct block *b;

	pthread_mutex_lock(&u->lock);
	while (!u->free_list && !u->cancelled)
		pthread_cond_wait(&u->changed, &u->lock);
	b = u->cancelled ? NULL : u->free_list;
	if (b)
		u->free_list = b->next;
	pthread_mutex_unlock(&u->lock);
	return b;
}

/* Return: 0; -EFBIG: it is over the limits and was not put. */
static int ring_put_full(struct unpack *u, struct block *b)
{
	int r = limits_check_stream(u->limits, u->stream_bytes + b->len, u->source_bytes, u->name, &u->diag);

	if (r < 0) {
		unpack_give_back(u, b);
		return r;
	}
	b->next = NULL;
	b->pos = u->stream_bytes;
	u->stream_bytes += b->len;
	if (u->plain && !u->at_hand)
		digest_update(u->diff_hash, b->data, b->len);
	pthread_mutex_lock(&u->lock);
	*u->full_tail = b;
	u->full_tail = &b->next;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
	return 0;
}

void unpack_give_back(struct unpack *u, struct block *b)
{
	pthread_mutex_lock(&u->lock);
	b->next = u->free_list;
	u->free_list = b;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

int unpack_next(struct unpack *u, struct block **ret)
{
	struct block *b;
	int r;

	pthread_mutex_lock(&u->lock);
	while (!u->full_head && !u->done)
		pthread_cond_wait(&u->changed, &u->lock);
	b = u->full_head;
	if (b) {
		u->full_head = b->next;
		if (!u->full_head)
			u->full_tail = &u->full_head;
	}
	r = b ? 1 : u->result;
	pthread_mutex_unlock(&u->lock);
	if (b && !u->plain)
		digest_update(u->diff_hash, b->data, b->len);
	*ret = b;
	return r;
}

/* ---- the thread: input ---- */

static ssize_t source_read(struct unpack *u, void *buf, size_t bytes)
{
	ssize_t n = u->source.read(u->source.arg, buf, bytes);

	if (n < 0) {
		diag_errno(&u->diag, (int)n, "%s: cannot read it at byte %" PRIu64, u->name, u->source_bytes);
		return n;
	}
	if (u->blob_hash)
		digest_update(u->blob_hash, buf, (size_t)n);
	u->source_bytes += (uint64_t)n;
	if (u->options->blob_bytes >= 0 && u->source_bytes > (uint64_t)u->options->blob_bytes)
		return diag_set(&u->diag, -EBADMSG, "%s: it is longer than the %" PRId64 " bytes that were announced",
				u->name, u->options->blob_bytes);
	if (u->options->progress)
		u->options->progress(u->source_bytes, u->options->progress_arg);
	return n;
}

/* Fill @buf unless the source ends. Return: bytes, or -errno. */
static ssize_t source_fill(struct unpack *u, uint8_t *buf, size_t bytes)
{
	size_t have = 0;

	while (have < bytes) {
		ssize_t n = source_read(u, buf + have, bytes - have);

		if (n < 0)
			return n;
		if (n == 0) {
			u->in_eof = true;
			break;
		}
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* Have input in in_at/in_len, or in_eof. */
static int input_refill(struct unpack *u)
{
	ssize_t n;

	if (u->in_len > 0 || u->in_eof)
		return 0;
	n = source_read(u, u->in, UNPACK_BLOCK_BYTES);
	if (n < 0)
		return (int)n;
	u->in_at = u->in;
	u->in_len = (size_t)n;
	u->in_eof = n == 0;
	return 0;
}

/* ---- the thread: one function for each kind of source ---- */

static int produce_plain(struct unpack *u)
{
	size_t head = u->in_len;

	u->in_len = 0;
	for (;;) {
		struct block *b = ring_get_free(u);
		ssize_t n = 0;

		if (!b)
			return -ECANCELED;
		memcpy(b->data, u->in_at, head);
		if (!u->in_eof)
			n = source_fill(u, b->data + head, UNPACK_BLOCK_BYTES - head);
		b->len = head + (n > 0 ? (size_t)n : 0);
		head = 0;
		if (n < 0 || b->len == 0) {
			unpack_give_back(u, b);
			return (int)n;
		}
		n = ring_put_full(u, b);
		if (n < 0)
			return (int)n;
	}
}

static int gzip_error(struct unpack *u, const char *what, const char *why)
{
	return diag_set(&u->diag, -EBADMSG, "%s: the gzip data is %s at byte %" PRIu64 "%s%s", u->name, what,
			u->source_bytes - u->in_len, why ? ": " : "", why ? why : "");
}

/*
 * Fill one block. Members may follow each other (gzip(1) joins them); @in_member tells whether one is open.
 * Return: 1, 0 when the last member has ended, or -errno.
 */
static int gzip_fill(struct unpack *u, struct gunzip *gunzip, bool *in_member, struct block *b)
{
	struct gunzip_buffers io = { .out = b->data, .out_len = UNPACK_BLOCK_BYTES };

	while (io.out_len > 0) {
		size_t room = io.out_len, had;
		enum gunzip_state state;
		const char *why;
		int r = input_refill(u);

		if (r < 0)
			return r;
		if (u->in_len == 0 && !*in_member)
			break;
		had = u->in_len;
		io.in = u->in_at;
		io.in_len = had;
		r = gunzip_step(gunzip, &io, &state, &why);
		u->in_at = io.in;
		u->in_len = io.in_len;
		if (r == -EBADMSG)
			return gzip_error(u, "damaged or followed by something else", why);
		if (r < 0)
			return r;
		if (state == GUNZIP_END) {
			r = input_refill(u);
			if (r < 0)
				return r;
			*in_member = u->in_len > 0;
		} else if (u->in_eof && io.in_len == had && io.out_len == room) {
			return gzip_error(u, "truncated", NULL);
		}
	}
	b->len = UNPACK_BLOCK_BYTES - io.out_len;
	return b->len > 0;
}

static int produce_gzip(struct unpack *u)
{
	AUTO(gunzip_freep) struct gunzip *gunzip = NULL;
	bool in_member = true;
	int r = gunzip_new(&u->diag, &gunzip);

	if (r < 0)
		return r;
	for (;;) {
		struct block *b = ring_get_free(u);

		if (!b)
			return -ECANCELED;
		r = gzip_fill(u, gunzip, &in_member, b);
		if (r <= 0) {
			unpack_give_back(u, b);
			return r;
		}
		if (ring_put_full(u, b) < 0)
			return -EFBIG;
	}
}

static la_ssize_t filter_read(struct archive *a, void *arg, const void **ret)
{
	struct unpack *u = arg;
	la_ssize_t n;
	int r = input_refill(u);

	if (r < 0) {
		archive_set_error(a, -r, "read error");
		return -1;
	}
	n = (la_ssize_t)u->in_len;
	*ret = u->in_at;
	u->in_len = 0;
	return n;
}

static void archive_freep(struct archive **a)
{
	if (*a)
		archive_read_free(*a);
}

static int filter_error(struct unpack *u, struct archive *a)
{
	const char *text = archive_error_string(a);

	return diag_set(&u->diag, -EBADMSG, "%s: the compressed data is damaged or truncated near byte %" PRIu64 ": %s",
			u->name, u->source_bytes, text ? text : "unknown error");
}

/* After the compressed data nothing may follow: what a filter does not want, it leaves unread. */
static int filter_check_end(struct unpack *u, struct archive *a)
{
	uint64_t used = (uint64_t)archive_filter_bytes(a, -1);
	int r = 0;

	while (r == 0 && !u->in_eof) {
		r = input_refill(u);
		u->in_len = 0;
	}
	if (r == 0 && used != u->source_bytes)
		r = diag_set(&u->diag, -EBADMSG, "%s: something else follows the compressed data at byte %" PRIu64,
			     u->name, used);
	return r;
}

static int produce_filtered(struct unpack *u)
{
	AUTO(archive_freep) struct archive *a = NULL;
	struct archive_entry *entry;
	int r = libarchive_load(&u->diag);

	if (r < 0)
		return r;
	a = archive_read_new();
	if (!a)
		return -ENOMEM;
	/* Those that libarchive does itself: no outside program is ever started. */
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_format_raw(a);
	if (archive_read_open(a, u, NULL, filter_read, NULL) != ARCHIVE_OK ||
	    archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return filter_error(u, a);
	for (;;) {
		struct block *b = ring_get_free(u);
		la_ssize_t n;

		if (!b)
			return -ECANCELED;
		n = archive_read_data(a, b->data, UNPACK_BLOCK_BYTES);
		if (n <= 0) {
			unpack_give_back(u, b);
			return n < 0 ? filter_error(u, a) : filter_check_end(u, a);
		}
		b->len = (size_t)n;
		if (ring_put_full(u, b) < 0)
			return -EFBIG;
	}
}

/* ---- the thread ---- */

/* How what libarchive shall undo begins: xz, bzip2, zstd, lz4, and the skippable frame that pzstd begins with. */
static const struct {
	uint8_t bytes[6];
	size_t len;
} magics[] = {
	{ { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6 }, { { 'B', 'Z', 'h' }, 3 },	   { { 0x28, 0xb5, 0x2f, 0xfd }, 4 },
	{ { 0x04, 0x22, 0x4d, 0x18 }, 4 },	{ { 0x50, 0x2a, 0x4d, 0x18 }, 4 },
};

static bool begins(const uint8_t *bytes, size_t len, const uint8_t *magic, size_t magic_len)
{
	return len >= magic_len && memcmp(bytes, magic, magic_len) == 0;
}

static int (*choose(const uint8_t *p, size_t len))(struct unpack *)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b, 8 };

	/* The first name of a tar archive may look like anything. */
	if (len >= 263 && memcmp(p + 257, "ustar", 5) == 0)
		return produce_plain;
	if (begins(p, len, gzip, sizeof(gzip)))
		return produce_gzip;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		if (begins(p, len, magics[i].bytes, magics[i].len))
			return produce_filtered;
	}
	return produce_plain;
}

static int produce(struct unpack *u)
{
	int (*fn)(struct unpack *);
	ssize_t n = source_fill(u, u->in, 512);

	if (n < 0)
		return (int)n;
	u->in_at = u->in;
	u->in_len = (size_t)n;
	fn = choose(u->in, u->in_len);
	u->plain = fn == produce_plain;
	if (u->plain) { /* both hashes would be the same */
		digest_ctx_free(u->blob_hash);
		u->blob_hash = NULL;
	}
	return fn(u);
}

static void *unpack_main(void *arg)
{
	struct unpack *u = arg;
	int r = produce(u);

	pthread_mutex_lock(&u->lock);
	u->result = r;
	u->done = true;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* ---- from outside ---- */

static struct block *block_new(uint8_t *data)
{
	struct block *b = calloc(1, sizeof(*b));

	if (b)
		b->data = data;
	return b;
}

/* What is owned is freed with @u, whatever fails. */
static int alloc_blocks(struct unpack *u)
{
	u->in = malloc(UNPACK_BLOCK_BYTES);
	if (!u->in)
		return -ENOMEM;
	for (int i = 0; i < UNPACK_BLOCKS; i++) {
		struct block *b = block_new(NULL);

		if (!b)
			return -ENOMEM;
		b->next = u->free_list;
		u->free_list = b;
		b->data = malloc(UNPACK_BLOCK_BYTES);
		if (!b->data)
			return -ENOMEM;
	}
	return 0;
}

static void *hash_at_hand(void *arg)
{
	struct unpack *u = arg;

	digest_update(u->diff_hash, u->options->at_hand, u->options->at_hand_bytes);
	return NULL;
}

/* Nobody writes to a block that is full. */
static int take_at_hand(struct unpack *u)
{
	const struct ingest_options *o = u->options;
	int r = 0;

	u->plain = u->done = true;
	for (size_t at = 0; r == 0 && at < o->at_hand_bytes; at += UNPACK_BLOCK_BYTES) {
		size_t left = o->at_hand_bytes - at;
		struct block *b = block_new((uint8_t *)o->at_hand + at);

		if (!b)
			return -ENOMEM;
		b->len = left < UNPACK_BLOCK_BYTES ? left : UNPACK_BLOCK_BYTES;
		u->source_bytes += b->len;
		r = ring_put_full(u, b);
	}
	if (r == 0 && o->progress)
		o->progress(u->source_bytes, o->progress_arg);
	u->started = r == 0 && o->at_hand_bytes >= HASH_BESIDE_BYTES &&
		     pthread_create(&u->thread, NULL, hash_at_hand, u) == 0;
	if (r == 0 && !u->started)
		hash_at_hand(u);
	return r;
}

static int unpack_alloc(struct unpack *u)
{
	u->diff_hash = digest_ctx_new();
	if (u->options->blob_digest)
		u->blob_hash = digest_ctx_new();
	if (!u->diff_hash || (u->options->blob_digest && !u->blob_hash))
		return -ENOMEM;
	return u->at_hand ? take_at_hand(u) : alloc_blocks(u);
}

int unpack_new(struct byte_source source, const struct ingest_options *options, const struct store_limits *limits,
	       struct unpack **ret)
{
	AUTO(unpack_freep) struct unpack *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	u->full_tail = &u->full_head;
	u->source = source;
	u->options = options;
	u->limits = limits;
	u->at_hand = options->at_hand != NULL;
	u->name = options->name ? options->name : "archive";
	r = unpack_alloc(u);
	if (r == 0 && !u->at_hand) {
		r = -pthread_create(&u->thread, NULL, unpack_main, u);
		u->started = r == 0;
	}
	if (r < 0)
		return r;
	*ret = TAKE(u);
	return 0;
}

static void end_thread(struct unpack *u)
{
	if (u->started)
		pthread_join(u->thread, NULL);
	u->started = false;
}

const struct diag *unpack_diag(const struct unpack *u)
{
	return &u->diag;
}

static int digest_mismatch(const char *name, const char *what, const struct digest *is, const struct digest *want,
			   struct diag *diag)
{
	char a[DIGEST_TEXT_BYTES], b[DIGEST_TEXT_BYTES];

	return diag_set(diag, -EKEYREJECTED, "%s: its %s is %s, expected was %s", name, what, digest_format(is, a),
			digest_format(want, b));
}

int unpack_finish(struct unpack *u, struct diag *diag, struct unpack_totals *ret)
{
	const struct ingest_options *o = u->options;

	if (u->at_hand)
		end_thread(u);
	digest_final(u->diff_hash, &ret->diff_id);
	ret->stream_bytes = u->stream_bytes;
	if (o->blob_bytes >= 0 && u->source_bytes != (uint64_t)o->blob_bytes)
		return diag_set(diag, -EBADMSG, "%s: it has %" PRIu64 " bytes, announced were %" PRId64, u->name,
				u->source_bytes, o->blob_bytes);
	if (o->blob_digest) {
		struct digest blob;

		if (u->plain)
			blob = ret->diff_id;
		else
			digest_final(u->blob_hash, &blob);
		if (!digest_eq(&blob, o->blob_digest))
			return digest_mismatch(u->name, "digest", &blob, o->blob_digest, diag);
	}
	if (o->diff_id && !digest_eq(&ret->diff_id, o->diff_id))
		return digest_mismatch(u->name, "diff ID", &ret->diff_id, o->diff_id, diag);
	return 0;
}

static void blocks_free(struct unpack *u, struct block *b)
{
	while (b) {
		struct block *next = b->next;

		if (!u->at_hand)
			free(b->data);
		free(b);
		b = next;
	}
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	u->cancelled = true;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
	end_thread(u);
	blocks_free(u, u->free_list);
	blocks_free(u, u->full_head);
	digest_ctx_free(u->blob_hash);
	digest_ctx_free(u->diff_hash);
	free(u->in);
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

void unpack_freep(struct unpack **u)
{
	int saved = errno;

	unpack_free(*u);
	errno = saved;
}
