/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TARREAD_H
#define NACRE_STORE_TARREAD_H

/*
 * The second half of an ingest: the uncompressed stream is read as a tar archive
 * (by libarchive), and its entries become rows and contents of the stage.
 */

#include "store/stage.h"
#include "store/tree.h"
#include "store/unpack.h"

struct tar_result {
	struct tree_totals totals;
	int64_t framing;   /* content, as in stage.h */
	uint64_t left_out; /* xattrs that are an overlay's own marks */
};

/**
 * tar_read() - all of the stream, to its end
 * @name: what messages call the archive
 * @limits: NULL: none
 * Return: 0; -EBADMSG: no tar archive, damaged, or with an entry that is refused; -EFBIG: over a limit.
 */
int tar_read(struct stage *stage, struct unpack *unpack, const char *name, const struct store_limits *limits,
	     struct diag *diag, struct tar_result *ret);

/**
 * tar_read_rows() - only the rows of it, into stage->db; contents are passed over
 * @stage: all but db is unused
 *
 * What tar_read() once made of the same stream, but for: content, which is NULL everywhere; the hidden rows; and
 * ACLs, whose names may mean other users by now.
 */
int tar_read_rows(struct stage *stage, struct unpack *unpack, const char *name, struct diag *diag,
		  struct tree_totals *ret);

#endif
