/* SPDX-License-Identifier: Apache-2.0 */
#include "store/base/auto.h"
#include "store/repair_priv.h"
#include "store/schema.h"

/* An image's own texts: its config, and the manifest that it came with.  A repository that has one of its layers may have them. */

static int put_config(struct repair *rp, struct image_id image, const char *text, size_t bytes)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	sqlite3_stmt *stmt;
	int r = txn_begin(rp->store, &txn);

	if (r == 0)
		r = db_stmt(txn_db(txn), "UPDATE image SET config = ? WHERE id = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, text, bytes);
	db_bind_int(stmt, 2, image.value);
	r = db_run(stmt);
	return r < 0 ? r : txn_commit(TAKE(txn));
}

static int put_manifest(struct repair *rp, struct image_id image, char *text, size_t bytes)
{
	struct origin_manifest manifest = { .text = text, .bytes = bytes };
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

static int put_text(struct repair *rp, const struct image_text *t, char *text, size_t bytes)
{
	int r = t->manifest ? put_manifest(rp, t->image->id, text, bytes) : put_config(rp, t->image->id, text, bytes);

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

static const char sources_sql[] =
	"SELECT DISTINCT source FROM blob WHERE source IS NOT NULL AND layer IN"
	" (SELECT layer FROM image_layer WHERE image = ?) AND checksum = " SCHEMA_BLOB_CHECKSUM;

static int fetch(struct repair *rp, const struct image_text *t, struct attempt *a)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(rp->db, sources_sql, &stmt);

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
		buf_adds(&a->text, "no registry is known that has it");
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
		attempt_note(&a,
			     "no registry is known that has it, so it is forgotten; the image goes out with a new one",
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

int repair_images(struct repair *rp)
{
	struct image_info *images = NULL;
	size_t count = 0;
	int r = image_list(rp->store, rp->diag, &images, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = repair_image(rp, &images[i]);
	image_list_free(images, count);
	return r;
}
