/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_FRAMING_H
#define NACRE_STORE_FRAMING_H

/*
 * The framing of a layer: everything in its tar stream that is not file
 * content, and where the content goes between it.  With it the stream can be
 * given back byte for byte (layer_write_tar()).
 *
 * Form: a zstd stream of records, each a varint (LEB128, 7 bits a byte, lowest
 * first) whose lowest bit tells its kind:
 *   n << 1		n raw bytes follow
 *   n << 1 | 1		n bytes of a file: varint inode number in the layer, varint offset in it
 * The first byte is FRAMING_VERSION.  The records cover the stream from its
 * first byte to its last.
 *
 * Files are named by their number in the layer and not by content id, so that the
 * same layer has the same framing in every store.
 */

#include "store/stage.h"
#include "store/unpack.h"

enum { FRAMING_VERSION = 1 };

struct framing; /* being written */

int framing_new(struct stage *stage, struct unpack *unpack, struct framing **ret);
void framing_free(struct framing *framing); /* gives its blocks back */
void framing_freep(struct framing **framing);

/**
 * framing_feed() - the next block of the stream; now the framing's
 *
 * Its bytes stay valid until the next call, as archive_read_open()'s callback promises.
 */
int framing_feed(struct framing *framing, struct block *block);

/**
 * framing_file() - the stream has at @pos the bytes [@offset, + @len) of inode @no
 * @bytes: those bytes, as the archive reader gave them
 *
 * Believed only if the stream really has them there; else they stay raw.
 */
int framing_file(struct framing *framing, uint64_t pos, const void *bytes, size_t len, uint32_t no, uint64_t offset);

/** framing_peek() - block_peek() in what was fed and is not recorded yet */
size_t framing_peek(const struct framing *framing, uint64_t pos, void *to, size_t len);

/** framing_finish() - all of the stream was fed. @ret: the content, as in stage.h. */
int framing_finish(struct framing *framing, int64_t *ret);

#endif
