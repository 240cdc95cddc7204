/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TESTS_UNIT_FS_TREE_H
#define NACRE_TESTS_UNIT_FS_TREE_H

/* A small tree of two lowers, and its core, driven unmounted. */

#include "tests/unit/unit.h"

#include "fs/internal.h"

struct tree {
	struct fs_options options;
	struct fs *fs;
	char *lowers[2];
};

static const struct fs_cred cred __attribute__((unused)) = { 0 };

static struct tree *tree_new(bool with_upper)
{
	static char low1[] = "low1", low2[] = "low2", up[] = "up", work[] = "work";
	struct tree *t = calloc(1, sizeof(*t));

	t->lowers[0] = low1;
	t->lowers[1] = low2;
	t->options = (struct fs_options){ .lowers = t->lowers, .lower_count = 2, .squash_uid = -1, .squash_gid = -1 };
	if (with_upper) {
		t->options.upper = up;
		t->options.work = work;
	}
	assert_int_equal(fs_new(&t->options, NULL, &t->fs), 0);
	return t;
}

static void tree_free(struct tree *t)
{
	fs_free(t->fs);
	free(t);
}

static int fresh(void **state)
{
	static const char *const names[] = { "low1", "low2", "up", "work", "low1/dir", "low2/dir", "low2/dir/sub" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (i < 4 && io_remove_tree(AT_FDCWD, names[i]) < 0)
			return -1;
		if (mkdir(names[i], 0755) < 0)
			return -1;
	}
	write_text("low1/dir/one", "1");
	write_text("low2/dir/two", "22");
	write_text("low2/dir/sub/deep", "deep");
	write_text("low2/several", "names");
	return link("low2/several", "low2/dir/several");
}

static struct node *look(struct tree *t, struct node *dir, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs_lookup(t->fs, dir, name, &entry), 0);
	return entry.node;
}

#endif
