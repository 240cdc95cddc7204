/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/check_priv.h"
#include "store/image_config.h"
#include "store/repair_priv.h"
#include "store/schema.h"
#include "store/stage.h"
#include "store/store_priv.h"

#include <inttypes.h>
#include <string.h>

/*
 * Layers whose own row is lost, or is another one's by now; and rows that are of nothing.
 *
 * Which layers an image has, its config says.  One that the store has under another id is it.  Else a row is made under the
 * id that the image knows, without a framing, and repair_rows() does the rest: it finds the framing among the contents
 * that are used less often than they are counted, or a registry that has the layer.
 *
 * Rows that name a layer or an image of which nobody knows anything are then removed: nothing could ever read them.
 */

enum {
	FRAMINGS_MAX = 64, /* that are tried; each may read the whole layer */
};

/* As much as a layer may have (tarback.c): its rows are made anew with the right number. */
#define TAR_BYTES_UNKNOWN (INT64_C(512) * UINT32_MAX)

static int report(struct repair *rp, const struct repair_report *report)
{
	rp->options->report(report, rp->options->arg);
	return 0;
}

/* ---- the layers that configs name ---- */

struct named_layer {
	int64_t image, position;
	struct layer_id layer; /* as the image has it */
	bool there;	       /* it has a row */
	bool right;	       /* with this diff ID */
	struct digest diff_id; /* as the config has it */
};

static int set_layer(struct repair *rp, const struct named_layer *n, struct layer_id layer)
{
	int r = DB_RUN(rp->db, "UPDATE image_layer SET layer = ? WHERE image = ? AND position = ?", layer.value,
		       n->image, n->position);

	return r < 0 ? r
		     : report(rp, &(struct repair_report){ .layer = &n->diff_id,
							   .whole = true,
							   .text = "the store has it under another number" });
}

static int put_layer_row(struct repair *rp, const struct named_layer *n)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(rp->db,
			"INSERT INTO layer(id, diff_id, tar_bytes, entries, content_bytes, has_xattrs, created)"
			" VALUES(?1, ?2, ?3, 0, 0, 0, CAST(strftime('%s') AS INTEGER))",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, n->layer.value);
	db_bind_blob(stmt, 2, n->diff_id.bytes, DIGEST_BYTES);
	db_bind_int(stmt, 3, TAR_BYTES_UNKNOWN);
	return db_run(stmt);
}

/* It may be its diff ID that is damaged: then its stream has the one that is wanted. */
static int rename_layer(struct repair *rp, const struct named_layer *n)
{
	AUTO(db_closep) struct db *rows = NULL;
	struct check_reread reread;
	struct diag why = { 0 };
	sqlite3_stmt *stmt;
	int r = stage_rows_open("", &rows);

	if (r == 0)
		r = check_reread(rp->store, n->layer, &n->diff_id, NULL, rows, &why, &reread);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = db_stmt(rp->db, "UPDATE layer SET diff_id = ?2 WHERE id = ?1", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, n->layer.value);
	db_bind_blob(stmt, 2, n->diff_id.bytes, DIGEST_BYTES);
	r = db_run(stmt);
	return r < 0 ? r
		     : report(rp, &(struct repair_report){ .layer = &n->diff_id,
							   .whole = true,
							   .text = "its diff ID, from its stream" });
}

/* Seen from the connection that has written: repair_lost() is in a transaction. */
static int layer_of(struct repair *rp, const struct digest *diff_id, struct layer_id *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(rp->db, "SELECT id FROM layer WHERE diff_id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, diff_id->bytes, DIGEST_BYTES);
	r = db_step(stmt);
	if (r > 0)
		ret->value = sqlite3_column_int64(stmt, 0);
	return r;
}

static int find_layer(struct repair *rp, const struct named_layer *n)
{
	struct layer_id other;
	int r;

	if (n->there && n->right)
		return 0;
	r = layer_of(rp, &n->diff_id, &other);
	if (r != 0)
		return r < 0 ? r : set_layer(rp, n, other);
	if (n->there)
		return rename_layer(rp, n);
	r = put_layer_row(rp, n);
	return r < 0 ? r : layer_list_add(&rp->lost, n->layer);
}

/* The image does not even say which layer it has there. */
static int name_layer(struct repair *rp, const struct named_layer *n)
{
	struct layer_id layer;
	int r = layer_of(rp, &n->diff_id, &layer);

	if (r > 0)
		r = DB_RUN(rp->db, "INSERT INTO image_layer(image, position, layer) VALUES(?, ?, ?)", n->image,
			   n->position, layer.value);
	else if (r == 0)
		return report(rp, &(struct repair_report){ .layer = &n->diff_id,
							   .text = "the index has lost it; bring the image in once more"
								   " ('nacre pull', 'nacre load')" });
	return r < 0 ? r
		     : report(rp, &(struct repair_report){ .layer = &n->diff_id,
							   .whole = true,
							   .text = "its place in the image, from the config" });
}

static const char layers_sql[] =
	"SELECT position, layer, l.id IS NOT NULL, l.diff_id IS ?2 FROM image_layer LEFT JOIN layer l ON l.id = layer"
	" WHERE image = ?1 AND position = ?3";

static int find_layers(struct repair *rp, int64_t image, const struct digest *ids, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
		struct named_layer n = { .image = image, .position = (int64_t)i, .diff_id = ids[i] };

		r = db_stmt(rp->db, layers_sql, &stmt);
		if (r < 0)
			return r;
		db_bind_int(stmt, 1, image);
		db_bind_blob(stmt, 2, ids[i].bytes, DIGEST_BYTES);
		db_bind_int(stmt, 3, n.position);
		r = db_step(stmt);
		if (r < 0)
			return r;
		if (r == 0) {
			db_reset(TAKE(stmt));
			r = name_layer(rp, &n);
			continue;
		}
		n.layer.value = sqlite3_column_int64(stmt, 1);
		n.there = sqlite3_column_int(stmt, 2) != 0;
		n.right = sqlite3_column_int(stmt, 3) != 0;
		db_reset(TAKE(stmt));
		r = find_layer(rp, &n);
	}
	return r;
}

/* By then a config is the image's own, or nothing is believed of it. */
static int find_layers_of(struct repair *rp, const struct image_info *image)
{
	AUTO(json_decrefp) json_t *config = NULL;
	AUTO(freep) struct digest *ids = NULL;
	struct digest found;
	size_t count = 0;
	int r = digest_of(image->config, image->config_bytes, &found);

	if (r < 0 || !digest_eq(&found, &image->digest))
		return r;
	r = image_json_parse(image->config, image->config_bytes, "config", NULL, &config);
	if (r == 0)
		r = image_config_diff_ids(config, "config", NULL, &ids, &count);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return find_layers(rp, image->id.value, ids, count);
}

/* ---- rows of nothing, and such as nobody can make good ---- */

#define NAMED_IMAGES " (SELECT id FROM image UNION SELECT image FROM tag UNION SELECT image FROM container)"

static const struct orphans {
	const char *what, *sql;
} orphans[] = {
	{ "entries of a layer that no image has", "DELETE FROM entry WHERE " SCHEMA_OF_NO_LAYER },
	{ "xattrs of a layer that no image has", "DELETE FROM xattr WHERE " SCHEMA_OF_NO_LAYER },
	{ "what is known of blobs of a layer that no image has", "DELETE FROM blob WHERE " SCHEMA_OF_NO_LAYER },
	/* A hint only: the next pull or push of the layer writes it again. */
	{ "what was known of blobs in a registry, and is damaged",
	  "DELETE FROM blob WHERE checksum IS NOT " SCHEMA_BLOB_CHECKSUM },
	/* Of one that still has a name they are what a later repair can go by, when its registry answers again. */
	{ "a manifest of an image that is not there", "DELETE FROM manifest WHERE image NOT IN" NAMED_IMAGES },
	{ "layers of an image that is not there", "DELETE FROM image_layer WHERE image NOT IN" NAMED_IMAGES },
};

static int remove_orphans(struct repair *rp)
{
	for (size_t i = 0; i < ARRAY_SIZE(orphans); i++) {
		AUTO(freep) char *text = NULL;
		int64_t rows;
		int r = db_exec(rp->db, orphans[i].sql);

		if (r < 0)
			return r;
		rows = sqlite3_changes64(db_handle(rp->db));
		if (rows == 0)
			continue;
		if (asprintf(&text, "removed: %s (%" PRId64 " rows)", orphans[i].what, rows) < 0) {
			text = NULL;
			return -ENOMEM;
		}
		report(rp, &(struct repair_report){ .subject = "the index", .whole = true, .text = text });
	}
	return 0;
}

/* Names of what is lost. @sql: gives the subject; how to go on is in @text. */
static int name_lost(struct repair *rp, const char *sql, const char *text)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(rp->db, sql, &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0)
		r = report(rp, &(struct repair_report){ .subject = (const char *)sqlite3_column_text(stmt, 0),
							.text = text });
	return r;
}

/* ---- all of it ---- */

static int write_rows(struct repair *rp, struct image_info *images, size_t count)
{
	int r = db_exec(rp->db, "BEGIN IMMEDIATE; REINDEX main.image_layer; REINDEX main.blob");

	for (size_t i = 0; r == 0 && i < count; i++)
		r = find_layers_of(rp, &images[i]);
	if (r == 0)
		r = remove_orphans(rp);
	if (r == 0)
		r = db_exec(rp->db, "COMMIT");
	if (r < 0)
		(void)db_exec(rp->db, "ROLLBACK");
	return r;
}

int repair_lost(struct repair *rp)
{
	struct image_info *images = NULL;
	size_t count = 0;
	int r = image_list(rp->store, rp->diag, &images, &count);

	if (r == 0)
		r = write_rows(rp, images, count);
	image_list_free(images, count);
	if (r == 0)
		r = name_lost(rp, "SELECT 'tag ' || name FROM tag WHERE image NOT IN (SELECT id FROM image)",
			      "its image is lost: pull or load it again, or 'nacre rmi' takes the name away");
	if (r == 0)
		r = name_lost(rp, "SELECT 'container ' || id FROM container WHERE image NOT IN (SELECT id FROM image)",
			      "its image is lost: what was changed in it is still in its folder upper;"
			      " 'nacre rm' removes it");
	return r;
}

/* ---- a layer's framing ---- */

static const char uses_sql[] =
	"INSERT INTO temp.uses SELECT content, count(*) FROM (SELECT content FROM entry WHERE content IS NOT NULL"
	"  UNION ALL SELECT framing FROM layer WHERE framing IS NOT NULL AND id <> ?1) GROUP BY content";

static const char candidates_sql[] =
	"SELECT id, pack, offset, size FROM content LEFT JOIN temp.uses ON uses.content = id"
	" WHERE refs > coalesce(n, 0) AND id NOT IN (SELECT content FROM temp.bad) ORDER BY id";

/* Return: 1: it begins like a framing, which is compressed; 0; -errno. */
static int may_be_framing(struct repair *rp, sqlite3_stmt *row)
{
	static const uint8_t zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	AUTO(content_place_release) struct content_place place = { .fd = -1 };
	uint8_t head[sizeof(zstd)];
	int r = content_place_of(rp->store, (struct content_id){ sqlite3_column_int64(row, 0) },
				 sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2),
				 sqlite3_column_int64(row, 3), &place);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return place.bytes > sizeof(head) &&
	       io_pread_full(place.fd, head, sizeof(head), (off_t)place.offset) == sizeof(head) &&
	       memcmp(head, zstd, sizeof(head)) == 0;
}

static int list_candidates(struct repair *rp, struct layer_id layer, struct content_list *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_exec(rp->db, "CREATE TEMP TABLE IF NOT EXISTS uses(content INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
				"DELETE FROM temp.uses");

	if (r == 0)
		r = DB_RUN(rp->db, uses_sql, layer.value);
	if (r == 0)
		r = db_stmt(rp->db, candidates_sql, &stmt);
	while (r == 0 && ret->count < FRAMINGS_MAX && (r = db_step(stmt)) > 0) {
		r = may_be_framing(rp, stmt);
		if (r > 0)
			r = content_list_add(ret, (struct content_id){ sqlite3_column_int64(stmt, 0) });
	}
	return r;
}

/* Return: 1: with this framing the layer is what it was; 0; -errno. */
static int try_framing(struct repair *rp, struct layer_id layer, struct content_id framing, struct diag *why)
{
	int r = DB_RUN(rp->db, "UPDATE layer SET framing = ?2, tar_bytes = ?3 WHERE id = ?1", layer.value,
		       framing.value, TAR_BYTES_UNKNOWN);

	*why = (struct diag){ 0 };
	if (r == 0)
		r = restore_rows(rp->store, layer, why);
	if (r == -ENOMEM || r == -ENOSPC)
		return r;
	return r == 0;
}

int repair_framing(struct repair *rp, const struct layer_info *layer)
{
	AUTO(content_list_release) struct content_list candidates = { 0 };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	struct diag why = { 0 };
	int64_t before = 0;
	int r = list_candidates(rp, layer->id, &candidates);

	if (r == 0)
		r = db_stmt(rp->db, "SELECT framing FROM layer WHERE id = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer->id.value);
	if (db_step(stmt) > 0)
		before = sqlite3_column_int64(stmt, 0);
	db_reset(stmt);
	for (size_t i = 0; r == 0 && i < candidates.count; i++)
		r = try_framing(rp, layer->id, candidates.ids[i], &why);
	if (r == 0 && candidates.count > 0)
		r = DB_RUN(rp->db, "UPDATE layer SET framing = nullif(?2, 0), tar_bytes = ?3 WHERE id = ?1",
			   layer->id.value, before, (int64_t)layer->tar_bytes);
	return r < 0 ? diag_set(rp->diag, r, "%s", diag_text(&why, r)) : r;
}

int repair_forget_lost(struct repair *rp, struct layer_id layer)
{
	return DB_RUN(rp->db, "DELETE FROM layer WHERE id = ? AND framing IS NULL", layer.value);
}
