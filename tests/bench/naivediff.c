/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-bench: the comparison of two mounts that containers/storage makes where
 * its driver cannot tell what changed (pkg/archive/changes_linux.go): both trees
 * are listed together, and of every inode the attributes, security.capability,
 * the names of the other xattrs, those of the user. namespace, and a link's target
 * are read, whether it changed or not.
 */

#include "tests/bench/bench.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/xattr.h>

enum { XATTR_BYTES = 4096 };

/* What is known of one inode. */
struct info {
	bool there;
	struct stat st;
	ssize_t capability_bytes, list_bytes, target_bytes;
	uint64_t values; /* a sum over the user xattrs */
	char target[PATH_MAX];
};

struct diff {
	uint64_t inodes;  /* seen in either tree */
	uint64_t changes; /* without directories, whose times change with what is in them */
};

struct names {
	char **v; /* owned, and each of them */
	size_t count, room;
};

static void names_release(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->v[i]);
	free(names->v);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_add(struct names *names, const char *name)
{
	if (names->count == names->room) {
		size_t room = names->room ? 2 * names->room : 64;
		char **v = reallocarray(names->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		names->v = v;
		names->room = room;
	}
	names->v[names->count] = strdup(name);
	return names->v[names->count++] ? 0 : -ENOMEM;
}

/* Sorted.  Nothing is there: no names. */
static int names_read(struct names *names, const char *path)
{
	AUTO(closedirp) DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = names_add(names, entry->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	qsort(names->v, names->count, sizeof(*names->v), compare_names);
	return r;
}

static int read_user_xattrs(struct info *info, const char *path)
{
	char list[XATTR_BYTES], value[XATTR_BYTES];

	info->list_bytes = llistxattr(path, list, sizeof(list));
	if (info->list_bytes < 0 && errno == ENOTSUP)
		info->list_bytes = 0; /* there are none, and a mount may come to say so at any time */
	if (info->list_bytes < 0)
		return -errno;
	for (char *name = list; name < list + info->list_bytes; name += strlen(name) + 1) {
		ssize_t n = strncmp(name, "user.", 5) == 0 ? lgetxattr(path, name, value, sizeof(value)) : 0;

		if (n < 0)
			return -errno;
		for (ssize_t i = 0; i < n; i++)
			info->values = info->values * 31 + (unsigned char)value[i];
	}
	return 0;
}

static int read_info(struct info *info, const char *path)
{
	char value[XATTR_BYTES];
	int r;

	info->there = false;
	info->values = 0;
	info->target_bytes = 0;
	if (lstat(path, &info->st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	info->there = true;
	info->capability_bytes = lgetxattr(path, "security.capability", value, sizeof(value));
	if (info->capability_bytes < 0 && errno != ENODATA && errno != ENOTSUP)
		return -errno;
	r = read_user_xattrs(info, path);
	if (r == 0 && S_ISLNK(info->st.st_mode)) {
		info->target_bytes = readlink(path, info->target, sizeof(info->target));
		if (info->target_bytes < 0)
			r = -errno;
	}
	return r;
}

static bool same(const struct info *a, const struct info *b)
{
	if (a->there != b->there || a->st.st_mode != b->st.st_mode || a->st.st_uid != b->st.st_uid ||
	    a->st.st_gid != b->st.st_gid || a->st.st_rdev != b->st.st_rdev)
		return false;
	if (a->capability_bytes != b->capability_bytes || a->list_bytes != b->list_bytes || a->values != b->values)
		return false;
	if (a->target_bytes != b->target_bytes || memcmp(a->target, b->target, (size_t)a->target_bytes) != 0)
		return false;
	return a->st.st_size == b->st.st_size && a->st.st_mtim.tv_sec == b->st.st_mtim.tv_sec &&
	       a->st.st_mtim.tv_nsec == b->st.st_mtim.tv_nsec;
}

static int diff_directory(struct diff *diff, const char *a, const char *b);

static int diff_name(struct diff *diff, const char *a, const char *b, const char *name)
{
	char path_a[PATH_MAX], path_b[PATH_MAX];
	struct info info_a, info_b;
	bool directory;
	int r;

	if (snprintf(path_a, sizeof(path_a), "%s/%s", a, name) >= PATH_MAX ||
	    snprintf(path_b, sizeof(path_b), "%s/%s", b, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	r = read_info(&info_a, path_a);
	if (r == 0)
		r = read_info(&info_b, path_b);
	if (r < 0)
		return r;
	directory = (info_a.there && S_ISDIR(info_a.st.st_mode)) || (info_b.there && S_ISDIR(info_b.st.st_mode));
	diff->inodes++;
	diff->changes += !directory && !same(&info_a, &info_b);
	return directory ? diff_directory(diff, path_a, path_b) : 0;
}

static int diff_directory(struct diff *diff, const char *a, const char *b)
{
	struct names in_a = { 0 }, in_b = { 0 };
	int r = names_read(&in_a, a);

	if (r == 0)
		r = names_read(&in_b, b);
	for (size_t i = 0, k = 0; r == 0 && (i < in_a.count || k < in_b.count);) {
		int order = i == in_a.count ? 1 : k == in_b.count ? -1 : strcmp(in_a.v[i], in_b.v[k]);

		r = diff_name(diff, a, b, order <= 0 ? in_a.v[i] : in_b.v[k]);
		i += order <= 0;
		k += order >= 0;
	}
	names_release(&in_a);
	names_release(&in_b);
	return r;
}

/* The current directory with -o, which has what was there before.  Counts must be the changes that -e tells. */
int pass_naivediff(struct bench *b, struct result *ret)
{
	struct diff diff = { 0 };
	uint64_t start = phase_start(b);
	int r;

	if (!b->other)
		return -EINVAL;
	r = diff_directory(&diff, ".", b->other);
	phase_end(b, "naivediff", start, diff.inodes, ret);
	if (r == 0 && diff.inodes < b->count) {
		fprintf(stderr, "nacre-bench: %" PRIu64 " inodes found, not %" PRIu64 "\n", diff.inodes, b->count);
		return -EBADMSG;
	}
	return r < 0 ? r : bench_expect(b, "changes", diff.changes);
}
