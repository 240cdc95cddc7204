/* SPDX-License-Identifier: Apache-2.0 */
#include "store/container.h"

#include "store/base/io.h"
#include "store/store_priv.h"

#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

/*
 * containers/ID/ holds upper and work, and what the tools keep of one that is run
 * (tools/runstate.h).  Folder first, row after; for removal the
 * row goes first, then the folder moves to ingest/, where the next writer
 * finishes what a crash interrupts.  Both are done with STORE/lock held shared.
 */

#define CONTAINER_COLUMNS "id, image, name, mountpoint, fakeroot, created"

void container_info_release(struct container_info *info)
{
	free(info->name);
	free(info->mountpoint);
	free(info->dir);
	free(info->upper);
	free(info->work);
	free(info->frozen);
	*info = (struct container_info){ 0 };
}

void container_list_free(struct container_info *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		container_info_release(&list[i]);
	free(list);
}

/* ---- reading ---- */

static int column_dup(sqlite3_stmt *stmt, int at, char **ret)
{
	const char *text = (const char *)sqlite3_column_text(stmt, at);

	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

char *container_frozen_path(struct store *store, const struct container_info *container)
{
	char *path;

	if (asprintf(&path, "%s/containers/%s/frozen.%" PRId64, store->dir, container->id, container->image.value) < 0)
		return NULL;
	return path;
}

static int container_paths(struct store *store, struct container_info *info)
{
	struct stat st;

	if (asprintf(&info->dir, "%s/containers/%s", store->dir, info->id) < 0) {
		info->dir = NULL;
		return -ENOMEM;
	}
	if (asprintf(&info->upper, "%s/upper", info->dir) < 0) {
		info->upper = NULL;
		return -ENOMEM;
	}
	if (asprintf(&info->work, "%s/work", info->dir) < 0) {
		info->work = NULL;
		return -ENOMEM;
	}
	info->frozen = container_frozen_path(store, info);
	if (!info->frozen)
		return -ENOMEM;
	if (lstat(info->frozen, &st) < 0)
		free(TAKE(info->frozen));
	return 0;
}

static int container_fill(struct store *store, sqlite3_stmt *stmt, struct container_info *ret)
{
	struct container_info info = {
		.image = { sqlite3_column_int64(stmt, 1) },
		.fakeroot = sqlite3_column_int(stmt, 4) != 0,
		.created = sqlite3_column_int64(stmt, 5),
	};
	int r;

	snprintf(info.id, sizeof(info.id), "%s", (const char *)sqlite3_column_text(stmt, 0));
	r = column_dup(stmt, 2, &info.name);
	if (r == 0)
		r = column_dup(stmt, 3, &info.mountpoint);
	if (r == 0)
		r = container_paths(store, &info);
	if (r == 0)
		*ret = info;
	else
		container_info_release(&info);
	return r;
}

/* The container of the one row that @sql (with one text parameter) gives; -ENOENT, -ENOTUNIQ. */
static int container_query(struct store *store, const char *sql, const char *key, struct container_info *ret)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db, sql, &stmt);
	if (r < 0)
		return r;
	db_bind_text(stmt, 1, key);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = container_fill(store, stmt, ret);
	if (r < 0)
		return r;
	r = db_step(stmt);
	if (r == 0)
		return 0;
	container_info_release(ret);
	return r < 0 ? r : -ENOTUNIQ;
}

int container_find(struct store *store, const char *what, struct diag *diag, struct container_info *ret)
{
	int r = container_query(store, "SELECT " CONTAINER_COLUMNS " FROM container WHERE name = ?1 OR id = ?1", what,
				ret);

	if (r == -ENOENT && *what)
		r = container_query(store,
				    "SELECT " CONTAINER_COLUMNS " FROM container"
				    " WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2",
				    what, ret);
	if (r == -ENOENT)
		return diag_set(diag, r, "no such container: %s", what);
	if (r == -ENOTUNIQ)
		return diag_set(diag, r, "\"%s\" is the beginning of several container IDs", what);
	return r < 0 ? diag_errno(diag, r, "container %s cannot be read", what) : 0;
}

int container_find_mount(struct store *store, const char *mountpoint, struct container_info *ret)
{
	return container_query(store,
			       "SELECT " CONTAINER_COLUMNS " FROM container WHERE mountpoint = ?"
			       " ORDER BY created DESC LIMIT 1",
			       mountpoint, ret);
}

int container_list(struct store *store, struct diag *diag, struct container_info **ret, size_t *ret_count)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	struct container_info *list = NULL;
	size_t count = 0;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db, "SELECT " CONTAINER_COLUMNS " FROM container ORDER BY created DESC, id", &stmt);
	while (r == 0 && (r = db_step(stmt)) > 0) {
		struct container_info *more = realloc(list, (count + 1) * sizeof(*list));

		if (more)
			list = more;
		r = more ? container_fill(store, stmt, &list[count]) : -ENOMEM;
		count += r == 0;
	}
	if (r < 0) {
		container_list_free(list, count);
		return diag_errno(diag, r, "the containers of %s cannot be listed", store->dir);
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

/* ---- making ---- */

/* docker's rule.  A '/' would make it a folder on the command line, and a ':' a file in it. */
static int check_name(const char *name, struct diag *diag)
{
	static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-";
	const size_t inner = strlen("_.-");

	if (strspn(name, plain) == strlen(name) && strcspn(name, plain + strlen(plain) - inner) > 0)
		return 0;
	return diag_set(
		diag, -EINVAL,
		"\"%s\" cannot be a container's name, which has letters, digits, '_', '.' and '-' and begins with one of "
		"the first two",
		name);
}

static int make_id(char id[CONTAINER_ID_HEX + 1])
{
	uint8_t bytes[CONTAINER_ID_HEX / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -errno;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static int make_folders(struct store *store, const struct container_info *info)
{
	char path[64];

	snprintf(path, sizeof(path), "containers/%s", info->id);
	/* Others must not walk into a container's files and find setuid programs there. */
	if (mkdirat(store->dirfd, path, 0700) < 0)
		return -errno;
	if (mkdir(info->upper, 0755) < 0 || mkdir(info->work, 0755) < 0)
		return -errno;
	return 0;
}

static int insert_row(struct db *db, const struct container_info *info)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db,
			"INSERT INTO container(" CONTAINER_COLUMNS ") SELECT ?, id, ?, NULL, ?, ? FROM image"
			" WHERE id = ?",
			&stmt);

	if (r < 0)
		return r;
	db_bind_text(stmt, 1, info->id);
	db_bind_text(stmt, 2, info->name);
	db_bind_int(stmt, 3, info->fakeroot);
	db_bind_int(stmt, 4, info->created);
	db_bind_int(stmt, 5, info->image.value);
	r = db_run(stmt);
	/* The image may have been removed since it was looked up. */
	return r == 0 && sqlite3_changes(db_handle(db)) == 0 ? -ENOENT : r;
}

static int make_row(struct store *store, const struct container_info *info, struct diag *diag)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	int r = txn_begin(store, &txn);

	if (r == 0)
		r = insert_row(txn_db(txn), info);
	if (r == -EEXIST)
		return diag_set(diag, r, "there is a container named %s already", info->name ? info->name : info->id);
	if (r == -ENOENT)
		return diag_set(diag, r, "its image has just been removed");
	return r < 0 ? r : txn_commit(TAKE(txn));
}

static int remove_folder(struct store *store, const char *id)
{
	char from[64], to[64];

	snprintf(from, sizeof(from), "containers/%s", id);
	snprintf(to, sizeof(to), "ingest/container-%s", id);
	if (renameat(store->dirfd, from, store->dirfd, to) < 0)
		return errno == ENOENT ? 0 : -errno;
	return io_remove_tree(store->dirfd, to);
}

static void container_info_releasep(struct container_info *info)
{
	container_info_release(info);
}

int container_new(struct store *store, struct image_id image, const char *name, bool fakeroot, struct diag *diag,
		  struct container_info *ret)
{
	AUTO(container_info_releasep)
	struct container_info info = { .image = image, .fakeroot = fakeroot, .created = time(NULL) };
	AUTO(closep) int lock = -1;
	int r = name ? check_name(name, diag) : 0;

	if (r == 0)
		r = make_id(info.id);
	if (r == 0 && name) {
		info.name = strdup(name);
		r = info.name ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = container_paths(store, &info);
	if (r == 0)
		r = store_lock(store, LOCK_SH, &lock);
	if (r == 0)
		r = make_folders(store, &info);
	if (r == 0) {
		r = make_row(store, &info, diag);
		if (r < 0)
			(void)remove_folder(store, info.id);
	}
	if (r < 0)
		return diag_errno(diag, r, "cannot make a container in %s", store->dir);
	*ret = info;
	info = (struct container_info){ 0 };
	return 0;
}

/* ---- changing ---- */

/* @sql: with the parameters @a and, if there are two, @b. -ENOENT if it changed nothing. */
static int container_change(struct store *store, const char *sql, const char *a, const char *b)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	sqlite3_stmt *stmt;
	int r = txn_begin(store, &txn);

	if (r == 0)
		r = db_stmt(txn_db(txn), sql, &stmt);
	if (r < 0)
		return r;
	db_bind_text(stmt, 1, a);
	if (b)
		db_bind_text(stmt, 2, b);
	r = db_run(stmt);
	if (r == 0 && sqlite3_changes(db_handle(txn_db(txn))) == 0)
		r = -ENOENT;
	return r < 0 ? r : txn_commit(TAKE(txn));
}

int container_set_mountpoint(struct store *store, const char *id, const char *mountpoint_or_null)
{
	return container_change(store, "UPDATE container SET mountpoint = ?1 WHERE id = ?2", mountpoint_or_null, id);
}

int container_rename(struct store *store, const char *id, const char *name, struct diag *diag)
{
	int r = check_name(name, diag);

	if (r == 0)
		r = container_change(store, "UPDATE container SET name = ?1 WHERE id = ?2", name, id);
	if (r == -EEXIST)
		return diag_set(diag, r, "there is a container named %s already", name);
	if (r == -ENOENT)
		return diag_set(diag, r, "no such container: %s", id);
	return r < 0 ? diag_errno(diag, r, "container %s cannot be renamed", id) : 0;
}

int container_remove(struct store *store, const char *id, struct diag *diag)
{
	AUTO(closep) int lock = -1;
	int r = store_lock(store, LOCK_SH, &lock);

	if (r == 0)
		r = container_change(store, "DELETE FROM container WHERE id = ?", id, NULL);
	if (r == -ENOENT)
		return diag_set(diag, r, "no such container: %s", id);
	if (r == 0)
		r = remove_folder(store, id);
	return r < 0 ? diag_errno(diag, r, "container %s cannot be removed", id) : 0;
}
