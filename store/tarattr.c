/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tarattr.h"

#include "store/ovl.h"
#include "store/pax.h"

#include <grp.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { NS_PER_SECOND = 1000000000 };

/* ---- xattrs ---- */

static int add_xattr(struct tar_attrs *a, const char *name, const void *value, size_t bytes)
{
	if (a->count == a->room) {
		size_t room = a->room ? a->room * 2 : 8;
		struct tree_xattr *xattrs = realloc(a->xattrs, room * sizeof(*xattrs));

		if (!xattrs)
			return -ENOMEM;
		a->xattrs = xattrs;
		a->room = room;
	}
	a->xattrs[a->count++] = (struct tree_xattr){ .name = name, .value = value, .bytes = bytes };
	return 0;
}

/* What no inode of Linux can hold would be an image that nobody can unpack. */
static int check_xattr(const char *name, size_t bytes, struct diag *diag)
{
	if (strlen(name) > XATTR_NAME_MAX)
		return diag_set(diag, -EBADMSG, "the name of its xattr %.64s... is longer than %d bytes", name,
				XATTR_NAME_MAX);
	if (bytes > XATTR_SIZE_MAX)
		return diag_set(diag, -EBADMSG, "its xattr %s has %zu bytes, more than %d", name, bytes,
				XATTR_SIZE_MAX);
	return 0;
}

static int read_xattrs(struct tar_attrs *a, struct archive_entry *entry, struct diag *diag)
{
	const char *name;
	const void *value;
	size_t bytes;
	int r = 0;

	if (archive_entry_xattr_reset(entry) == 0)
		return 0;
	while (r == 0 && archive_entry_xattr_next(entry, &name, &value, &bytes) == ARCHIVE_OK) {
		/* Its own copy, which nobody else reads: this may be written to. */
		if (name)
			pax_xattr_unescape((char *)name);
		/* An image's own overlay marks would be obeyed by whoever mounts it. */
		if (name && ovl_private_xattr(name)) {
			a->left_out++;
			continue;
		}
		if (!name || !*name)
			continue;
		r = a->known ? 0 : check_xattr(name, bytes, diag);
		if (r == 0)
			r = add_xattr(a, name, value ? value : "", bytes);
	}
	return r;
}

/* ---- ACLs: system.posix_acl_*, as in the kernel's include/uapi/linux/posix_acl_xattr.h ---- */

enum {
	ACL_VERSION = 2,
	ACL_USER_OBJ = 0x01,
	ACL_USER = 0x02,
	ACL_GROUP_OBJ = 0x04,
	ACL_GROUP = 0x08,
	ACL_MASK = 0x10,
	ACL_OTHER = 0x20,
};

#define ACL_NO_ID UINT32_MAX

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

static uint16_t acl_tag(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return ACL_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_USER:
		return ACL_USER;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return ACL_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return ACL_GROUP;
	case ARCHIVE_ENTRY_ACL_MASK:
		return ACL_MASK;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return ACL_OTHER;
	default:
		return 0;
	}
}

/* The kernel wants them by tag, then by id. */
static int acl_order(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void put_le(struct buf *buf, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		char byte = (char)(value >> (8 * i));

		buf_add(buf, &byte, 1);
	}
}

static int encode_acl(struct acl_entry *acl, size_t count, struct buf *buf)
{
	qsort(acl, count, sizeof(*acl), acl_order);
	put_le(buf, ACL_VERSION, 4);
	for (size_t i = 0; i < count; i++) {
		put_le(buf, acl[i].tag, 2);
		put_le(buf, acl[i].perm, 2);
		put_le(buf, acl[i].id, 4);
	}
	return buf_error(buf);
}

/*
 * GNU tar writes names only (bsdtar adds numbers, and those count): they mean this machine's users, as
 * for tar -x.  An ACL without the ones that are not known here would grant something else: it is refused.
 */
static int acl_name_to_id(int tag, const char *name, uint32_t *ret)
{
	char buf[4096];
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;

	if (tag == ARCHIVE_ENTRY_ACL_USER && getpwnam_r(name, &pw, buf, sizeof(buf), &user) == 0 && user)
		*ret = user->pw_uid;
	else if (tag == ARCHIVE_ENTRY_ACL_GROUP && getgrnam_r(name, &gr, buf, sizeof(buf), &group) == 0 && group)
		*ret = group->gr_gid;
	else
		return -ENOENT;
	return 0;
}

static int read_acl(struct archive_entry *entry, int type, struct diag *diag, struct buf *buf)
{
	int count = archive_entry_acl_reset(entry, type), kind, perm, tag, id;
	AUTO(freep) struct acl_entry *acl = NULL;
	const char *name;
	size_t n = 0;

	if (count <= 0)
		return 0;
	acl = calloc((size_t)count, sizeof(*acl));
	if (!acl)
		return -ENOMEM;
	while (n < (size_t)count && archive_entry_acl_next(entry, type, &kind, &perm, &tag, &id, &name) == ARCHIVE_OK) {
		bool named = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;

		acl[n].tag = acl_tag(tag);
		acl[n].perm = (uint16_t)(perm & 7);
		acl[n].id = named ? (uint32_t)id : ACL_NO_ID;
		if (named && id < 0 && acl_name_to_id(tag, name ? name : "", &acl[n].id) < 0)
			return diag_set(diag, -EBADMSG, "its ACL names \"%s\", whose number is not known here",
					name ? name : "");
		n += acl[n].tag != 0;
	}
	return encode_acl(acl, n, buf);
}

static int read_acls(struct tar_attrs *a, struct archive_entry *entry, struct diag *diag)
{
	static const struct {
		int type;
		const char *name;
	} kinds[] = {
		{ ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access" },
		{ ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default" },
	};

	if (!(archive_entry_acl_types(entry) & ARCHIVE_ENTRY_ACL_TYPE_POSIX1E))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int r = read_acl(entry, kinds[i].type, diag, &a->acl[i]);

		if (r == 0 && a->acl[i].len > 0)
			r = add_xattr(a, kinds[i].name, a->acl[i].data, a->acl[i].len);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the rest ---- */

static int64_t mtime_of(struct archive_entry *entry)
{
	int64_t sec = archive_entry_mtime(entry), ns = archive_entry_mtime_nsec(entry), all;

	if (__builtin_mul_overflow(sec, NS_PER_SECOND, &all) || __builtin_add_overflow(all, ns, &all))
		return sec < 0 ? INT64_MIN : INT64_MAX; /* as near as an index in ns can be; the framing has it */
	return all;
}

static int owner_of(int64_t id, const char *what, struct diag *diag, uint32_t *ret)
{
	/* -1 means "no change" to the kernel, so no inode has it. */
	if (id < 0 || id >= UINT32_MAX)
		return diag_set(diag, -EBADMSG, "its %s %" PRId64 " is out of range", what, id);
	*ret = (uint32_t)id;
	return 0;
}

int tar_attrs_read(struct tar_attrs *a, struct archive_entry *entry, struct diag *diag, struct tree_entry *ret)
{
	int r = owner_of(archive_entry_uid(entry), "user number", diag, &ret->uid);

	a->count = 0;
	a->acl[0].len = a->acl[1].len = 0;
	if (r == 0)
		r = owner_of(archive_entry_gid(entry), "group number", diag, &ret->gid);
	if (r == 0)
		r = read_xattrs(a, entry, diag);
	if (r == 0 && !a->without_acls)
		r = read_acls(a, entry, diag);
	if (S_ISCHR(ret->mode) || S_ISBLK(ret->mode))
		ret->rdev = makedev((unsigned)archive_entry_rdevmajor(entry), (unsigned)archive_entry_rdevminor(entry));
	ret->mtime_ns = mtime_of(entry);
	ret->xattrs = a->xattrs;
	ret->xattr_count = a->count;
	return r;
}

void tar_attrs_release(struct tar_attrs *a)
{
	free(a->xattrs);
	buf_release(&a->acl[0]);
	buf_release(&a->acl[1]);
	*a = (struct tar_attrs){ 0 };
}
