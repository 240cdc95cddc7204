/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_UNPACK_H
#define NACRE_STORE_UNPACK_H

/*
 * The first half of an ingest: a thread that reads the source, undoes its
 * compression, and hands on the uncompressed stream in blocks through a ring
 * of bounded size.  Both ends are hashed: the source's bytes (blob digest), where
 * that is asked for, and the uncompressed stream (diff ID).
 */

#include "store/ingest.h"
#include "store/limits.h"

/* A piece of the stream. The consumer owns it until unpack_give_back(). */
struct block {
	uint8_t *data; /* owned */
	size_t len;
	uint64_t pos; /* in the uncompressed stream */
	struct block *next;
};

enum {
	UNPACK_BLOCK_BYTES = 256 * 1024,
	UNPACK_BLOCKS = 16,
	/* The consumer may keep so many blocks before it must give one back. */
	UNPACK_KEEP_MAX = UNPACK_BLOCKS / 2,
};

struct unpack;

/** block_peek() - copy what the block has of the stream's @len bytes at @pos. Return: how many, from @pos on. */
size_t block_peek(const struct block *block, uint64_t pos, void *to, size_t len);

struct unpack_totals {
	struct digest diff_id;
	uint64_t stream_bytes;
};

/**
 * unpack_new() - start the thread, unless the bytes are at hand (ingest.h)
 * @options, @limits: borrowed until unpack_free(); no limits: NULL
 */
int unpack_new(struct byte_source source, const struct ingest_options *options, const struct store_limits *limits,
	       struct unpack **ret);

/** unpack_next() - the next block. Return: 1 and *@ret; 0 at the end of a sound source; -errno, then
 * unpack_diag() says what is wrong. */
int unpack_next(struct unpack *unpack, struct block **ret);
void unpack_give_back(struct unpack *unpack, struct block *block);

/** unpack_diag() - what was wrong with the source; borrowed, after unpack_next() failed. */
const struct diag *unpack_diag(const struct unpack *unpack);

/**
 * unpack_finish() - after unpack_next() returned 0: check the digests and sizes that were asked for
 * Return: 0; -EKEYREJECTED: another digest; -EBADMSG: another size.
 */
int unpack_finish(struct unpack *unpack, struct diag *diag, struct unpack_totals *ret);

/** unpack_free() - stops the thread (after the read that it is in) and waits for it. */
void unpack_free(struct unpack *unpack);
void unpack_freep(struct unpack **unpack);

#endif
