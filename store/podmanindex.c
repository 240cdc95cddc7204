/* SPDX-License-Identifier: Apache-2.0 */
#include "store/podmanindex.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/image_config.h"
#include "store/outgoing.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIME_BYTES = 32 };
static const int64_t TIME_MAX = 253402300799; /* the end of the year 9999, after which Go reads no times */

static const char *hex_of(const struct digest *digest, char text[static DIGEST_TEXT_BYTES])
{
	return strchr(digest_format(digest, text), ':') + 1;
}

static void id_set(char id[static PODMANINDEX_ID_BYTES], const struct digest *digest)
{
	char text[DIGEST_TEXT_BYTES];

	memcpy(id, hex_of(digest, text), PODMANINDEX_ID_BYTES);
}

static json_t *time_json(int64_t seconds)
{
	time_t t = seconds < 0 ? 0 : seconds > TIME_MAX ? TIME_MAX : seconds;
	char text[TIME_BYTES];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

/* @more: what the text does not say. */
static int text_set(struct podmanindex_text *text, const json_t *json, uint64_t more)
{
	int r = image_config_text(json, &text->json, &text->bytes);

	if (r == 0)
		text->hash = XXH3_128bits_withSeed(text->json, text->bytes, more);
	return r;
}

/* An index that is being made. */
struct making {
	struct store *store;
	const struct podmanindex *old;
	void *fresh; /* owned: a tsearch(3) tree of layers that the old one has not, with a reference to each */
	size_t fresh_count;
	struct row *rows; /* owned: of images, by number */
	size_t row_count;
	int64_t *layers; /* owned: those of which something new is known; sorted */
	size_t layer_count;
};

/* --- layers --- */

/* containers/image: the diff ID of the lowest, then the hash of "PARENT+DIFFID". */
static int layer_set_id(struct podmanindex_layer *layer)
{
	char text[DIGEST_TEXT_BYTES], joined[2 * PODMANINDEX_ID_BYTES + 1];
	struct digest digest;
	int r;

	if (!layer->parent[0]) {
		id_set(layer->id, &layer->info.diff_id);
		return 0;
	}
	snprintf(joined, sizeof(joined), "%s+%s", layer->parent, hex_of(&layer->info.diff_id, text));
	r = digest_of(joined, strlen(joined), &digest);
	if (r == 0)
		id_set(layer->id, &digest);
	return r;
}

int podmanindex_top(struct store *store, struct image_id image, char ret[static PODMANINDEX_ID_BYTES])
{
	struct podmanindex_layer layer = { 0 };
	struct image_info info = { 0 };
	int r = image_info(store, image, NULL, &info);

	for (size_t i = 0; r == 0 && i < info.layer_count; i++) {
		memcpy(layer.parent, layer.id, sizeof(layer.parent));
		r = layer_info(store, info.layers[i], &layer.info);
		if (r == 0)
			r = layer_set_id(&layer);
	}
	image_info_release(&info);
	memcpy(ret, layer.id, sizeof(layer.id));
	return r;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct podmanindex_layer *)a)->id, ((const struct podmanindex_layer *)b)->id);
}

static void layer_put(struct podmanindex_layer *layer)
{
	if (!layer || --layer->refs > 0)
		return;
	free(layer->text.json);
	free(layer);
}

static int layer_write(struct podmanindex_layer *layer)
{
	char diff_id[DIGEST_TEXT_BYTES], archive[DIGEST_TEXT_BYTES];
	AUTO(json_decrefp)
	json_t *json = json_pack("{s:s, s:o, s:s, s:I}", "id", layer->id, "created", time_json(layer->info.created),
				 "diff-digest", digest_format(&layer->info.diff_id, diff_id), "diff-size",
				 (json_int_t)layer->info.tar_bytes);
	int r = json ? 0 : -ENOMEM;

	if (r == 0 && layer->parent[0] && json_object_set_new(json, "parent", json_string(layer->parent)) < 0)
		r = -ENOMEM;
	if (r == 0 && layer->archive_bytes >= 0 &&
	    (json_object_set_new(json, "compressed-diff-digest", json_string(digest_format(&layer->archive, archive))) <
		     0 ||
	     json_object_set_new(json, "compressed-size", json_integer(layer->archive_bytes)) < 0))
		r = -ENOMEM;
	return r < 0 ? r : text_set(&layer->text, json, (uint64_t)layer->info.id.value);
}

static bool layer_is(const struct podmanindex_layer *a, const struct podmanindex_layer *b)
{
	return a->info.id.value == b->info.id.value && a->archive_bytes == b->archive_bytes &&
	       (a->archive_bytes < 0 || digest_eq(&a->archive, &b->archive));
}

/* The one of the index before, or one that an image before this one brought, or a new one. Return: a reference; NULL: no memory. */
static struct podmanindex_layer *layer_get(struct making *making, const struct podmanindex_layer *like)
{
	const struct podmanindex_layer *old = podmanindex_layer(making->old, like->id, PODMANINDEX_ID_BYTES);
	struct podmanindex_layer **at, *layer;

	if (old && layer_is(old, like)) {
		layer = (struct podmanindex_layer *)old;
		layer->refs++;
		return layer;
	}
	at = tfind(like, &making->fresh, by_id);
	if (at) {
		(*at)->refs++;
		return *at;
	}
	layer = malloc(sizeof(*layer));
	if (!layer)
		return NULL;
	*layer = *like;
	layer->refs = 1;
	if (layer_write(layer) < 0 || !tsearch(layer, &making->fresh, by_id)) {
		layer_put(layer);
		return NULL;
	}
	layer->refs++;
	making->fresh_count++;
	return layer;
}

static int set_layers(struct making *making, struct podmanindex_image *image, const struct outgoing *o)
{
	const struct podmanindex_layer *below = NULL;
	int r = 0;

	image->layers = calloc(o->image.layer_count + 1, sizeof(struct podmanindex_layer *));
	if (!image->layers)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < o->image.layer_count; i++) {
		const struct outgoing_layer *from = &o->layers[i];
		struct podmanindex_layer layer = { .info = from->info, .archive_bytes = -1 };

		if (below)
			memcpy(layer.parent, below->id, sizeof(layer.parent));
		if (from->known_count > 0) {
			layer.archive = from->known[0].digest;
			layer.archive_bytes = from->known[0].bytes;
		}
		r = layer_set_id(&layer);
		if (r < 0)
			break;
		below = image->layers[i] = layer_get(making, &layer);
		if (!below)
			return -ENOMEM;
		image->layer_count++;
	}
	return r;
}

/* --- images --- */

/* With the registry, which nacre leaves out where it is docker's. */
static json_t *name_json(const char *tag)
{
	size_t host = strcspn(tag, "/");
	bool has_path = tag[host] == '/';
	bool is_host = has_path && (memchr(tag, '.', host) || memchr(tag, ':', host) ||
				    (host == strlen("localhost") && strncmp(tag, "localhost", host) == 0));

	return json_sprintf("%s%s%s", is_host ? "" : "docker.io/", is_host || has_path ? "" : "library/", tag);
}

static json_t *names_json(const struct image_info *image)
{
	json_t *names = json_array();

	for (size_t i = 0; names && i < image->tag_count; i++) {
		if (json_array_append_new(names, name_json(image->tags[i])) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}

static int image_write(struct podmanindex_image *image, const struct image_info *info,
		       const struct podmanindex_files *files)
{
	const char *top = image->layer_count > 0 ? image->layers[image->layer_count - 1]->id : NULL;
	char config[DIGEST_TEXT_BYTES], manifest[DIGEST_TEXT_BYTES];
	char named[sizeof("manifest-") + DIGEST_TEXT_BYTES];
	json_int_t bytes = (json_int_t)files->manifest_bytes;
	AUTO(json_decrefp) json_t *json = NULL;

	digest_format(&info->digest, config);
	digest_format(&files->manifest_digest, manifest);
	snprintf(named, sizeof(named), "manifest-%s", manifest);
	json = json_pack("{s:s, s:s, s:o, s:s*, s:o, s:[s,s,s], s:{s:I, s:I, s:I}, s:{s:s, s:s, s:s}}", "id", image->id,
			 "digest", manifest, "names", names_json(info), "layer", top, "created",
			 time_json(info->created), "big-data-names", named, "manifest", config, "big-data-sizes", named,
			 bytes, "manifest", bytes, config, (json_int_t)files->config_bytes, "big-data-digests", named,
			 manifest, "manifest", manifest, config, config);
	return json ? text_set(&image->text, json, 0) : -ENOMEM;
}

static int files_of(struct outgoing *o, struct podmanindex_files *ret)
{
	struct origin_manifest manifest;
	bool kept;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->image.layer_count; i++) {
		struct outgoing_layer *layer = &o->layers[i];

		if (layer->named)
			r = outgoing_set(layer, &layer->wanted.digest, (uint64_t)layer->wanted.bytes,
					 layer->wanted.media_type);
		else
			r = outgoing_set(layer, &layer->info.diff_id, layer->info.tar_bytes, OUTGOING_TAR_TYPE);
	}
	if (r < 0)
		return r;
	r = outgoing_manifest(o, &manifest, &kept);
	if (r == 0)
		r = digest_of(manifest.text, manifest.bytes, &ret->manifest_digest);
	if (r == 0) {
		ret->manifest = TAKE(manifest.text);
		ret->manifest_bytes = manifest.bytes;
		ret->config = TAKE(o->image.config);
		ret->config_bytes = o->image.config_bytes;
		ret->config_digest = o->id;
	}
	origin_manifest_release(&manifest);
	return r;
}

void podmanindex_files_release(struct podmanindex_files *files)
{
	free(files->config);
	free(files->manifest);
	*files = (struct podmanindex_files){ 0 };
}

int podmanindex_files(struct store *store, struct image_id image, struct podmanindex_files *ret)
{
	AUTO(outgoing_release) struct outgoing o = { 0 };
	int r = outgoing_init(store, image, NULL, &o);

	*ret = (struct podmanindex_files){ 0 };
	return r < 0 ? r : files_of(&o, ret);
}

static void image_put(struct podmanindex_image *image)
{
	if (!image || --image->refs > 0)
		return;
	for (size_t i = 0; i < image->layer_count; i++)
		layer_put(image->layers[i]);
	free(image->layers);
	free(image->text.json);
	free(image);
}

static void image_putp(struct podmanindex_image **image)
{
	image_put(*image);
}

/* Return: 0; -ENOMEM; another error: it cannot be read, or went meanwhile. */
static int image_read(struct making *making, struct image_id id, struct podmanindex_image **ret)
{
	AUTO(image_putp) struct podmanindex_image *image = calloc(1, sizeof(*image));
	AUTO(outgoing_release) struct outgoing o = { 0 };
	AUTO(podmanindex_files_release) struct podmanindex_files files = { 0 };
	int r = -ENOMEM;

	if (!image)
		return r;
	image->refs = 1;
	image->image = id;
	r = outgoing_init(making->store, id, NULL, &o);
	if (r == 0)
		r = files_of(&o, &files);
	if (r < 0)
		return r;
	id_set(image->id, &o.id);
	image->created = o.image.created;
	r = set_layers(making, image, &o);
	if (r == 0)
		r = image_write(image, &o.image, &files);
	if (r == 0)
		*ret = TAKE(image);
	return r;
}

/* --- what has changed --- */

/*
 * The rows of images are read each time, but little of each: its tags, and the digest of its manifest.  All else of an image never
 * changes, but for what its layers were called outside: rows of blob come, with ever higher numbers.
 */
struct row {
	struct image_id id;
	XXH128_hash_t stamp;
};

#define ROWS(of_manifest)                                                       \
	"SELECT id, " of_manifest ", (SELECT group_concat(name, char(10)) FROM" \
	" (SELECT name FROM tag WHERE tag.image = image.id ORDER BY name))"     \
	" FROM image LEFT JOIN manifest ON manifest.image = image.id ORDER BY id"

static int rows_stmt(struct db *db, sqlite3_stmt **ret)
{
	int64_t version;
	int r = db_int(db, "PRAGMA user_version", &version);

	if (r < 0)
		return r;
	return db_stmt(db, version < 3 ? ROWS("body") : ROWS("manifest.digest"), ret);
}

static void row_read(sqlite3_stmt *stmt, struct row *ret)
{
	XXH128_hash_t parts[2];

	for (int i = 0; i < 2; i++)
		parts[i] = XXH3_128bits(sqlite3_column_blob(stmt, i + 1), (size_t)sqlite3_column_bytes(stmt, i + 1));
	ret->id.value = sqlite3_column_int64(stmt, 0);
	ret->stamp = XXH3_128bits(parts, sizeof(parts));
}

/* @array has room for @count; a power of two is reached before it is full. */
static int make_room(void **array, size_t count, size_t size)
{
	void *more;

	if (count & (count - 1))
		return 0;
	more = reallocarray(*array, count ? 2 * count : 1, size);
	if (!more)
		return -ENOMEM;
	*array = more;
	return 0;
}

static int read_rows(struct making *making, struct db *db)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = rows_stmt(db, &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		r = make_room((void **)&making->rows, making->row_count, sizeof(*making->rows));
		if (r == 0)
			row_read(stmt, &making->rows[making->row_count++]);
	}
	return r;
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int read_layers(struct making *making, struct db *db)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT layer FROM blob WHERE no > ?", &stmt);

	if (r == 0)
		db_bind_int(stmt, 1, making->old->last_blob);
	while (r == 0 && (r = db_step(stmt)) > 0) {
		r = make_room((void **)&making->layers, making->layer_count, sizeof(*making->layers));
		if (r == 0)
			making->layers[making->layer_count++] = sqlite3_column_int64(stmt, 0);
	}
	if (making->layer_count > 0)
		qsort(making->layers, making->layer_count, sizeof(*making->layers), by_number);
	return r;
}

static int read_changes(struct making *making, int64_t *ret_last_blob)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = making->store };
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_exec(loan.db, "BEGIN");
	if (r < 0)
		return r;
	r = db_int(loan.db, "SELECT coalesce(max(no), 0) FROM blob", ret_last_blob);
	if (r == 0 && making->old->image_count > 0)
		r = read_layers(making, loan.db);
	if (r == 0)
		r = read_rows(making, loan.db);
	(void)db_exec(loan.db, "COMMIT");
	return r;
}

static bool is_same(const struct making *making, const struct podmanindex_image *old, const struct row *row)
{
	if (!XXH128_isEqual(old->stamp, row->stamp))
		return false;
	for (size_t i = 0; making->layer_count > 0 && i < old->layer_count; i++) {
		if (bsearch(&old->layers[i]->info.id.value, making->layers, making->layer_count,
			    sizeof(*making->layers), by_number))
			return false;
	}
	return true;
}

/* --- the lists --- */

static int by_image_id(const void *a, const void *b)
{
	return strcmp((*(struct podmanindex_image *const *)a)->id, (*(struct podmanindex_image *const *)b)->id);
}

/* One that cannot be read keeps nobody from the others. Both have the rows in their order. */
static int take_images(struct making *making, struct podmanindex *index)
{
	const struct podmanindex *old = making->old;
	size_t at = 0;

	index->images = calloc(making->row_count + 1, sizeof(struct podmanindex_image *));
	index->by_row = calloc(making->row_count + 1, sizeof(struct podmanindex_image *));
	if (!index->images || !index->by_row)
		return -ENOMEM;
	for (size_t i = 0; i < making->row_count; i++) {
		const struct row *row = &making->rows[i];
		struct podmanindex_image *image = NULL;
		int r = 0;

		while (at < old->image_count && old->by_row[at]->image.value < row->id.value)
			at++;
		if (at < old->image_count && old->by_row[at]->image.value == row->id.value &&
		    is_same(making, old->by_row[at], row)) {
			image = old->by_row[at];
			image->refs++;
		} else {
			r = image_read(making, row->id, &image);
		}
		if (r == -ENOMEM)
			return r;
		if (!image)
			continue;
		image->stamp = row->stamp;
		index->by_row[index->image_count] = index->images[index->image_count] = image;
		index->image_count++;
	}
	qsort(index->images, index->image_count, sizeof(*index->images), by_image_id);
	return 0;
}

/* Those of the old index that still belong to an image, and the fresh ones, which come in their order: no ID is in both. */
struct merge {
	struct podmanindex *index;
	const struct podmanindex *old;
	size_t next; /* of the old one */
};

static void merge_old(struct merge *merge, const char *before)
{
	for (; merge->next < merge->old->layer_count; merge->next++) {
		struct podmanindex_layer *layer = merge->old->layers[merge->next];
		int order = before ? strcmp(layer->id, before) : -1;

		if (order > 0)
			return;
		if (order == 0 || layer->generation != merge->index->generation)
			continue;
		layer->refs++;
		merge->index->layers[merge->index->layer_count++] = layer;
	}
}

static void merge_fresh(const void *node, VISIT visit, void *arg)
{
	struct podmanindex_layer *layer = *(struct podmanindex_layer *const *)node;
	struct merge *merge = arg;

	/* In order; and not one of an image that could not be read in the end. */
	if ((visit != postorder && visit != leaf) || layer->generation != merge->index->generation)
		return;
	merge_old(merge, layer->id);
	layer->refs++;
	merge->index->layers[merge->index->layer_count++] = layer;
}

static int take_layers(struct making *making, struct podmanindex *index)
{
	struct merge merge = { .index = index, .old = making->old };

	index->layers = calloc(making->old->layer_count + making->fresh_count + 1, sizeof(struct podmanindex_layer *));
	if (!index->layers)
		return -ENOMEM;
	for (size_t i = 0; i < index->image_count; i++) {
		for (size_t j = 0; j < index->images[i]->layer_count; j++)
			index->images[i]->layers[j]->generation = index->generation;
	}
	twalk_r(making->fresh, merge_fresh, &merge);
	merge_old(&merge, NULL);
	return 0;
}

/* Each after a bracket or a comma. */
static int set_starts(struct podmanindex *index, enum podmanindex_list list)
{
	size_t count = podmanindex_count(index, list), *starts = calloc(count + 1, sizeof(*starts));

	if (!starts)
		return -ENOMEM;
	starts[0] = 1;
	for (size_t i = 0; i < count; i++)
		starts[i + 1] = starts[i] + podmanindex_text(index, list, i)->bytes + 1;
	index->starts[list] = starts;
	return 0;
}

static void set_mark(struct podmanindex *index)
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t hash[2] = { 0 };

	for (enum podmanindex_list list = PODMANINDEX_IMAGES; state && list <= PODMANINDEX_LAYERS; list++) {
		XXH3_128bits_reset(state);
		for (size_t i = 0; i < podmanindex_count(index, list); i++)
			XXH3_128bits_update(state, &podmanindex_text(index, list, i)->hash, sizeof(XXH128_hash_t));
		hash[list] = XXH3_128bits_digest(state);
	}
	XXH3_freeState(state);
	snprintf(index->mark, sizeof(index->mark), "%016llx%016llx%016llx%016llx", (unsigned long long)hash[0].high64,
		 (unsigned long long)hash[0].low64, (unsigned long long)hash[1].high64,
		 (unsigned long long)hash[1].low64);
}

static void making_release(struct making *making)
{
	while (making->fresh) {
		struct podmanindex_layer *layer = *(struct podmanindex_layer **)making->fresh;

		tdelete(layer, &making->fresh, by_id);
		layer_put(layer);
	}
	free(making->rows);
	free(making->layers);
}

void podmanindex_release(struct podmanindex *index)
{
	for (size_t i = 0; i < index->image_count; i++)
		image_put(index->images[i]);
	for (size_t i = 0; i < index->layer_count; i++)
		layer_put(index->layers[i]);
	free(index->images);
	free(index->by_row);
	free(index->layers);
	free(index->starts[PODMANINDEX_IMAGES]);
	free(index->starts[PODMANINDEX_LAYERS]);
	*index = (struct podmanindex){ 0 };
}

int podmanindex_read(struct store *store, const struct podmanindex *old, struct podmanindex *ret)
{
	AUTO(podmanindex_release) struct podmanindex index = { .generation = old->generation + 1 };
	AUTO(making_release) struct making making = { .store = store, .old = old };
	int r = read_changes(&making, &index.last_blob);

	if (r == 0)
		r = take_images(&making, &index);
	if (r == 0)
		r = take_layers(&making, &index);
	if (r == 0)
		r = set_starts(&index, PODMANINDEX_IMAGES);
	if (r == 0)
		r = set_starts(&index, PODMANINDEX_LAYERS);
	if (r < 0)
		return r;
	set_mark(&index);
	*ret = index;
	index = (struct podmanindex){ 0 };
	return 0;
}
