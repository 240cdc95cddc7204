/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TARSPLIT_H
#define NACRE_STORE_TARSPLIT_H

/*
 * A layer's archive as containers/storage keeps it (layers.go, ID.tar-split.gz), to write the layer out again byte for byte:
 * lines of JSON (github.com/vbatts/tar-split, tar/storage), compressed by gzip.
 *
 * tar-split has lines for files, which it reads from the layer, and for the bytes between them.  Here all are bytes: so no
 * name, no hard link and no sparse file can come out otherwise.  They are stored, not compressed, a line to a block; what is
 * at an offset can be told without what is before, and only the archive itself is kept.
 */

#include "store/layerfile.h"

#include <sys/types.h>

struct tarsplit {
	struct layerfile tar; /* owned; .fd is -1: not made yet */
	uint32_t crc;	      /* of the lines */
};

/** tarsplit_bytes() - how long it is for an archive of @tar_bytes */
uint64_t tarsplit_bytes(uint64_t tar_bytes);
/** tarsplit_make() - of the layer with this diff ID. Return: 0; -ENOENT; as layerfile_make(). */
int tarsplit_make(struct store *store, const struct digest *diff_id, struct tarsplit *ret);
void tarsplit_release(struct tarsplit *split);
/** tarsplit_read() - Any thread. Return: how many bytes; 0: the end; -errno. */
ssize_t tarsplit_read(const struct tarsplit *split, char *buf, size_t size, uint64_t offset);

#endif
