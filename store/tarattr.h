/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TARATTR_H
#define NACRE_STORE_TARATTR_H

/* The attributes of an archive entry as a tree_entry has them: times, owners, xattrs, ACLs. */

#include "store/base/buf.h"
#include "store/libarchive.h"
#include "store/tree.h"

/* Room for one entry's xattrs; zero-initialised it is empty. */
struct tar_attrs {
	struct tree_xattr *xattrs; /* owned; the names and values are the archive entry's or in acl */
	size_t count, room;
	struct buf acl[2];
	uint64_t left_out; /* xattrs that are an overlay's own marks, of all entries */
	bool without_acls; /* set by the caller: they are passed over */
	bool known; /* set by the caller: it came in before, so that what no inode can have is no reason to refuse it */
};

void tar_attrs_release(struct tar_attrs *attrs);

/**
 * tar_attrs_read() - all but type, size and content
 * @ret: its xattrs are borrowed from @attrs and @entry
 * Return: 0; -EBADMSG with the reason: an owner, device number or xattr that no inode can have.
 */
int tar_attrs_read(struct tar_attrs *attrs, struct archive_entry *entry, struct diag *diag, struct tree_entry *ret);

#endif
