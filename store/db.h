/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_DB_H
#define NACRE_STORE_DB_H

/*
 * The thin layer over SQLite, for files of store/ only.
 *
 * Ownership: a struct store owns a pool of connections, a connection owns its
 * prepared statements.  A connection belongs to one thread from db_borrow() to
 * db_return(); statements are never shared.  Every function returns 0 or
 * -errno; db_errno() is the one place where SQLite's codes become errnos.
 */

#include "store/base/auto.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stddef.h>

struct db; /* one connection with its prepared statements */

/** db_errno() - what an SQLite result code means, as -errno; 0 for OK, ROW and DONE. */
int db_errno(int code);

/** db_open() - @flags as for sqlite3_open_v2(); sets what every connection of ours has, and the SQL function sha256(). */
int db_open(const char *path, int flags, struct db **ret);
void db_close(struct db *db);
void db_closep(struct db **db);

/** db_open_index() - a new connection to the store's index, outside of the pool. */
int db_open_index(struct store *store, struct db **ret);

/** db_borrow() - a connection of the store's pool, or a new one; give it back with db_return(). */
int db_borrow(struct store *store, struct db **ret);
void db_return(struct store *store, struct db *db);
/** db_pool_release() - close all idle connections. */
void db_pool_release(struct store *store);

/*
 * A borrowed connection with a scope:
 *	AUTO(db_loan_end) struct db_loan loan = { .store = store };
 *	int r = db_loan_begin(&loan);	... loan.db ...
 */
struct db_loan {
	struct store *store; /* borrowed */
	struct db *db;	     /* NULL before db_loan_begin() */
};
int db_loan_begin(struct db_loan *loan);
void db_loan_end(struct db_loan *loan);

sqlite3 *db_handle(struct db *db);
/** db_diag() - say "TEXT: SQLite's own message" in @diag, unless something is there. Return: @err. */
int db_diag(struct db *db, struct diag *diag, int err, const char *text);

/** db_freep() - for AUTO(): what sqlite3_mprintf() gave. */
void db_freep(char **text);

/** db_exec() - one or more statements without parameters or rows. */
int db_exec(struct db *db, const char *sql);

/**
 * db_stmt() - the prepared statement of @sql, reset and unbound
 * @sql: a string literal: its address is the key of the connection's cache
 *
 * Borrowed from the connection.  Give it to db_reset() when done, so that its
 * read transaction ends.
 */
int db_stmt(struct db *db, const char *sql, sqlite3_stmt **ret);
/**
 * db_log_named() - the store's folder was synced since @db began a transaction on its log: the name that the log has there
 * is on disk, and transactions that are committed need not see to that again
 */
void db_log_named(struct db *db);
/** db_commit() - commit what was begun in SQL, with that in mind. */
int db_commit(struct db *db);
/** db_stmt_count() - how many statements the connection has prepared. */
size_t db_stmt_count(const struct db *db);
/** db_stmt_forget() - close all but the first @count of them: what they name is about to go. */
void db_stmt_forget(struct db *db, size_t count);
/** db_step() - Return: 1 for a row, 0 at the end, -errno. */
int db_step(sqlite3_stmt *stmt);
/** db_run() - a statement that gives no rows: step to its end and reset. */
int db_run(sqlite3_stmt *stmt);
/** db_run_ints() - the same of @sql with whole numbers bound to ?1, ?2, ...; DB_RUN(db, sql, NUMBER...) is its short form. */
int db_run_ints(struct db *db, const char *sql, const int64_t *values, size_t count);
#define DB_RUN(db, sql, ...)                                   \
	db_run_ints(db, sql, (const int64_t[]){ __VA_ARGS__ }, \
		    sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))
void db_reset(sqlite3_stmt *stmt);
void db_resetp(sqlite3_stmt **stmt);
/** db_int() - the first column of the first row of @sql (a literal, no parameters); -ENODATA: no row. */
int db_int(struct db *db, const char *sql, int64_t *ret);

/* Bindings are by position from 1.  An out-of-memory bind makes the step that follows fail. */
static inline void db_bind_int(sqlite3_stmt *stmt, int at, int64_t value)
{
	sqlite3_bind_int64(stmt, at, value);
}

/** 0 is kept as NULL. */
static inline void db_bind_id(sqlite3_stmt *stmt, int at, int64_t value)
{
	if (value)
		sqlite3_bind_int64(stmt, at, value);
	else
		sqlite3_bind_null(stmt, at);
}

/** The bytes must live until the statement is reset. */
static inline void db_bind_blob(sqlite3_stmt *stmt, int at, const void *bytes, size_t len)
{
	/* A NULL pointer would bind NULL: an empty blob is not that. */
	sqlite3_bind_blob64(stmt, at, len ? bytes : "", len, SQLITE_STATIC);
}

/** NULL binds NULL. */
static inline void db_bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

/*
 * A write transaction: having one proves that the writer's lock on the index is held.
 */
struct txn {
	struct db_loan loan;
};

/** txn_begin() - waits for other writers, for a minute at most. -EBUSY after that. */
int txn_begin(struct store *store, struct txn **ret);
/** txn_commit() - durable when it returns 0; consumes @txn either way, rolled back if it fails. */
int txn_commit(struct txn *txn);
void txn_abort(struct txn *txn);
void txn_abortp(struct txn **txn);
static inline struct db *txn_db(struct txn *txn)
{
	return txn->loan.db;
}

#endif
