/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "store/base/digest.h"
#include "store/store_priv.h"

#include <string.h>

enum {
	STMT_CACHE = 128, /* more than any connection uses; a program error beyond */
	BUSY_TIMEOUT_MS = 60 * 1000,
};

struct db {
	sqlite3 *handle; /* owned */
	struct db *next; /* in the pool */
	bool log_named;	 /* db_log_named() */
	struct {
		const char *sql;    /* borrowed: a literal */
		sqlite3_stmt *stmt; /* owned */
	} stmts[STMT_CACHE];
	size_t stmt_count;
};

int db_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_MISMATCH:
		return -EBADMSG;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_TOOBIG:
		return -EFBIG;
	case SQLITE_INTERRUPT:
		return -EINTR;
	case SQLITE_RANGE:
	case SQLITE_MISUSE:
	case SQLITE_ERROR:
		return -EINVAL;
	default:
		return -EIO;
	}
}

/* The errno of a failed call: SQLite says IOERR or CANTOPEN for many of the system's reasons. */
static int handle_errno(sqlite3 *handle, int code)
{
	int system = sqlite3_system_errno(handle);

	if (((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR) &&
	    (system == EACCES || system == ENOSPC || system == EDQUOT || system == EROFS || system == EMFILE ||
	     system == ENFILE))
		return system == EDQUOT ? -ENOSPC : -system;
	return db_errno(code);
}

sqlite3 *db_handle(struct db *db)
{
	return db->handle;
}

int db_diag(struct db *db, struct diag *diag, int err, const char *text)
{
	if (err == 0 || !db)
		return err;
	return diag_set(diag, err, "%s: %s%s", text, sqlite3_errmsg(db->handle),
			err == -EBADMSG ? " (" DIAG_VERIFY ")" : "");
}

void db_freep(char **text)
{
	sqlite3_free(*text);
}

int db_exec(struct db *db, const char *sql)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : handle_errno(db->handle, code);
}

static void sha256_sql(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct digest digest;

	if (count != 1 || digest_of(sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0]), &digest) < 0)
		sqlite3_result_error_nomem(context);
	else
		sqlite3_result_blob(context, digest.bytes, DIGEST_BYTES, SQLITE_TRANSIENT);
}

/*
 * SQLite syncs the folder of a log when a connection syncs the log for the first time, since it may just have made it: one
 * more wait for the disk in each command that writes.  It opens the folder by this function, and where that fails it goes on
 * without; so it fails for the commits of connections whose folder was synced already.  Only for a write-ahead log, which
 * stays while a connection has it: a rollback journal is made anew for each commit.
 */
typedef int (*open_folder_fn)(const char *path, int *ret_fd);
static open_folder_fn sqlite_open_folder;   /* set once, by configure() */
static _Thread_local bool folder_is_synced; /* all that the function is told is a path */

static bool is_wal(const char *path)
{
	static const char suffix[] = "-wal";
	size_t len = strlen(path);

	return len > strlen(suffix) && strcmp(path + len - strlen(suffix), suffix) == 0;
}

static int open_folder(const char *path, int *ret_fd)
{
	return folder_is_synced && is_wal(path) ? SQLITE_CANTOPEN : sqlite_open_folder(path, ret_fd);
}

/*
 * Nobody asks how much memory SQLite has, and counting that takes a lock at each allocation.  And a cache of pages grows
 * from nothing: most connections read few, and twenty that are made in advance cost forty page faults.
 */
static void configure(void)
{
	sqlite3_vfs *vfs;

	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	vfs = sqlite3_vfs_find(NULL);
	if (!vfs || vfs->iVersion < 3 || !vfs->xGetSystemCall || !vfs->xSetSystemCall)
		return;
	sqlite_open_folder = (open_folder_fn)vfs->xGetSystemCall(vfs, "openDirectory");
	if (sqlite_open_folder)
		vfs->xSetSystemCall(vfs, "openDirectory", (sqlite3_syscall_ptr)open_folder);
}

int db_open(const char *path, int flags, struct db **ret)
{
	static pthread_once_t configured = PTHREAD_ONCE_INIT;
	AUTO(db_closep) struct db *db = calloc(1, sizeof(*db));
	int code;

	if (!db)
		return -ENOMEM;
	pthread_once(&configured, configure);
	/* Without SQLite's own mutexes: a connection is one thread's at a time. */
	code = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (code != SQLITE_OK)
		return db->handle ? handle_errno(db->handle, code) : -ENOMEM;
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	/* A damaged file must give an error, not run code that it brought along. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	code = sqlite3_create_function(db->handle, "sha256", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_DETERMINISTIC,
				       NULL, sha256_sql, NULL, NULL);
	if (code != SQLITE_OK)
		return handle_errno(db->handle, code);
	*ret = TAKE(db);
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	db_stmt_forget(db, 0);
	sqlite3_close(db->handle);
	free(db);
}

void db_closep(struct db **db)
{
	int saved = errno;

	db_close(*db);
	errno = saved;
}

int db_open_index(struct store *store, struct db **ret)
{
	AUTO(db_closep) struct db *db = NULL;
	int r = db_open(store->index_uri, store->index_flags, &db);

	/* Alone, it needs no memory that is shared with others to read a log. */
	if (r == 0 && store->log_in_memory)
		r = db_exec(db, "PRAGMA locking_mode=EXCLUSIVE");
	/* FULL: what was committed survives a power cut; commits are few and large. */
	if (r == 0)
		r = db_exec(db, "PRAGMA synchronous=FULL; PRAGMA cache_size=-4096; PRAGMA mmap_size=1073741824;"
				"PRAGMA journal_size_limit=67108864; PRAGMA temp_store=FILE");
	/* What another machine writes must not be missed. */
	if (r == 0 && store->shared)
		r = db_exec(db, "PRAGMA mmap_size=0");
	if (r == 0)
		*ret = TAKE(db);
	return r;
}

int db_borrow(struct store *store, struct db **ret)
{
	struct db *db;

	pthread_mutex_lock(&store->pool_lock);
	db = store->pool;
	if (db)
		store->pool = db->next;
	pthread_mutex_unlock(&store->pool_lock);
	if (!db) {
		int r = db_open_index(store, &db);

		if (r < 0)
			return r;
	}
	db->next = NULL;
	*ret = db;
	return 0;
}

void db_return(struct store *store, struct db *db)
{
	if (!db)
		return;
	pthread_mutex_lock(&store->pool_lock);
	db->next = store->pool;
	store->pool = db;
	pthread_mutex_unlock(&store->pool_lock);
}

void db_pool_release(struct store *store)
{
	while (store->pool) {
		struct db *db = store->pool;

		store->pool = db->next;
		db_close(db);
	}
}

int db_loan_begin(struct db_loan *loan)
{
	return db_borrow(loan->store, &loan->db);
}

void db_loan_end(struct db_loan *loan)
{
	int saved = errno;

	db_return(loan->store, TAKE(loan->db));
	errno = saved;
}

int db_stmt(struct db *db, const char *sql, sqlite3_stmt **ret)
{
	size_t i = 0;
	int code;

	while (i < db->stmt_count && db->stmts[i].sql != sql)
		i++;
	if (i == db->stmt_count) {
		if (i == STMT_CACHE)
			return -ENOBUFS;
		code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &db->stmts[i].stmt, NULL);
		if (code != SQLITE_OK)
			return handle_errno(db->handle, code);
		db->stmts[i].sql = sql;
		db->stmt_count++;
	}
	sqlite3_reset(db->stmts[i].stmt);
	sqlite3_clear_bindings(db->stmts[i].stmt);
	*ret = db->stmts[i].stmt;
	return 0;
}

void db_log_named(struct db *db)
{
	db->log_named = true;
}

int db_commit(struct db *db)
{
	int r;

	folder_is_synced = db->log_named;
	r = db_exec(db, "COMMIT");
	folder_is_synced = false;
	return r;
}

size_t db_stmt_count(const struct db *db)
{
	return db->stmt_count;
}

void db_stmt_forget(struct db *db, size_t count)
{
	while (db->stmt_count > count)
		sqlite3_finalize(db->stmts[--db->stmt_count].stmt);
}

int db_step(sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);

	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	return handle_errno(sqlite3_db_handle(stmt), code);
}

int db_run(sqlite3_stmt *stmt)
{
	int r = db_step(stmt);

	db_reset(stmt);
	return r > 0 ? 0 : r;
}

int db_run_ints(struct db *db, const char *sql, const int64_t *values, size_t count)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, sql, &stmt);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		db_bind_int(stmt, (int)i + 1, values[i]);
	return db_run(stmt);
}

void db_reset(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
}

void db_resetp(sqlite3_stmt **stmt)
{
	int saved = errno;

	if (*stmt)
		sqlite3_reset(*stmt);
	errno = saved;
}

int db_int(struct db *db, const char *sql, int64_t *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, sql, &stmt);

	if (r == 0)
		r = db_step(stmt);
	if (r < 0)
		return r;
	if (r == 0)
		return -ENODATA;
	*ret = sqlite3_column_int64(stmt, 0);
	return 0;
}

int txn_begin(struct store *store, struct txn **ret)
{
	struct txn *txn = calloc(1, sizeof(*txn));
	int r;

	if (!txn)
		return -ENOMEM;
	txn->loan.store = store;
	r = db_loan_begin(&txn->loan);
	if (r == 0)
		r = db_exec(txn->loan.db, "BEGIN IMMEDIATE");
	if (r < 0) {
		db_loan_end(&txn->loan);
		free(txn);
		return r;
	}
	*ret = txn;
	return 0;
}

int txn_commit(struct txn *txn)
{
	int r = db_commit(txn->loan.db);

	if (r < 0) {
		txn_abort(txn);
		return r;
	}
	db_loan_end(&txn->loan);
	free(txn);
	return 0;
}

void txn_abort(struct txn *txn)
{
	if (!txn)
		return;
	/* It fails if SQLite rolled back by itself; nothing is left to undo then. */
	(void)db_exec(txn->loan.db, "ROLLBACK");
	db_loan_end(&txn->loan);
	free(txn);
}

void txn_abortp(struct txn **txn)
{
	int saved = errno;

	txn_abort(*txn);
	errno = saved;
}
