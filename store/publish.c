/* SPDX-License-Identifier: Apache-2.0 */
#include "store/publish.h"

#include "store/few.h"
#include "store/late.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/*
 * The order of things, and what a crash leaves after each:
 *
 *   1. stage sealed, synced		nothing, or a staging folder; the next writer removes it
 *   2. write lock on the index		the same
 *   3. pack and objects renamed	files whose ids no row has; ids are handed out in the
 *      into place, synced while	transaction, so the next writer's renames replace them, or gc removes them
 *      the rows are copied
 *   4. commit				the layer
 *
 * Bytes are on disk before the rows that name them, never the other way round.  The rows of step 4 are in the
 * log, which keeps its order, but are not synced: a layer counts once an image has it, and that
 * image's commit, like any other, syncs the log up to it.  What a power cut takes is a layer of no image.
 * (Only a log does that: with a rollback journal, on media that machines share, every commit is synced.)  The rows of a
 * layer that comes together with its image (ingest_options.along) are synced with those of the image.
 * The contents of other layers that this one shares cannot go meanwhile: gc is kept
 * away by the writer's shared lock.  Step 4 counts them all the same.
 *
 * A small layer is renamed first and synced then, still before its rows: its bytes and its name go to disk in one step of
 * the file system's journal, where each would wait for one of its own.  The write lock is held a little longer for it.
 *
 * One syncfs() puts thousands of objects on disk at once.  A layer of few files does not use it: it would
 * wait for all that other programs have written to the same file system, too.  Nor does any where the kernel does not pass
 * it on to who has the disk (medium.h).
 */
enum {
	SYNC_SINGLY_MAX = 16,
	SYNC_LATE_BYTES = 1024 * 1024,
};

struct publish {
	struct stage *stage;   /* borrowed */
	struct store *store;   /* borrowed */
	struct db *db;	       /* borrowed from the transaction; stage.db, if any, is attached to it as "stage" */
	struct layer_id layer; /* that is replaced; 0: it is a new one */
	/* Borrowed: what else is in the transaction, as of a layer that comes with its image. NULL: nothing. */
	const struct ingest_options *along;
	int64_t base;		    /* local content n becomes id base + n */
	int64_t pack;		    /* id of the new pack; 0: there is none */
	struct publish_moved moved; /* what is in place */
	pthread_t syncing;	    /* puts all of that on disk, */
	bool is_syncing;	    /* if there is the thread, */
	int synced;		    /* which leaves its result here, */
	bool log_named;		    /* and whether it has synced the store's folder, too */
};

/* ---- to disk ---- */

static bool is_object(const char *name)
{
	return strspn(name, "0123456789abcdef") == strlen(name);
}

static int sync_at(int dirfd, const char *name, int flags)
{
	AUTO(closep) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | flags);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int sync_objects(struct stage *stage)
{
	int fd = openat(stage->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!dir) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r == 0 && (de = readdir(dir))) {
		if (is_object(de->d_name))
			r = sync_at(fd, de->d_name, 0);
	}
	return r;
}

static bool is_synced_late(const struct stage *stage)
{
	return stage->objects == 0 && stage->pack_bytes <= SYNC_LATE_BYTES;
}

static bool is_synced_at_once(const struct stage *stage, uint64_t objects)
{
	return objects > SYNC_SINGLY_MAX && stage->store->syncs_as_whole;
}

int publish_sync_stage(struct stage *stage)
{
	if (is_synced_late(stage))
		return 0;
	if (is_synced_at_once(stage, stage->objects))
		return syncfs(stage->store->dirfd) < 0 ? -errno : 0;
	if (stage->packfd >= 0 && fsync(stage->packfd) < 0)
		return -errno;
	return stage->objects ? sync_objects(stage) : 0;
}

int publish_sync_moved(struct stage *stage, const struct publish_moved *moved)
{
	int dirfd = stage->store->dirfd, r = 0;

	/* Until it had a name it was a file that the file system removes after a crash; that it has one is to be on disk, too. */
	if (moved->pack && (is_synced_late(stage) || !stage->pack_named) && fsync(stage->packfd) < 0)
		return -errno;
	if (is_synced_at_once(stage, moved->objects))
		return syncfs(dirfd) < 0 ? -errno : 0;
	if (moved->pack)
		r = sync_at(dirfd, "packs", O_DIRECTORY);
	for (unsigned i = 0; r == 0 && i < OBJECT_FOLDERS; i++) {
		char folder[CONTENT_NAME_BYTES];

		content_object_folder(i, folder);
		if (moved->filled[i])
			r = sync_at(dirfd, folder, O_DIRECTORY);
	}
	return r == 0 && moved->made ? sync_at(dirfd, "objects", O_DIRECTORY) : r;
}

/* The names that move_files() gave them. */
static int sync_names(struct publish *p)
{
	int r = publish_sync_moved(p->stage, &p->moved);

	if (r < 0 || is_synced_at_once(p->stage, p->moved.objects))
		return r;
	/* Then the image's commit need not, in the same connection.  It would if this failed. */
	p->log_named = !p->store->shared && p->db == p->stage->index.db && fsync(p->store->dirfd) == 0;
	return 0;
}

static void *sync_main(void *arg)
{
	struct publish *p = arg;

	p->synced = sync_names(p);
	return NULL;
}

/* The disk works while the rows are made, which nobody sees before the commit. */
static void sync_begin(struct publish *p)
{
	p->is_syncing = pthread_create(&p->syncing, NULL, sync_main, p) == 0;
	if (!p->is_syncing)
		sync_main(p);
}

/* To be called whatever happened, before the files are touched again. */
static int sync_end(struct publish *p)
{
	if (p->is_syncing)
		pthread_join(p->syncing, NULL);
	p->is_syncing = false;
	if (p->log_named)
		db_log_named(p->db);
	return p->synced;
}

/* ---- ids and files ---- */

static int take_ids(struct publish *p)
{
	int64_t next;
	int r = db_int(p->db, "SELECT next FROM counter WHERE name = 'content'", &next);

	if (r == 0)
		r = db_int(p->db, "SELECT next FROM counter WHERE name = 'pack'", &p->pack);
	p->base = next - 1;
	if (r == 0)
		r = DB_RUN(p->db, "UPDATE counter SET next = next + ? WHERE name = 'content'",
			   p->stage->next_local - 1);
	if (p->stage->packfd < 0 || p->stage->pack_bytes == 0)
		p->pack = 0;
	else if (r == 0)
		r = db_exec(p->db, "UPDATE counter SET next = next + 1 WHERE name = 'pack'");
	return r == -ENODATA ? -EBADMSG : r;
}

static int rename_in(struct stage *stage, const char *from, const char *to)
{
	return renameat(stage->dirfd, from, stage->store->dirfd, to) < 0 ? -errno : 0;
}

static int link_pack(struct stage *stage, const char *name)
{
	int to = stage->store->dirfd, r;
	char own[32];

	snprintf(own, sizeof(own), "/proc/self/fd/%d", stage->packfd);
	r = linkat(AT_FDCWD, own, to, name, AT_SYMLINK_FOLLOW);
	/* A crash has left a file there, which a rename would replace. */
	if (r < 0 && errno == EEXIST && unlinkat(to, name, 0) == 0)
		r = linkat(AT_FDCWD, own, to, name, AT_SYMLINK_FOLLOW);
	return r < 0 ? -errno : 0;
}

int publish_move_pack(struct stage *stage, int64_t pack, struct publish_moved *moved)
{
	char name[CONTENT_NAME_BYTES];
	int r;

	content_pack_name(pack, name);
	r = stage->pack_named ? rename_in(stage, "pack", name) : link_pack(stage, name);
	moved->pack = r == 0;
	return r;
}

static int move_object(struct stage *stage, int64_t local, struct content_id id, bool *made)
{
	char from[CONTENT_NAME_BYTES], to[CONTENT_NAME_BYTES], folder[CONTENT_NAME_BYTES];
	int r;

	snprintf(from, sizeof(from), "%" PRIx64, (uint64_t)local);
	content_object_name(id.value, to);
	r = rename_in(stage, from, to);
	if (r != -ENOENT)
		return r;
	*made = true;
	content_object_folder((uint64_t)id.value % OBJECT_FOLDERS, folder);
	if (mkdirat(stage->store->dirfd, folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	return rename_in(stage, from, to);
}

int publish_move_object(struct stage *stage, int64_t local, struct content_id id, struct publish_moved *moved)
{
	int r = move_object(stage, local, id, &moved->made);

	moved->filled[(uint64_t)id.value % OBJECT_FOLDERS] = true;
	moved->objects += r == 0;
	return r;
}

static const char objects_sql[] = "SELECT id FROM stage.content WHERE offset IS NULL ORDER BY id";

static int move_files(struct publish *p)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (p->pack)
		r = publish_move_pack(p->stage, p->pack, &p->moved);
	if (r == 0 && p->stage->objects)
		r = db_stmt(p->db, objects_sql, &stmt);
	while (stmt && r == 0 && (r = db_step(stmt)) > 0) {
		int64_t local = sqlite3_column_int64(stmt, 0);

		r = publish_move_object(p->stage, local, (struct content_id){ p->base + local }, &p->moved);
	}
	return r;
}

/* After a failure: the files are nobody's again. What stays behind is removed by gc. */
static void remove_files(struct publish *p)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	char name[CONTENT_NAME_BYTES];

	if (p->moved.pack) {
		content_pack_name(p->pack, name);
		unlinkat(p->store->dirfd, name, 0);
	}
	if (!p->moved.objects || db_stmt(p->db, objects_sql, &stmt) < 0)
		return;
	for (; p->moved.objects > 0 && db_step(stmt) > 0; p->moved.objects--) {
		content_object_name(p->base + sqlite3_column_int64(stmt, 0), name);
		unlinkat(p->store->dirfd, name, 0);
	}
}

/* ---- rows ---- */

/*
 * OR ROLLBACK, since whatever fails ends the transaction: else SQLite keeps a journal of each statement, to undo it alone,
 * in a file if it is more than a few pages.
 */

/* References of the entries to each content; an own table, since both kinds need it. */
static int count_refs(struct publish *p, int64_t framing)
{
	int r = db_exec(p->db, "INSERT OR ROLLBACK INTO ref SELECT content, count(*) FROM stage.entry"
			       " WHERE content IS NOT NULL GROUP BY content");

	if (r == 0)
		r = DB_RUN(p->db, "INSERT INTO ref VALUES(?, 1) ON CONFLICT(content) DO UPDATE SET n = n + 1", framing);
	return r;
}

/* More references to what the store has already. */
static int share_contents(struct publish *p)
{
	int64_t shared, found;
	int r = db_int(p->db, "SELECT count(*) FROM ref WHERE content < 0", &shared);

	if (r < 0 || shared == 0)
		return r;
	r = db_exec(
		p->db,
		"UPDATE OR ROLLBACK content SET refs = refs + n FROM ref WHERE ref.content < 0 AND id = -ref.content");
	found = sqlite3_changes64(db_handle(p->db));
	/* Only a hand in the store's files can have taken one away. */
	return r == 0 && found != shared ? -ESTALE : r;
}

static int add_contents(struct publish *p)
{
	int r = 0;

	if (p->pack)
		r = DB_RUN(p->db,
			   "INSERT OR ROLLBACK INTO pack SELECT ?1, ?2, total(size) FROM stage.content"
			   " WHERE offset IS NOT NULL",
			   p->pack, p->stage->pack_bytes);
	if (r == 0)
		r = DB_RUN(p->db,
			   "INSERT OR ROLLBACK INTO content SELECT ?1 + id, hash, size, iif(offset IS NULL, NULL, ?2),"
			   " coalesce(offset, 0), n FROM stage.content JOIN ref ON ref.content = id ORDER BY id",
			   p->base, p->pack);
	return r;
}

static int add_layer(struct publish *p, const struct unpack_totals *stream, const struct tar_result *tar,
		     struct layer_id *ret)
{
	int64_t framing = tar->framing < 0 ? -tar->framing : p->base + tar->framing;
	sqlite3_stmt *stmt;
	int r = db_stmt(p->db,
			"INSERT INTO layer(diff_id, tar_bytes, entries, content_bytes, has_xattrs, framing, created)"
			" VALUES(?, ?, ?, ?, ?, ?, ?)",
			&stmt);

	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, stream->diff_id.bytes, DIGEST_BYTES);
	db_bind_int(stmt, 2, (int64_t)stream->stream_bytes);
	db_bind_int(stmt, 3, (int64_t)tar->totals.entries);
	db_bind_int(stmt, 4, (int64_t)tar->totals.content_bytes);
	db_bind_int(stmt, 5, tar->totals.has_xattrs);
	db_bind_int(stmt, 6, framing);
	db_bind_int(stmt, 7, time(NULL));
	r = db_run(stmt);
	ret->value = sqlite3_last_insert_rowid(db_handle(p->db));
	return r;
}

/* Its rows give back what they count; what was lost of them stays counted, for recount() when all layers are whole. */
static int replace_layer(struct publish *p, const struct unpack_totals *stream, const struct tar_result *tar)
{
	int64_t framing = tar->framing < 0 ? -tar->framing : p->base + tar->framing, layer = p->layer.value;
	int r = DB_RUN(p->db,
		       "UPDATE content SET refs = max(refs - n, 0) FROM (SELECT c, count(*) AS n FROM"
		       " (SELECT content AS c FROM main.entry WHERE layer = ?1 AND content IS NOT NULL"
		       "  UNION ALL SELECT framing FROM layer WHERE id = ?1) GROUP BY c) AS u WHERE u.c = content.id",
		       layer);

	/* A damaged row may be missing in an index of its table, and could not be removed then. */
	if (r == 0)
		r = db_exec(p->db, "REINDEX main.entry");
	if (r == 0)
		r = DB_RUN(p->db, "DELETE FROM main.entry WHERE layer = ?", layer);
	if (r == 0)
		r = DB_RUN(p->db, "DELETE FROM main.xattr WHERE layer = ?", layer);
	if (r == 0)
		r = DB_RUN(p->db,
			   "UPDATE layer SET tar_bytes = ?2, entries = ?3, content_bytes = ?4, has_xattrs = ?5,"
			   " framing = ?6 WHERE id = ?1",
			   layer, (int64_t)stream->stream_bytes, (int64_t)tar->totals.entries,
			   (int64_t)tar->totals.content_bytes, (int64_t)tar->totals.has_xattrs, framing);
	return r;
}

static int add_entries(struct publish *p, struct layer_id layer)
{
	int r = DB_RUN(p->db,
		       "INSERT OR ROLLBACK INTO entry SELECT ?1, dir, name, e.no, mode, uid, gid, rdev, mtime_ns, size,"
		       " iif(content < 0, -content, ?2 + content), target, coalesce(n, mode != 0), flags"
		       " FROM stage.entry e LEFT JOIN stage.links l ON l.no = e.no ORDER BY dir, name",
		       layer.value, p->base);

	if (r == 0)
		r = DB_RUN(
			p->db,
			"INSERT OR ROLLBACK INTO xattr SELECT ?1, no, name, value FROM stage.xattr ORDER BY no, name",
			layer.value);
	return r;
}

/* Of a new layer. */
static int add_few(struct publish *p, const struct unpack_totals *stream, const struct tar_result *tar,
		   struct layer_id *ret)
{
	const struct few_publish few = {
		.base = p->base,
		.pack = p->pack,
		.pack_bytes = p->stage->pack_bytes,
		.framing = tar->framing,
	};
	int r = few_publish_contents(p->stage->few, p->db, &few);

	if (r == 0)
		r = add_layer(p, stream, tar, ret);
	return r == 0 ? few_publish_entries(p->stage->few, p->db, *ret, p->base) : r;
}

static int add_rows(struct publish *p, const struct unpack_totals *stream, const struct tar_result *tar,
		    struct layer_id *ret)
{
	int r;

	if (p->stage->few)
		return add_few(p, stream, tar, ret);
	r = count_refs(p, tar->framing);

	if (r == 0)
		r = share_contents(p);
	if (r == 0)
		r = add_contents(p);
	*ret = p->layer;
	if (r == 0)
		r = p->layer.value ? replace_layer(p, stream, tar) : add_layer(p, stream, tar, ret);
	return r == 0 ? add_entries(p, *ret) : r;
}

/* ---- all of it ---- */

/* Did somebody else publish the same layer meanwhile? Return: 1: yes, 0, -errno. */
static int layer_exists(struct db *db, const struct digest *diff_id, struct layer_id *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT id FROM layer WHERE diff_id = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_blob(stmt, 1, diff_id->bytes, DIGEST_BYTES);
	r = db_step(stmt);
	if (r > 0)
		ret->value = sqlite3_column_int64(stmt, 0);
	return r;
}

static int publish_locked(struct publish *p, const struct unpack_totals *stream, struct tar_result *tar,
			  struct diag *diag, struct ingest_result *ret)
{
	int r = p->layer.value ? 0 : layer_exists(p->db, &stream->diff_id, &ret->layer);

	if (r != 0) {
		ret->existed = r > 0;
		ret->new_bytes = 0;
		return r < 0 ? r : 0;
	}
	r = p->stage->few ? late_check(p->stage, p->db) : late_share(p->stage, p->db, &tar->framing);
	if (r == 0)
		r = take_ids(p);
	if (r == 0)
		r = move_files(p);
	if (r == 0) {
		int synced;

		sync_begin(p);
		r = add_rows(p, stream, tar, &ret->layer);
		if (r == 0 && p->along)
			r = p->along->along(p->db, ret, diag, p->along->along_arg);
		synced = sync_end(p);
		if (r == 0)
			r = synced;
	}
	if (r < 0)
		remove_files(p);
	return r;
}

/* In one connection: attach the stage, one transaction, detach. */
static int publish_attached(struct publish *p, const struct unpack_totals *stream, struct tar_result *tar,
			    struct diag *diag, struct ingest_result *ret)
{
	int r = db_exec(p->db, "BEGIN IMMEDIATE");

	if (r < 0)
		return db_diag(p->db, diag, r, "cannot write to the index");
	r = publish_locked(p, stream, tar, diag, ret);
	if (r == -EAGAIN) {
		(void)db_exec(p->db, "ROLLBACK");
		return r;
	}
	db_diag(p->db, diag, r, "cannot add the layer to the index");
	if (r == 0) {
		/* If this fails, the rows may still be found by a recovery of the log: their bytes stay, for gc. */
		r = db_commit(p->db);
		db_diag(p->db, diag, r, "cannot write to the index");
	}
	if (r < 0)
		(void)db_exec(p->db, "ROLLBACK");
	return r;
}

static int attach(struct stage *stage, struct db *db)
{
	AUTO(db_freep) char *name = stage_rows_name(stage);
	AUTO(db_freep) char *quoted = name ? sqlite3_mprintf("ATTACH %Q AS stage", name) : NULL;
	int r = stage_spill(stage);

	if (r == 0)
		r = quoted ? db_exec(db, quoted) : -ENOMEM;
	/* late_share() writes to it; it needs no more of a journal than it had while it was filled. */
	sqlite3_db_config(db_handle(db), SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	if (r == 0)
		r = db_exec(db, "PRAGMA stage.journal_mode=OFF; PRAGMA stage.synchronous=OFF");
	return r;
}

int publish_open_index(struct stage *stage, struct db **ret)
{
	int r = db_open_index(stage->store, ret);

	/* Not mapped: the rows are copied once, and the pages would all count as this process's memory. */
	if (r == 0)
		r = db_exec(*ret, "PRAGMA mmap_size=0");
	return r == 0 ? attach(stage, *ret) : r;
}

static int publish_with(struct publish *p, const struct unpack_totals *stream, struct tar_result *tar,
			struct diag *diag, struct ingest_result *ret)
{
	int r = p->store->shared || p->along ? 0 : db_exec(p->db, "PRAGMA synchronous=NORMAL");

	if (r < 0)
		return db_diag(p->db, diag, r, "cannot open the index");
	return publish_attached(p, stream, tar, diag, ret);
}

/* A connection of its own, without a map: it ends with what the rows of many entries have made of it. */
static int publish_large(struct publish *p, const struct unpack_totals *stream, struct tar_result *tar,
			 struct diag *diag, struct ingest_result *ret)
{
	AUTO(db_closep) struct db *db = NULL;
	int r = publish_open_index(p->stage, &db);

	if (r < 0)
		return db ? db_diag(db, diag, r, "cannot open the index") : r;
	p->db = db;
	return publish_with(p, stream, tar, diag, ret);
}

/*
 * In the stage's own connection, which has read the index's schema.  It goes back to the pool as it came: with no statement
 * that names the stage, which is not there for the next one.
 */
static int publish_small(struct publish *p, const struct unpack_totals *stream, struct tar_result *tar,
			 struct diag *diag, struct ingest_result *ret)
{
	struct db *db = p->db = p->stage->index.db;
	size_t own = db_stmt_count(db);
	int r = attach(p->stage, db), left;

	r = r < 0 ? db_diag(db, diag, r, "cannot open the index") : publish_with(p, stream, tar, diag, ret);
	db_stmt_forget(db, own);
	left = db_exec(db, "DETACH stage; PRAGMA synchronous=FULL");
	sqlite3_db_config(db_handle(db), SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (left < 0)
		db_close(TAKE(p->stage->index.db));
	return r;
}

/* In the same connection, to which nothing is attached. */
static int publish_few(struct publish *p, const struct unpack_totals *stream, struct tar_result *tar, struct diag *diag,
		       struct ingest_result *ret)
{
	int r, left;

	p->db = p->stage->index.db;
	r = publish_with(p, stream, tar, diag, ret);
	left = p->along ? 0 : db_exec(p->db, "PRAGMA synchronous=FULL");
	if (left < 0)
		db_close(TAKE(p->stage->index.db));
	return r;
}

static int publish_as(struct stage *stage, struct layer_id layer, const struct unpack_totals *stream,
		      struct tar_result *tar, const struct ingest_options *options, struct diag *diag,
		      struct ingest_result *ret)
{
	struct publish p = {
		.stage = stage,
		.store = stage->store,
		.layer = layer,
		.along = options && options->along ? options : NULL,
	};
	int r = stage_seal(stage);

	if (r < 0)
		return diag_errno(diag, r, "cannot stage the layer");
	r = publish_sync_stage(stage);
	if (r < 0)
		return diag_errno(diag, r, "cannot write the layer to disk");
	if (stage->few && !layer.value) {
		r = publish_few(&p, stream, tar, diag, ret);
		if (r != -EAGAIN)
			return r;
	}
	return stage->in_memory ? publish_small(&p, stream, tar, diag, ret) : publish_large(&p, stream, tar, diag, ret);
}

int publish(struct stage *stage, const struct unpack_totals *stream, struct tar_result *tar,
	    const struct ingest_options *options, struct diag *diag, struct ingest_result *ret)
{
	return publish_as(stage, (struct layer_id){ 0 }, stream, tar, options, diag, ret);
}

int publish_replace(struct stage *stage, struct layer_id layer, const struct unpack_totals *stream,
		    struct tar_result *tar, struct diag *diag)
{
	struct ingest_result result = { 0 };

	return publish_as(stage, layer, stream, tar, NULL, diag, &result);
}
