/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fs_tree.h"

/* What several threads do in the core at the same time, many times over, so that they meet at every step. */

#include "fs/flags.h"

#include <pthread.h>

enum { AT_ONCE_FILES = 1000, AT_ONCE_ROUNDS = 3000 };

/* Two threads that do something with the same file at the same time, one file after the other. */
struct at_once {
	struct tree *t;
	pthread_barrier_t begin;
	struct node *dirs[2];
	struct node *found[2];
	_Atomic bool done;
	int (*other)(struct at_once *both, int i);
};

static void *other_thread(void *arg)
{
	struct at_once *both = arg;
	intptr_t r = 0;

	for (int i = 0; i < AT_ONCE_FILES; i++) {
		pthread_barrier_wait(&both->begin);
		r |= both->other(both, i);
		pthread_barrier_wait(&both->begin);
	}
	return (void *)r;
}

static const char *file_name(int i, char name[static 16])
{
	snprintf(name, 16, "f%d", i);
	return name;
}

static int look_other_name(struct at_once *both, int i)
{
	struct fs_entry entry;
	char name[16];
	int r = fs_lookup(both->t->fs, both->dirs[1], file_name(i, name), &entry);

	both->found[1] = entry.node;
	return r;
}

static void make_names_of_two_folders(void)
{
	char first[32], second[32], name[16];

	assert_int_equal(mkdir("low1/a", 0755) | mkdir("low1/b", 0755), 0);
	for (int i = 0; i < AT_ONCE_FILES; i++) {
		snprintf(first, sizeof(first), "low1/a/%s", file_name(i, name));
		snprintf(second, sizeof(second), "low1/b/%s", name);
		write_text(first, "text");
		assert_int_equal(link(first, second), 0);
	}
}

/* @change: the first thread copies the file up, which it has looked up before; else it looks it up. */
static void both_names(bool change)
{
	struct tree *t = (make_names_of_two_folders(), tree_new(true));
	struct at_once both = { .t = t, .other = look_other_name };
	pthread_t thread;
	void *r;

	both.dirs[0] = look(t, fs_root(t->fs), "a");
	both.dirs[1] = look(t, fs_root(t->fs), "b");
	pthread_barrier_init(&both.begin, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &both), 0);
	for (int i = 0; i < AT_ONCE_FILES; i++) {
		char name[16];
		struct node *node = change ? look(t, both.dirs[0], file_name(i, name)) : NULL;

		pthread_barrier_wait(&both.begin);
		if (change)
			assert_int_equal(fs_write(t->fs, node, "TEXT", 4, 0, 0), 0);
		else
			node = look(t, both.dirs[0], file_name(i, name));
		pthread_barrier_wait(&both.begin);
		assert_ptr_equal(both.found[1], node);
		assert_true(node_is(node, NODE_RESOLVED));
	}
	pthread_join(thread, &r);
	assert_null(r);
	pthread_barrier_destroy(&both.begin);
	tree_free(t);
}

static void names_that_are_looked_up_at_once_are_one_node(void **state)
{
	both_names(false);
}

static void a_name_that_is_looked_up_while_another_is_copied_up_is_the_same_node(void **state)
{
	both_names(true);
}

/* Of a folder that nobody knows in between: each time its table is dropped, and merged anew. */
struct comes_and_goes {
	struct tree *t;
	const char *dir;
};

static void *come_and_go(void *arg)
{
	const struct comes_and_goes *c = arg;
	struct fs *fs = c->t->fs;
	struct fs_entry dir, file;
	int r = 0;

	for (int i = 0; r == 0 && i < AT_ONCE_ROUNDS; i++) {
		r = fs_lookup(fs, fs_root(fs), c->dir, &dir);
		if (r == 0)
			r = fs_lookup(fs, dir.node, "several", &file);
		if (r == 0)
			fs_forget(fs, file.node, 1);
		fs_forget(fs, dir.node, 1);
	}
	return (void *)(intptr_t)r;
}

static void a_node_of_several_names_is_forgotten_while_another_name_is_looked_up(void **state)
{
	enum { THREADS = 3 };
	static const char *const dirs[THREADS] = { "dir", "dir2", "dir3" };
	struct comes_and_goes arg[THREADS];
	pthread_t threads[THREADS];
	struct tree *t;
	void *r;

	assert_int_equal(mkdir("low2/dir2", 0755) | mkdir("low2/dir3", 0755), 0);
	assert_int_equal(link("low2/several", "low2/dir2/several") | link("low2/several", "low2/dir3/several"), 0);
	t = tree_new(false);
	for (int i = 0; i < THREADS; i++) {
		arg[i] = (struct comes_and_goes){ t, dirs[i] };
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &arg[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &r);
		assert_null(r);
	}
	assert_int_equal(t->fs->root->live, 0);
	assert_int_equal(t->fs->inodes.count, 0);
	tree_free(t);
}

static void the_folder_of_a_name_stays_for_who_works_in_it(void **state)
{
	struct tree *t = tree_new(true);
	struct fs *fs = t->fs;
	struct node *root = fs_root(fs), *sub = look(t, look(t, root, "dir"), "sub"), *deep = look(t, sub, "deep");
	struct dirnode *dir = node_parent_get(fs, deep);
	struct stat st;

	assert_ptr_equal(dir, sub);
	assert_int_equal(fs_unlink(fs, sub, "deep"), 0);
	assert_int_equal(fs_rmdir(fs, look(t, root, "dir"), "sub"), 0);
	fs_forget(fs, sub, 1);
	assert_int_equal(fs_getattr(fs, &dir->node, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_null(node_parent_get(fs, deep));
	fs_forget(fs, &dir->node, 1);
	tree_free(t);
}

static int ask_for_flags(struct at_once *both, int i)
{
	unsigned flags;

	(void)fs_get_flags(both->t->fs, both->found[0], &flags);
	atomic_store(&both->done, true);
	return 0;
}

static void what_is_immutable_is_so_for_all_who_ask_at_once(void **state)
{
	struct at_once both = { .other = ask_for_flags };
	struct tree *t = tree_new(true);
	char name[16];
	pthread_t thread;

	for (int i = 0; i < AT_ONCE_FILES; i++) {
		struct fs_entry entry;

		assert_int_equal(fs_mknod(t->fs, fs_root(t->fs), file_name(i, name), S_IFREG | 0644, 0, &cred, &entry),
				 0);
		assert_int_equal(upper_set_private(t->fs, t->fs->upper_fd, name, "protattr", "i", 1), 0);
	}
	tree_free(t);
	both.t = t = tree_new(true);
	pthread_barrier_init(&both.begin, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &both), 0);
	for (int i = 0; i < AT_ONCE_FILES; i++) {
		int r = -EPERM;

		both.found[0] = look(t, fs_root(t->fs), file_name(i, name));
		atomic_store(&both.done, false);
		pthread_barrier_wait(&both.begin);
		while (r == -EPERM && !atomic_load(&both.done))
			r = node_may_change(t->fs, both.found[0]);
		pthread_barrier_wait(&both.begin);
		assert_int_equal(r, -EPERM);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&both.begin);
	tree_free(t);
}

static int ask_for_default_acl(struct at_once *both, int i)
{
	while (!atomic_load(&both->done))
		(void)dir_has_default_acl(both->t->fs, both->dirs[0]);
	return 0;
}

/* By who makes a file without a name, for which the kernel locks no folder. */
static void a_default_acl_is_not_missed_by_who_asks_while_it_is_set(void **state)
{
	static const uint8_t acl[] = { 2, 0, 0,	  0,   1,   0,	 7,  0, 255, 255, 255, 255, 4,	 0,
				       5, 0, 255, 255, 255, 255, 32, 0, 5,   0,	  255, 255, 255, 255 };
	static const char name[] = "system.posix_acl_default";
	struct at_once both = { .other = ask_for_default_acl };
	struct tree *t = tree_new(true);
	struct node *dir = look(t, fs_root(t->fs), "dir");
	pthread_t thread;
	bool wrong = false;

	if (fs_setxattr(t->fs, dir, name, acl, sizeof(acl), 0) == -ENOTSUP) {
		tree_free(t);
		skip();
	}
	both.t = t;
	both.dirs[0] = dir;
	pthread_barrier_init(&both.begin, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &both), 0);
	for (int i = 0; i < AT_ONCE_FILES; i++) {
		atomic_store(&both.done, false);
		pthread_barrier_wait(&both.begin);
		for (int tries = 0; tries < 10; tries++) {
			wrong |= fs_removexattr(t->fs, dir, name) < 0 || dir_has_default_acl(t->fs, dir);
			wrong |= fs_setxattr(t->fs, dir, name, acl, sizeof(acl), 0) < 0 ||
				 !dir_has_default_acl(t->fs, dir);
		}
		atomic_store(&both.done, true);
		pthread_barrier_wait(&both.begin);
	}
	pthread_join(thread, NULL);
	assert_false(wrong);
	pthread_barrier_destroy(&both.begin);
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names_that_are_looked_up_at_once_are_one_node, fresh),
		cmocka_unit_test_setup(a_name_that_is_looked_up_while_another_is_copied_up_is_the_same_node, fresh),
		cmocka_unit_test_setup(a_node_of_several_names_is_forgotten_while_another_name_is_looked_up, fresh),
		cmocka_unit_test_setup(the_folder_of_a_name_stays_for_who_works_in_it, fresh),
		cmocka_unit_test_setup(what_is_immutable_is_so_for_all_who_ask_at_once, fresh),
		cmocka_unit_test_setup(a_default_acl_is_not_missed_by_who_asks_while_it_is_set, fresh),
	};

	return cmocka_run_group_tests_name("at_once", tests, scratch_setup, scratch_teardown);
}
