/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_STAGE_H
#define NACRE_STORE_STAGE_H

/*
 * Staging: what one ingest has made so far, in a folder of its own under
 * STORE/ingest/, which is made when the first of these needs it:
 *
 *   lock	locked for as long as the ingest lives; whoever gets it may remove the folder
 *   stage.db	rows of the layer to be: entry, xattr, links, content; in arrays (few.h), then in memory until they are many
 *   pack	contents of up to PACK_MAX_BYTES, one behind the other; where that can be, a file without a name instead
 *   ID		a larger content; ID is its local number in hex
 *
 * Content numbers here: positive ones are local, counted from 1, and become
 * ids of the store when the layer is published; negative ones are contents that
 * the store has already (-id); 0 is none.
 *
 * Rows go to a database and not to memory so that a layer of millions of
 * entries costs no more memory than a small one, and so that the writer's lock on the
 * index is only held while they are copied over.
 */

#include "store/content.h"
#include "store/db.h"

struct few;

struct stage {
	struct store *store;  /* borrowed */
	char name[64];	      /* "ingest/XXXXXX"; "": no folder yet */
	int dirfd, lockfd;    /* owned; -1: the same */
	struct few *few;      /* owned: the rows, of which db has none then */
	struct db *db;	      /* owned: stage.db, in one transaction; NULL until it is needed */
	bool sealed;	      /* by stage_seal() */
	bool in_memory;	      /* it is not on disk */
	uint64_t entries;     /* so far; counted in memory only */
	uint64_t xattr_bytes; /* theirs */
	struct db_loan index; /* for looking up contents */
	unsigned lookups;     /* since index began its read transaction */
	bool reading;	      /* it has one */

	int packfd;	   /* owned; -1: no pack yet */
	bool pack_named;   /* it is in the folder */
	uint8_t *pack_buf; /* owned */
	size_t pack_buf_len;
	int64_t pack_bytes;   /* with what is still in pack_buf */
	int64_t pack_written; /* without */
	int64_t pack_synced;  /* up to here writing to disk was begun */

	int64_t next_local;
	int64_t first_unseen; /* contents of the index from this id on came after stage_new() */
	uint64_t objects;     /* how many files */
	uint64_t new_bytes;   /* of new contents */
};

int stage_new(struct store *store, struct diag *diag, struct stage **ret);
/** stage_free() - with the folder and all that is in it. */
void stage_free(struct stage *stage);
void stage_freep(struct stage **stage);

/** stage_rows_open() - a database with the tables of stage.db, in a transaction. @path: "" for one without a name. */
int stage_rows_open(const char *path, struct db **ret);

/** stage_entry() - one more entry comes: to be called when no statement is under way, since the rows may go to disk. */
int stage_entry(struct stage *stage);
/** stage_spill() - the rows are in stage.db from now on, if they were few. */
int stage_spill(struct stage *stage);
/** stage_rows_name() - of stage.db, to open or attach it; sqlite3_free() it. NULL: no memory. */
char *stage_rows_name(const struct stage *stage);

/** stage_seal() - all bytes are with the kernel, the rows committed; stage.db, if there is one, can be attached. Once more does nothing. */
int stage_seal(struct stage *stage);

/** stage_sweep() - remove folders of ingests that died. */
int stage_sweep(struct store *store);

/** stage_content() - keep a content, or find the one that is equal. @len 0 gives 0. */
int stage_content(struct stage *stage, const void *bytes, size_t len, int64_t *ret);

/*
 * A content whose size is not known, or too much for memory: bytes are gathered
 * up to a limit, then go to an object of the stage.
 */
struct sink {
	struct stage *stage; /* borrowed */
	uint8_t *buf;	     /* owned */
	size_t len, room, limit;
	uint64_t size;
	int64_t local;	    /* of the object */
	int fd;		    /* owned; -1: all is in buf */
	XXH3_state_t *hash; /* owned; once there is an object */
};

int sink_init(struct sink *sink, struct stage *stage, size_t limit);
void sink_release(struct sink *sink);
int sink_add(struct sink *sink, const void *bytes, size_t len);
/** sink_zeros() - a hole. */
int sink_zeros(struct sink *sink, uint64_t len);
/** sink_finish() - keep it; the sink can then take the next content. */
int sink_finish(struct sink *sink, int64_t *ret);
/** sink_reset() - forget what was added. */
void sink_reset(struct sink *sink);

#endif
