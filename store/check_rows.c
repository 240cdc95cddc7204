/* SPDX-License-Identifier: Apache-2.0 */
#include "store/check_priv.h"
#include "store/image_config.h"
#include "store/origin.h"
#include "store/schema.h"

#include <string.h>

/* ---- the tables among each other ---- */

/*
 * The invariants of schema.c, each as a query that gives a row for every
 * violation: what is wrong, and the layer it is in, or 0.
 */
static const char *const invariants[] = {
	"SELECT 'tag ' || name || ' names an image that is not there', 0 FROM tag"
	" WHERE image NOT IN (SELECT id FROM image) LIMIT 100",

	"SELECT 'a manifest is kept of image row ' || image || ', which is not there', 0 FROM manifest"
	" WHERE image NOT IN (SELECT id FROM image) LIMIT 100",

	"SELECT 'a blob is known of layer row ' || layer || ', which is not there', 0 FROM blob"
	" WHERE layer NOT IN (SELECT id FROM layer) GROUP BY layer LIMIT 100",

	"SELECT 'image row ' || image || ' has layers but is not there', 0 FROM image_layer"
	" WHERE image NOT IN (SELECT id FROM image) GROUP BY image LIMIT 100",

	"SELECT 'layer ' || (position + 1) || ' of image ' || coalesce((SELECT min(name) FROM tag t WHERE t.image = l.image),"
	"  (SELECT 'sha256:' || lower(hex(digest)) FROM image i WHERE i.id = l.image), 'row ' || image) ||"
	"  ' is lost: the index has no row of it', 0 FROM image_layer l"
	" WHERE layer NOT IN (SELECT id FROM layer) LIMIT 100",

	"SELECT 'the layers of image row ' || image || ' are not numbered from 0 on', 0 FROM image_layer"
	" GROUP BY image HAVING min(position) <> 0 OR max(position) <> count(*) - 1 LIMIT 100",

	"SELECT 'container ' || id || ' is over an image that is not there', 0 FROM container"
	" WHERE image NOT IN (SELECT id FROM image) LIMIT 100",

	"SELECT 'its tar framing is not there', id FROM layer"
	" WHERE framing IS NULL OR framing NOT IN (SELECT id FROM content) LIMIT 100",

	"SELECT 'has ' || coalesce(n, 0) || ' entries instead of ' || entries, id FROM layer LEFT JOIN"
	"  (SELECT layer, count(*) AS n FROM entry WHERE dir >= 0 GROUP BY layer) ON layer = id"
	" WHERE entries <> coalesce(n, 0) LIMIT 100",

	"SELECT n || ' entries are of layer row ' || layer || ', which is not there', 0 FROM"
	"  (SELECT layer, count(*) AS n FROM entry GROUP BY layer)"
	" WHERE layer NOT IN (SELECT id FROM layer) LIMIT 100",

	"SELECT 'xattrs are of layer row ' || layer || ', which is not there', 0 FROM (SELECT DISTINCT layer FROM xattr)"
	" WHERE layer NOT IN (SELECT id FROM layer) LIMIT 100",

	"SELECT 'has no root directory', id FROM layer l WHERE NOT EXISTS (SELECT 1 FROM entry e"
	"  WHERE e.layer = l.id AND dir = 0 AND name = x'' AND no = 1 AND mode & 61440 = 16384) LIMIT 100",

	"SELECT 'entries are in directory ' || dir || ', which is not there', layer FROM"
	"  (SELECT DISTINCT layer, dir FROM entry WHERE dir > 0) d"
	" WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.layer = d.layer AND e.no = d.dir AND nlink > 1"
	"  AND e.dir >= 0 AND mode & 61440 = 16384) LIMIT 100",

	"SELECT 'content ' || id || ' is used ' || coalesce(n, 0) || ' times, and counted as ' || refs, 0"
	" FROM content LEFT JOIN (SELECT used, count(*) AS n FROM"
	"  (SELECT content AS used FROM entry WHERE content IS NOT NULL UNION ALL SELECT framing FROM layer)"
	"  GROUP BY used) ON used = id"
	" WHERE refs <> coalesce(n, 0) LIMIT 100",

	"SELECT 'content ' || id || ' lies in pack ' || pack || ', which is not there', 0 FROM content"
	" WHERE pack IS NOT NULL AND pack NOT IN (SELECT id FROM pack) LIMIT 100",

	"SELECT 'content ' || c.id || ' reaches beyond pack ' || pack, 0 FROM content c JOIN pack p ON p.id = pack"
	" WHERE offset < 0 OR size < 0 OR offset + size > bytes LIMIT 100",

	"SELECT 'content ' || id || ' overlaps another in pack ' || pack, 0 FROM"
	"  (SELECT id, pack, offset, lag(offset + size) OVER (PARTITION BY pack ORDER BY offset) AS last_end"
	"   FROM content WHERE pack IS NOT NULL)"
	" WHERE offset < last_end LIMIT 100",

	"SELECT 'pack ' || id || ' has ' || coalesce(n, 0) || ' bytes in use, and ' || live || ' are counted', 0"
	" FROM pack LEFT JOIN (SELECT pack, sum(size) AS n FROM content WHERE pack IS NOT NULL GROUP BY pack) s"
	"  ON s.pack = id"
	" WHERE live <> coalesce(n, 0) LIMIT 100",

	"SELECT 'the counter of ' || k.name || 's is lost or behind', 0 FROM"
	"  (SELECT 'content' AS name, (SELECT max(id) FROM content) AS top"
	"   UNION ALL SELECT 'pack', (SELECT max(id) FROM pack)) k"
	" WHERE NOT EXISTS (SELECT 1 FROM counter c WHERE c.name = k.name AND next > coalesce(top, 0))",
};

/* The same of single files, by check_entry(). */
static const char *const file_invariants[] = {
	"SELECT layer, dir, name, 'the index has no content ' || content || ', which it should have' FROM entry"
	" WHERE content IS NOT NULL AND content NOT IN (SELECT id FROM content) LIMIT 100",

	"SELECT layer, dir, name, 'it has ' || e.size || ' bytes, ' || iif(e.content IS NULL,"
	"  'and the index names no content for it', 'the content that the index names for it has ' || c.size)"
	" FROM entry e LEFT JOIN content c ON c.id = e.content"
	" WHERE e.mode & 61440 = 32768 AND e.size <> coalesce(c.size, 0) AND (e.content IS NULL OR c.id IS NOT NULL)"
	" LIMIT 100",

	"SELECT layer, dir, name, iif(flags & 8, 'the index has lost its xattrs',"
	"  'the index has xattrs that it should not have')"
	" FROM entry e WHERE (flags & 8 <> 0) <> EXISTS (SELECT 1 FROM xattr x WHERE x.layer = e.layer AND x.no = e.no)"
	" AND dir >= 0 LIMIT 100",
};

/*
 * What push and repair go by (origin.h); a row of no layer is told above.
 * NOT INDEXED: an index would give its own copy of a column, and the damaged one would go unseen.
 */
static const char blob_invariant[] =
	"SELECT 'what is known of its blob sha256:' || lower(hex(digest)) || ' in a registry is damaged', layer"
	" FROM blob NOT INDEXED WHERE checksum IS NOT " SCHEMA_BLOB_CHECKSUM
	" AND layer IN (SELECT id FROM layer) LIMIT 100";

static int check_file_invariant(struct check *c, const char *sql)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, sql, &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0)
		r = check_entry(c, stmt);
	return r;
}

static int check_invariant(struct check *c, const char *sql)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, sql, &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0)
		r = check_report(c, sqlite3_column_int64(stmt, 1), NULL, (const char *)sqlite3_column_text(stmt, 0));
	return r;
}

static int check_blobs(struct check *c)
{
	int r = schema_has_blob_checksums(c->db);

	return r > 0 ? check_invariant(c, blob_invariant) : r;
}

/* SQLite's own: pages, the order of keys, and whether each row is in every index of its table. */
static int check_database(struct check *c)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, "PRAGMA integrity_check(100)", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);

		r = text && strcmp(text, "ok") == 0 ? 0 : check_reportf(c, 0, "the index: %s", text ? text : "?");
	}
	return r;
}

static int check_schema(struct check *c)
{
	AUTO(freep) char *wrong = NULL;
	int r = schema_compare(c->db, &wrong);

	return r == 0 && wrong ? check_reportf(c, 0, "the index: %s is declared otherwise than it was made", wrong) : r;
}

int check_index(struct check *c)
{
	int r = check_schema(c);

	if (r == 0)
		r = check_database(c);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(invariants); i++)
		r = check_invariant(c, invariants[i]);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(file_invariants); i++)
		r = check_file_invariant(c, file_invariants[i]);
	return r == 0 ? check_blobs(c) : r;
}

/* ---- configs ---- */

static int layer_has_diff_id(struct check *c, struct layer_id layer, const struct digest *diff_id)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, "SELECT diff_id = ? FROM layer WHERE id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, diff_id->bytes, DIGEST_BYTES);
	db_bind_int(stmt, 2, layer.value);
	r = db_step(stmt);
	return r > 0 ? sqlite3_column_int(stmt, 0) : r;
}

static const char *label_of(const struct image_info *image, char text[DIGEST_TEXT_BYTES])
{
	return image->tag_count ? image->tags[0] : digest_format(&image->digest, text);
}

/* The layers that the config names are those that the image has, the time likewise. Return: as check_report(). */
static int check_config(struct check *c, const struct image_info *image, const char *label)
{
	AUTO(json_decrefp) json_t *config = NULL;
	AUTO(freep) struct digest *ids = NULL;
	struct diag diag = { 0 };
	size_t count = 0;
	int r = image_json_parse(image->config, image->config_bytes, "config", &diag, &config);

	if (r == 0)
		r = image_config_diff_ids(config, "config", &diag, &ids, &count);
	if (r < 0)
		return r == -ENOMEM ? r : check_reportf(c, 0, "image %s: %s", label, diag_text(&diag, r));
	if (image->created != image_config_created(config)) {
		r = check_reportf(c, 0, "image %s: the index has another time than its config", label);
		if (r < 0)
			return r;
	}
	if (count != image->layer_count)
		return check_reportf(c, 0, "image %s has %zu layers, its config names %zu", label, image->layer_count,
				     count);
	for (size_t i = 0; i < count; i++) {
		r = layer_has_diff_id(c, image->layers[i], &ids[i]);
		if (r == 0)
			r = check_reportf(c, 0, "image %s: layer %zu is not the one that its config names", label,
					  i + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_manifest(struct check *c, const struct image_info *image, const char *label)
{
	AUTO(origin_manifest_release) struct origin_manifest manifest = { 0 };
	int r = origin_manifest(c->store, image->id, &manifest);

	if (r < 0 || !manifest.text || manifest.sound)
		return r;
	return check_reportf(c, 0, "image %s: the manifest that it came with is damaged", label);
}

static int check_image(struct check *c, const struct image_info *image)
{
	char text[DIGEST_TEXT_BYTES];
	struct digest digest;
	const char *label = label_of(image, text);
	int r = check_manifest(c, image, label);

	if (r == 0)
		r = digest_of(image->config, image->config_bytes, &digest);
	if (r == 0 && !digest_eq(&digest, &image->digest))
		return check_reportf(c, 0, "image %s: its config is damaged: it has another digest", label);
	return r < 0 ? r : check_config(c, image, label);
}

/* Return: 1, 0, -errno. */
static int image_wanted(struct check *c, const struct image_info *image)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, "SELECT 1 FROM image WHERE id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image->id.value);
	r = db_step(stmt);
	if (r <= 0)
		return r; /* added after our transaction began */
	for (size_t i = 0; i < c->options->image_count; i++)
		if (c->options->images[i].value == image->id.value)
			return 1;
	return c->options->image_count == 0;
}

int check_images(struct check *c)
{
	struct image_info *images = NULL;
	size_t count = 0;
	int r = image_list(c->store, NULL, &images, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = image_wanted(c, &images[i]);
		if (r <= 0)
			continue;
		c->result->images++;
		r = check_image(c, &images[i]);
	}
	image_list_free(images, count);
	return r;
}
