/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_H
#define NACRE_STORE_H

/*
 * The layer store: layers, images and writable containers in one folder.
 *
 *   index.db           SQLite: all that is not file content; its tables are described in schema.c
 *   packs/             content of small files, append-only
 *   objects/ab/cd...   content of large files, one file each
 *   containers/ID/     upper and work of a writable container
 *   ingest/            staging of writers that are under way
 *   leases/            a locked file for each mount that reads layers
 *   lock               held shared by writers, exclusive by gc
 *   lock.moment        held for a moment: store_priv.h
 *
 * Order of writing.  Whatever adds writes bytes first, syncs them, and then adds
 * the rows that name them in one transaction of the index: layers in publish.c,
 * containers in container.c.  An image's row comes after its layers', a tag moves last.
 * Whatever takes away commits the rows' end first, then removes the bytes: gc.c,
 * remove.c.  So a row never names what is not there, and readers, who have one
 * snapshot of the index, never see half of anything.
 *
 * What a crash leaves is bytes without a row: a folder of ingest/ whose lock
 * nobody holds, a pack, object or container folder of no row, a lease whose lock nobody
 * holds.  Nothing reads these.  And layers of no image, where a load was ended between them.
 *
 * Who may delete what.  A writer removes its own staging, and dead staging of
 * others (stage_sweep()).  Everything else is gc's and rmi's, with STORE/lock exclusive: so
 * no writer counts on what goes.  They keep the layers of every image and of every lease whose
 * lock is held, and every image that a container or a held lease has.  A lease's lock ends with
 * its process, however that ended.
 *
 * store_check() (check.h) asserts all of this, for nacre verify and the tests.
 * What the store may lie on, and how its index is then kept: medium.h.
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
	STORE_READ,  /* must exist; nothing is written, but an index of an older version is brought up to date; also
			 * works on a read-only medium, if the index is of STORE_VERSION_READ or newer */
	STORE_WRITE, /* made if it is not there */
};

/** The version of the index this build writes and reads (PRAGMA user_version), and the oldest that it can read as it is. */
enum { STORE_VERSION = 4, STORE_VERSION_READ = 2 };

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
