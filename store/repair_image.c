/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/auto.h"
#include "store/image_config.h"
#include "store/repair_priv.h"
#include "store/schema.h"

/* An image's own texts: its config, and the manifest that it came with.  A repository that has one of its layers may have them. */

/* Where the image has lost its row, it gets one again. */
static const char put_config_sql[] = "INSERT INTO image(id, digest, config, created) VALUES(?1, ?2, ?3, ?4)"
				     " ON CONFLICT(id) DO UPDATE SET config = excluded.config";

static int put_config(struct repair *rp, struct image_id image, const struct digest *digest, const char *text,
		      size_t bytes)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	AUTO(json_decrefp) json_t *config = NULL;
	sqlite3_stmt *stmt;
	int r = image_json_parse(text, bytes, "config", rp->diag, &config);

	if (r == 0)
		r = txn_begin(rp->store, &txn);
	if (r == 0)
		r = db_stmt(txn_db(txn), put_config_sql, &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	db_bind_blob(stmt, 2, digest->bytes, DIGEST_BYTES);
	db_bind_blob(stmt, 3, text, bytes);
	db_bind_int(stmt, 4, image_config_created(config));
	r = db_run(stmt);
	return r < 0 ? r : txn_commit(TAKE(txn));
}

static int put_manifest(struct repair *rp, struct image_id image, const char *text, size_t bytes)
{
	struct origin_manifest manifest = { .text = (char *)text, .bytes = bytes };
	int r = origin_manifest_type(text, bytes, &manifest.media_type);

	if (r == 0)
		r = origin_restore(rp->store, image, &manifest);
	free(manifest.media_type);
	return r;
}

/* What is to be brought back of an image. */
struct image_text {
	const struct image_info *image; /* borrowed */
	bool manifest;			/* it is that; else the config */
	const struct digest *digest;	/* borrowed: its own */
};

static int put_text(struct repair *rp, const struct image_text *t, const char *text, size_t bytes)
{
	int r = t->manifest ? put_manifest(rp, t->image->id, text, bytes)
			    : put_config(rp, t->image->id, t->digest, text, bytes);

	return r < 0 ? diag_errno(rp->diag, r, "cannot write to the index") : 0;
}

static int fetch_from(struct repair *rp, const struct image_text *t, const char *source, struct attempt *a)
{
	AUTO(freep) char *text = NULL;
	struct diag why = { 0 };
	size_t bytes;
	int r = refetch_text(&rp->refetch, source, t->manifest, t->digest, &why, &text, &bytes);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		attempt_failed(a, source, diag_text(&why, r));
		return 0;
	}
	attempt_note(a, "fetched again from ", source, "");
	a->contents++;
	return put_text(rp, t, text, bytes);
}

static int take_from_archives(struct repair *rp, const struct image_text *t, struct attempt *a)
{
	for (size_t i = 0; i < rp->options->archive_count; i++) {
		const struct image_archive *archive = rp->options->archives[i];
		size_t bytes;
		const char *text = image_archive_text(archive, t->digest, &bytes);

		if (!text)
			continue;
		attempt_note(a, "read again from ", image_archive_name(archive), "");
		a->contents++;
		return put_text(rp, t, text, bytes);
	}
	return 0;
}

static const char sources_sql[] =
	"SELECT DISTINCT source FROM blob WHERE source IS NOT NULL AND layer IN"
	" (SELECT layer FROM image_layer WHERE image = ?) AND checksum = " SCHEMA_BLOB_CHECKSUM;

static int fetch(struct repair *rp, const struct image_text *t, struct attempt *a)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = take_from_archives(rp, t, a);

	if (r == 0)
		r = db_stmt(rp->db, sources_sql, &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, t->image->id.value);
	while (a->contents == 0 && (r = db_step(stmt)) > 0) {
		r = fetch_from(rp, t, (const char *)sqlite3_column_text(stmt, 0), a);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int report(struct repair *rp, const struct image_text *t, struct attempt *a)
{
	if (a->text.len == 0)
		buf_adds(&a->text, repair_nobody(rp));
	if (buf_error(&a->text) < 0)
		return -ENOMEM;
	rp->options->report(&(struct repair_report){ .image = &t->image->digest,
						     .manifest = t->manifest,
						     .whole = a->contents > 0,
						     .text = buf_str(&a->text) },
			    rp->options->arg);
	return 0;
}

static int repair_text(struct repair *rp, const struct image_text *t)
{
	AUTO(attempt_release) struct attempt a = { 0 };
	int r = fetch(rp, t, &a);

	return r < 0 ? r : report(rp, t, &a);
}

/*
 * Its text may be whole, and tells its media type then.  Where no registry is known there is nothing that could bring it
 * back: the image goes out with a new one from now on, as one that was made here.
 */
static int repair_manifest(struct repair *rp, const struct image_info *image, struct origin_manifest *manifest)
{
	const struct image_text t = { image, true, &manifest->digest };
	AUTO(attempt_release) struct attempt a = { 0 };
	struct digest found;
	int r = digest_of(manifest->text, manifest->bytes, &found);

	if (r == 0 && digest_eq(&found, &manifest->digest)) {
		attempt_note(&a, "its media type, from its text", "", "");
		a.contents++;
		r = put_text(rp, &t, manifest->text, manifest->bytes);
	} else if (r == 0) {
		r = fetch(rp, &t, &a);
	}
	if (r == 0 && a.text.len == 0) {
		attempt_note(&a, "nobody is known who has it, so it is forgotten; the image goes out with a new one",
			     "", "");
		a.contents++;
		r = origin_forget(rp->store, image->id);
	}
	return r < 0 ? r : report(rp, &t, &a);
}

static int repair_image(struct repair *rp, const struct image_info *image)
{
	AUTO(origin_manifest_release) struct origin_manifest manifest = { 0 };
	struct digest found;
	int r = digest_of(image->config, image->config_bytes, &found);

	if (r == 0 && !digest_eq(&found, &image->digest))
		r = repair_text(rp, &(struct image_text){ image, false, &image->digest });
	if (r == 0)
		r = origin_manifest(rp->store, image->id, &manifest);
	return r == 0 && manifest.text && !manifest.sound ? repair_manifest(rp, image, &manifest) : r;
}

/* ---- images whose own row is lost ---- */

/* The manifest that it came with names its config, whose digest the image is called by. Return: 1, 0: it does not, -errno. */
static int digest_of_lost(struct repair *rp, struct image_id image, struct digest *ret)
{
	AUTO(origin_manifest_release) struct origin_manifest manifest = { 0 };
	AUTO(json_decrefp) json_t *json = NULL;
	const char *digest;
	int r = origin_manifest(rp->store, image, &manifest);

	if (r < 0 || !manifest.text || !manifest.sound)
		return r;
	r = image_json_parse(manifest.text, manifest.bytes, "manifest", NULL, &json);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	digest = json_string_value(json_object_get(json_object_get(json, "config"), "digest"));
	return digest && digest_parse(digest, ret) == 0;
}

/* Return: 1: it came in once more since, and has the names now; 0; -errno. */
static int find_twin(struct repair *rp, const struct image_info *lost)
{
	struct image_id twin = { 0 };
	char text[DIGEST_TEXT_BYTES];
	int r = image_find(rp->store, digest_format(&lost->digest, text), NULL, &twin);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = DB_RUN(rp->db, "UPDATE tag SET image = ? WHERE image = ?", twin.value, lost->id.value);
	if (r == 0)
		r = DB_RUN(rp->db, "UPDATE container SET image = ? WHERE image = ?", twin.value, lost->id.value);
	return r < 0 ? r : 1;
}

static int repair_lost_image(struct repair *rp, struct image_id id)
{
	struct image_info image = { .id = id };
	AUTO(attempt_release) struct attempt a = { 0 };
	int r = digest_of_lost(rp, id, &image.digest);

	if (r <= 0)
		return r;
	r = find_twin(rp, &image);
	if (r == 0)
		return repair_text(rp, &(struct image_text){ &image, false, &image.digest });
	if (r < 0)
		return r;
	attempt_note(&a, "the store has it under another number", "", "");
	a.contents++;
	return report(rp, &(struct image_text){ &image, false, &image.digest }, &a);
}

/* One that nothing names any more is not missed. */
static const char next_lost_sql[] =
	"SELECT min(image) FROM (SELECT image FROM tag UNION ALL SELECT image FROM container)"
	" WHERE image > ? AND image NOT IN (SELECT id FROM image)";

static int repair_lost_images(struct repair *rp)
{
	struct image_id image = { 0 };

	for (;;) {
		AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
		int r = db_stmt(rp->db, next_lost_sql, &stmt);

		if (r < 0)
			return r;
		db_bind_int(stmt, 1, image.value);
		r = db_step(stmt);
		if (r <= 0 || sqlite3_column_type(stmt, 0) == SQLITE_NULL)
			return r < 0 ? r : 0;
		image.value = sqlite3_column_int64(stmt, 0);
		db_reset(TAKE(stmt));
		r = repair_lost_image(rp, image);
		if (r < 0)
			return r;
	}
}

int repair_images(struct repair *rp)
{
	struct image_info *images = NULL;
	size_t count = 0;
	int r = repair_lost_images(rp);

	if (r == 0)
		r = image_list(rp->store, rp->diag, &images, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = repair_image(rp, &images[i]);
	image_list_free(images, count);
	return r;
}
