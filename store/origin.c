/* SPDX-License-Identifier: Apache-2.0 */
#include "store/origin.h"

#include "store/base/auto.h"
#include "store/image_config.h"
#include "store/schema.h"

#include <string.h>

#define OCI_MANIFEST	"application/vnd.oci.image.manifest.v1+json"
#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

void origin_blob_release(struct origin_blob *blob)
{
	free(blob->media_type);
	free(blob->source);
	*blob = (struct origin_blob){ 0 };
}

void origin_blobs_free(struct origin_blob *blobs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		origin_blob_release(&blobs[i]);
	free(blobs);
}

void origin_manifest_release(struct origin_manifest *manifest)
{
	free(manifest->text);
	free(manifest->media_type);
	*manifest = (struct origin_manifest){ 0 };
}

int origin_keep(struct txn *txn, struct image_id image, const struct origin_manifest *manifest)
{
	struct digest digest;
	sqlite3_stmt *stmt;
	int r = digest_of(manifest->text, manifest->bytes, &digest);

	/* The image may have gone meanwhile. */
	if (r == 0)
		r = db_stmt(txn_db(txn),
			    "INSERT OR REPLACE INTO manifest(image, media_type, body, digest)"
			    " SELECT id, ?2, ?3, ?4 FROM image WHERE id = ?1",
			    &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	db_bind_text(stmt, 2, manifest->media_type);
	db_bind_blob(stmt, 3, manifest->text, manifest->bytes);
	db_bind_blob(stmt, 4, digest.bytes, DIGEST_BYTES);
	return db_run(stmt);
}

int origin_restore(struct store *store, struct image_id image, const struct origin_manifest *manifest)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	sqlite3_stmt *stmt;
	int r = txn_begin(store, &txn);

	if (r == 0)
		r = db_stmt(txn_db(txn), "UPDATE manifest SET media_type = ?2, body = ?3 WHERE image = ?1", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	db_bind_text(stmt, 2, manifest->media_type);
	db_bind_blob(stmt, 3, manifest->text, manifest->bytes);
	r = db_run(stmt);
	return r < 0 ? r : txn_commit(TAKE(txn));
}

int origin_forget(struct store *store, struct image_id image)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	int r = txn_begin(store, &txn);

	if (r == 0)
		r = DB_RUN(txn_db(txn), "DELETE FROM manifest WHERE image = ?", image.value);
	return r < 0 ? r : txn_commit(TAKE(txn));
}

static int run_of_blob(struct txn *txn, const char *sql, struct layer_id layer, const struct origin_blob *blob)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(txn_db(txn), sql, &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer.value);
	db_bind_blob(stmt, 2, blob->digest.bytes, DIGEST_BYTES);
	if (sqlite3_bind_parameter_count(stmt) > 2) {
		db_bind_int(stmt, 3, blob->bytes);
		db_bind_text(stmt, 4, blob->media_type);
		db_bind_text(stmt, 5, blob->source);
	}
	return db_run(stmt);
}

int origin_keep_blob(struct txn *txn, struct layer_id layer, const struct origin_blob *blob)
{
	/* A damaged row must not get a checksum that is right for what is damaged in it. */
	int r = run_of_blob(
		txn, "DELETE FROM blob WHERE layer = ?1 AND digest = ?2 AND checksum IS NOT " SCHEMA_BLOB_CHECKSUM,
		layer, blob);

	if (r == 0)
		r = run_of_blob(
			txn,
			"INSERT INTO blob(layer, digest, bytes, media_type, source)"
			" SELECT id, ?2, ?3, ?4, ?5 FROM layer WHERE id = ?1"
			" ON CONFLICT(layer, digest) DO UPDATE SET source = coalesce(?5, source), media_type = ?4",
			layer, blob);
	/* Only now its number is known. */
	if (r == 0)
		r = run_of_blob(txn,
				"UPDATE blob SET checksum = " SCHEMA_BLOB_CHECKSUM " WHERE layer = ?1 AND digest = ?2",
				layer, blob);
	return r;
}

int origin_manifest_type(const char *text, size_t bytes, char **ret)
{
	AUTO(json_decrefp) json_t *json = NULL;
	int r = image_json_parse(text, bytes, "manifest", NULL, &json);
	const char *own;

	if (r < 0)
		return r;
	own = json_string_value(json_object_get(json, "mediaType"));
	*ret = strdup(own ? own : OCI_MANIFEST);
	return *ret ? 0 : -ENOMEM;
}

/* Without a word of its own it has the type that it came with: one of the two that there are. */
static int judge_manifest(struct origin_manifest *m, const void *digest, size_t digest_bytes)
{
	AUTO(freep) char *own = NULL;
	struct digest found;
	int r = digest_of(m->text, m->bytes, &found);

	m->sound = false;
	if (r < 0 || digest_bytes != DIGEST_BYTES)
		return r;
	memcpy(m->digest.bytes, digest, DIGEST_BYTES);
	if (!digest_eq(&found, &m->digest))
		return 0;
	r = origin_manifest_type(m->text, m->bytes, &own);
	m->sound = r == 0 && (strcmp(m->media_type, own) == 0 ||
			      (strcmp(own, OCI_MANIFEST) == 0 && strcmp(m->media_type, DOCKER_MANIFEST) == 0));
	return r == -ENOMEM ? r : 0;
}

int origin_manifest(struct store *store, struct image_id image, struct origin_manifest *ret)
{
	AUTO(origin_manifest_release) struct origin_manifest m = { .sound = true };
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	*ret = (struct origin_manifest){ 0 };
	/* All columns: an index of version 2, on a medium that cannot be written, has no digest. */
	if (r == 0)
		r = db_stmt(loan.db, "SELECT * FROM manifest WHERE image = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	r = db_step(stmt);
	if (r <= 0)
		return r;
	m.bytes = (size_t)sqlite3_column_bytes(stmt, 2);
	m.media_type = strdup((const char *)sqlite3_column_text(stmt, 1));
	m.text = strndup((const char *)sqlite3_column_blob(stmt, 2), m.bytes);
	if (!m.media_type || !m.text)
		return -ENOMEM;
	if (sqlite3_column_count(stmt) > 3)
		r = judge_manifest(&m, sqlite3_column_blob(stmt, 3), (size_t)sqlite3_column_bytes(stmt, 3));
	if (r < 0)
		return r;
	*ret = m;
	m = (struct origin_manifest){ 0 };
	return 0;
}

#define LAYER_OF_BLOB  "SELECT layer, bytes FROM blob WHERE digest = ?"
#define BLOBS_OF_LAYER "SELECT digest, bytes, media_type, source FROM blob WHERE layer = ?"
#define SOUND	       " AND checksum = " SCHEMA_BLOB_CHECKSUM
#define NEWEST_FIRST   " ORDER BY no DESC"

/* Of an index with checksums, and of one without. */
static int blob_stmt(struct db *db, const char *sound, const char *known, sqlite3_stmt **ret)
{
	int r = schema_has_blob_checksums(db);

	return r < 0 ? r : db_stmt(db, r ? sound : known, ret);
}

int origin_layer(struct store *store, const struct digest *blob, struct layer_id *ret, uint64_t *ret_bytes)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	if (r < 0)
		return r;
	r = blob_stmt(loan.db, LAYER_OF_BLOB SOUND " LIMIT 1", LAYER_OF_BLOB " LIMIT 1", &stmt);
	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, blob->bytes, DIGEST_BYTES);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	ret->value = sqlite3_column_int64(stmt, 0);
	*ret_bytes = (uint64_t)sqlite3_column_int64(stmt, 1);
	return 0;
}

static int read_blob(sqlite3_stmt *stmt, struct origin_blob *ret)
{
	const char *source = (const char *)sqlite3_column_text(stmt, 3);

	*ret = (struct origin_blob){ .bytes = sqlite3_column_int64(stmt, 1) };
	if (sqlite3_column_bytes(stmt, 0) != DIGEST_BYTES)
		return -EIO;
	memcpy(ret->digest.bytes, sqlite3_column_blob(stmt, 0), DIGEST_BYTES);
	ret->media_type = strdup((const char *)sqlite3_column_text(stmt, 2));
	ret->source = source ? strdup(source) : NULL;
	return ret->media_type && (!source || ret->source) ? 0 : -ENOMEM;
}

int origin_blobs(struct store *store, struct layer_id layer, struct origin_blob **ret, size_t *ret_count)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	struct origin_blob *blobs = NULL;
	size_t count = 0;
	int r = db_loan_begin(&loan);

	*ret = NULL;
	*ret_count = 0;
	if (r < 0)
		return r;
	r = blob_stmt(loan.db, BLOBS_OF_LAYER SOUND NEWEST_FIRST, BLOBS_OF_LAYER NEWEST_FIRST, &stmt);
	if (r == 0)
		db_bind_int(stmt, 1, layer.value);
	while (r == 0 && (r = db_step(stmt)) > 0) {
		struct origin_blob *more = realloc(blobs, (count + 1) * sizeof(*blobs));

		if (more)
			blobs = more;
		r = more ? read_blob(stmt, &blobs[count]) : -ENOMEM;
		count += more != NULL;
	}
	if (r < 0) {
		origin_blobs_free(blobs, count);
		return r;
	}
	*ret = blobs;
	*ret_count = count;
	return 0;
}
