/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TESTS_UPPERS_H
#define NACRE_TESTS_UPPERS_H

/*
 * Upper directories for tests, the same whoever runs them: owner and mode are
 * recorded in user.containers.override_stat, times are set.
 */

#include "tests/unit/images.h"

#include "store/commit.h"
#include "store/ovl.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/xattr.h>

static inline void record(const char *path, const char *stat)
{
	assert_int_equal(setxattr(path, OVL_OVERRIDE_STAT, stat, strlen(stat), 0), 0);
}

static inline void upper_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0755), 0);
	record(path, "0:0:0755:dir");
}

static inline void upper_file(const char *path, const char *content)
{
	write_text(path, content);
	record(path, "0:0:0644:file");
}

/* Whiteouts that need no privilege. */
static inline void upper_whiteout(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/.wh.%s", dir, name);
	write_text(path, "");
}

static inline void mark(const char *path, const char *name, const char *value)
{
	assert_int_equal(setxattr(path, name, value, strlen(value), 0), 0);
}

static inline int set_time(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const struct timespec times[2] = { { T0_NS / 1000000000, 0 }, { T0_NS / 1000000000, 0 } };

	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

/* Once all is made: making a file changes the time of the directory above it. */
static inline void settle(const char *upper)
{
	assert_int_equal(nftw(upper, set_time, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Without user xattrs (an old tmpfs) nothing here can be made. */
static inline void need_xattrs(void)
{
	write_text("probe", "");
	if (setxattr("probe", OVL_OVERRIDE_STAT, "x", 1, 0) < 0)
		skip();
}

static inline struct image_id commit_upper(struct store *store, struct image_id base, const char *upper,
					   struct ingest_result *ret_layer)
{
	const struct commit_options options = { .created = 1700000000 };
	struct image_id image = { 0 };

	settle(upper);
	assert_done(upper_commit(store, base, upper, &options, &diag, &image, ret_layer));
	return image;
}

/* The merged tree in one layer. */
static inline struct image_id squash_upper(struct store *store, struct image_id base, const char *upper)
{
	const struct commit_options options = { .created = 1700000000, .squash = true };
	struct image_id image = { 0 };

	assert_done(upper_commit(store, base, upper, &options, &diag, &image, NULL));
	return image;
}

#endif
