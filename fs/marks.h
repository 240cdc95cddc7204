/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_MARKS_H
#define NACRE_FS_MARKS_H

/*
 * What one layer of a store, shown by itself, has to say of those below it: its whiteouts and opaque directories,
 * in the form that fs_options.whiteouts asks for.
 */

#include "fs/internal.h"

/** The names that a whiteout, or the mark of an opaque folder, is shown by. */
enum { MARK_NAME_BYTES = 256 };
struct mark {
	struct found found; /* refers to the rest */
	struct layer_entry row;
	char name[MARK_NAME_BYTES];
};

/** mark_of_whiteout() - what shows in the place of @whiteout. Return: false: nothing. */
bool mark_of_whiteout(const struct fs *fs, const struct found *whiteout, struct mark *ret);
/** mark_of_opaque() - the entry that shows in the opaque folder @dir. Return: false: none. */
bool mark_of_opaque(const struct fs *fs, const struct dirnode *dir, struct mark *ret);
/** mark_xattr() - of an opaque folder that says it by an xattr, the name of that; NULL: it has none. */
const char *mark_xattr(const struct fs *fs, const struct node *node);
/** mark_xattr_is() - does @shown ask for it? */
bool mark_xattr_is(const struct fs *fs, const struct node *node, const char *shown);
/** Its value. */
#define MARK_XATTR_VALUE "y"

#endif
