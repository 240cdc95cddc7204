/* SPDX-License-Identifier: Apache-2.0 */
#include "store/image.h"

#include "store/heal.h"
#include "store/image_config.h"
#include "store/recount.h"
#include "store/reference.h"
#include "store/schema.h"
#include "store/store_priv.h"

#include <string.h>

void image_info_release(struct image_info *info)
{
	for (size_t i = 0; i < info->tag_count; i++)
		free(info->tags[i]);
	free(info->tags);
	free(info->layers);
	free(info->config);
	*info = (struct image_info){ 0 };
}

static void image_info_releasep(struct image_info *info)
{
	image_info_release(info);
}

void image_list_free(struct image_info *images, size_t count)
{
	for (size_t i = 0; i < count; i++)
		image_info_release(&images[i]);
	free(images);
}

int image_find(struct store *store, const char *ref, struct diag *diag, struct image_id *ret)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(freep) char *tag = NULL;
	enum reference_kind kind;
	int r = db_loan_begin(&loan);

	return r < 0 ? r : reference_find(loan.db, ref, diag, ret, &kind, &tag);
}

/* ---- reading ---- */

static int read_row(struct db *db, struct image_id id, struct image_info *info)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT digest, config, created FROM image WHERE id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id.value);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	if (sqlite3_column_bytes(stmt, 0) != DIGEST_BYTES)
		return -EIO;
	info->id = id;
	memcpy(info->digest.bytes, sqlite3_column_blob(stmt, 0), DIGEST_BYTES);
	info->config_bytes = (size_t)sqlite3_column_bytes(stmt, 1);
	info->config = malloc(info->config_bytes + 1);
	if (!info->config)
		return -ENOMEM;
	memcpy(info->config, sqlite3_column_blob(stmt, 1), info->config_bytes);
	info->config[info->config_bytes] = '\0';
	info->created = sqlite3_column_int64(stmt, 2);
	return 0;
}

static int read_layers(struct db *db, struct image_info *info)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db,
			"SELECT layer, content_bytes, id IS NULL FROM image_layer LEFT JOIN layer ON layer.id = layer"
			" WHERE image = ? ORDER BY position",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, info->id.value);
	while ((r = db_step(stmt)) > 0) {
		struct layer_id *layers;

		if (sqlite3_column_int(stmt, 2)) {
			info->lost_layers++;
			continue;
		}
		/* Layers are few: one more place for each. */
		layers = realloc(info->layers, (info->layer_count + 1) * sizeof(*layers));

		if (!layers)
			return -ENOMEM;
		info->layers = layers;
		layers[info->layer_count++].value = sqlite3_column_int64(stmt, 0);
		info->content_bytes += (uint64_t)sqlite3_column_int64(stmt, 1);
	}
	return r;
}

static int read_tags(struct db *db, struct image_info *info)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT name FROM tag WHERE image = ? ORDER BY name", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, info->id.value);
	while ((r = db_step(stmt)) > 0) {
		char **tags = realloc(info->tags, (info->tag_count + 1) * sizeof(*tags));

		if (!tags)
			return -ENOMEM;
		info->tags = tags;
		tags[info->tag_count] = strdup((const char *)sqlite3_column_text(stmt, 0));
		if (!tags[info->tag_count])
			return -ENOMEM;
		info->tag_count++;
	}
	return r;
}

static int read_info(struct db *db, struct image_id id, struct image_info *ret)
{
	AUTO(image_info_releasep) struct image_info info = { 0 };
	int r = read_row(db, id, &info);

	if (r == 0)
		r = read_layers(db, &info);
	if (r == 0)
		r = read_tags(db, &info);
	if (r < 0)
		return r;
	*ret = info;
	info = (struct image_info){ 0 };
	return 0;
}

int image_info_rest(struct store *store, struct image_id id, struct diag *diag, struct image_info *ret)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	int r = db_loan_begin(&loan);

	/* One state of the index for all its rows. */
	if (r == 0)
		r = db_exec(loan.db, "BEGIN");
	if (r < 0)
		return r;
	r = read_info(loan.db, id, ret);
	(void)db_exec(loan.db, "COMMIT");
	return r < 0 ? diag_errno(diag, r, "image %lld cannot be read", (long long)id.value) : 0;
}

int image_info(struct store *store, struct image_id id, struct diag *diag, struct image_info *ret)
{
	AUTO(image_info_releasep) struct image_info info = { 0 };
	int r = image_info_rest(store, id, diag, &info);

	if (r < 0)
		return r;
	/* Without one of them it would be another tree. */
	if (info.lost_layers)
		return diag_set(diag, -EIO,
				"the index has lost %zu of the image's layers ('nacre verify --repair' looks for them)",
				info.lost_layers);
	*ret = info;
	info = (struct image_info){ 0 };
	return 0;
}

static int layer_by_id(struct db *db, const char *digits, struct diag *diag, struct layer_id *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT id FROM layer WHERE substr(lower(hex(diff_id)), 1, length(?1)) = ?1 LIMIT 2",
			&stmt);

	if (r < 0)
		return r;
	db_bind_text(stmt, 1, digits);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : diag_set(diag, -ENOENT, "no such layer");
	ret->value = sqlite3_column_int64(stmt, 0);
	r = db_step(stmt);
	return r > 0 ? diag_set(diag, -ENOTUNIQ, "\"%s\" is the beginning of several diff IDs", digits) : r;
}

int image_layer_find(struct store *store, const char *text, struct diag *diag, struct image_id *ret, size_t *ret_number)
{
	const char *digits = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
	size_t length = strspn(digits, "0123456789abcdef");
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	struct layer_id layer = { 0 };
	int r = db_loan_begin(&loan);

	if (r < 0)
		return r;
	if (digits[length] || length < 4 || length > (size_t)2 * DIGEST_BYTES)
		return diag_set(diag, -EINVAL, "not a layer's diff ID, nor the first digits of one");
	r = layer_by_id(loan.db, digits, diag, &layer);
	if (r == 0)
		r = db_stmt(loan.db, "SELECT image, position FROM image_layer WHERE layer = ? ORDER BY image LIMIT 1",
			    &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, layer.value);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : diag_set(diag, -ENOENT, "no image has this layer any more");
	ret->value = sqlite3_column_int64(stmt, 0);
	*ret_number = (size_t)sqlite3_column_int64(stmt, 1) + 1;
	return 0;
}

static int read_list(struct db *db, struct image_info **ret, size_t *ret_count)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	struct image_info *images = NULL;
	size_t count = 0;
	int r = db_stmt(db, "SELECT id FROM image ORDER BY created DESC, id DESC", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		struct image_id id = { sqlite3_column_int64(stmt, 0) };
		struct image_info *more = realloc(images, (count + 1) * sizeof(*images));

		if (more)
			images = more;
		r = more ? read_info(db, id, &images[count]) : -ENOMEM;
		count += r == 0;
	}
	if (r < 0) {
		image_list_free(images, count);
		return r;
	}
	*ret = images;
	*ret_count = count;
	return 0;
}

int image_list(struct store *store, struct diag *diag, struct image_info **ret, size_t *ret_count)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_exec(loan.db, "BEGIN");
	if (r < 0)
		return r;
	r = read_list(loan.db, ret, ret_count);
	(void)db_exec(loan.db, "COMMIT");
	return r < 0 ? diag_errno(diag, r, "the images of %s cannot be listed", store->dir) : 0;
}

/* ---- adding ---- */

static int check_layers(struct db *db, const struct digest *diff_ids, const struct layer_id *layers, size_t count,
			struct diag *diag)
{
	for (size_t i = 0; i < count; i++) {
		AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
		int r = db_stmt(db, "SELECT diff_id = ? FROM layer WHERE id = ?", &stmt);

		if (r < 0)
			return r;
		db_bind_blob(stmt, 1, diff_ids[i].bytes, DIGEST_BYTES);
		db_bind_int(stmt, 2, layers[i].value);
		r = db_step(stmt);
		if (r < 0)
			return r;
		if (r == 0 || !sqlite3_column_int(stmt, 0))
			return diag_set(diag, -EBADMSG,
					"layer %zu of the image's config is not the layer that is there", i + 1);
	}
	return 0;
}

static int add_image_layers(struct db *db, struct image_id image, const struct layer_id *layers, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		sqlite3_stmt *stmt;

		r = db_stmt(db, "INSERT INTO image_layer(image, position, layer) VALUES(?, ?, ?)", &stmt);
		if (r < 0)
			break;
		db_bind_int(stmt, 1, image.value);
		db_bind_int(stmt, 2, (int64_t)i);
		db_bind_int(stmt, 3, layers[i].value);
		r = db_run(stmt);
	}
	return r;
}

static int find_digest(struct db *db, const struct digest *digest, struct image_id *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT id FROM image WHERE digest = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, digest->bytes, DIGEST_BYTES);
	r = db_step(stmt);
	if (r > 0)
		ret->value = sqlite3_column_int64(stmt, 0);
	return r;
}

static int put_tag(struct db *db, const char *tag, struct image_id image)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, "INSERT OR REPLACE INTO tag(name, image) VALUES(?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_text(stmt, 1, tag);
	db_bind_int(stmt, 2, image.value);
	return db_run(stmt);
}

static int insert_image(struct db *db, const struct digest *digest, const char *config, size_t config_bytes,
			int64_t created, struct image_id *ret)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, "INSERT INTO image(digest, config, created) VALUES(?, ?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, digest->bytes, DIGEST_BYTES);
	db_bind_blob(stmt, 2, config, config_bytes);
	db_bind_int(stmt, 3, created);
	r = db_run(stmt);
	ret->value = sqlite3_last_insert_rowid(db_handle(db));
	return r;
}

/* What image_add() was given, looked through before the transaction begins. */
struct new_image {
	const char *config;
	size_t config_bytes;
	struct digest digest;
	int64_t created;
	struct digest *diff_ids; /* owned */
	size_t layer_count;
	const struct layer_id *layers;
	char *tag; /* owned; normalised, or NULL */
};

static void new_image_release(struct new_image *n)
{
	free(n->diff_ids);
	free(n->tag);
}

static int new_image_read(struct new_image *n, const char *tag, struct diag *diag)
{
	json_t *config = NULL;
	size_t count = 0;
	int r = tag ? reference_check(tag, diag, &n->tag) : 0;

	if (r == 0)
		r = digest_of(n->config, n->config_bytes, &n->digest);
	if (r == 0)
		r = image_json_parse(n->config, n->config_bytes, "the image's config", diag, &config);
	if (r < 0)
		return r;
	n->created = image_config_created(config);
	r = image_config_diff_ids(config, "the image's config", diag, &n->diff_ids, &count);
	json_decref(config);
	if (r == 0 && count != n->layer_count)
		r = diag_set(diag, -EBADMSG, "the image's config names %zu layers, there are %zu", count,
			     n->layer_count);
	return r;
}

/* ---- one that is there, as it must be: its config and layers are those that were given, or they are damaged ---- */

static int mend_config(struct db *db, struct image_id image, const struct new_image *n)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db,
			"UPDATE image SET config = ?2, created = ?3 WHERE id = ?1"
			" AND (config IS NOT ?2 OR created IS NOT ?3)",
			&stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	db_bind_blob(stmt, 2, n->config, n->config_bytes);
	db_bind_int(stmt, 3, n->created);
	return db_run(stmt);
}

/* Return: 1, 0, -errno. */
static int has_layers(struct db *db, struct image_id image, const struct new_image *n)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	int r = db_stmt(db, "SELECT position, layer FROM image_layer WHERE image = ? ORDER BY position", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, image.value);
	while ((r = db_step(stmt)) > 0) {
		if (count == n->layer_count || sqlite3_column_int64(stmt, 0) != (int64_t)count ||
		    sqlite3_column_int64(stmt, 1) != n->layers[count].value)
			return 0;
		count++;
	}
	return r < 0 ? r : count == n->layer_count;
}

/* What is left of the layer that it had instead, if that has lost its row. */
static int forget_lost_layers(struct db *db)
{
	int r = db_exec(db, "DELETE FROM entry WHERE " SCHEMA_OF_NO_LAYER ";"
			    "DELETE FROM xattr WHERE " SCHEMA_OF_NO_LAYER ";"
			    "DELETE FROM blob WHERE " SCHEMA_OF_NO_LAYER);

	return r == 0 ? db_exec(db, recount_used_sql) : r;
}

static int mend_image(struct db *db, struct image_id image, const struct new_image *n, bool *ret_mended)
{
	int r = mend_config(db, image, n);

	if (r == 0)
		r = has_layers(db, image, n);
	if (r != 0)
		return r < 0 ? r : 0;
	*ret_mended = true;
	r = DB_RUN(db, "DELETE FROM image_layer WHERE image = ?", image.value);
	if (r == 0)
		r = add_image_layers(db, image, n->layers, n->layer_count);
	return r == 0 ? forget_lost_layers(db) : r;
}

static int image_add_locked(struct db *db, const struct new_image *n, struct diag *diag, struct image_id *ret,
			    bool *ret_mended)
{
	int r = check_layers(db, n->diff_ids, n->layers, n->layer_count, diag);

	if (r == 0)
		r = find_digest(db, &n->digest, ret);
	if (r == 0) {
		r = insert_image(db, &n->digest, n->config, n->config_bytes, n->created, ret);
		if (r == 0)
			r = add_image_layers(db, *ret, n->layers, n->layer_count);
	} else if (r > 0) {
		r = mend_image(db, *ret, n, ret_mended);
	}
	if (r >= 0 && n->tag)
		r = put_tag(db, n->tag, *ret);
	return r < 0 ? r : 0;
}

int image_add_along(struct db *db, const char *config, size_t config_bytes, const struct layer_id *layers,
		    size_t layer_count, const char *tag, struct diag *diag, struct image_id *ret, bool *ret_mended)
{
	AUTO(new_image_release)
	struct new_image n = {
		.config = config, .config_bytes = config_bytes, .layers = layers, .layer_count = layer_count
	};
	int r = new_image_read(&n, tag, diag);

	if (r == 0)
		r = image_add_locked(db, &n, diag, ret, ret_mended);
	return r < 0 ? diag_errno(diag, r, "the image cannot be added to the index") : 0;
}

int image_add(struct writer *writer, const char *config, size_t config_bytes, const struct layer_id *layers,
	      size_t layer_count, const char *tag, struct diag *diag, struct image_id *ret)
{
	AUTO(new_image_release)
	struct new_image n = {
		.config = config, .config_bytes = config_bytes, .layers = layers, .layer_count = layer_count
	};
	AUTO(txn_abortp) struct txn *txn = NULL;
	bool mended = false;
	int r = new_image_read(&n, tag, diag);

	if (r < 0)
		return r;
	r = txn_begin(writer_store(writer), &txn);
	if (r == 0)
		r = image_add_locked(txn_db(txn), &n, diag, ret, &mended);
	if (r == 0)
		r = txn_commit(TAKE(txn));
	if (r == 0 && mended)
		r = heal_counts(writer_store(writer), diag);
	return r < 0 ? diag_errno(diag, r, "the image cannot be added to the index") : 0;
}

int image_tag(struct store *store, const char *ref, const char *tag, struct diag *diag)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	AUTO(freep) char *name = NULL;
	AUTO(freep) char *old = NULL;
	enum reference_kind kind;
	struct image_id id;
	int r = reference_check(tag, diag, &name);

	if (r == 0)
		r = txn_begin(store, &txn);
	if (r == 0)
		r = reference_find(txn_db(txn), ref, diag, &id, &kind, &old);
	if (r == 0)
		r = put_tag(txn_db(txn), name, id);
	if (r == 0)
		r = txn_commit(TAKE(txn));
	return r < 0 ? diag_errno(diag, r, "%s cannot be tagged", ref) : 0;
}
