/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options.h"

/*
 * nacrefs is called by mount(8), by podman and by hand, so it takes what each of
 * them says: options of fuse-overlayfs and of kernel overlayfs with their meaning,
 * of mount(8) for the kernel, and unknown ones with a warning, since a mount
 * program that refuses an option of a newer podman starts no container.
 *
 * Within -o a backslash keeps the next character from ending an option or a
 * path, and double quotes keep a comma (SELinux's context="...").
 */

#include "store/base/auto.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
	OPT_LOWERDIR,
	OPT_LOWERDIR_ADD,
	OPT_DATADIR_ADD,
	OPT_UPPERDIR,
	OPT_WORKDIR,
	OPT_STORE,
	OPT_IMAGE,
	OPT_RO,
	OPT_RW,
	OPT_FAKEROOT,
	OPT_VOLATILE,
	OPT_FSYNC,
	OPT_USERXATTR,
	OPT_NOACL,
	OPT_NOXATTRS,
	OPT_STATIC_NLINK,
	OPT_TIMEOUT,
	OPT_WRITEBACK,
	OPT_UIDMAPPING,
	OPT_GIDMAPPING,
	OPT_SQUASH_TO_ROOT,
	OPT_SQUASH_TO_UID,
	OPT_SQUASH_TO_GID,
	OPT_XATTR_PERMISSIONS,
	OPT_ALLOW_OTHER,
	OPT_ALLOW_ROOT,
	OPT_SUID,
	OPT_NOSUID,
	OPT_DEV,
	OPT_NODEV,
	OPT_IO,
	OPT_THREADED,
	OPT_KERNEL, /* goes on as it is */
	OPT_REDIRECT_DIR,
	OPT_METACOPY,
	OPT_NEEDLESS, /* asks for what is so anyway */
};

static const struct option_name {
	const char *name;
	enum option_id id;
	bool value; /* NAME=VALUE */
} names[] = {
	{ "lowerdir", OPT_LOWERDIR, true },
	{ "lowerdir+", OPT_LOWERDIR_ADD, true },
	{ "datadir+", OPT_DATADIR_ADD, true },
	{ "upperdir", OPT_UPPERDIR, true },
	{ "workdir", OPT_WORKDIR, true },
	{ "store", OPT_STORE, true },
	{ "image", OPT_IMAGE, true },
	{ "ro", OPT_RO, false },
	{ "rw", OPT_RW, false },
	{ "fakeroot", OPT_FAKEROOT, false },
	{ "volatile", OPT_VOLATILE, false },
	{ "fsync", OPT_FSYNC, true },
	{ "userxattr", OPT_USERXATTR, false },
	{ "noacl", OPT_NOACL, false },
	{ "noxattrs", OPT_NOXATTRS, false },
	{ "static_nlink", OPT_STATIC_NLINK, false },
	{ "timeout", OPT_TIMEOUT, true },
	{ "writeback", OPT_WRITEBACK, true },
	{ "uidmapping", OPT_UIDMAPPING, true },
	{ "gidmapping", OPT_GIDMAPPING, true },
	{ "squash_to_root", OPT_SQUASH_TO_ROOT, false },
	{ "squash_to_uid", OPT_SQUASH_TO_UID, true },
	{ "squash_to_gid", OPT_SQUASH_TO_GID, true },
	{ "xattr_permissions", OPT_XATTR_PERMISSIONS, true },
	{ "allow_other", OPT_ALLOW_OTHER, false },
	{ "allow_root", OPT_ALLOW_ROOT, false },
	{ "suid", OPT_SUID, false },
	{ "nosuid", OPT_NOSUID, false },
	{ "dev", OPT_DEV, false },
	{ "nodev", OPT_NODEV, false },
	{ "io", OPT_IO, true },
	{ "exec", OPT_KERNEL, false },
	{ "noexec", OPT_KERNEL, false },
	{ "sync", OPT_KERNEL, false },
	{ "dirsync", OPT_KERNEL, false },
	{ "atime", OPT_KERNEL, false },
	{ "noatime", OPT_KERNEL, false },
	{ "nodiratime", OPT_KERNEL, false },
	{ "fsname", OPT_KERNEL, true },
	{ "subtype", OPT_KERNEL, true },
	{ "context", OPT_KERNEL, true },
	{ "fscontext", OPT_KERNEL, true },
	{ "defcontext", OPT_KERNEL, true },
	{ "rootcontext", OPT_KERNEL, true },
	{ "max_read", OPT_KERNEL, true },
	{ "redirect_dir", OPT_REDIRECT_DIR, true },
	{ "metacopy", OPT_METACOPY, true },
	{ "default_permissions", OPT_KERNEL, false },
	{ "async", OPT_NEEDLESS, false },
	{ "diratime", OPT_NEEDLESS, false },
	{ "nonempty", OPT_NEEDLESS, false },
	{ "private", OPT_NEEDLESS, false },
	{ "threaded", OPT_THREADED, true },
	{ "fast_ino", OPT_NEEDLESS, true },
	{ "xino", OPT_NEEDLESS, true },
	{ "auto_unmount", OPT_KERNEL, false },
};

static int set_path(const char *value, size_t len, char **ret)
{
	free(*ret);
	*ret = strndup(value, len);
	return *ret ? 0 : -ENOMEM;
}

/* A relative path is meant from here; the daemon goes to "/". */
static int set_folder(const char *name, const char *value, char **ret, struct diag *diag)
{
	char *real;

	if (!*value)
		return diag_set(diag, -EINVAL, "option %s needs a path", name);
	real = realpath(value, NULL);
	if (!real)
		return diag_errno(diag, -errno, "%s %s", name, value);
	free(*ret);
	*ret = real;
	return 0;
}

/* The next part up to an unescaped @end; its backslashes before special characters are taken out. */
static char *part_next(const char **at, char end)
{
	struct buf part = { 0 };
	const char *p = *at;

	buf_add(&part, "", 0);
	for (; *p && *p != end; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_add(&part, p, 1);
	}
	*at = *p ? p + 1 : NULL;
	return buf_take(&part);
}

static int add_lower(struct fs_options *fs, const char *path, bool data, struct diag *diag)
{
	char **more;
	int r;

	if (fs->data_lower_count > 0 && !data)
		return diag_set(diag, -EINVAL, "lowerdir %s: a data-only lower can only be followed by others", path);
	more = realloc(fs->lowers, (fs->lower_count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	fs->lowers = more;
	more[fs->lower_count] = NULL;
	r = set_folder("lowerdir", path, &more[fs->lower_count], diag);
	if (r < 0)
		return r;
	fs->lower_count++;
	fs->data_lower_count += data;
	return 0;
}

static void drop_lowers(struct fs_options *fs)
{
	for (size_t i = 0; i < fs->lower_count; i++)
		free(fs->lowers[i]);
	fs->lower_count = fs->data_lower_count = 0;
}

/* "A:B::D1::D2": what two colons precede is data-only.  The last lowerdir= counts. */
static int set_lowers(struct fs_options *fs, const char *value, struct diag *diag)
{
	bool data = false;
	int r = 0;

	drop_lowers(fs);
	while (r == 0 && value) {
		AUTO(freep) char *path = part_next(&value, ':');

		r = path ? add_lower(fs, path, data, diag) : -ENOMEM;
		data = value && *value == ':';
		if (data)
			value++;
	}
	return r;
}

static int parse_id(const char *name, const char *value, int64_t *ret, struct diag *diag)
{
	char *end;

	errno = 0;
	*ret = strtoll(value, &end, 10);
	if (errno || *end || end == value || *ret < 0 || *ret > UINT32_MAX)
		return diag_set(diag, -EINVAL, "option %s: not an ID: %s", name, value);
	return 0;
}

/* "DISK:SHOWN:COUNT[:...]", with a leading colon from podman. */
static int set_idmap(const char *name, const char *value, struct fs_idmap **maps, size_t *count, struct diag *diag)
{
	const char *at = value + strspn(value, ":");

	while (at && *at) {
		struct fs_idmap map, *more;
		uint32_t *fields[] = { &map.disk, &map.shown, &map.count };

		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			AUTO(freep) char *text = at ? part_next(&at, ':') : NULL;
			int64_t id;

			if (!text || parse_id(name, text, &id, diag) < 0)
				return diag_set(diag, -EINVAL, "option %s: not DISK:SHOWN:COUNT: %s", name, value);
			*fields[i] = (uint32_t)id;
		}
		more = realloc(*maps, (*count + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		*maps = more;
		more[(*count)++] = map;
	}
	return 0;
}

static int parse_bool(const char *name, const char *value, bool *ret, struct diag *diag)
{
	if (strcmp(value, "1") == 0 || strcmp(value, "on") == 0 || strcmp(value, "true") == 0)
		*ret = true;
	else if (strcmp(value, "0") == 0 || strcmp(value, "off") == 0 || strcmp(value, "false") == 0)
		*ret = false;
	else
		return diag_set(diag, -EINVAL, "option %s: not on or off: %s", name, value);
	return 0;
}

static void pass_on(struct mount_options *o, const char *text)
{
	buf_addf(&o->kernel, "%s%s", o->kernel.len ? "," : "", text);
}

static int set_timeout(struct mount_options *o, const char *value, struct diag *diag)
{
	char *end;

	o->timeout = strtod(value, &end);
	if (*end || end == value || o->timeout < 0)
		return diag_set(diag, -EINVAL, "option timeout: not a number of seconds: %s", value);
	return 0;
}

static int set_choice(struct mount_options *o, const struct option_name *name, const char *value, struct diag *diag)
{
	bool on = true;
	int r;

	switch (name->id) {
	case OPT_FSYNC: /* fuse-overlayfs's word for volatile */
		r = parse_bool(name->name, value, &on, diag);
		o->fs.volatile_upper |= !on;
		return r;
	case OPT_THREADED:
		r = parse_bool(name->name, value, &on, diag);
		o->threads = on ? 0 : 1;
		return r;
	case OPT_WRITEBACK:
		return parse_bool(name->name, value, &o->writeback, diag);
	case OPT_METACOPY:
		r = parse_bool(name->name, value, &on, diag);
		o->fs.metacopy_from = on ? 1 : 0;
		return r;
	case OPT_IO:
		if (strcmp(value, "cached") == 0)
			return 0;
		return diag_set(diag, -EINVAL, "option io=%s: this build has io=cached only", value);
	case OPT_XATTR_PERMISSIONS:
		if (strcmp(value, "2") != 0 && strcmp(value, "0") != 0)
			return diag_set(diag, -EINVAL, "option xattr_permissions=%s: only 2 is known", value);
		o->fs.override_stat = value[0] == '2';
		return 0;
	case OPT_REDIRECT_DIR:
		/* Redirects are always followed and made: without them a rename of a directory would fail. */
		if (strcmp(value, "on") == 0 || strcmp(value, "off") == 0 || strcmp(value, "follow") == 0)
			return 0;
		return diag_set(diag, -EINVAL, "option redirect_dir=%s: redirects cannot be switched off", value);
	default:
		return 0;
	}
}

static int set_identity(struct mount_options *o, const struct option_name *name, const char *value, struct diag *diag)
{
	struct fs_options *fs = &o->fs;

	switch (name->id) {
	case OPT_UIDMAPPING:
		return set_idmap(name->name, value, &fs->uid_maps, &fs->uid_map_count, diag);
	case OPT_GIDMAPPING:
		return set_idmap(name->name, value, &fs->gid_maps, &fs->gid_map_count, diag);
	case OPT_SQUASH_TO_UID:
		return parse_id(name->name, value, &fs->squash_uid, diag);
	case OPT_SQUASH_TO_GID:
		return parse_id(name->name, value, &fs->squash_gid, diag);
	default:
		o->squash_to_root = true;
		return 0;
	}
}

static int set_layers(struct mount_options *o, const struct option_name *name, const char *value, struct diag *diag)
{
	AUTO(freep) char *plain = NULL;
	const char *at = value;

	if (name->id == OPT_LOWERDIR)
		return set_lowers(&o->fs, value, diag);
	plain = part_next(&at, '\0');
	if (!plain)
		return -ENOMEM;
	switch (name->id) {
	case OPT_LOWERDIR_ADD:
	case OPT_DATADIR_ADD:
		return add_lower(&o->fs, plain, name->id == OPT_DATADIR_ADD, diag);
	case OPT_UPPERDIR:
		return set_folder(name->name, plain, &o->fs.upper, diag);
	case OPT_WORKDIR:
		return set_folder(name->name, plain, &o->fs.work, diag);
	case OPT_STORE:
		return set_folder(name->name, plain, &o->fs.store, diag);
	default:
		return set_path(plain, strlen(plain), &o->fs.image);
	}
}

static void set_flag(struct mount_options *o, enum option_id id)
{
	switch (id) {
	case OPT_RO:
		o->read_only = true;
		break;
	case OPT_RW:
		o->read_only = false;
		break;
	case OPT_FAKEROOT:
		o->fs.fakeroot = true;
		break;
	case OPT_VOLATILE:
		o->fs.volatile_upper = true;
		break;
	case OPT_USERXATTR:
		o->fs.userxattr = true;
		break;
	case OPT_NOACL:
		o->fs.noacl = true;
		break;
	case OPT_NOXATTRS:
		o->fs.noxattrs = true;
		break;
	case OPT_STATIC_NLINK:
		o->fs.static_nlink = true;
		break;
	case OPT_ALLOW_OTHER:
		o->allow_other = true;
		break;
	case OPT_SUID:
		o->suid = true;
		break;
	case OPT_NOSUID:
		o->no_suid = true;
		break;
	case OPT_DEV:
		o->dev = true;
		break;
	case OPT_NODEV:
		o->no_dev = true;
		break;
	default:
		break;
	}
}

static const struct option_name *option_find(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i].name) == len && memcmp(names[i].name, text, len) == 0)
			return &names[i];
	}
	return NULL;
}

static int option_apply(struct mount_options *o, const char *text, struct diag *diag)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	const struct option_name *name = option_find(text, len);

	if (!name) {
		buf_addf(&o->ignored, "%s%.*s", o->ignored.len ? ", " : "", (int)len, text);
		return 0;
	}
	if (name->value && !value && name->id != OPT_NEEDLESS)
		return diag_set(diag, -EINVAL, "option %s needs a value", name->name);
	if (!name->value && value)
		return diag_set(diag, -EINVAL, "option %s takes no value", name->name);
	switch (name->id) {
	case OPT_LOWERDIR:
	case OPT_LOWERDIR_ADD:
	case OPT_DATADIR_ADD:
	case OPT_UPPERDIR:
	case OPT_WORKDIR:
	case OPT_STORE:
	case OPT_IMAGE:
		return set_layers(o, name, value, diag);
	case OPT_UIDMAPPING:
	case OPT_GIDMAPPING:
	case OPT_SQUASH_TO_ROOT:
	case OPT_SQUASH_TO_UID:
	case OPT_SQUASH_TO_GID:
		return set_identity(o, name, value, diag);
	case OPT_TIMEOUT:
		return set_timeout(o, value, diag);
	case OPT_FSYNC:
	case OPT_THREADED:
	case OPT_WRITEBACK:
	case OPT_IO:
	case OPT_XATTR_PERMISSIONS:
	case OPT_REDIRECT_DIR:
	case OPT_METACOPY:
		return set_choice(o, name, value, diag);
	case OPT_ALLOW_ROOT:
		return diag_set(diag, -EINVAL, "option allow_root: use allow_other");
	case OPT_KERNEL:
		pass_on(o, text);
		return 0;
	default:
		set_flag(o, name->id);
		return 0;
	}
}

/* Up to an unescaped comma outside quotes; backslashes stay, they mean something in paths too. */
static char *option_next(const char **at)
{
	const char *p = *at, *start = p;
	bool quoted = false;

	for (; *p && (quoted || *p != ','); p++) {
		if (*p == '"')
			quoted = !quoted;
		if (*p == '\\' && p[1])
			p++;
	}
	*at = *p ? p + 1 : NULL;
	return strndup(start, (size_t)(p - start));
}

static int options_apply(struct mount_options *o, const char *list, struct diag *diag)
{
	int r = 0;

	while (r == 0 && list) {
		AUTO(freep) char *text = option_next(&list);

		if (!text)
			return -ENOMEM;
		if (*text)
			r = option_apply(o, text, diag);
	}
	return r;
}

static int option_word(struct mount_options *o, int argc, char **argv, int *i, struct diag *diag)
{
	const char *word = argv[*i];

	if (strncmp(word, "-o", 2) == 0) {
		if (word[2])
			return options_apply(o, word + 2, diag);
		if (++*i >= argc)
			return diag_set(diag, -EINVAL, "-o needs options");
		return options_apply(o, argv[*i], diag);
	}
	if (strcmp(word, "-f") == 0)
		o->foreground = true;
	else if (strcmp(word, "-d") == 0)
		o->foreground = o->debug = true;
	else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
		o->help = true;
	else if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0)
		o->version = true;
	else
		return diag_set(diag, -EINVAL, "unknown option %s", word);
	return 0;
}

static int check(struct mount_options *o, struct diag *diag)
{
	struct fs_options *fs = &o->fs;

	if (!o->mountpoint)
		return diag_set(diag, -EINVAL, "no mount point given");
	if (fs->store && fs->lower_count)
		return diag_set(diag, -EINVAL, "lowerdir and store cannot be combined");
	if (!fs->store != !fs->image)
		return diag_set(diag, -EINVAL, "store and image go together");
	if (!fs->store && !fs->lower_count)
		return diag_set(diag, -EINVAL, "no lowerdir, and no store with an image, given");
	if (fs->data_lower_count > 0 && fs->data_lower_count == fs->lower_count)
		return diag_set(diag, -EINVAL, "data-only lowers need a lowerdir above them");
	if (fs->data_lower_count > 0 && !fs->metacopy_from)
		return diag_set(diag, -EINVAL, "data-only lowers and metacopy=off cannot be combined");
	if (!fs->upper != !fs->work)
		return diag_set(diag, -EINVAL, "upperdir and workdir go together");
	if (fs->fakeroot && fs->uid_map_count + fs->gid_map_count > 0)
		return diag_set(diag, -EINVAL, "fakeroot and ID mappings cannot be combined");
	if (fs->fakeroot && o->allow_other)
		return diag_set(diag, -EINVAL,
				"fakeroot checks no permissions: it cannot be combined with allow_other");
	if (o->squash_to_root) {
		fs->squash_uid = fs->squash_uid < 0 ? 0 : fs->squash_uid;
		fs->squash_gid = fs->squash_gid < 0 ? 0 : fs->squash_gid;
	}
	if (!fs->upper)
		o->read_only = true;
	return buf_error(&o->kernel);
}

int options_parse(int argc, char **argv, struct mount_options *ret, struct diag *diag)
{
	const char *words[2] = { NULL, NULL };
	size_t count = 0;
	int r = 0;

	*ret = (struct mount_options){
		.timeout = -1,
		.writeback = true,
		.fs = { .squash_uid = -1, .squash_gid = -1, .metacopy_from = FS_METACOPY_FROM },
	};
	for (int i = 1; r == 0 && i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1])
			r = option_word(ret, argc, argv, &i, diag);
		else if (count < ARRAY_SIZE(words))
			words[count++] = argv[i];
		else
			r = diag_set(diag, -EINVAL, "more than one mount point: %s", argv[i]);
	}
	if (r < 0 || ret->help || ret->version)
		return r;
	/* mount(8) names a source first; there is none here. */
	if (count > 0)
		r = set_folder("mount point", words[count - 1], &ret->mountpoint, diag);
	return r < 0 ? r : check(ret, diag);
}

void options_release(struct mount_options *o)
{
	fs_options_release(&o->fs);
	free(o->mountpoint);
	buf_release(&o->kernel);
	buf_release(&o->ignored);
}

const char *options_help(void)
{
	return "usage: nacrefs -o OPTIONS MOUNTPOINT\n"
	       "\n"
	       "Merge read-only layers and a writable directory into one tree.\n"
	       "\n"
	       "  -o lowerdir=A:B:...        directories, the topmost first\n"
	       "  -o store=DIR,image=REF     or the layers of an image of a nacre store\n"
	       "  -o upperdir=U,workdir=W    where changes go; read-only without\n"
	       "  -o ro                      read-only although there is an upper\n"
	       "  -o fakeroot                act as root within a private mount: owners, modes and\n"
	       "                             devices are recorded in xattrs of the upper\n"
	       "  -o volatile                nothing is synced: for what may be lost in a crash\n"
	       "  -o userxattr               write user.overlay.* marks also as root\n"
	       "  -o noacl, noxattrs         without POSIX ACLs, without any xattrs\n"
	       "  -o uidmapping=D:S:N[:...]  show owner D+i of the disk as S+i; gidmapping= likewise\n"
	       "  -o squash_to_root          show every file as root's; squash_to_uid=, squash_to_gid=\n"
	       "  -o xattr_permissions=2     keep owners and modes in user.containers.override_stat\n"
	       "  -o static_nlink            directories have a link count of 1\n"
	       "  -o timeout=SECONDS         how long the kernel may keep names (default: for ever)\n"
	       "  -o writeback=0             write through to the upper at each write\n"
	       "  -f, -d                     stay in the foreground; with a log of all requests\n"
	       "  -V, --version              version\n"
	       "  -h, --help                 this text\n"
	       "\n"
	       "Options of mount(8) are passed on. See nacrefs(1).\n";
}
