/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options.h"

/*
 * nacrefs is called by mount(8), by podman and by hand, so it takes what each of
 * them says: options of fuse-overlayfs and of kernel overlayfs with their meaning,
 * of mount(8) for the kernel, and unknown ones with a warning, since a mount
 * program that refuses an option of a newer podman starts no container.
 *
 * Within -o a backslash keeps the next character from ending an option or a
 * path, and double quotes around a value keep a comma (SELinux's context="...").
 */

#include "fs/optvalue.h"
#include "store/base/auto.h"
#include "store/ovl.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum option_id {
	OPT_LOWERDIR,
	OPT_LOWERDIR_ADD,
	OPT_DATADIR_ADD,
	OPT_UPPERDIR,
	OPT_WORKDIR,
	OPT_STORE,
	OPT_IMAGE,
	OPT_LAYERS,
	OPT_LAYERSTORE,
	OPT_WHITEOUTS,
	OPT_TREES,
	OPT_RO,
	OPT_RW,
	OPT_REMOUNT,
	OPT_DEBUG,
	OPT_FAKEROOT,
	OPT_VOLATILE,
	OPT_FSYNC,
	OPT_SYNC,
	OPT_USERXATTR,
	OPT_LAYER_XATTR,
	OPT_NOACL,
	OPT_NOXATTRS,
	OPT_STATIC_NLINK,
	OPT_INO32,
	OPT_TIMEOUT,
	OPT_SIZE,
	OPT_INODES,
	OPT_WRITEBACK,
	OPT_UIDMAPPING,
	OPT_GIDMAPPING,
	OPT_SQUASH_TO_ROOT,
	OPT_SQUASH_TO_UID,
	OPT_SQUASH_TO_GID,
	OPT_XATTR_PERMISSIONS,
	OPT_ALLOW_OTHER,
	OPT_SUID,
	OPT_NOSUID,
	OPT_DEV,
	OPT_NODEV,
	OPT_IO,
	OPT_THREADED,
	OPT_MAX_THREADS,
	OPT_IO_URING,
	OPT_REDIRECT_DIR,
	OPT_METACOPY,
	OPT_CHOICE, /* one of the words of .words is needless, others are refused */
	OPT_KERNEL, /* goes on as it is */
	OPT_MAX_READ,
	OPT_NODIRATIME,
	OPT_CONTEXT,  /* goes on where the kernel knows it */
	OPT_NEEDLESS, /* asks for what is so anyway */
	OPT_ABSENT,   /* warned of like an unknown one */
	OPT_REFUSED,
};

enum option_value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL };

static const struct option_name {
	const char *name;
	enum option_id id;
	enum option_value value;
	const char *words;  /* OPT_CHOICE: what is accepted */
	const char *reason; /* of OPT_CHOICE and OPT_REFUSED to refuse */
} names[] = {
	{ "lowerdir", OPT_LOWERDIR, VALUE_NEEDED },
	{ "lowerdir+", OPT_LOWERDIR_ADD, VALUE_NEEDED },
	{ "datadir+", OPT_DATADIR_ADD, VALUE_NEEDED },
	{ "upperdir", OPT_UPPERDIR, VALUE_NEEDED },
	{ "workdir", OPT_WORKDIR, VALUE_NEEDED },
	{ "store", OPT_STORE, VALUE_NEEDED },
	{ "image", OPT_IMAGE, VALUE_NEEDED },
	{ "layers", OPT_LAYERS, VALUE_NEEDED },
	{ "layerstore", OPT_LAYERSTORE, VALUE_NEEDED },
	{ "whiteouts", OPT_WHITEOUTS, VALUE_NEEDED },
	{ "trees", OPT_TREES, VALUE_NEEDED },
	{ "ro", OPT_RO },
	{ "rw", OPT_RW },
	{ "remount", OPT_REMOUNT },
	{ "debug", OPT_DEBUG },
	{ "fakeroot", OPT_FAKEROOT },
	{ "size", OPT_SIZE, VALUE_NEEDED },
	{ "inodes", OPT_INODES, VALUE_NEEDED },
	{ "volatile", OPT_VOLATILE },
	{ "fsync", OPT_FSYNC, VALUE_NEEDED },
	{ "sync", OPT_SYNC, VALUE_OPTIONAL },
	{ "userxattr", OPT_USERXATTR },
	{ "layer_xattr", OPT_LAYER_XATTR },
	{ "noacl", OPT_NOACL },
	{ "noxattrs", OPT_NOXATTRS, VALUE_OPTIONAL },
	{ "static_nlink", OPT_STATIC_NLINK },
	{ "ino32_t", OPT_INO32 },
	{ "timeout", OPT_TIMEOUT, VALUE_NEEDED },
	{ "writeback", OPT_WRITEBACK, VALUE_NEEDED },
	{ "uidmapping", OPT_UIDMAPPING, VALUE_NEEDED },
	{ "gidmapping", OPT_GIDMAPPING, VALUE_NEEDED },
	{ "squash_to_root", OPT_SQUASH_TO_ROOT },
	{ "squash_to_uid", OPT_SQUASH_TO_UID, VALUE_NEEDED },
	{ "squash_to_gid", OPT_SQUASH_TO_GID, VALUE_NEEDED },
	{ "xattr_permissions", OPT_XATTR_PERMISSIONS, VALUE_NEEDED },
	{ "redirect_dir", OPT_REDIRECT_DIR, VALUE_NEEDED },
	{ "metacopy", OPT_METACOPY, VALUE_NEEDED },
	{ "io", OPT_IO, VALUE_NEEDED },
	{ "threaded", OPT_THREADED, VALUE_NEEDED },
	{ "max_threads", OPT_MAX_THREADS, VALUE_NEEDED },
	{ "io_uring", OPT_IO_URING },
	{ "io_uring_q_depth", OPT_NEEDLESS, VALUE_NEEDED }, /* it is as deep as it needs to be */
	{ "max_idle_threads", OPT_NEEDLESS, VALUE_NEEDED }, /* those that have nothing to do sleep */
	{ "clone_fd", OPT_NEEDLESS },			    /* mostly one thread reads */
	{ "index", OPT_CHOICE, VALUE_NEEDED, "on off" },
	{ "xino", OPT_CHOICE, VALUE_NEEDED, "on off auto" },
	{ "uuid", OPT_CHOICE, VALUE_NEEDED, "off null auto", "the ID that statfs shows is the kernel's to choose" },
	{ "nfs_export", OPT_CHOICE, VALUE_NEEDED, "off", "a mount of this driver cannot be exported" },
	{ "verity", OPT_CHOICE, VALUE_NEEDED, "off", "digests of fs-verity are not checked" },
	{ "override_creds", OPT_NEEDLESS },
	{ "nooverride_creds", OPT_REFUSED, .reason = "the layers are always used with the rights of who mounts" },
	{ "plugins", OPT_ABSENT, VALUE_OPTIONAL },
	{ "fast_ino", OPT_NEEDLESS, VALUE_OPTIONAL },
	{ "fast_ino_check", OPT_NEEDLESS, VALUE_OPTIONAL },
	/* The kernel, through libfuse, which refuses what it does not know. */
	{ "allow_other", OPT_ALLOW_OTHER },
	{ "allow_root", OPT_REFUSED,
	  .reason = "what the kernel has in its caches would be open to all; use allow_other" },
	{ "default_permissions", OPT_KERNEL },
	{ "suid", OPT_SUID },
	{ "nosuid", OPT_NOSUID },
	{ "dev", OPT_DEV },
	{ "nodev", OPT_NODEV },
	{ "exec", OPT_KERNEL },
	{ "noexec", OPT_KERNEL },
	{ "dirsync", OPT_KERNEL },
	{ "noatime", OPT_KERNEL },
	{ "nodiratime", OPT_NODIRATIME },
	{ "nosymfollow", OPT_KERNEL },
	{ "fsname", OPT_KERNEL, VALUE_NEEDED },
	{ "subtype", OPT_KERNEL, VALUE_NEEDED },
	{ "max_read", OPT_MAX_READ, VALUE_NEEDED },
	{ "auto_unmount", OPT_KERNEL },
	{ "context", OPT_CONTEXT, VALUE_NEEDED },
	{ "fscontext", OPT_CONTEXT, VALUE_NEEDED },
	{ "defcontext", OPT_CONTEXT, VALUE_NEEDED },
	{ "rootcontext", OPT_CONTEXT, VALUE_NEEDED },
	{ "async", OPT_NEEDLESS },
	{ "atime", OPT_NEEDLESS },
	{ "diratime", OPT_NEEDLESS },
	{ "relatime", OPT_NEEDLESS },
	{ "symfollow", OPT_NEEDLESS },
	{ "nonempty", OPT_NEEDLESS },
	{ "private", OPT_NEEDLESS },
	{ "kernel_cache", OPT_NEEDLESS },
	{ "max_write", OPT_NEEDLESS, VALUE_OPTIONAL },
	{ "splice_read", OPT_NEEDLESS },
	{ "splice_write", OPT_NEEDLESS },
	{ "splice_move", OPT_NEEDLESS },
	/* Words of fstab, for mount(8) itself. */
	{ "defaults", OPT_NEEDLESS },
	{ "auto", OPT_NEEDLESS },
	{ "noauto", OPT_NEEDLESS },
	{ "user", OPT_NEEDLESS, VALUE_OPTIONAL },
	{ "users", OPT_NEEDLESS },
	{ "nouser", OPT_NEEDLESS },
	{ "owner", OPT_NEEDLESS },
	{ "group", OPT_NEEDLESS },
	{ "nofail", OPT_NEEDLESS },
	{ "_netdev", OPT_NEEDLESS },
	/* What mount(8) finds in mountinfo, and repeats at a remount. */
	{ "user_id", OPT_NEEDLESS, VALUE_NEEDED },
	{ "group_id", OPT_NEEDLESS, VALUE_NEEDED },
};

const char *options_name(size_t i)
{
	return i < ARRAY_SIZE(names) ? names[i].name : NULL;
}

static void pass_on(struct mount_options *o, const char *text)
{
	buf_addf(&o->kernel, "%s%s", o->kernel.len ? "," : "", text);
}

/* The kernel knows no larger number, and reads no less than a page. */
static int set_max_read(struct mount_options *o, const struct option_name *name, const char *value, struct diag *diag)
{
	uint64_t bytes;
	int r = value_number(name->name, value, 1, &bytes, diag);

	if (r < 0)
		return r;
	o->max_read = bytes < INT32_MAX ? (unsigned)bytes : INT32_MAX;
	buf_addf(&o->kernel, "%smax_read=%u", o->kernel.len ? "," : "", o->max_read);
	return 0;
}

static int refuse(const char *text, const char *reason, struct diag *diag)
{
	return diag_set(diag, -EINVAL, "option %s: %s", text, reason);
}

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = words; len > 0 && (p = strstr(p, word)); p += len) {
		if ((p == words || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
	}
	return false;
}

static int check_choice(const struct option_name *name, const char *text, const char *value, struct diag *diag)
{
	if (has_word(name->words, value))
		return 0;
	return name->reason && (strcmp(value, "on") == 0 || strcmp(value, "require") == 0)
		       ? refuse(text, name->reason, diag)
		       : diag_set(diag, -EINVAL, "option %s: not one of: %s", text, name->words);
}

static int set_redirect(struct fs_options *fs, const char *value, struct diag *diag)
{
	/* Kernels follow them with "off" too, unless they are built or set up otherwise. */
	if (strcmp(value, "on") == 0)
		fs->redirect = FS_REDIRECT_ON;
	else if (strcmp(value, "off") == 0 || strcmp(value, "follow") == 0)
		fs->redirect = FS_REDIRECT_FOLLOW;
	else if (strcmp(value, "nofollow") == 0)
		fs->redirect = FS_REDIRECT_NOFOLLOW;
	else
		return diag_set(diag, -EINVAL, "option redirect_dir=%s: not one of: on off follow nofollow", value);
	return 0;
}

static int set_override(struct fs_options *fs, const char *value, struct diag *diag)
{
	if (strcmp(value, "0") == 0)
		fs->override_stat = NULL;
	else if (strcmp(value, "1") == 0)
		fs->override_stat = OVL_OVERRIDE_PRIVILEGED;
	else if (strcmp(value, "2") == 0)
		fs->override_stat = OVL_OVERRIDE_STAT;
	else
		return diag_set(diag, -EINVAL, "option xattr_permissions=%s: not 0, 1 or 2", value);
	return 0;
}

static int set_threads(const struct option_name *name, const char *value, unsigned *ret, struct diag *diag)
{
	uint64_t count;
	int r = value_number(name->name, value, 1, &count, diag);

	if (r == 0)
		*ret = count < 1000 ? (unsigned)count : 1000;
	return r;
}

static int set_choice(struct mount_options *o, const struct option_name *name, const char *value, struct diag *diag)
{
	bool on = true;
	int r;

	switch (name->id) {
	case OPT_FSYNC: /* fuse-overlayfs's word for volatile; "sync=0" too */
	case OPT_SYNC:
		r = value_bool(name->name, value, &on, diag);
		o->fs.volatile_upper |= !on;
		return r;
	case OPT_NOXATTRS:
		return value_bool(name->name, value, &o->fs.noxattrs, diag);
	case OPT_WRITEBACK:
		o->writeback_set = true;
		return value_bool(name->name, value, &o->writeback, diag);
	case OPT_METACOPY:
		r = value_bool(name->name, value, &on, diag);
		o->fs.metacopy_from = on ? 1 : 0;
		o->metacopy_set = true;
		return r;
	case OPT_IO:
		o->passthrough = strcmp(value, "passthrough") == 0;
		if (o->passthrough || strcmp(value, "cached") == 0)
			return 0;
		return diag_set(diag, -EINVAL, "option io=%s: not one of: cached passthrough", value);
	case OPT_XATTR_PERMISSIONS:
		return set_override(&o->fs, value, diag);
	case OPT_REDIRECT_DIR:
		o->redirect_set = true;
		return set_redirect(&o->fs, value, diag);
	case OPT_TIMEOUT:
		return value_seconds(name->name, value, &o->timeout, diag);
	case OPT_SIZE:
		return value_bytes(name->name, value, &o->fs.size_limit, diag);
	case OPT_INODES:
		return value_number(name->name, value, 1, &o->fs.inode_limit, diag);
	default:
		return 0;
	}
}

static int set_loop(struct mount_options *o, const struct option_name *name, const char *value, struct diag *diag)
{
	bool on = true;
	int r;

	switch (name->id) {
	case OPT_MAX_THREADS:
		return set_threads(name, value, &o->threads, diag);
	default:
		r = value_bool(name->name, value, &on, diag);
		o->threads = on ? 0 : 1;
		return r;
	}
}

static int set_identity(struct mount_options *o, const struct option_name *name, const char *value, struct diag *diag)
{
	struct fs_options *fs = &o->fs;

	switch (name->id) {
	case OPT_UIDMAPPING:
		return value_idmap(name->name, value, &fs->uid_maps, &fs->uid_map_count, diag);
	case OPT_GIDMAPPING:
		return value_idmap(name->name, value, &fs->gid_maps, &fs->gid_map_count, diag);
	case OPT_SQUASH_TO_UID:
		return value_id(name->name, value, &fs->squash_uid, diag);
	case OPT_SQUASH_TO_GID:
		return value_id(name->name, value, &fs->squash_gid, diag);
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
		return value_lowers(&o->fs, value, diag);
	plain = value_next(&at, '\0');
	if (!plain)
		return -ENOMEM;
	switch (name->id) {
	case OPT_LOWERDIR_ADD:
	case OPT_DATADIR_ADD:
		return value_lower(&o->fs, plain, name->id == OPT_DATADIR_ADD, diag);
	case OPT_UPPERDIR:
		return value_folder(name->name, plain, &o->fs.upper, diag);
	case OPT_WORKDIR:
		return value_folder(name->name, plain, &o->fs.work, diag);
	case OPT_STORE:
		return value_folder(name->name, plain, &o->fs.store, diag);
	case OPT_LAYERSTORE:
		return value_folder(name->name, plain, &o->layerstore, diag);
	default:
		free(o->fs.image);
		o->fs.image = TAKE(plain);
		return 0;
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
	case OPT_REMOUNT:
		o->remount = true;
		break;
	case OPT_DEBUG:
		o->foreground = o->debug = true;
		break;
	case OPT_FAKEROOT:
		o->fs.fakeroot = true;
		break;
	case OPT_INO32:
		o->fs.ino32 = true;
		break;
	case OPT_IO_URING:
		o->io_uring = true;
		break;
	case OPT_SYNC:
		pass_on(o, "sync");
		break;
	case OPT_VOLATILE:
		o->fs.volatile_upper = true;
		break;
	case OPT_USERXATTR:
		o->fs.userxattr = true;
		break;
	case OPT_LAYER_XATTR:
		o->fs.layer_xattr = true;
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

static void ignore(struct mount_options *o, const char *text, size_t len)
{
	buf_addf(&o->ignored, "%s%.*s", o->ignored.len ? ", " : "", (int)len, text);
}

/* As mount(8) does it: a label means nothing to a kernel without SELinux, which would refuse the mount for it. */
static void set_context(struct mount_options *o, const struct option_name *name, const char *text)
{
	if (access("/sys/fs/selinux/enforce", F_OK) < 0) {
		ignore(o, text, strlen(name->name));
		return;
	}
	/* libfuse splits at commas, in quotes too. */
	buf_adds(&o->kernel, o->kernel.len ? "," : "");
	for (const char *p = text; *p; p++)
		buf_addf(&o->kernel, *p == ',' ? "\\%c" : "%c", *p);
}

static int option_value(struct mount_options *o, const struct option_name *name, const char *text, const char *value,
			struct diag *diag)
{
	switch (name->id) {
	case OPT_LOWERDIR:
	case OPT_LOWERDIR_ADD:
	case OPT_DATADIR_ADD:
	case OPT_UPPERDIR:
	case OPT_WORKDIR:
	case OPT_STORE:
	case OPT_LAYERSTORE:
	case OPT_IMAGE:
		return set_layers(o, name, value, diag);
	case OPT_LAYERS:
		return value_layers(value, &o->fs.first_layer, &o->fs.last_layer, diag);
	case OPT_TREES:
		return value_trees(value, &o->fs.trees, diag);
	case OPT_WHITEOUTS:
		return value_whiteouts(value, &o->fs.whiteouts, diag);
	case OPT_UIDMAPPING:
	case OPT_GIDMAPPING:
	case OPT_SQUASH_TO_UID:
	case OPT_SQUASH_TO_GID:
		return set_identity(o, name, value, diag);
	case OPT_THREADED:
	case OPT_MAX_THREADS:
		return set_loop(o, name, value, diag);
	case OPT_CHOICE:
		return check_choice(name, text, value, diag);
	default:
		return set_choice(o, name, value, diag);
	}
}

static int option_apply(struct mount_options *o, const char *text, struct diag *diag)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	const struct option_name *name = option_find(text, len);

	if (strncasecmp(text, "x-", 2) == 0 || strncmp(text, "comment=", 8) == 0)
		return 0; /* other programs' words in fstab */
	if (!name || name->id == OPT_ABSENT) {
		ignore(o, text, len);
		return 0;
	}
	if (name->value == VALUE_NEEDED && !value)
		return diag_set(diag, -EINVAL, "option %s needs a value", name->name);
	if (name->value == VALUE_NONE && value)
		return diag_set(diag, -EINVAL, "option %s takes no value", name->name);
	switch (name->id) {
	case OPT_REFUSED:
		return refuse(text, name->reason, diag);
	case OPT_NEEDLESS:
		return 0;
	case OPT_KERNEL:
		pass_on(o, text);
		return 0;
	case OPT_MAX_READ:
		return set_max_read(o, name, value, diag);
	case OPT_NODIRATIME:
		if (geteuid() == 0) /* fusermount3 knows it only of late, and the kernel sets no atime here anyway */
			pass_on(o, text);
		return 0;
	case OPT_CONTEXT:
		set_context(o, name, text);
		return 0;
	case OPT_SQUASH_TO_ROOT:
		return set_identity(o, name, NULL, diag);
	default:
		if (value)
			return option_value(o, name, text, value, diag);
		set_flag(o, name->id);
		return 0;
	}
}

/*
 * Up to an unescaped comma outside quotes, which a value begins with: within a path they are nothing special.
 * Backslashes stay, they mean something in paths too.
 */
static char *option_next(const char **at)
{
	const char *p = *at, *start = p;
	bool quoted = false;

	for (; *p && (quoted || *p != ','); p++) {
		if (*p == '"' && (quoted || (p > start && p[-1] == '=')))
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
	else if (strcmp(word, "-d") == 0 || strcmp(word, "--debug") == 0)
		o->foreground = o->debug = true;
	else if (strcmp(word, "-s") == 0)
		o->threads = 1;
	else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
		o->help = true;
	else if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0)
		o->version = true;
	else if (strcmp(word, "--stats") == 0)
		o->stats = true;
	else if (strcmp(word, "--json") == 0)
		o->json = true;
	else
		return diag_set(diag, -EINVAL, "unknown option %s", word);
	return 0;
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
		r = value_folder("mount point", words[count - 1], &ret->mountpoint, diag);
	ret->fs.mountpoint = ret->mountpoint;
	return r < 0 ? r : options_check(ret, diag);
}

void options_release(struct mount_options *o)
{
	fs_options_release(&o->fs);
	free(o->mountpoint);
	free(o->layerstore);
	buf_release(&o->kernel);
	buf_release(&o->ignored);
}

const char *options_help(void)
{
	return "usage: nacrefs -o OPTIONS MOUNTPOINT\n"
	       "       nacrefs --stats [--json] MOUNTPOINT\n"
	       "\n"
	       "Merge read-only layers and a writable directory into one tree.\n"
	       "\n"
	       "  -o lowerdir=A:B:...        directories, the topmost first; after '::' data-only\n"
	       "  -o lowerdir+=A,datadir+=D  one more directory; one more that is data-only\n"
	       "  -o store=DIR,image=REF     or the layers of an image of a nacre store\n"
	       "  -o whiteouts=mark|device   of one layer, layers=N-N, show what it takes away\n"
	       "  -o trees=all|layers        a folder for each image and layer; for each layer of an image\n"
	       "  -o layerstore=DIR          all layers of a store, each by its digest, for podman\n"
	       "  -o upperdir=U,workdir=W    where changes go; read-only without\n"
	       "  -o ro                      read-only although there is an upper\n"
	       "  -o fakeroot                act as root within a private mount: owners, modes and\n"
	       "                             devices are recorded in xattrs of the upper\n"
	       "  -o volatile                nothing is synced: for what may be lost in a crash\n"
	       "  -o userxattr               write user.overlay.* marks also as root\n"
	       "  -o layer_xattr             answer user.nacre.layer also where no file has an xattr\n"
	       "  -o noacl, noxattrs         without POSIX ACLs, without any xattrs\n"
	       "  -o uidmapping=D:S:N[:...]  show owner D+i of the disk as S+i; gidmapping= likewise\n"
	       "  -o squash_to_root          show every file as root's; squash_to_uid=, squash_to_gid=\n"
	       "  -o xattr_permissions=1|2   keep owners and modes in an xattr, of security.* or user.*\n"
	       "  -o size=BYTES, inodes=N    the upper grows no larger; bytes with k, m, g or t\n"
	       "  -o redirect_dir=off        rename no directory that a lower has; nofollow\n"
	       "  -o metacopy=off            copy all of a file when only its attributes change\n"
	       "  -o static_nlink            directories have a link count of 1\n"
	       "  -o ino32_t                 inode numbers below 2^32\n"
	       "  -o timeout=SECONDS         how long the kernel may keep names (default: for ever)\n"
	       "  -o io=passthrough          let the kernel read and write the upper's files directly; root\n"
	       "  -o writeback=0             write through to the upper at each write\n"
	       "  -o io_uring                take requests by io_uring, where the kernel has that on\n"
	       "  -f, -d                     stay in the foreground; with a log of all requests\n"
	       "  --stats [--json]           show what the driver of a mount has done and keeps\n"
	       "  -V, --version              version\n"
	       "  -h, --help                 this text\n"
	       "\n"
	       "Options of mount(8) are passed on. See nacrefs(1).\n";
}
