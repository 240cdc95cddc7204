/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TARWRITE_H
#define NACRE_STORE_TARWRITE_H

/*
 * The canonical tar form of a layer: the same entry gives the same bytes on
 * every machine and with every version of every library, since diff IDs hang
 * on them.  That is why the headers are written here and not by libarchive.
 *
 *   - ustar headers; a pax extended header ('x') before one only where ustar
 *     cannot say it: a name or link target over 100 bytes (the prefix field is
 *     not used), a size of 8 GiB or more, an owner over 2097151, a time with a
 *     fraction, before 1970 or beyond the field, xattrs
 *   - pax records in this order: hdrcharset, path, linkpath, size, uid, gid, mtime,
 *     then SCHILY.xattr.* by name
 *   - owners are numbers only; no atime, no ctime
 *
 * Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header".
 */

#include "store/base/buf.h"
#include "store/xattrs.h"

enum {
	TAR_BLOCK_BYTES = 512,
	TAR_NS_PER_SECOND = 1000000000,
};

/* POSIX.1-2017 pax, "ustar Interchange Format" */
struct tar_ustar {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char typeflag;
	char linkname[100];
	char magic[6];
	char version[2];
	char uname[32];
	char gname[32];
	char devmajor[8];
	char devminor[8];
	char prefix[155];
	char padding[12];
};
_Static_assert(sizeof(struct tar_ustar) == TAR_BLOCK_BYTES, "a header is one block");

struct tar_entry {
	const char *path;   /* relative, without "./"; a directory's without the final '/' too */
	const char *target; /* of a symlink; of a hard link the path of the first name; else NULL */
	bool hard_link;
	uint32_t mode; /* st_mode */
	uint32_t uid, gid;
	dev_t rdev;
	uint64_t size; /* of a regular file; its bytes follow the header */
	int64_t mtime_ns;
	const struct xattr_list *xattrs; /* may be NULL */
};

/** tar_header() - append the header blocks of @entry to @out. -EINVAL: a kind of file that tar has no word for. */
int tar_header(struct buf *out, const struct tar_entry *entry);

/** tar_padding() - zero bytes that follow a file of @size */
static inline size_t tar_padding(uint64_t size)
{
	return (size_t)(-size & (TAR_BLOCK_BYTES - 1));
}

/** tar_end() - append the two zero blocks that end an archive */
void tar_end(struct buf *out);

#endif
