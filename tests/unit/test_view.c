/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/images.h"

static void a_single_layer_shows_what_its_tar_held(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s1");
	struct buf tar = { 0 };
	struct image_id image;

	tar_dir(&tar, "etc");
	tar_file(&tar, "etc/motd", "hello");
	tar_link(&tar, "etc/motd2", "etc/motd", true);
	tar_link(&tar, "sbin", "usr/sbin", false);
	image = add_image(store, &tar, 1, NULL);
	expect_tree(store, image, 0,
		    "/etc 40755\n/etc/motd 100644 nlink=2 hello\n/etc/motd2 100644 nlink=2 hello\n"
		    "/sbin 120777 -> usr/sbin\n");
}

static void higher_layers_replace_and_hide(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s2");
	struct buf tars[2] = { 0 };
	struct image_id image;

	tar_dir(&tars[0], "a");
	tar_file(&tars[0], "a/kept", "1");
	tar_file(&tars[0], "a/changed", "old");
	tar_file(&tars[0], "a/gone", "x");
	tar_dir(&tars[0], "b");
	tar_file(&tars[0], "b/x", "x");
	tar_dir(&tars[0], "c");
	tar_file(&tars[0], "c/x", "x");
	tar_file(&tars[0], "d", "a file");
	tar_dir(&tars[1], "a");
	tar_file(&tars[1], "a/.wh.gone", "");
	tar_file(&tars[1], "a/changed", "new");
	tar_dir(&tars[1], "b");
	tar_file(&tars[1], "b/.wh..wh..opq", "");
	tar_file(&tars[1], "b/y", "y");
	tar_file(&tars[1], "c", "now a file");
	tar_dir(&tars[1], "d");
	tar_file(&tars[1], "d/z", "z");
	image = add_image(store, tars, 2, NULL);
	expect_tree(store, image, 0,
		    "/a 40755\n/a/changed 100644 new\n/a/kept 100644 1\n/b 40755\n/b/y 100644 y\n/c 100644 now a file\n"
		    "/d 40755\n/d/z 100644 z\n");
	expect_tree(store, image, 1,
		    "/a 40755\n/a/changed 100644 old\n/a/gone 100644 x\n/a/kept 100644 1\n/b 40755\n/b/x 100644 x\n"
		    "/c 40755\n/c/x 100644 x\n/d 100644 a file\n");
}

/* One rival showed deleted files again here: the whiteout ends the merge though a higher layer has the name. */
static void a_whiteout_in_a_middle_layer_ends_the_merge(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s3");
	struct buf tars[3] = { 0 };
	struct image_id image;

	tar_dir(&tars[0], "d");
	tar_file(&tars[0], "d/old", "x");
	tar_file(&tars[1], ".wh.d", "");
	tar_dir(&tars[2], "d");
	tar_file(&tars[2], "d/new", "y");
	image = add_image(store, tars, 3, NULL);
	expect_tree(store, image, 0, "/d 40755\n/d/new 100644 y\n");
	expect_tree(store, image, 2, "");
}

static void a_directory_the_archive_did_not_name_keeps_its_attributes(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s4");
	struct buf tars[3] = { 0 };
	struct image_id image;

	tar_put(&tars[0],
		&(struct tar_entry){
			.path = "var", .mode = S_IFDIR | 01770, .uid = 5, .gid = 6, .mtime_ns = T0_NS + 1 },
		NULL);
	tar_file(&tars[0], "var/a", "a");
	tar_file(&tars[1], "var/b", "b");
	tar_file(&tars[2], "var/.wh..wh..opq", "");
	tar_file(&tars[2], "var/c", "c");
	image = add_image(store, tars, 3, NULL);
	expect_tree(store, image, 2, "/var 41770 5:6 @1600000000000000001\n/var/a 100644 a\n/var/b 100644 b\n");
	expect_tree(store, image, 3, "/var 41770 5:6 @1600000000000000001\n/var/c 100644 c\n");
}

static void lookups_and_listings_agree_in_any_order(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s5");
	AUTO(view_closep) struct view *view = NULL;
	const struct view_node *before, *after, *other;
	struct buf tars[2] = { 0 };
	struct image_id image;

	tar_dir(&tars[0], "d");
	tar_file(&tars[0], "d/a", "a");
	tar_file(&tars[0], "d/b", "b");
	tar_file(&tars[0], "d/c", "c");
	tar_file(&tars[1], "d/.wh.b", "");
	image = add_image(store, tars, 2, NULL);
	assert_done(view_open(store, image, 0, &diag, &view));
	assert_int_equal(view_lookup(view, "d/c", &before), 0);
	assert_int_equal(view_lookup(view, "d/b", &other), -ENOENT);
	assert_int_equal(view_lookup(view, "d/a/x", &other), -ENOTDIR);
	assert_int_equal(view_lookup(view, "x/y", &other), -ENOENT);
	expect_tree(store, image, 0, "/d 40755\n/d/a 100644 a\n/d/c 100644 c\n");
	assert_int_equal(view_lookup(view, "d", &other), 0);
	assert_int_equal(view_children(view, other, dump_node,
				       &(struct dump){ store, view, &(struct buf){ .failed = true }, "" }),
			 0);
	/* A node stays the same one once the directory was listed. */
	assert_int_equal(view_lookup(view, "d//c", &after), 0);
	assert_ptr_equal(before, after);
	assert_int_equal(view_lookup(view, "d/b", &other), -ENOENT);
	assert_int_equal(view_lookup(view, "", &other), 0);
	assert_ptr_equal(other, view_root(view));
	assert_int_equal(view_children(view, before, dump_node, NULL), -ENOTDIR);
}

static void many_layers_are_merged(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s6");
	AUTO(buf_release) struct buf expected = { 0 };
	struct buf tars[60] = { 0 };
	struct image_id image;
	char path[32];

	buf_adds(&expected, "/d 40755\n");
	for (int i = 0; i < 60; i++) {
		tar_dir(&tars[i], "d");
		snprintf(path, sizeof(path), "d/%02d", i);
		tar_file(&tars[i], path, path);
		tar_file(&tars[i], "d/same", path);
		buf_addf(&expected, "/%s 100644 %s\n", path, path);
	}
	buf_adds(&expected, "/d/same 100644 d/59\n");
	image = add_image(store, tars, 60, NULL);
	expect_tree(store, image, 0, buf_str(&expected));
}

static void more_layers_than_there_are_is_an_error(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s7");
	struct view *view;
	struct buf tar = { 0 };
	struct image_id image;

	tar_dir(&tar, "a");
	image = add_image(store, &tar, 1, NULL);
	assert_int_equal(view_open(store, image, 2, NULL, &view), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_single_layer_shows_what_its_tar_held),
		cmocka_unit_test(higher_layers_replace_and_hide),
		cmocka_unit_test(a_whiteout_in_a_middle_layer_ends_the_merge),
		cmocka_unit_test(a_directory_the_archive_did_not_name_keeps_its_attributes),
		cmocka_unit_test(lookups_and_listings_agree_in_any_order),
		cmocka_unit_test(many_layers_are_merged),
		cmocka_unit_test(more_layers_than_there_are_is_an_error),
	};

	return cmocka_run_group_tests_name("view", tests, scratch_setup, scratch_teardown);
}
