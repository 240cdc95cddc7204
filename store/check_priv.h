/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_CHECK_PRIV_H
#define NACRE_STORE_CHECK_PRIV_H

/* What the parts of store_check() share. */

#include "store/base/buf.h"
#include "store/check.h"
#include "store/tarback.h"
#include "store/tree.h"
#include "store/db.h"

struct check {
	struct store *store; /* borrowed */
	/*
	 * owned: in one read transaction, with the tables
	 *   temp.wanted(layer)		to be looked at
	 *   temp.bad(content, text)	found to be damaged
	 */
	struct db *db;
	const struct check_options *options; /* borrowed */
	check_fn fn;
	void *arg;
	struct check_result *result; /* borrowed */
};

/**
 * check_report() - one fault
 * @layer: 0: of no layer
 * @path: NULL: of no file
 */
int check_report(struct check *c, int64_t layer, const char *path, const char *text);
int check_reportf(struct check *c, int64_t layer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** check_damage() - an @err that says the store is damaged becomes a fault, any other is passed on. */
int check_damage(struct check *c, int64_t layer, int err, const char *text);

/** check_entry() - check_report() of a file: @row has the layer, the directory's number, the name, the text. */
int check_entry(struct check *c, sqlite3_stmt *row);

/** check_inode() - check_report() of a file, by the number that its inode has in @layer. */
int check_inode(struct check *c, int64_t layer, uint64_t no, const char *text);

/**
 * check_path() - the path of a name in directory @dir
 * @parent_sql: dir and name of the directory with the number ?2 (of layer ?1)
 */
int check_path(struct db *db, const char *parent_sql, int64_t layer, int64_t dir, const void *name, size_t len,
	       struct buf *path);

/* check_rows.c: the index alone */
int check_index(struct check *c);
int check_images(struct check *c);

/* check_files.c: what the rows say of files, and files that no row names */
int check_files(struct check *c);
int check_contents(struct check *c);
int check_leftovers(struct check *c);

/* What came of it. */
struct check_reread {
	struct tree_totals totals;
	uint64_t stream_bytes;
	uint64_t bad_no; /* with -EIO: the inode whose content could not be read; 0: it was the framing */
};

/**
 * check_reread() - a layer's rows, from the stream that it gives back
 * @diff_id: what the stream must have; NULL: it is not looked at
 * @files: NULL, or contents that count in place of the rows' (tarback.h)
 * @rows: empty, from stage_rows_open()
 * Return: 0; -EKEYREJECTED: it has another; -EBADMSG, -EIO: it does not come to its end; ... .
 */
int check_reread(struct store *store, struct layer_id layer, const struct digest *diff_id, struct tarback_files *files,
		 struct db *rows, struct diag *diag, struct check_reread *ret);

/** check_rows_equal() - are the index's rows of a layer those in @rows, contents and ACLs aside? @store: writable; @rows: in no transaction. */
int check_rows_equal(struct store *store, struct db *rows, struct layer_id layer, bool *ret);

/* check_layer.c: one layer against the stream that it gives back. @tainted: it has damaged contents, known already. */
int check_layer(struct check *c, int64_t layer, bool tainted);

#endif
