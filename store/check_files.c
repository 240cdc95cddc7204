/* SPDX-License-Identifier: Apache-2.0 */
#include "store/check_priv.h"

#include "store/base/io.h"
#include "store/content.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { READ_BYTES = 1024 * 1024 };

/* ---- there, and of its size ---- */

static int mark_bad(struct check *c, int64_t content, const char *text)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(c->db, "INSERT OR IGNORE INTO temp.bad VALUES(?, ?)", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, content);
	db_bind_text(stmt, 2, text);
	return db_run(stmt);
}

/* All contents of a pack that do not lie within its first @bytes. */
static int mark_pack(struct check *c, int64_t pack, int64_t bytes, const char *text)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(c->db,
			"INSERT OR IGNORE INTO temp.bad SELECT id, ? FROM content WHERE pack = ? AND offset + size > ?",
			&stmt);

	if (r < 0)
		return r;
	db_bind_text(stmt, 1, text);
	db_bind_int(stmt, 2, pack);
	db_bind_int(stmt, 3, bytes);
	return db_run(stmt);
}

/* Return: 0 and *@ret_bytes; -EBADMSG: @text says what is wrong; -errno. */
static int file_size(struct check *c, const char *name, int64_t *ret_bytes, char *text, size_t room)
{
	struct stat st;

	*ret_bytes = 0;
	if (fstatat(c->store->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		int err = errno;

		if (err != ENOENT && err != ENOTDIR && err != EIO)
			return -err;
		snprintf(text, room, "its file %s %s", name, err == EIO ? "cannot be read" : "is not there");
		return -EBADMSG;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(text, room, "%s is no file", name);
		return -EBADMSG;
	}
	*ret_bytes = st.st_size;
	return 0;
}

static int check_pack(struct check *c, int64_t pack, int64_t bytes)
{
	char name[CONTENT_NAME_BYTES], text[256];
	int64_t found;
	int r;

	content_pack_name(pack, name);
	r = file_size(c, name, &found, text, sizeof(text));
	if (r == 0 && found < bytes) {
		snprintf(text, sizeof(text), "its pack %s has %" PRId64 " bytes instead of %" PRId64, name, found,
			 bytes);
		r = -EBADMSG;
	}
	return r == -EBADMSG ? mark_pack(c, pack, found, text) : r;
}

static int check_object(struct check *c, int64_t content, int64_t bytes)
{
	char name[CONTENT_NAME_BYTES], text[256];
	int64_t found;
	int r;

	content_object_name(content, name);
	r = file_size(c, name, &found, text, sizeof(text));
	if (r == 0 && found != bytes) {
		snprintf(text, sizeof(text), "its file %s has %" PRId64 " bytes instead of %" PRId64, name, found,
			 bytes);
		r = -EBADMSG;
	}
	return r == -EBADMSG ? mark_bad(c, content, text) : r;
}

/* In the index as it is now: ours is read as it was, and who removes a container begins with its row. */
static int container_is_there(struct check *c, const char *id)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = c->store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db, "SELECT 1 FROM container WHERE id = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_text(stmt, 1, id);
	return db_step(stmt);
}

static int check_containers(struct check *c)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(c->db, "SELECT id FROM container", &stmt);

	while (r == 0 && (r = db_step(stmt)) > 0) {
		const char *id = (const char *)sqlite3_column_text(stmt, 0);
		char path[64];

		snprintf(path, sizeof(path), "containers/%s", id);
		r = 0;
		if (faccessat(c->store->dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			r = container_is_there(c, id);
		if (r > 0)
			r = check_reportf(c, 0, "container %s has lost its folder", id);
	}
	return r;
}

int check_files(struct check *c)
{
	AUTO(db_resetp) sqlite3_stmt *packs = NULL;
	AUTO(db_resetp) sqlite3_stmt *objects = NULL;
	int r = db_stmt(c->db, "SELECT id, bytes FROM pack", &packs);

	while (r == 0 && (r = db_step(packs)) > 0)
		r = check_pack(c, sqlite3_column_int64(packs, 0), sqlite3_column_int64(packs, 1));
	if (r == 0)
		r = db_stmt(c->db, "SELECT id, size FROM content WHERE pack IS NULL", &objects);
	while (r == 0 && (r = db_step(objects)) > 0)
		r = check_object(c, sqlite3_column_int64(objects, 0), sqlite3_column_int64(objects, 1));
	return r == 0 ? check_containers(c) : r;
}

/* ---- the bytes ---- */

struct reading {
	struct check *c;
	uint8_t *buf;	     /* owned, of READ_BYTES */
	XXH3_state_t *state; /* owned */
};

static void reading_release(struct reading *rd)
{
	free(rd->buf);
	XXH3_freeState(rd->state);
}

/* Return: 1: they are as they were; 0: they are not; -errno. */
static int bytes_match(struct reading *rd, const struct content_place *place, const void *hash, size_t hash_bytes)
{
	struct content_hash found;

	XXH3_128bits_reset(rd->state);
	for (uint64_t at = 0; at < place->bytes;) {
		uint64_t left = place->bytes - at;
		size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
		ssize_t n = io_pread_full(place->fd, rd->buf, want, (off_t)(place->offset + at));

		if (n < 0)
			return (int)n;
		if ((size_t)n != want)
			return -EIO;
		XXH3_128bits_update(rd->state, rd->buf, want);
		at += want;
	}
	content_hash_final(rd->c->store, rd->state, &found);
	return hash_bytes == CONTENT_HASH_BYTES && memcmp(found.bytes, hash, CONTENT_HASH_BYTES) == 0;
}

/* The columns: id, pack, offset, size, hash. */
static int check_content(struct reading *rd, sqlite3_stmt *row)
{
	AUTO(content_place_release) struct content_place place = { .fd = -1 };
	struct content_id id = { sqlite3_column_int64(row, 0) };
	char text[128];
	int r = content_place_of(rd->c->store, id, sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2),
				 sqlite3_column_int64(row, 3), &place);

	if (r == 0)
		r = bytes_match(rd, &place, sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4));
	if (r > 0)
		return 0;
	if (r == 0)
		return mark_bad(rd->c, id.value, "its content is damaged");
	if (r != -EIO)
		return r;
	snprintf(text, sizeof(text), "its content cannot be read: %s", strerror(-r));
	return mark_bad(rd->c, id.value, text);
}

/* Of a pack one behind the other; what check_files() found is not read again. */
static const char all_contents[] =
	"SELECT id, pack, offset, size, hash FROM content WHERE id NOT IN (SELECT content FROM temp.bad)"
	" ORDER BY pack, offset, id";
static const char wanted_contents[] =
	"SELECT id, pack, offset, size, hash FROM content WHERE id NOT IN (SELECT content FROM temp.bad) AND id IN"
	"  (SELECT content FROM entry WHERE layer IN (SELECT layer FROM temp.wanted)"
	"   UNION SELECT framing FROM layer WHERE id IN (SELECT layer FROM temp.wanted))"
	" ORDER BY pack, offset, id";

int check_contents(struct check *c)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	AUTO(reading_release)
	struct reading rd = { .c = c, .buf = malloc(READ_BYTES), .state = XXH3_createState() };
	int r;

	if (!c->options->bytes)
		return 0;
	if (!rd.buf || !rd.state)
		return -ENOMEM;
	r = db_stmt(c->db, c->options->image_count ? wanted_contents : all_contents, &stmt);
	while (r == 0 && (r = db_step(stmt)) > 0) {
		r = check_content(&rd, stmt);
		c->result->contents++;
		c->result->bytes += (uint64_t)sqlite3_column_int64(stmt, 3);
		if (c->options->progress)
			c->options->progress(c->result->bytes, c->options->progress_arg);
	}
	return r;
}

/* ---- what crashes left ---- */

static void count_leftover(struct check *c, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return; /* gone, so it was in use */
	c->result->leftovers++;
	c->result->leftover_bytes += (uint64_t)st.st_blocks * 512;
}

/* What is in @folder, named by an id, in @hex for a number, that no row of @sql has. Nothing is a fault here, not even a failure. */
static int leftovers_of(struct check *c, const char *folder, const char *sql, bool hex)
{
	int fd = openat(c->store->dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		closep(&fd);
		return 0;
	}
	while ((de = readdir(dir))) {
		AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
		int r = de->d_name[0] == '.' ? 1 : db_stmt(c->db, sql, &stmt);

		if (r == 0 && hex)
			db_bind_int(stmt, 1, strtoll(de->d_name, NULL, 16));
		else if (r == 0)
			db_bind_text(stmt, 1, de->d_name);
		if (r == 0)
			r = db_step(stmt);
		if (r < 0)
			return r;
		if (r == 0)
			count_leftover(c, fd, de->d_name);
	}
	return 0;
}

/* Is somebody still at work in this staging folder? One who leaves meanwhile takes it along. */
static bool stage_lives(int fd)
{
	AUTO(closep) int lock = openat(fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) < 0;
}

static void leftover_stage(struct check *c, int ingest, const char *name)
{
	int fd = openat(ingest, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		closep(&fd);
		return;
	}
	if (stage_lives(fd))
		return;
	while ((de = readdir(dir)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			count_leftover(c, fd, de->d_name);
}

static void leftover_stages(struct check *c)
{
	int fd = openat(c->store->dirfd, "ingest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		closep(&fd);
		return;
	}
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.')
			leftover_stage(c, fd, de->d_name);
}

int check_leftovers(struct check *c)
{
	int r = leftovers_of(c, "packs", "SELECT 1 FROM pack WHERE id = ?", true);

	if (r == 0)
		r = leftovers_of(c, "containers", "SELECT 1 FROM container WHERE id = ?", false);
	for (unsigned i = 0; r == 0 && i < OBJECT_FOLDERS; i++) {
		char folder[CONTENT_NAME_BYTES];

		content_object_folder(i, folder);
		r = leftovers_of(c, folder, "SELECT 1 FROM content WHERE id = ? AND pack IS NULL", true);
	}
	leftover_stages(c);
	return r;
}
