/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_PUBLISH_H
#define NACRE_STORE_PUBLISH_H

#include "store/ingest.h"
#include "store/stage.h"
#include "store/tarread.h"
#include "store/unpack.h"

/**
 * publish() - what is staged becomes a layer, all of it or nothing
 * @stage: sealed here
 * @tar: its framing may become a shared content
 * @options: of which along() is called
 */
int publish(struct stage *stage, const struct unpack_totals *stream, struct tar_result *tar,
	    const struct ingest_options *options, struct diag *diag, struct ingest_result *ret);

/** publish_replace() - what is staged of a layer's own stream takes the place of its rows; contents that they had go
 * with the next recount(). */
int publish_replace(struct stage *stage, struct layer_id layer, const struct unpack_totals *stream,
		    struct tar_result *tar, struct diag *diag);

/*
 * Parts of it, for who publishes contents alone (restore.c):
 */

/** publish_open_index() - a connection with the stage's database attached as "stage"; the stage is sealed. */
int publish_open_index(struct stage *stage, struct db **ret);

/* What was moved, for its names to go to disk. */
struct publish_moved {
	uint64_t objects;
	bool pack;
	bool filled[OBJECT_FOLDERS]; /* folders of objects/ that names were added to */
	bool made;		     /* one of them is new */
};

/** publish_move_pack(), publish_move_object() - from the stage into place; what is there already goes */
int publish_move_pack(struct stage *stage, int64_t pack, struct publish_moved *moved);
int publish_move_object(struct stage *stage, int64_t local, struct content_id id, struct publish_moved *moved);

/**
 * publish_sync_stage() - the bytes of all staged contents are on disk, but for a small pack alone, which
 * publish_sync_moved() sees to, with the names that were given
 *
 * The stage is sealed.
 */
int publish_sync_stage(struct stage *stage);
int publish_sync_moved(struct stage *stage, const struct publish_moved *moved);

#endif
