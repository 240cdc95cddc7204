/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fs_tree.h"

/*
 * The core of the driver, driven unmounted: what only shows here, because the
 * kernel would keep it from happening or answer it itself.
 */

#include "fs/attrcache.h"

#include <pthread.h>

static void a_table_is_dropped_when_nobody_knows_what_is_in_it(void **state)
{
	struct tree *t = tree_new(false);
	struct node *dir = look(t, fs_root(t->fs), "dir");
	struct node *sub = look(t, dir, "sub");
	struct node *deep = look(t, sub, "deep");

	assert_true(node_is(sub, NODE_LOADED));
	fs_forget(t->fs, dir, 1);
	fs_forget(t->fs, sub, 1);
	assert_true(node_is(sub, NODE_LOADED)); /* the kernel still has the file */
	fs_forget(t->fs, deep, 1);
	assert_false(node_is(node_dir(dir)->node.links->node, NODE_LOADED));
	assert_int_equal(t->fs->root->live, 0);
	/* And it comes back the same. */
	dir = look(t, fs_root(t->fs), "dir");
	deep = look(t, look(t, dir, "sub"), "deep");
	assert_true(S_ISREG(deep->mode));
	tree_free(t);
}

static void names_of_one_lower_file_are_one_node(void **state)
{
	struct tree *t = tree_new(true);
	struct node *root = fs_root(t->fs), *dir = look(t, root, "dir");
	struct node *a = look(t, root, "several"), *b = look(t, dir, "several");
	char buf[8] = "";

	assert_ptr_equal(a, b);
	assert_int_equal(fs_write(t->fs, a, "NAMES", 5, 0, 0), 0);
	assert_int_equal(fs_read(t->fs, b, buf, sizeof(buf), 0), 5);
	assert_string_equal(buf, "NAMES");
	/* The upper has both: whoever reads it without the index sees the same. */
	assert_int_equal(access("up/several", F_OK), 0);
	assert_int_equal(access("up/dir/several", F_OK), 0);
	tree_free(t);
}

static void *write_byte(void *arg)
{
	struct node *node = ((void **)arg)[1];
	struct tree *t = ((void **)arg)[0];

	return (void *)(intptr_t)fs_write(t->fs, node, "x", 1, 0, 0);
}

static void concurrent_copy_ups_make_one_file(void **state)
{
	enum { THREADS = 8 };
	struct tree *t = tree_new(true);
	struct node *node = look(t, look(t, look(t, fs_root(t->fs), "dir"), "sub"), "deep");
	void *arg[2] = { t, node };
	pthread_t threads[THREADS];
	struct stat st;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_byte, arg), 0);
	for (int i = 0; i < THREADS; i++) {
		void *r;

		pthread_join(threads[i], &r);
		assert_null(r);
	}
	assert_int_equal(stat("up/dir/sub/deep", &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 4);
	/* Nothing is left of it where it was built, but the whiteout that all share, if there is one. */
	assert_int_not_equal(access("work/work/#0", F_OK), 0);
	tree_free(t);
}

static void a_failed_copy_up_leaves_no_trace(void **state)
{
	struct tree *t = tree_new(true);
	struct node *node = look(t, look(t, fs_root(t->fs), "dir"), "two");
	char buf[4] = "";

	/* The workdir goes away under it: nothing can be built. */
	assert_int_equal(io_remove_tree(AT_FDCWD, "work/work"), 0);
	assert_int_equal(fs_write(t->fs, node, "x", 1, 0, 0), -ENOENT);
	assert_false(node_in_upper(t->fs, node) || node_is(node, NODE_COPYING));
	assert_int_not_equal(access("up/dir", F_OK), 0);
	assert_int_equal(fs_read(t->fs, node, buf, sizeof(buf), 0), 2);
	tree_free(t);
}

static void a_whiteout_is_consumed_and_a_new_directory_is_opaque(void **state)
{
	struct tree *t = tree_new(true);
	struct node *root = fs_root(t->fs), *dir = look(t, root, "dir");
	struct node *sub = look(t, dir, "sub"), *deep = look(t, sub, "deep");
	struct fs_entry entry;

	assert_int_equal(fs_unlink(t->fs, dir, "one"), 0);
	assert_int_equal(fs_unlink(t->fs, dir, "two"), 0);
	assert_int_equal(fs_unlink(t->fs, dir, "several"), 0);
	assert_int_equal(fs_rmdir(t->fs, dir, "sub"), -ENOTEMPTY);
	assert_int_equal(fs_unlink(t->fs, sub, "deep"), 0);
	assert_int_equal(fs_rmdir(t->fs, dir, "sub"), 0);
	assert_int_equal(fs_rmdir(t->fs, root, "dir"), 0);
	/* The kernel lets go of what has no name; until then it is there. */
	fs_forget(t->fs, deep, 1);
	fs_forget(t->fs, sub, 1);
	fs_forget(t->fs, dir, 1);
	assert_null(look(t, root, "dir"));
	assert_int_equal(fs_mkdir(t->fs, root, "dir", 0755, &cred, &entry), 0);
	assert_null(look(t, entry.node, "one"));
	tree_free(t);
	t = tree_new(true); /* and so it stays */
	assert_null(look(t, look(t, fs_root(t->fs), "dir"), "one"));
	tree_free(t);
}

static void a_renamed_lower_directory_keeps_what_is_in_it(void **state)
{
	struct tree *t = tree_new(true);
	struct node *root = fs_root(t->fs);

	look(t, root, "dir");
	assert_int_equal(fs_rename(t->fs, root, "dir", root, "moved", 0), 0);
	assert_null(look(t, root, "dir"));
	assert_non_null(look(t, look(t, look(t, root, "moved"), "sub"), "deep"));
	tree_free(t);
	t = tree_new(true);
	root = fs_root(t->fs);
	assert_non_null(look(t, look(t, look(t, root, "moved"), "sub"), "deep"));
	tree_free(t);
}

struct seen {
	uint64_t last;
	int count, limit;
	struct node *nodes[8];
};

static bool see(const char *name, const struct fs_entry *entry, uint64_t cookie, void *arg)
{
	struct seen *seen = arg;

	if (seen->count == seen->limit)
		return false;
	assert_true(cookie > seen->last);
	seen->last = cookie;
	seen->count++;
	return true;
}

static void a_listing_survives_removals_and_additions(void **state)
{
	struct tree *t = tree_new(true);
	struct node *root = fs_root(t->fs);
	struct seen seen = { .limit = 150 };
	struct fs_entry entry;
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(fs_mknod(t->fs, root, name, S_IFREG | 0644, 0, &cred, &entry), 0);
		fs_forget(t->fs, entry.node, 1);
	}
	assert_int_equal(fs_readdir(t->fs, root, 0, false, see, &seen), 0);
	for (int i = 0; i < 300; i += 2) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(fs_unlink(t->fs, root, name), 0);
	}
	assert_int_equal(fs_mknod(t->fs, root, "late", S_IFREG | 0644, 0, &cred, &entry), 0);
	seen.limit = 1000;
	seen.count = 0;
	assert_int_equal(fs_readdir(t->fs, root, seen.last, false, see, &seen), 0);
	/* 300 and 2 of the lowers less the 148 seen (two were "." and ".."), half of the rest removed, and "late". */
	assert_in_range(seen.count, 70, 80);
	tree_free(t);
}

static bool list_only(const char *name, const struct fs_entry *entry, uint64_t cookie, void *arg)
{
	struct seen *seen = arg;

	if (entry->node && seen->count < seen->limit)
		seen->nodes[seen->count++] = entry->node;
	return true;
}

/* Lists @dir, as the kernel does for who walks. Return: how many lookups are in @seen. */
static void list_all(struct tree *t, struct node *dir, struct seen *seen)
{
	*seen = (struct seen){ .limit = (int)ARRAY_SIZE(seen->nodes) };
	assert_int_equal(fs_readdir(t->fs, dir, 0, true, list_only, seen), 0);
}

static void forget_all(struct tree *t, const struct seen *seen)
{
	for (int i = 0; i < seen->count; i++)
		fs_forget(t->fs, seen->nodes[i], 1);
}

static void the_next_folder_of_a_walk_is_known_once_it_was_listed(void **state)
{
	struct tree *t = tree_new(true);
	struct node *root = fs_root(t->fs), *dir, *sub, *last, *next;
	struct seen in_root, in_dir, in_sub;
	struct fs_entry entry;

	assert_int_equal(fs_mkdir(t->fs, root, "last", 0755, &cred, &entry), 0);
	fs_forget(t->fs, entry.node, 1);
	assert_null(fs_next_dir(t->fs, root)); /* nobody was told of "dir" */
	list_all(t, root, &in_root);
	dir = look(t, root, "dir");
	last = look(t, root, "last");
	next = fs_next_dir(t->fs, root);
	assert_ptr_equal(next, dir);
	fs_forget(t->fs, next, 1);
	next = fs_next_dir(t->fs, dir); /* as if it were empty: what is in it is not known */
	assert_ptr_equal(next, last);
	fs_forget(t->fs, next, 1);
	list_all(t, dir, &in_dir);
	sub = look(t, dir, "sub");
	next = fs_next_dir(t->fs, dir);
	assert_ptr_equal(next, sub);
	fs_forget(t->fs, next, 1);
	list_all(t, sub, &in_sub);
	next = fs_next_dir(t->fs, sub); /* up, and on */
	assert_ptr_equal(next, last);
	fs_forget(t->fs, next, 1);
	assert_null(fs_next_dir(t->fs, last));
	forget_all(t, &in_sub);
	forget_all(t, &in_dir);
	forget_all(t, &in_root);
	fs_forget(t->fs, sub, 1);
	fs_forget(t->fs, last, 1);
	assert_true(node_is(dir, NODE_LOADED));
	fs_forget(t->fs, dir, 1);
	assert_false(node_is(dir, NODE_LOADED)); /* nobody is left over */
	tree_free(t);
}

/* --- what a sync has to write --- */

static bool data_is_all(struct tree *t, struct node *node)
{
	bool data_only;

	attrs_sync_begin(t->fs, node, &data_only);
	return data_only;
}

static void data_comes_in(struct tree *t, struct node *node)
{
	assert_int_equal(fs_write(t->fs, node, "x", 1, 0, FS_WRITE_KEEP_MTIME | FS_WRITE_BACK), 0);
}

static void chmod_one(struct tree *t, struct node *dir, struct node *node)
{
	struct stat want = { .st_mode = 0600 }, st;

	assert_int_equal(fs_setattr(t->fs, node, &want, FS_SET_MODE, &st), 0);
}

static void set_time(struct tree *t, struct node *dir, struct node *node)
{
	struct stat want = { .st_mtim = { .tv_sec = 1 } }, st;

	assert_int_equal(fs_setattr(t->fs, node, &want, FS_SET_MTIME | FS_SET_ANY_CTIME, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1);
}

static void set_xattr(struct tree *t, struct node *dir, struct node *node)
{
	int r = fs_setxattr(t->fs, node, "user.x", "y", 1, 0);

	assert_true(r == 0 || r == -EOPNOTSUPP); /* on an older tmpfs */
}

static void write_anew(struct tree *t, struct node *dir, struct node *node)
{
	assert_int_equal(fs_write(t->fs, node, "z", 1, 0, 0), 0);
}

static void rename_away(struct tree *t, struct node *dir, struct node *node)
{
	assert_int_equal(fs_rename(t->fs, dir, "a", dir, "c", 0), 0);
}

static void exchange(struct tree *t, struct node *dir, struct node *node)
{
	assert_int_equal(fs_rename(t->fs, dir, "b", dir, "c", RENAME_EXCHANGE), 0);
}

static void link_it(struct tree *t, struct node *dir, struct node *node)
{
	struct fs_entry entry;

	assert_int_equal(fs_link(t->fs, node, dir, "d", &entry), 0);
}

static void a_sync_leaves_nothing_out_but_times_put_back(void **state)
{
	static void (*const changes[])(struct tree * t, struct node * dir, struct node * node) = {
		chmod_one, set_time, set_xattr, write_anew, rename_away, exchange, link_it,
	};
	struct tree *t = tree_new(true);
	struct node *root = fs_root(t->fs);
	struct fs_entry entry;
	struct node *node;
	struct stat before, after;

	assert_int_equal(fs_mknod(t->fs, root, "b", S_IFREG | 0644, 0, &cred, &entry), 0);
	assert_int_equal(fs_mknod(t->fs, root, "a", S_IFREG | 0644, 0, &cred, &entry), 0);
	node = entry.node;
	assert_false(data_is_all(t, node)); /* it is new */
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		assert_int_equal(fs_fsync(t->fs, node, FS_FSYNC_DATA), 0);
		assert_false(data_is_all(t, node));
		assert_int_equal(fs_fsync(t->fs, node, 0), 0);
		assert_true(data_is_all(t, node));
		assert_int_equal(fs_getattr(t->fs, node, &before), 0);
		data_comes_in(t, node);
		assert_true(data_is_all(t, node));
		assert_int_equal(fs_getattr(t->fs, node, &after), 0);
		assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(after.st_mtim));
		changes[i](t, root, node);
		assert_false(data_is_all(t, node));
	}
	/* Of a file of several names nothing is known. */
	assert_int_equal(fs_fsync(t->fs, node, 0), 0);
	assert_false(data_is_all(t, node));
	tree_free(t);
}

static void a_change_during_a_sync_is_not_taken_for_written(void **state)
{
	struct tree *t = tree_new(true);
	struct node *root = fs_root(t->fs);
	struct fs_entry entry;
	bool data_only;
	uint64_t first, second;

	assert_int_equal(fs_mknod(t->fs, root, "a", S_IFREG | 0644, 0, &cred, &entry), 0);
	first = attrs_sync_begin(t->fs, entry.node, &data_only);
	chmod_one(t, root, entry.node);
	second = attrs_sync_begin(t->fs, entry.node, &data_only);
	attrs_sync_end(t->fs, entry.node, first);
	assert_false(data_is_all(t, entry.node));
	attrs_sync_end(t->fs, entry.node, second);
	assert_true(data_is_all(t, entry.node));
	tree_free(t);
}

/* --- mounts that cannot be --- */

static void a_missing_or_foreign_folder_is_named(void **state)
{
	char missing[] = "nowhere", up[] = "up", work[] = "up";
	char *lowers[] = { missing };
	struct fs_options options = { .lowers = lowers, .lower_count = 1, .squash_uid = -1, .squash_gid = -1 };
	struct diag diag = { 0 };
	struct fs *fs;

	assert_int_equal(fs_new(&options, &diag, &fs), -ENOENT);
	assert_non_null(strstr(diag.text, "nowhere"));
	lowers[0] = up;
	options.upper = up;
	options.work = work;
	memset(&diag, 0, sizeof(diag));
	assert_int_equal(fs_new(&options, &diag, &fs), -EINVAL);
	assert_non_null(strstr(diag.text, "the same folder"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_table_is_dropped_when_nobody_knows_what_is_in_it, fresh),
		cmocka_unit_test_setup(names_of_one_lower_file_are_one_node, fresh),
		cmocka_unit_test_setup(concurrent_copy_ups_make_one_file, fresh),
		cmocka_unit_test_setup(a_failed_copy_up_leaves_no_trace, fresh),
		cmocka_unit_test_setup(a_whiteout_is_consumed_and_a_new_directory_is_opaque, fresh),
		cmocka_unit_test_setup(a_renamed_lower_directory_keeps_what_is_in_it, fresh),
		cmocka_unit_test_setup(a_listing_survives_removals_and_additions, fresh),
		cmocka_unit_test_setup(the_next_folder_of_a_walk_is_known_once_it_was_listed, fresh),
		cmocka_unit_test_setup(a_sync_leaves_nothing_out_but_times_put_back, fresh),
		cmocka_unit_test_setup(a_change_during_a_sync_is_not_taken_for_written, fresh),
		cmocka_unit_test_setup(a_missing_or_foreign_folder_is_named, fresh),
	};

	return cmocka_run_group_tests_name("fs", tests, scratch_setup, scratch_teardown);
}
