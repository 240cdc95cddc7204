/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_H
#define NACRE_STORE_H

/*
 * The layer store: layers, images and writable containers in one folder.
 *
 *   index.db           SQLite, WAL: all that is not file content
 *   packs/             content of small files, append-only
 *   objects/ab/cd...   content of large files, one file each
 *   containers/ID/     upper and work of a writable container
 *   ingest/            staging of writers that are under way
 *   lock               held shared by writers, exclusive by gc
 *   leases/            a locked file for each mount that reads layers
 *
 * A struct store may be used by any number of threads at once; each call
 * borrows one of its connections for its duration.  All functions return 0 or
 * -errno unless they say otherwise.
 */

#include "store/base/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* Row ids, each a type of its own, so that they cannot be mixed up.  0 is none. */
struct layer_id {
	int64_t value;
};
struct content_id {
	int64_t value;
};
struct image_id {
	int64_t value;
};

enum store_mode {
	STORE_READ,	/* must exist; nothing is written, also works on a read-only medium */
	STORE_WRITE,	/* made if it is not there */
};

/** The version of the index this build writes and reads (PRAGMA user_version). */
enum { STORE_VERSION = 2 };

/**
 * store_open() - open the store in folder @dir
 * @ret_store: owned by the caller; close with store_close()
 *
 * Migrates an older index in STORE_WRITE mode.
 * Return: 0; -ENOENT: STORE_READ and there is none; -EPROTO: the index is from a newer
 * version; -EBADMSG: it is damaged or not a store; or the error of a system call.
 */
int store_open(const char *dir, enum store_mode mode, struct diag *diag, struct store **ret_store);
void store_close(struct store *store);
void store_closep(struct store **store);

/** store_dir() - the folder, absolute; borrowed from the store. */
const char *store_dir(const struct store *store);

/**
 * store_default_dir() - where the store is if nothing else was said
 *
 * $NACRE_STORE, else /var/lib/nacre for root, else $XDG_DATA_HOME/nacre, else
 * ~/.local/share/nacre.  Return: a string to free(), NULL without memory.
 */
char *store_default_dir(void);

#endif
