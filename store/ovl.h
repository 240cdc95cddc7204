/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_OVL_H
#define NACRE_STORE_OVL_H

/*
 * overlayfs on disk: how whiteouts, opaque directories, redirects and recorded
 * owners look in an upper or lower directory, whoever wrote it.  Shared by the
 * driver and by commit.  Source: the kernel's Documentation/filesystems/
 * overlayfs.rst and fs/overlayfs/, fuse-overlayfs, containers/storage.
 *
 * A function that reads takes any descriptor, O_PATH ones too (those through
 * /proc).  A mark that cannot be read for lack of privilege or of xattrs is none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Which xattr namespace marks are written in: trusted.* needs CAP_SYS_ADMIN. */
enum ovl_namespace {
	OVL_TRUSTED,
	OVL_USER,
};

#define OVL_WH_PREFIX ".wh."
#define OVL_WH_OPAQUE ".wh..wh..opq"
/* What owners are recorded under; a layer's root has the one that holds for it.  The others are fuse-overlayfs's. */
#define OVL_OVERRIDE_STAT	"user.containers.override_stat"
#define OVL_OVERRIDE_PRIVILEGED "security.fuseoverlayfs.override_stat"
#define OVL_OVERRIDE_USER	"user.fuseoverlayfs.override_stat"
#define OVL_PLACEHOLDER "user.overlay.nacre.placeholder"

/** ovl_is_whiteout_mode() - a 0:0 character device */
static inline bool ovl_is_whiteout_mode(mode_t mode, dev_t rdev)
{
	return S_ISCHR(mode) && rdev == 0;
}

/**
 * ovl_whiteout_name() - the name that a ".wh.NAME" file hides, or NULL if it is no whiteout
 *
 * ".wh..wh." names (AUFS's own, the opaque mark among them) hide nothing: NULL.
 * Nor do ".wh.", ".wh.." and ".wh...", which name no entry.
 */
const char *ovl_whiteout_name(const char *name);

/** ovl_reserved_name() - does it begin with ".wh."?  Never shown, never created. */
bool ovl_reserved_name(const char *name);

/**
 * ovl_is_opaque() - does directory @fd hide what is below it?
 *
 * Any form: trusted. or user.overlay.opaque "y", user.fuseoverlayfs.opaque "y", ".wh..wh..opq".
 * Return: 1, 0, or -errno.  A file system without xattrs has no marks: 0.
 */
int ovl_is_opaque(int fd);

/** ovl_marks() - both of a directory's marks at once, with fewer calls: ovl_is_opaque() and, if it is not,
 * ovl_redirect(). Return: 0 or -errno. */
int ovl_marks(int fd, bool *opaque, char **redirect);

/** ovl_is_xattr_whiteout() - the kernel 6.7 form, on an empty regular file @fd, in a directory marked
 * overlay.opaque "x". Return: 1, 0, or -errno. */
int ovl_is_xattr_whiteout(int fd);
/** ovl_has_xattr_whiteouts() - is directory @fd marked overlay.opaque "x"? */
int ovl_has_xattr_whiteouts(int fd);

/*
 * A nested overlay's whiteouts: 0:0 devices that somebody made in a mount.  On disk
 * such a device would be a whiteout of ours, so it is an empty file with the escaped
 * xattr whiteout, overlay.overlay.whiteout, in a directory marked
 * overlay.overlay.opaque "x": any nested overlay that knows xattr whiteouts sees what
 * it is, whoever mounts this.  overlay.nacre.whiteouts on the directory says that
 * nacrefs shows them as the devices they were made as.
 */
#define OVL_NESTED_WHITEOUT "overlay.whiteout" /* after "{trusted,user}.overlay." */
#define OVL_NESTED_OPAQUE   "overlay.opaque"
#define OVL_NESTED_DEVICES  "nacre.whiteouts"

/* What an empty regular file may stand for. */
enum ovl_file_form {
	OVL_FORM_FILE = 0,
	OVL_FORM_WHITEOUT = 1 << 0, /* kernel 6.7: ovl_is_xattr_whiteout() */
	OVL_FORM_NESTED = 1 << 1,   /* a nested overlay's whiteout */
};
/** ovl_file_forms() - which forms directory @fd is marked for. Return: OVL_FORM_* together, or -errno. */
int ovl_file_forms(int fd);
/** ovl_file_form() - which of @forms regular file @fd has. Return: one, or -errno. */
int ovl_file_form(int fd, int forms);

/** ovl_set_opaque() - mark directory @fd (not O_PATH). */
int ovl_set_opaque(int fd, enum ovl_namespace ns);

/**
 * ovl_redirect() - where directory @fd's lower part is
 * @ret: a string to free(): "/path/from/root", or "name" in the same parent; NULL: it has none
 *
 * Return: 0; -EINVAL: not such a path (an empty, "." or ".." component, a NUL); -errno.
 */
int ovl_redirect(int fd, char **ret);
int ovl_set_redirect(int fd, enum ovl_namespace ns, const char *path);

/** ovl_is_metacopy() - does regular file @fd hold attributes only, its data being below?
 * Return: 1, 0, or -errno. */
int ovl_is_metacopy(int fd);

/*
 * An empty file that only stands there to be mounted on, as in a container whose image has no
 * /etc/hosts: it is no change, and no layer gets it.  Written by who made it, past the driver,
 * which shows the file but not the mark.
 */

/** ovl_set_placeholder() - mark regular file @fd (not O_PATH). */
int ovl_set_placeholder(int fd);
/** ovl_is_placeholder() - is regular file @fd marked so? Return: 1, 0, or -errno. */
int ovl_is_placeholder(int fd);

/** ovl_is_impure() - does directory @fd hold entries that were copied up into it? */
bool ovl_is_impure(int fd);

/**
 * ovl_private_xattr() - overlay's own, which no mount shows: {trusted,user}.overlay.*,
 * {user,security}.fuseoverlayfs.*, and user.containers.override_stat
 *
 * Not those of an overlay nested in the mount, which stand on disk under an escaped name, as the kernel's
 * overlayfs has it: trusted.overlay.overlay.opaque is the file's as any other xattr, and shown as
 * trusted.overlay.opaque.
 */
bool ovl_private_xattr(const char *name);

enum { OVL_XATTR_NAME_BYTES = 256 };
/** ovl_xattr_escape() - the name on disk of @shown: itself, or in @buf. NULL: it would be too long. */
const char *ovl_xattr_escape(const char *shown, char buf[static OVL_XATTR_NAME_BYTES]);
/** ovl_xattr_unescape() - the name shown for @disk: itself, or in @buf. NULL: none, it is private. */
const char *ovl_xattr_unescape(const char *disk, char buf[static OVL_XATTR_NAME_BYTES]);

/* A recorded owner: "uid:gid:mode[:type]" */
struct ovl_override {
	uint32_t uid, gid;
	uint32_t mode; /* permission bits; with type bits if @has_type */
	bool has_type;
	dev_t rdev;
};

/** ovl_override_parse() - from the xattr's text. Return: 0 or -EINVAL. */
int ovl_override_parse(const char *text, size_t len, struct ovl_override *ret);
/** ovl_override_format() - into @text of at least 96 bytes. Return: its length. The type is
 * written from @o->mode's type bits. */
size_t ovl_override_format(const struct ovl_override *o, char *text);
/** ovl_override_read() - of @fd, under @xattr. Return: 1: there is one; 0: none; -EINVAL: it is malformed; -errno. */
int ovl_override_read(int fd, const char *xattr, struct ovl_override *ret);
/** ovl_override_name() - what a layer with the root @fd has owners under: one of the three above. NULL: nothing. */
const char *ovl_override_name(int fd);

#endif
