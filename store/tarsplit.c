/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tarsplit.h"

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/layer.h"

#include <openssl/evp.h>
#include <string.h>
#include <zlib.h>

/* RFC 1952 and RFC 1951, 3.2.4: a header, blocks of at most 65,535 bytes after five of their own, the CRC and the length. */
enum {
	PIECE_BYTES = 48000, /* of the archive in a line; three of them are four letters */
	GZIP_HEADER_BYTES = 10,
	GZIP_TRAILER_BYTES = 8,
	BLOCK_HEADER_BYTES = 5,
	BLOCK_ROOM = BLOCK_HEADER_BYTES + PIECE_BYTES / 3 * 4 + 128,
};

static const char line_begin[] = "{\"type\":2,\"payload\":\"", line_middle[] = "\",\"position\":", line_end[] = "}\n";

static uint64_t line_count(uint64_t tar_bytes)
{
	return tar_bytes == 0 ? 1 : (tar_bytes + PIECE_BYTES - 1) / PIECE_BYTES;
}

/* Digits of all numbers below @count. */
static uint64_t digits_below(uint64_t count)
{
	uint64_t digits = count;

	for (uint64_t from = 10; from < count; from *= 10)
		digits += count - from;
	return digits;
}

/* So many blocks of whole pieces. */
static uint64_t blocks_bytes(uint64_t count)
{
	const uint64_t letters = (uint64_t)PIECE_BYTES / 3 * 4;
	const uint64_t each =
		BLOCK_HEADER_BYTES + strlen(line_begin) + letters + strlen(line_middle) + strlen(line_end);

	return count * each + digits_below(count);
}

/* What the last piece has less letters than a whole one. */
static uint64_t letters_short(uint64_t tar_bytes)
{
	uint64_t last = tar_bytes - (line_count(tar_bytes) - 1) * PIECE_BYTES;

	return (uint64_t)PIECE_BYTES / 3 * 4 - (last + 2) / 3 * 4;
}

uint64_t tarsplit_bytes(uint64_t tar_bytes)
{
	return GZIP_HEADER_BYTES + blocks_bytes(line_count(tar_bytes)) - letters_short(tar_bytes) + GZIP_TRAILER_BYTES;
}

/* The block of line @number into @block, of BLOCK_ROOM. Return: its bytes; -errno. */
static ssize_t block_write(const struct tarsplit *split, uint64_t number, char *block)
{
	AUTO(freep) char *piece = malloc(PIECE_BYTES);
	char *line = block + BLOCK_HEADER_BYTES, *to = line;
	uint64_t left = split->tar.bytes - number * PIECE_BYTES;
	size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
	ssize_t n = piece ? io_pread_full(split->tar.fd, piece, len, (off_t)(number * PIECE_BYTES)) : -ENOMEM;

	if (n < 0)
		return n;
	if ((size_t)n < len)
		return -EIO;
	to = stpcpy(to, line_begin);
	to += EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)piece, (int)len);
	to += sprintf(to, "%s%llu%s", line_middle, (unsigned long long)number, line_end);
	len = (size_t)(to - line);
	block[0] = number + 1 == line_count(split->tar.bytes);
	block[1] = (char)(len & 0xff);
	block[2] = (char)(len >> 8);
	block[3] = (char)~block[1];
	block[4] = (char)~block[2];
	return to - block;
}

static int sum_lines(struct tarsplit *split)
{
	AUTO(freep) char *block = malloc(BLOCK_ROOM);
	uint64_t count = line_count(split->tar.bytes);
	ssize_t n;

	if (!block)
		return -ENOMEM;
	split->crc = (uint32_t)crc32(0, NULL, 0);
	for (uint64_t i = 0; i < count; i++) {
		n = block_write(split, i, block);
		if (n < 0)
			return (int)n;
		split->crc = (uint32_t)crc32(split->crc, (const Bytef *)block + BLOCK_HEADER_BYTES,
					     (uInt)(n - BLOCK_HEADER_BYTES));
	}
	return 0;
}

int tarsplit_make(struct store *store, const struct digest *diff_id, struct tarsplit *ret)
{
	AUTO(tarsplit_release) struct tarsplit split = { .tar.fd = -1 };
	struct layer_id layer;
	int r = layer_find(store, diff_id, &layer);

	if (r == 0)
		r = layerfile_make(store, layer, false, NULL, NULL, &split.tar);
	if (r == 0 && !digest_eq(&split.tar.digest, diff_id))
		r = -ENOENT; /* another one has its row */

	if (r == 0)
		r = sum_lines(&split);
	if (r < 0)
		return r;
	*ret = split;
	split.tar.fd = -1;
	return 0;
}

void tarsplit_release(struct tarsplit *split)
{
	layerfile_release(&split->tar);
}

static void put_le32(char *to, uint32_t value)
{
	for (size_t i = 0; i < sizeof(value); i++)
		to[i] = (char)(value >> 8 * i & 0xff);
}

static size_t trailer_write(const struct tarsplit *split, char *to)
{
	uint64_t framing = GZIP_HEADER_BYTES + GZIP_TRAILER_BYTES + BLOCK_HEADER_BYTES * line_count(split->tar.bytes);

	put_le32(to, split->crc);
	put_le32(to + 4, (uint32_t)(tarsplit_bytes(split->tar.bytes) - framing));
	return GZIP_TRAILER_BYTES;
}

/* Where the part with @offset begins: the header, number 0; then the blocks; the trailer. */
static uint64_t part_of(const struct tarsplit *split, uint64_t offset, uint64_t *ret_begin)
{
	uint64_t low = 0, high = line_count(split->tar.bytes);

	*ret_begin = 0;
	if (offset < GZIP_HEADER_BYTES)
		return 0;
	if (offset >= tarsplit_bytes(split->tar.bytes) - GZIP_TRAILER_BYTES) {
		*ret_begin = tarsplit_bytes(split->tar.bytes) - GZIP_TRAILER_BYTES;
		return high + 1;
	}
	/* The last block that begins at or before it. */
	while (high - low > 1) {
		uint64_t middle = (low + high) / 2;

		if (GZIP_HEADER_BYTES + blocks_bytes(middle) <= offset)
			low = middle;
		else
			high = middle;
	}
	*ret_begin = GZIP_HEADER_BYTES + blocks_bytes(low);
	return low + 1;
}

static ssize_t part_write(const struct tarsplit *split, uint64_t part, char *to)
{
	static const char header[GZIP_HEADER_BYTES] = { 0x1f, (char)0x8b, 8, [9] = (char)0xff };

	if (part == 0) {
		memcpy(to, header, sizeof(header));
		return sizeof(header);
	}
	if (part > line_count(split->tar.bytes))
		return (ssize_t)trailer_write(split, to);
	return block_write(split, part - 1, to);
}

ssize_t tarsplit_read(const struct tarsplit *split, char *buf, size_t size, uint64_t offset)
{
	AUTO(freep) char *part = malloc(BLOCK_ROOM);
	uint64_t end = tarsplit_bytes(split->tar.bytes), begin;
	size_t done = 0, skip, count;
	ssize_t n;

	if (!part)
		return -ENOMEM;
	while (done < size && offset + done < end) {
		n = part_write(split, part_of(split, offset + done, &begin), part);
		if (n < 0)
			return n;
		skip = (size_t)(offset + done - begin);
		count = (size_t)n - skip < size - done ? (size_t)n - skip : size - done;
		memcpy(buf + done, part + skip, count);
		done += count;
	}
	return (ssize_t)done;
}
