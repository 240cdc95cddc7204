/* SPDX-License-Identifier: Apache-2.0 */
#include "store/schema.h"

#include <string.h>

/*
 * The index.  What the tables hold, and the invariants between them:
 *
 * counter	the next free id of contents and packs; they name files, so they are never used twice.
 * layer	one row for each committed layer; framing is the content that holds its tar framing.
 *		AUTOINCREMENT: the id of a removed layer never comes back under a running mount.
 * entry	one row for each name.  dir is the number of the directory that holds it (0 for the root's own
 *		row), no the number of the inode: names of one hard-linked file share it.  Rows with dir < 0
 *		are hidden: files that a later entry of the same archive replaced.  No lookup sees them;
 *		they keep the content that the framing needs.
 * xattr	by inode.  entry.flags says which inodes have any.
 * content	each distinct run of bytes.  pack NULL: a file of objects/; otherwise at offset in packs/PACK.
 *		refs = rows of entry (hidden ones too) plus layer.framing that name it; never 0.
 * pack		live is the sum of the sizes of the contents in it; at 0 the pack goes.
 * manifest	what an image had around it outside (origin.h); goes with the image.  digest is the body's SHA-256: of one
 *		that came in before version 3, as it was when the index was brought to that.
 * blob		what a layer was outside: digest and size of the archive, compressed or not; goes with the layer.
 *		checksum is SCHEMA_BLOB_CHECKSUM of the row: nothing else in the index could tell that it was changed.
 *
 * A row of entry costs about 60 bytes plus its name: 0, 1 and NULL take no space in SQLite beyond their type byte.
 * Interior pages of a WITHOUT ROWID table hold whole rows; 8 KiB pages keep the tree flat with them.
 */

/* "nacr" */
#define APPLICATION_ID 0x6e616372

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

static const char version_1[] =
	"CREATE TABLE counter(name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO counter VALUES('content', 1), ('pack', 1);"
	"CREATE TABLE layer("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  diff_id BLOB NOT NULL UNIQUE,"
	"  tar_bytes INTEGER NOT NULL,"
	"  entries INTEGER NOT NULL,"
	"  content_bytes INTEGER NOT NULL,"
	"  has_xattrs INTEGER NOT NULL,"
	"  framing INTEGER,"
	"  created INTEGER NOT NULL);"
	"CREATE TABLE entry("
	"  layer INTEGER NOT NULL, dir INTEGER NOT NULL, name BLOB NOT NULL,"
	"  no INTEGER NOT NULL, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
	"  rdev INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,"
	"  content INTEGER, target BLOB, nlink INTEGER NOT NULL, flags INTEGER NOT NULL,"
	"  PRIMARY KEY(layer, dir, name)) WITHOUT ROWID;"
	/* From an inode to its names: of directories, and of files that have several. */
	"CREATE INDEX entry_no ON entry(layer, no) WHERE nlink > 1;"
	"CREATE TABLE xattr("
	"  layer INTEGER NOT NULL, no INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,"
	"  PRIMARY KEY(layer, no, name)) WITHOUT ROWID;"
	"CREATE TABLE pack(id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, live INTEGER NOT NULL);"
	"CREATE TABLE content("
	"  id INTEGER PRIMARY KEY, hash BLOB NOT NULL, size INTEGER NOT NULL,"
	"  pack INTEGER, offset INTEGER NOT NULL, refs INTEGER NOT NULL);"
	"CREATE INDEX content_hash ON content(hash);"
	"CREATE TABLE image("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE,"
	"  config BLOB NOT NULL, created INTEGER NOT NULL);"
	"CREATE TABLE image_layer("
	"  image INTEGER NOT NULL, position INTEGER NOT NULL, layer INTEGER NOT NULL,"
	"  PRIMARY KEY(image, position)) WITHOUT ROWID;"
	"CREATE INDEX image_layer_layer ON image_layer(layer);"
	"CREATE TABLE tag(name TEXT PRIMARY KEY, image INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX tag_image ON tag(image);"
	"CREATE TABLE container("
	"  id TEXT PRIMARY KEY, image INTEGER NOT NULL, name TEXT UNIQUE, mountpoint TEXT,"
	"  fakeroot INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX container_mountpoint ON container(mountpoint);";

static const char version_2[] =
	"CREATE TABLE manifest("
	"  image INTEGER PRIMARY KEY, media_type TEXT NOT NULL, body BLOB NOT NULL);"
	"CREATE TABLE blob("
	"  no INTEGER PRIMARY KEY, layer INTEGER NOT NULL, digest BLOB NOT NULL, bytes INTEGER NOT NULL,"
	"  media_type TEXT NOT NULL, source TEXT, UNIQUE(layer, digest));";

/* sha256(): db.h */
static const char version_3[] = "ALTER TABLE manifest ADD COLUMN digest BLOB NOT NULL DEFAULT x'';"
				"UPDATE manifest SET digest = sha256(body);";

static const char version_4[] = "ALTER TABLE blob ADD COLUMN checksum BLOB NOT NULL DEFAULT x'';"
				"UPDATE blob SET checksum = " SCHEMA_BLOB_CHECKSUM ";";

/* migrations[v] brings an index from version v to v + 1.  Entries are never changed once released. */
static const char *const migrations[] = { version_1, version_2, version_3, version_4 };

_Static_assert(ARRAY_SIZE(migrations) == STORE_VERSION, "a migration for each version");

int schema_check(struct db *db, struct diag *diag, int *ret_version)
{
	int64_t version = 0, application = 0, tables = 0;
	int r = db_int(db, "PRAGMA user_version", &version);

	if (r == 0)
		r = db_int(db, "PRAGMA application_id", &application);
	if (r == 0 && version == 0 && application == 0)
		r = db_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r < 0)
		return db_diag(db, diag, r, "the index cannot be read");
	*ret_version = (int)version;
	if (version == 0 && application == 0 && tables == 0)
		return 0; /* empty: it is being made */
	if (application != APPLICATION_ID)
		return diag_set(diag, -EBADMSG, "index.db is not the index of a store");
	if (version > STORE_VERSION)
		return diag_set(diag, -EPROTO, "the store has version %lld, this program knows %d and older",
				(long long)version, STORE_VERSION);
	return 0;
}

int schema_has_blob_checksums(struct db *db)
{
	int64_t version;
	int r = db_int(db, "PRAGMA user_version", &version);

	return r < 0 ? r : version >= 4;
}

static int migrate_locked(struct db *db, int to)
{
	int64_t version;
	int r = db_int(db, "PRAGMA user_version", &version);

	for (; r == 0 && version < to; version++)
		r = db_exec(db, migrations[version]);
	if (r == 0)
		r = db_exec(db, "PRAGMA application_id=" STRING(APPLICATION_ID));
	if (r == 0) {
		char sql[64];

		snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", to);
		r = db_exec(db, sql);
	}
	return r;
}

static const char declarations_sql[] = "SELECT name, type || ' ' || tbl_name || ' ' || coalesce(sql, '')"
				       " FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name, 2";

/* Return: 1: both have a row and those are equal, or neither has one; 0: they differ; -errno. */
static int next_is_equal(sqlite3_stmt *is, sqlite3_stmt *should, bool *ret_end)
{
	int a = db_step(is), b = a < 0 ? a : db_step(should);

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	*ret_end = a == 0 && b == 0;
	if (a != b || *ret_end)
		return a == b;
	return sqlite3_column_bytes(is, 0) == sqlite3_column_bytes(should, 0) &&
	       sqlite3_column_bytes(is, 1) == sqlite3_column_bytes(should, 1) &&
	       memcmp(sqlite3_column_blob(is, 0), sqlite3_column_blob(should, 0),
		      (size_t)sqlite3_column_bytes(is, 0)) == 0 &&
	       memcmp(sqlite3_column_blob(is, 1), sqlite3_column_blob(should, 1),
		      (size_t)sqlite3_column_bytes(is, 1)) == 0;
}

int schema_compare(struct db *db, char **ret)
{
	AUTO(db_closep) struct db *fresh = NULL;
	AUTO(db_resetp) sqlite3_stmt *is = NULL;
	AUTO(db_resetp) sqlite3_stmt *should = NULL;
	bool end = false;
	int64_t version = 0;
	int r = db_open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &fresh);

	*ret = NULL;
	if (r == 0)
		r = db_int(db, "PRAGMA user_version", &version);
	if (r == 0)
		r = migrate_locked(fresh, version < STORE_VERSION ? (int)version : STORE_VERSION);
	if (r == 0)
		r = db_stmt(fresh, declarations_sql, &should);
	if (r == 0)
		r = db_stmt(db, declarations_sql, &is);
	while (r == 0 && !end) {
		int equal = next_is_equal(is, should, &end);

		if (equal > 0)
			continue;
		if (equal < 0)
			return equal;
		*ret = strdup((const char *)sqlite3_column_text(sqlite3_data_count(should) ? should : is, 0));
		return *ret ? 0 : -ENOMEM;
	}
	return r;
}

int schema_migrate(struct db *db, struct diag *diag)
{
	/* It only counts before the first table is there. */
	int r = db_exec(db, "PRAGMA page_size=8192; BEGIN IMMEDIATE");

	if (r == 0) {
		r = migrate_locked(db, STORE_VERSION);
		if (r < 0)
			db_diag(db, diag, r, "the index cannot be set up");
		if (r == 0)
			r = db_exec(db, "COMMIT");
		else
			(void)db_exec(db, "ROLLBACK");
	}
	return db_diag(db, diag, r, "the index cannot be set up");
}
