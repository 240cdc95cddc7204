/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_INGEST_H
#define NACRE_STORE_INGEST_H

/*
 * Writing layers: a tar stream becomes one layer.  This is the only way in;
 * import, load and commit all end here.
 */

#include "store/layer.h"

#include <stddef.h>
#include <sys/types.h>

/**
 * A source of bytes. @read fills up to @bytes and returns how many, 0 at the
 * end, -errno on failure. It is called from a thread of the ingest's own, never
 * by two at once.
 */
struct byte_source {
	ssize_t (*read)(void *arg, void *buf, size_t bytes);
	void *arg;
};

/** byte_source_fd() - from a descriptor, borrowed. */
struct byte_source byte_source_fd(const int *fd);

/** Called now and then with how much of the source was read; may be NULL. */
typedef void (*progress_fn)(uint64_t source_bytes, void *arg);

struct ingest_result;

struct ingest_options {
	const char *name;		  /* what messages call the archive: "rootfs.tar" */
	const struct digest *blob_digest; /* of the source's bytes as they come (compressed); NULL: not checked */
	int64_t blob_bytes;		  /* their number; -1: not checked */
	const struct digest *diff_id;	  /* expected of the uncompressed stream; NULL: not checked */
	bool own; /* written by tar_header(): the canonical form, uncompressed; no limits (limits.h) */
	/* With @own: all the bytes, borrowed, and at most INGEST_AT_HAND_BYTES; the source is not read. NULL: it is. */
	const void *at_hand;
	size_t at_hand_bytes;
	progress_fn progress;
	void *progress_arg;
	/* Of a layer that is new, when its rows are made: what it does to the index counts with them, or neither does. NULL: nothing. */
	int (*along)(struct db *db, const struct ingest_result *layer, struct diag *diag, void *arg);
	void *along_arg;
};

enum { INGEST_AT_HAND_BYTES = 1024 * 1024 };

/* What became of a layer that was to come in. */
enum layer_outcome {
	LAYER_CAME_IN,
	LAYER_EXISTED,
	LAYER_REPAIRED, /* the store had it, but damaged */
};

struct ingest_result {
	struct layer_id layer;
	struct digest diff_id;
	bool existed;  /* the store had it; nothing was added */
	bool repaired; /* what it had was damaged, and is whole again (heal.h) */
	uint64_t entries;
	uint64_t left_out;  /* xattrs that are an overlay's own marks */
	uint64_t new_bytes; /* content that was not there before */
};

static inline enum layer_outcome ingest_outcome(const struct ingest_result *result)
{
	return result->repaired ? LAYER_REPAIRED : result->existed ? LAYER_EXISTED : LAYER_CAME_IN;
}

/**
 * ingest_tar() - read one tar stream (any dialect and compression libarchive
 * knows) into one layer, atomically
 *
 * Of one that is there already what is damaged is put right.  Until it returns 0 no reader sees anything of it.  A layer that no image
 * uses is gc's to take: hold a struct writer from before this call until the
 * image is there (image_add() takes the same one).
 *
 * Return: 0; -EBADMSG: not a tar archive, truncated, damaged, or an entry that leaves
 * the layer (diag names it and its place); -EKEYREJECTED: a digest does not match;
 * -EFBIG: over a limit (limits.h); -ENOSPC; ... .  The store is as it was after any failure.
 */
struct writer;
int ingest_tar(struct writer *writer, struct byte_source source, const struct ingest_options *options,
	       struct diag *diag, struct ingest_result *ret);

/**
 * writer_open() - declare that this process is about to add to the store
 *
 * Keeps gc away (shared lock), and removes what crashed writers left in
 * ingest/.  Any number of writers at once.  @store stays borrowed.
 */
int writer_open(struct store *store, struct diag *diag, struct writer **ret);
void writer_close(struct writer *writer);
void writer_closep(struct writer **writer);
struct store *writer_store(struct writer *writer);

#endif
