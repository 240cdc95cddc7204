/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_ATTRCACHE_H
#define NACRE_FS_ATTRCACHE_H

/* Attributes of the upper's regular files that are known without asking the disk: see attrcache.c. */

#include "fs/internal.h"

enum attrs_known {
	ATTRS_MTIME = 1 << 0,
	ATTRS_ROOM = 1 << 1,  /* size and blocks */
	ATTRS_OWNER = 1 << 2, /* mode, owner, and the time of access */
	ATTRS_REST = ATTRS_ROOM | ATTRS_OWNER,
	ATTRS_ALL = ATTRS_MTIME | ATTRS_REST,
};
/**
 * attrs_get_locked() - all attributes but the change time, in whose place stands the modification time
 *
 * The node's time lock is held, here and by all that is called _locked below.  Return: false: they are not known.
 */
bool attrs_get_locked(const struct fs *fs, struct node *node, struct stat *st);
/** attrs_lack_room_locked() - are size and blocks all that attrs_get_locked() lacks? */
bool attrs_lack_room_locked(const struct fs *fs, struct node *node);
/** attrs_keep_room_locked() - the file was just seen to have them. Nothing happens if they are not all that lacks. */
void attrs_keep_room_locked(const struct fs *fs, struct node *node, uint64_t size, uint64_t blocks);
/** attrs_mtime_locked() - the modification time. Return: false: it is not known. */
bool attrs_mtime_locked(const struct fs *fs, struct node *node, struct timespec *ret);
/** attrs_keep_locked() - @st is what the file has, as it is shown; the lock was held over the stat. */
void attrs_keep_locked(const struct fs *fs, struct node *node, const struct stat *st);
/** attrs_keep_mtime_locked() - the same of the modification time alone. */
void attrs_keep_mtime_locked(const struct fs *fs, struct node *node, const struct timespec *mtime);
/** attrs_keep_owner_locked() - owner and mode of @st, as far as @set says, were set and are shown just so. */
void attrs_keep_owner_locked(const struct fs *fs, struct node *node, const struct stat *st, unsigned set);
/** attrs_lost(), attrs_lost_locked() - a change was made to @what (enum attrs_known), or, with 0, to what is not kept here. */
void attrs_lost(struct fs *fs, struct node *node, unsigned what);
void attrs_lost_locked(const struct fs *fs, struct node *node, unsigned what);
/** attrs_data_changed_locked() - data was changed, and the modification time is again the one that it was before. */
void attrs_data_changed_locked(const struct fs *fs, struct node *node);
/**
 * attrs_sync_begin() - all of the node's file is about to be written out
 * @ret_data_only: nothing but data has changed since that was done last
 *
 * Return: what attrs_sync_end() wants to know once it is written.
 */
uint64_t attrs_sync_begin(struct fs *fs, struct node *node, bool *ret_data_only);
/** attrs_sync_end() - what attrs_sync_begin() found changed, which gave @change, is on the disk. */
void attrs_sync_end(struct fs *fs, struct node *node, uint64_t change);
/** attrs_drop() - free them; they may be kept anew. */
void attrs_drop(struct fs *fs, struct node *node);
/** attrs_clear_place() - the node is about to be in the upper: it forgets where it was, and all that was known of it. */
void attrs_clear_place(struct fs *fs, struct node *node);

#endif
