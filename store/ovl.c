/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ovl.h"

#include "store/base/auto.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum {
	MARK_BYTES = 8, /* a mark is one letter; a longer value is no mark */
	OVERRIDE_TEXT_BYTES = 96,
};

const char *ovl_whiteout_name(const char *name)
{
	if (!ovl_reserved_name(name))
		return NULL;
	name += strlen(OVL_WH_PREFIX);
	if (ovl_reserved_name(name) || name[0] == '\0')
		return NULL;
	/* ".wh.." and ".wh..." would hide the directory itself or the one above it. */
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return NULL;
	return name;
}

bool ovl_reserved_name(const char *name)
{
	return strncmp(name, OVL_WH_PREFIX, strlen(OVL_WH_PREFIX)) == 0;
}

/* Overlay's own xattrs, and where those of a nested overlay stand instead. */
static const struct own_xattr {
	const char *shown, *disk;
	bool prefix;
} own_xattrs[] = {
	{ "trusted.overlay.", "trusted.overlay.overlay.", true },
	{ "user.overlay.", "user.overlay.overlay.", true },
	{ "user.fuseoverlayfs.", "user.fuseoverlayfs.overlay.", true },
	{ OVL_OVERRIDE_STAT, "user.overlay.containers.override_stat", false },
	{ "security.fuseoverlayfs.", "security.fuseoverlayfs.overlay.", true },
};

static bool is_named(const struct own_xattr *own, const char *as, const char *name)
{
	return own->prefix ? strncmp(name, as, strlen(as)) == 0 : strcmp(name, as) == 0;
}

static const struct own_xattr *own_as_shown(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_xattrs); i++)
		if (is_named(&own_xattrs[i], own_xattrs[i].shown, name))
			return &own_xattrs[i];
	return NULL;
}

static const struct own_xattr *own_as_escaped(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_xattrs); i++)
		if (is_named(&own_xattrs[i], own_xattrs[i].disk, name))
			return &own_xattrs[i];
	return NULL;
}

bool ovl_private_xattr(const char *name)
{
	return own_as_shown(name) && !own_as_escaped(name);
}

const char *ovl_xattr_escape(const char *shown, char buf[static OVL_XATTR_NAME_BYTES])
{
	const struct own_xattr *own = own_as_shown(shown);

	if (!own)
		return shown;
	if (snprintf(buf, OVL_XATTR_NAME_BYTES, "%s%s", own->disk, shown + strlen(own->shown)) >= OVL_XATTR_NAME_BYTES)
		return NULL;
	return buf;
}

const char *ovl_xattr_unescape(const char *disk, char buf[static OVL_XATTR_NAME_BYTES])
{
	const struct own_xattr *own = own_as_escaped(disk);

	if (!own)
		return own_as_shown(disk) ? NULL : disk;
	snprintf(buf, OVL_XATTR_NAME_BYTES, "%s%s", own->shown, disk + strlen(own->disk));
	return buf;
}

/*
 * fgetxattr() that also takes O_PATH descriptors: the kernel refuses those with
 * EBADF, while the link in /proc leads to the very same inode.
 */
static ssize_t xattr_get(int fd, const char *name, void *value, size_t bytes)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	ssize_t n = fgetxattr(fd, name, value, bytes);

	if (n >= 0)
		return n;
	if (errno != EBADF)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = getxattr(path, name, value, bytes);
	return n < 0 ? -errno : n;
}

static bool has_xattrs(int fd)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return listxattr(path, NULL, 0) > 0;
}

/*
 * Absent, or unreadable for a reason that says nothing about the directory:
 * trusted.* without privilege, user.* on a symlink or device, no xattrs at all.
 */
static bool means_absent(ssize_t err)
{
	return err == -ENODATA || err == -ENOTSUP || err == -EPERM || err == -EACCES;
}

/* Return: 1: @name is there and its value is the one letter @letter; 0; -errno. */
static int has_mark(int fd, const char *name, char letter)
{
	char value[MARK_BYTES];
	ssize_t n = xattr_get(fd, name, value, sizeof(value));

	if (means_absent(n) || n == -ERANGE)
		return 0;
	if (n < 0)
		return (int)n;
	return n == 1 && value[0] == letter;
}

static int has_any_mark(int fd, const char *const *names, size_t count, char letter)
{
	for (size_t i = 0; i < count; i++) {
		int r = has_mark(fd, names[i], letter);

		if (r != 0)
			return r;
	}
	return 0;
}

/*
 * Nearly every folder has no xattr at all, and one call says so: it saves asking
 * for each mark by name.  Where that cannot be told, ask.
 */
static bool may_have_marks(int fd)
{
	ssize_t n = flistxattr(fd, NULL, 0);

	return n > 0 || (n < 0 && errno != ENOTSUP);
}

static int has_opaque_file(int fd)
{
	struct stat st;

	if (fstatat(fd, OVL_WH_OPAQUE, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int ovl_marks(int fd, bool *opaque, char **redirect)
{
	bool ask = may_have_marks(fd);
	int r;

	*redirect = NULL;
	r = ask ? ovl_is_opaque(fd) : has_opaque_file(fd);
	*opaque = r > 0;
	if (r == 0 && ask)
		r = ovl_redirect(fd, redirect);
	return r < 0 ? r : 0;
}

int ovl_is_opaque(int fd)
{
	static const char *const names[] = {
		"trusted.overlay.opaque",
		"user.overlay.opaque",
		"user.fuseoverlayfs.opaque",
	};
	int r = has_any_mark(fd, names, ARRAY_SIZE(names), 'y');

	return r != 0 ? r : has_opaque_file(fd);
}

int ovl_has_xattr_whiteouts(int fd)
{
	static const char *const names[] = {
		"trusted.overlay.opaque",
		"user.overlay.opaque",
	};

	return may_have_marks(fd) ? has_any_mark(fd, names, ARRAY_SIZE(names), 'x') : 0;
}

static int is_empty_file_with(int fd, const char *const names[2])
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size != 0)
		return 0;
	for (size_t i = 0; i < 2; i++) {
		/* Any value counts: the kernel looks at its presence only. */
		ssize_t n = xattr_get(fd, names[i], NULL, 0);

		if (n >= 0)
			return 1;
		if (!means_absent(n))
			return (int)n;
	}
	return 0;
}

int ovl_is_xattr_whiteout(int fd)
{
	static const char *const names[] = { "trusted.overlay.whiteout", "user.overlay.whiteout" };

	return is_empty_file_with(fd, names);
}

static int is_nested_whiteout(int fd)
{
	static const char *const names[] = {
		"trusted.overlay." OVL_NESTED_WHITEOUT,
		"user.overlay." OVL_NESTED_WHITEOUT,
	};

	return is_empty_file_with(fd, names);
}

int ovl_file_forms(int fd)
{
	static const char *const nested[] = {
		"trusted.overlay." OVL_NESTED_DEVICES,
		"user.overlay." OVL_NESTED_DEVICES,
	};
	int whiteouts, devices;

	if (!may_have_marks(fd))
		return 0;
	whiteouts = ovl_has_xattr_whiteouts(fd);
	if (whiteouts < 0)
		return whiteouts;
	devices = has_any_mark(fd, nested, ARRAY_SIZE(nested), 'y');
	if (devices < 0)
		return devices;
	return (whiteouts ? OVL_FORM_WHITEOUT : 0) | (devices ? OVL_FORM_NESTED : 0);
}

int ovl_file_form(int fd, int forms)
{
	int r = forms & OVL_FORM_WHITEOUT ? ovl_is_xattr_whiteout(fd) : 0;

	if (r != 0)
		return r < 0 ? r : OVL_FORM_WHITEOUT;
	r = forms & OVL_FORM_NESTED ? is_nested_whiteout(fd) : 0;
	if (r != 0)
		return r < 0 ? r : OVL_FORM_NESTED;
	return OVL_FORM_FILE;
}

static int make_opaque_file(int fd)
{
	AUTO(closep) int file = openat(fd, OVL_WH_OPAQUE, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	return file < 0 ? -errno : 0;
}

int ovl_set_opaque(int fd, enum ovl_namespace ns)
{
	const char *name = ns == OVL_TRUSTED ? "trusted.overlay.opaque" : "user.overlay.opaque";

	if (fsetxattr(fd, name, "y", 1, 0) == 0)
		return 0;
	return errno == ENOTSUP ? make_opaque_file(fd) : -errno;
}

int ovl_set_placeholder(int fd)
{
	return fsetxattr(fd, OVL_PLACEHOLDER, "y", 1, 0) < 0 ? -errno : 0;
}

int ovl_is_placeholder(int fd)
{
	return has_mark(fd, OVL_PLACEHOLDER, 'y');
}

/* A value of unknown length, as a string to free(). -EINVAL: there is a NUL in it. */
static int read_text(int fd, const char *name, char **ret)
{
	for (;;) {
		ssize_t room = xattr_get(fd, name, NULL, 0), n;
		AUTO(freep) char *text = NULL;

		if (room < 0)
			return (int)room;
		text = malloc((size_t)room + 1);
		if (!text)
			return -ENOMEM;
		n = room == 0 ? 0 : xattr_get(fd, name, text, (size_t)room);
		if (n == -ERANGE)
			continue; /* it grew in between */
		if (n < 0)
			return (int)n;
		text[n] = '\0';
		if (strlen(text) != (size_t)n)
			return -EINVAL;
		*ret = TAKE(text);
		return 0;
	}
}

static bool is_plain_name(const char *name, size_t len)
{
	if (len == 0 || (len == 1 && name[0] == '.'))
		return false;
	return len != 2 || name[0] != '.' || name[1] != '.';
}

/* One name, or an absolute path of such names (ovl_check_redirect() in the kernel; ".." is refused here too). */
static bool redirect_is_valid(const char *path)
{
	if (path[0] != '/')
		return is_plain_name(path, strlen(path)) && !strchr(path, '/');
	while (*path) {
		size_t len = strcspn(path + 1, "/");

		if (!is_plain_name(path + 1, len))
			return false;
		path += 1 + len;
	}
	return true;
}

int ovl_redirect(int fd, char **ret)
{
	static const char *const names[] = {
		"trusted.overlay.redirect",
		"user.overlay.redirect",
	};

	*ret = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO(freep) char *path = NULL;
		int r = read_text(fd, names[i], &path);

		if (means_absent(r))
			continue;
		if (r < 0)
			return r;
		if (!redirect_is_valid(path))
			return -EINVAL;
		*ret = TAKE(path);
		return 0;
	}
	return 0;
}

int ovl_set_redirect(int fd, enum ovl_namespace ns, const char *path)
{
	const char *name = ns == OVL_TRUSTED ? "trusted.overlay.redirect" : "user.overlay.redirect";

	return fsetxattr(fd, name, path, strlen(path), 0) < 0 ? -errno : 0;
}

int ovl_is_metacopy(int fd)
{
	static const char *const names[] = {
		"trusted.overlay.metacopy",
		"user.overlay.metacopy",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		/* Empty, or (6.7) a header and perhaps a digest of the data: its presence is the mark. */
		ssize_t n = xattr_get(fd, names[i], NULL, 0);

		if (n >= 0)
			return 1;
		if (!means_absent(n))
			return (int)n;
	}
	return 0;
}

bool ovl_is_impure(int fd)
{
	return xattr_get(fd, "trusted.overlay.impure", NULL, 0) > 0 ||
	       xattr_get(fd, "user.overlay.impure", NULL, 0) > 0;
}

/*
 * Digits of @base at *@text up to @end; stops at the first other byte.
 * strtoul() would take signs and spaces, and needs a NUL.
 */
static int parse_number(const char **text, const char *end, unsigned base, uint64_t max, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	while (p < end && *p >= '0' && (unsigned)(*p - '0') < base) {
		value = value * base + (unsigned)(*p++ - '0');
		if (value > max)
			return -EINVAL;
	}
	if (p == *text)
		return -EINVAL;
	*text = p;
	*ret = value;
	return 0;
}

static int expect(const char **text, const char *end, char c)
{
	if (*text == end || **text != c)
		return -EINVAL;
	(*text)++;
	return 0;
}

/* "-MAJ-MIN" to the end of the text */
static int parse_device(const char *text, const char *end, dev_t *ret)
{
	uint64_t major_no, minor_no;

	if (expect(&text, end, '-') < 0 || parse_number(&text, end, 10, UINT32_MAX, &major_no) < 0 ||
	    expect(&text, end, '-') < 0 || parse_number(&text, end, 10, UINT32_MAX, &minor_no) < 0 || text != end)
		return -EINVAL;
	*ret = makedev((unsigned)major_no, (unsigned)minor_no);
	return 0;
}

static const struct override_type {
	const char *word;
	mode_t mode;
	bool device;
} override_types[] = {
	{ "dir", S_IFDIR, false },  { "file", S_IFREG, false },	   { "symlink", S_IFLNK, false },
	{ "pipe", S_IFIFO, false }, { "socket", S_IFSOCK, false }, { "block", S_IFBLK, true },
	{ "char", S_IFCHR, true },
};

static int parse_type(const char *text, const char *end, struct ovl_override *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(override_types); i++) {
		const struct override_type *type = &override_types[i];
		size_t len = strlen(type->word);

		if ((size_t)(end - text) < len || memcmp(text, type->word, len) != 0)
			continue;
		o->mode |= type->mode;
		o->has_type = true;
		if (type->device)
			return parse_device(text + len, end, &o->rdev);
		return text + len == end ? 0 : -EINVAL;
	}
	return -EINVAL;
}

int ovl_override_parse(const char *text, size_t len, struct ovl_override *ret)
{
	const char *end = text + len;
	struct ovl_override o = { 0 };
	uint64_t uid, gid, mode;
	int r = 0;

	/* UINT32_MAX is "no change" to the kernel: no inode has it, and no layer may. */
	if (parse_number(&text, end, 10, UINT32_MAX - 1, &uid) < 0 || expect(&text, end, ':') < 0 ||
	    parse_number(&text, end, 10, UINT32_MAX - 1, &gid) < 0 || expect(&text, end, ':') < 0 ||
	    parse_number(&text, end, 8, 0177777, &mode) < 0)
		return -EINVAL;
	o.uid = (uint32_t)uid;
	o.gid = (uint32_t)gid;
	o.mode = (uint32_t)mode & 07777; /* some writers leave the real file's type in it */
	if (text != end)
		r = expect(&text, end, ':') < 0 ? -EINVAL : parse_type(text, end, &o);
	if (r == 0)
		*ret = o;
	return r;
}

size_t ovl_override_format(const struct ovl_override *o, char *text)
{
	int n = snprintf(text, OVERRIDE_TEXT_BYTES, "%u:%u:%04o", o->uid, o->gid, o->mode & 07777);

	for (size_t i = 0; i < ARRAY_SIZE(override_types); i++) {
		const struct override_type *type = &override_types[i];
		char *at = text + n;
		size_t room = OVERRIDE_TEXT_BYTES - (size_t)n;

		if ((o->mode & S_IFMT) != type->mode)
			continue;
		if (type->device)
			n += snprintf(at, room, ":%s-%u-%u", type->word, major(o->rdev), minor(o->rdev));
		else
			n += snprintf(at, room, ":%s", type->word);
		break;
	}
	return (size_t)n;
}

int ovl_override_read(int fd, const char *xattr, struct ovl_override *ret)
{
	char text[OVERRIDE_TEXT_BYTES];
	ssize_t n = xattr_get(fd, xattr, text, sizeof(text));
	int r;

	if (means_absent(n))
		return 0;
	if (n == -ERANGE)
		return -EINVAL;
	if (n < 0)
		return (int)n;
	r = ovl_override_parse(text, (size_t)n, ret);
	return r < 0 ? r : 1;
}

const char *ovl_override_name(int fd)
{
	static const char *const names[] = { OVL_OVERRIDE_PRIVILEGED, OVL_OVERRIDE_STAT, OVL_OVERRIDE_USER };
	struct ovl_override override;

	/* Most have no xattr at all: one question, not three. */
	if (!has_xattrs(fd))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (ovl_override_read(fd, names[i], &override) > 0)
			return names[i];
	return NULL;
}
