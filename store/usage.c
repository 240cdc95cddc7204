/* SPDX-License-Identifier: Apache-2.0 */
#include "store/usage.h"

#include "store/db.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Everything follows from one table: which layer uses which content, and how
 * often. A content is a thing's alone if only layers use it that are in nothing
 * else; a layer without an image, which gc is going to take, counts as something else.
 */
static const char prepare_sql[] =
	"CREATE TEMP TABLE used(content INTEGER, layer INTEGER, n INTEGER NOT NULL, PRIMARY KEY(content, layer))"
	"  WITHOUT ROWID;"
	/* Hard links are one file; a hidden row's content is needed as much. */
	"INSERT INTO used SELECT content, layer, count(*) FROM"
	"  (SELECT DISTINCT layer, no, content FROM entry WHERE content IS NOT NULL)"
	"  GROUP BY content, layer;"
	"INSERT INTO used SELECT framing, id, 1 FROM layer WHERE framing IS NOT NULL"
	"  ON CONFLICT DO UPDATE SET n = n + 1;"
	/* Where each content is: in how many layers, and in which image if it is in one only. */
	"CREATE TEMP TABLE place(content INTEGER PRIMARY KEY, size INTEGER NOT NULL, layers INTEGER NOT NULL,"
	"  first_image INTEGER, last_image INTEGER);"
	"INSERT INTO place SELECT u.content, c.size, count(DISTINCT u.layer),"
	"   min(coalesce(l.image, 0)), max(coalesce(l.image, 0))"
	"  FROM used u JOIN content c ON c.id = u.content LEFT JOIN image_layer l ON l.layer = u.layer"
	"  GROUP BY u.content;";

static const char layers_sql[] =
	"SELECT l.diff_id, NULL, 0, (SELECT count(DISTINCT image) FROM image_layer i WHERE i.layer = l.id),"
	" l.content_bytes, coalesce(sum(iif(p.layers = 1, size, 0)), 0), coalesce(sum(iif(p.layers > 1, size, 0)), 0)"
	" FROM layer l LEFT JOIN used u ON u.layer = l.id LEFT JOIN place p ON p.content = u.content"
	" GROUP BY l.id ORDER BY l.id";

static const char images_sql[] =
	"SELECT i.digest, (SELECT min(name) FROM tag t WHERE t.image = i.id),"
	" (SELECT count(*) FROM image_layer l WHERE l.image = i.id), 0,"
	" (SELECT coalesce(sum(content_bytes), 0) FROM image_layer l JOIN layer ON layer.id = l.layer WHERE image = i.id),"
	" coalesce(sum(iif(first_image = last_image, size, 0)), 0) AS alone,"
	" coalesce(sum(iif(first_image <> last_image, size, 0)), 0)"
	" FROM image i LEFT JOIN"
	"  (SELECT DISTINCT image, content FROM image_layer l JOIN used u ON u.layer = l.layer) x ON x.image = i.id"
	" LEFT JOIN place p ON p.content = x.content"
	" GROUP BY i.id ORDER BY alone DESC, i.id";

static int fill_item(sqlite3_stmt *row, struct usage_item *ret)
{
	const char *name = (const char *)sqlite3_column_text(row, 1);

	*ret = (struct usage_item){
		.layers = (uint64_t)sqlite3_column_int64(row, 2),
		.images = (uint64_t)sqlite3_column_int64(row, 3),
		.size_bytes = (uint64_t)sqlite3_column_int64(row, 4),
		.alone_bytes = (uint64_t)sqlite3_column_int64(row, 5),
		.shared_bytes = (uint64_t)sqlite3_column_int64(row, 6),
	};
	if (sqlite3_column_bytes(row, 0) != DIGEST_BYTES)
		return -EBADMSG;
	memcpy(ret->digest.bytes, sqlite3_column_blob(row, 0), DIGEST_BYTES);
	ret->name = name ? strdup(name) : NULL;
	return name && !ret->name ? -ENOMEM : 0;
}

static int read_items(struct db *db, const char *sql, struct usage_item **ret, size_t *ret_count)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, sql, &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		struct usage_item *more = realloc(*ret, (*ret_count + 1) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		*ret = more;
		r = fill_item(stmt, &more[*ret_count]);
		*ret_count += r == 0;
	}
	return r;
}

static int read_number(struct db *db, const char *sql, uint64_t *ret)
{
	int64_t value = 0;
	int r = db_int(db, sql, &value);

	*ret = (uint64_t)value;
	return r;
}

static int read_totals(struct db *db, struct usage *ret)
{
	int r = read_number(db, "SELECT count(*) FROM temp.place", &ret->contents);

	if (r == 0)
		r = read_number(db, "SELECT coalesce(sum(size), 0) FROM temp.place", &ret->stored_bytes);
	if (r == 0)
		r = read_number(db, "SELECT coalesce(sum(n * size), 0) FROM used JOIN place USING(content)",
				&ret->unshared_bytes);
	return r;
}

static void usage_releasep(struct usage *usage)
{
	usage_release(usage);
}

int store_usage(struct store *store, struct diag *diag, struct usage *ret)
{
	/* Its own connection: temporary tables go with it. */
	AUTO(db_closep) struct db *db = NULL;
	AUTO(usage_releasep) struct usage usage = { 0 };
	struct stat st;
	int r = db_open_index(store, &db);

	if (r == 0)
		r = db_exec(db, "BEGIN");
	if (r == 0)
		r = db_exec(db, prepare_sql);
	if (r == 0)
		r = read_items(db, layers_sql, &usage.layers, &usage.layer_count);
	if (r == 0)
		r = read_items(db, images_sql, &usage.images, &usage.image_count);
	if (r == 0)
		r = read_totals(db, &usage);
	if (r < 0)
		return diag_errno(diag, r, "the index of %s cannot be read", store->dir);
	if (fstatat(store->dirfd, "index.db", &st, 0) == 0)
		usage.index_bytes = (uint64_t)st.st_size;
	*ret = usage;
	usage = (struct usage){ 0 };
	return 0;
}

static void items_free(struct usage_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(items[i].name);
	free(items);
}

void usage_release(struct usage *usage)
{
	items_free(usage->images, usage->image_count);
	items_free(usage->layers, usage->layer_count);
	*usage = (struct usage){ 0 };
}
