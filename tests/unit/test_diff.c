/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/uppers.h"

static int add_line(char kind, const char *path, void *arg)
{
	buf_addf(arg, "%c %s\n", kind, path);
	return 0;
}

static void expect_diff(struct store *store, struct image_id image, const char *upper, const char *expected)
{
	AUTO(buf_release) struct buf out = { 0 };

	settle(upper);
	assert_done(upper_diff(store, image, upper, add_line, &out, &diag));
	assert_string_equal(buf_str(&out), expected);
}

static struct image_id base_image(struct store *store)
{
	struct buf tar = { 0 };

	tar_dir(&tar, "d");
	tar_file(&tar, "d/a", "1");
	tar_dir(&tar, "d/sub");
	tar_file(&tar, "d/sub/x", "3");
	tar_file(&tar, "d/sub/y", "3");
	tar_file(&tar, "d.conf", "5");
	tar_file(&tar, "f", "4");
	return add_image(store, &tar, 1, NULL);
}

static void changes_are_listed_with_their_parents_sorted_by_path(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s1");

	need_xattrs();
	upper_dir("u1");
	upper_dir("u1/d");
	upper_dir("u1/d/sub");
	upper_file("u1/d/sub/x", "new");
	upper_whiteout("u1/d/sub", "y");
	upper_file("u1/d/sub/z", "added");
	upper_file("u1/d.conf", "changed");
	upper_dir("u1/n");
	upper_dir("u1/n/m");
	upper_file("u1/n/m/k", "k");
	upper_whiteout("u1", "f");
	upper_whiteout("u1", "never");
	/* '.' sorts before '/': the list is sorted by whole paths, not directory by directory */
	expect_diff(store, base_image(store), "u1",
		    "C /d\nC /d.conf\nC /d/sub\nC /d/sub/x\nD /d/sub/y\nA /d/sub/z\nD /f\nA /n\nA /n/m\nA /n/m/k\n");
}

static void a_directory_that_was_only_copied_up_is_no_change(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s2");

	need_xattrs();
	upper_dir("u2");
	upper_dir("u2/d");
	upper_dir("u2/d/sub");
	expect_diff(store, base_image(store), "u2", "");
}

static void a_changed_directory_lists_itself_and_its_parents(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s3");

	need_xattrs();
	upper_dir("u3");
	upper_dir("u3/d");
	upper_dir("u3/d/sub");
	record("u3/d/sub", "0:0:0700:dir");
	expect_diff(store, base_image(store), "u3", "C /d\nC /d/sub\n");
}

static void a_deleted_directory_is_one_line(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s4");

	need_xattrs();
	upper_dir("u4");
	upper_whiteout("u4", "d");
	expect_diff(store, base_image(store), "u4", "D /d\n");
}

static void an_opaque_directory_lists_what_it_hides(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s5");

	need_xattrs();
	upper_dir("u5");
	upper_dir("u5/d");
	mark("u5/d", "user.overlay.opaque", "y");
	upper_file("u5/d/a", "new");
	upper_file("u5/d/b", "b");
	expect_diff(store, base_image(store), "u5", "C /d\nC /d/a\nA /d/b\nD /d/sub\n");
}

static void a_change_of_kind_is_one_line(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s6");

	need_xattrs();
	upper_dir("u6");
	upper_file("u6/d", "a file");
	upper_dir("u6/f");
	upper_file("u6/f/x", "x");
	expect_diff(store, base_image(store), "u6", "C /d\nC /f\nA /f/x\n");
}

static void a_moved_directory_is_added_whole(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s7");

	need_xattrs();
	upper_dir("u7");
	upper_dir("u7/e");
	mark("u7/e", "user.overlay.redirect", "/d");
	upper_whiteout("u7", "d");
	upper_whiteout("u7/e", "a");
	expect_diff(store, base_image(store), "u7", "D /d\nA /e\nA /e/sub\nA /e/sub/x\nA /e/sub/y\n");
}

static int stop_at_once(char kind, const char *path, void *arg)
{
	return -ECANCELED;
}

static void the_callers_error_is_passed_on(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s8");

	need_xattrs();
	upper_dir("u8");
	upper_file("u8/x", "x");
	assert_int_equal(upper_diff(store, base_image(store), "u8", stop_at_once, NULL, NULL), -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_listed_with_their_parents_sorted_by_path),
		cmocka_unit_test(a_directory_that_was_only_copied_up_is_no_change),
		cmocka_unit_test(a_changed_directory_lists_itself_and_its_parents),
		cmocka_unit_test(a_deleted_directory_is_one_line),
		cmocka_unit_test(an_opaque_directory_lists_what_it_hides),
		cmocka_unit_test(a_change_of_kind_is_one_line),
		cmocka_unit_test(a_moved_directory_is_added_whole),
		cmocka_unit_test(the_callers_error_is_passed_on),
	};

	return cmocka_run_group_tests_name("diff", tests, scratch_setup, scratch_teardown);
}
