/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REPAIR_PRIV_H
#define NACRE_STORE_REPAIR_PRIV_H

/* What the parts of store_repair() share. */

#include "store/imagearchive.h"
#include "store/base/buf.h"
#include "store/origin.h"
#include "store/registry/refetch.h"
#include "store/repair.h"
#include "store/unpack.h"

struct repair {
	struct store *store;		      /* borrowed */
	const struct repair_options *options; /* borrowed */
	struct diag *diag;		      /* borrowed */
	struct writer *writer;		      /* owned: keeps gc away */
	struct db *db;			      /* owned: with temp.bad(content) */
	struct refetch refetch;		      /* owned */
	struct layer_list lost;		      /* owned: layers that have got their row back, and nothing in it */
	struct layer_list tainted; /* owned: layers that had a damaged content: of these no rows could be read */
	uint64_t recounted;	   /* counts that were wrong */
	size_t transfers;	   /* begun so far */
};

/* What was reached and what was not, for one report. */
struct attempt {
	struct buf text; /* owned */
	size_t contents;
};
void attempt_note(struct attempt *a, const char *what, const char *name, const char *more);
void attempt_failed(struct attempt *a, const char *source, const char *why);
void attempt_release(struct attempt *a);

/* What came of reading a layer's stream. */
struct repair_reading {
	struct tar_result tar;
	struct unpack_totals stream;
};

/* repair_supply.c: where else a layer is */

/* One such place: an archive that was given, or a registry that it came from or went to. */
struct repair_supply {
	struct image_archive *archive;	  /* borrowed; NULL: a registry */
	const struct origin_blob *origin; /* borrowed; of a registry */
};
struct repair_supplies {
	struct repair_supply *items; /* owned; archives first */
	size_t count;
	struct origin_blob *blobs; /* owned */
	size_t blob_count;
};

int repair_supplies_of(struct repair *rp, const struct layer_info *layer, struct repair_supplies *ret);
void repair_supplies_release(struct repair_supplies *supplies);

/**
 * repair_fetch() - a layer from there, read as at the first time
 * @ret: owned by the caller; nothing of it is the store's yet; its stream had the layer's diff ID
 */
int repair_fetch(struct repair *rp, const struct layer_info *layer, const struct repair_supply *supply,
		 struct diag *why, struct stage **ret, struct repair_reading *ret_reading);

/** repair_nobody() - for the report: there is no such place, and what to do */
const char *repair_nobody(const struct repair *rp);

/** repair_note_supply() - what came of it, for the report. @err: 0, or why it failed; *@why then says more. */
void repair_note_supply(struct attempt *a, const struct repair_supply *supply, int err, const struct diag *why);

/* repair_image.c: configs and manifests */
int repair_images(struct repair *rp);

/* repair_lost.c: rows of layers that images name, and rows that are of nothing; fills repair.lost */
int repair_lost(struct repair *rp);
/** repair_framing() - which content is the layer's framing? Return: 1: found, and its rows are made of it; 0; -errno. */
int repair_framing(struct repair *rp, const struct layer_info *layer);
/** repair_forget_lost() - the empty row of a layer that could not be filled: else it would be taken for the layer. */
int repair_forget_lost(struct repair *rp, struct layer_id layer);

/* repair_rows.c: rows of the layers that store_check() told, and what is counted of them */
int repair_rows(struct repair *rp);

#endif
