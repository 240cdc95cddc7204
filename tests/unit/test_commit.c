/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/uppers.h"

#include "store/image_config.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* The image that most tests start from. */
static struct image_id base_image(struct store *store)
{
	struct buf tar = { 0 };

	tar_dir(&tar, ".");
	tar_dir(&tar, "d");
	tar_file(&tar, "d/a", "1");
	tar_file(&tar, "d/b", "2");
	tar_dir(&tar, "d/sub");
	tar_file(&tar, "d/sub/x", "3");
	tar_file(&tar, "f", "4");
	return add_image(store, &tar, 1, "base:1");
}

/* The upper in @upper on the image above makes an image of this tree, in two layers or squashed into one. */
static void expect_commit(const char *dir, const char *upper, const char *tree, struct ingest_result *ret_layer)
{
	AUTO(store_closep) struct store *store = open_store(dir);
	struct image_id base = base_image(store);
	struct ingest_result layer;
	struct image_id image = commit_upper(store, base, upper, &layer);

	expect_tree(store, image, 0, tree);
	expect_tree(store, squash_upper(store, base, upper), 0, tree);
	if (ret_layer)
		*ret_layer = layer;
}

static void start_upper(const char *upper)
{
	need_xattrs();
	upper_dir(upper);
}

#define BASE_D "/d 40755\n/d/a 100644 1\n/d/b 100644 2\n/d/sub 40755\n/d/sub/x 100644 3\n"

static void an_empty_upper_gives_an_empty_layer(void **state)
{
	struct ingest_result layer;

	start_upper("u1");
	expect_commit("s1", "u1", BASE_D "/f 100644 4\n", &layer);
	assert_int_equal(layer.entries, 1 + 0); /* and the root */
}

static void placeholders_are_no_change(void **state)
{
	start_upper("u40");
	upper_dir("u40/d");
	upper_file("u40/d/empty", "");
	mark("u40/d/empty", "user.overlay.nacre.placeholder", "y");
	upper_file("u40/d/full", "mine");
	mark("u40/d/full", "user.overlay.nacre.placeholder", "y");
	upper_file("u40/d/a", "");
	mark("u40/d/a", "user.overlay.nacre.placeholder", "y");
	expect_commit("s40", "u40",
		      "/d 40755\n/d/b 100644 2\n/d/full 100644 mine\n/d/sub 40755\n/d/sub/x 100644 3\n/f 100644 4\n",
		      NULL);
}

static void files_are_added_and_replaced(void **state)
{
	start_upper("u2");
	upper_dir("u2/d");
	upper_file("u2/d/a", "new");
	upper_file("u2/d/c", "added");
	upper_file("u2/f", "");
	expect_commit("s2", "u2",
		      "/d 40755\n/d/a 100644 new\n/d/b 100644 2\n/d/c 100644 added\n/d/sub 40755\n/d/sub/x 100644 3\n"
		      "/f 100644\n",
		      NULL);
}

static void whiteouts_delete(void **state)
{
	struct ingest_result layer;

	start_upper("u3");
	upper_dir("u3/d");
	upper_whiteout("u3/d", "a");
	upper_whiteout("u3/d", "sub");
	upper_whiteout("u3", "f");
	/* Nothing to hide: that the upper once had the name must not show in the layer. */
	upper_whiteout("u3", "never");
	expect_commit("s3", "u3", "/d 40755\n/d/b 100644 2\n", &layer);
	assert_int_equal(layer.entries, 1 + 4); /* and the root */
}

static void devices_0_0_are_whiteouts(void **state)
{
	start_upper("u4");
	upper_dir("u4/d");
	if (mknod("u4/d/a", S_IFCHR, 0) < 0)
		skip();
	assert_int_equal(mknod("u4/f", S_IFCHR, 0), 0);
	expect_commit("s4", "u4", "/d 40755\n/d/b 100644 2\n/d/sub 40755\n/d/sub/x 100644 3\n", NULL);
}

static void xattr_whiteouts_delete(void **state)
{
	start_upper("u5");
	upper_dir("u5/d");
	mark("u5/d", "user.overlay.opaque", "x");
	write_text("u5/d/a", "");
	mark("u5/d/a", "user.overlay.whiteout", "");
	expect_commit("s5", "u5", "/d 40755\n/d/b 100644 2\n/d/sub 40755\n/d/sub/x 100644 3\n/f 100644 4\n", NULL);
}

static void every_opaque_directory_hides_what_was_there(void **state)
{
	static const char *const marks[] = { "user.overlay.opaque", "user.fuseoverlayfs.opaque", NULL };
	char upper[16], path[64], store[16];

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		snprintf(upper, sizeof(upper), "u6-%zu", i);
		snprintf(store, sizeof(store), "s6-%zu", i);
		start_upper(upper);
		snprintf(path, sizeof(path), "%s/d", upper);
		upper_dir(path);
		if (marks[i])
			mark(path, marks[i], "y");
		else
			upper_whiteout(path, ".wh..opq");
		snprintf(path, sizeof(path), "%s/d/b", upper);
		upper_file(path, "new");
		expect_commit(store, upper, "/d 40755\n/d/b 100644 new\n/f 100644 4\n", NULL);
	}
}

/* containers/storage unpacks such layers under a mount program: the whiteout beside the directory counts. */
static void a_directory_beside_its_own_whiteout_is_opaque(void **state)
{
	start_upper("u7");
	upper_dir("u7/d");
	upper_file("u7/d/n", "n");
	upper_whiteout("u7", "d");
	expect_commit("s7", "u7", "/d 40755\n/d/n 100644 n\n/f 100644 4\n", NULL);
}

static void a_new_directory_needs_no_mark(void **state)
{
	struct ingest_result layer;

	start_upper("u8");
	upper_dir("u8/new");
	mark("u8/new", "user.overlay.opaque", "y");
	upper_file("u8/new/x", "x");
	upper_whiteout("u8/new", "y");
	expect_commit("s8", "u8", BASE_D "/f 100644 4\n/new 40755\n/new/x 100644 x\n", &layer);
	assert_int_equal(layer.entries, 1 + 2); /* and the root */
}

static void files_and_directories_take_each_others_place(void **state)
{
	struct ingest_result layer;

	start_upper("u9");
	upper_file("u9/d", "now a file");
	upper_dir("u9/f");
	upper_file("u9/f/x", "x");
	expect_commit("s9", "u9", "/d 100644 now a file\n/f 40755\n/f/x 100644 x\n", &layer);
	assert_int_equal(layer.entries, 1 + 3); /* and the root */
}

static void recorded_owners_and_types_are_honoured(void **state)
{
	start_upper("u10");
	upper_file("u10/suid", "x");
	record("u10/suid", "1000:2000:4755:file");
	upper_file("u10/link", "target/of it");
	record("u10/link", "0:0:0777:symlink");
	upper_file("u10/null", "");
	record("u10/null", "0:0:0666:char-1-3");
	upper_file("u10/disk", "");
	record("u10/disk", "0:6:0660:block-8-0");
	upper_file("u10/pipe", "");
	record("u10/pipe", "0:0:0600:pipe");
	expect_commit("s10", "u10",
		      BASE_D "/disk 60660 0:6 rdev=800\n/f 100644 4\n/link 120777 -> target/of it\n"
			     "/null 20666 rdev=103\n/pipe 10600\n/suid 104755 1000:2000 x\n",
		      NULL);
}

/* A symlink can have no record: in an upper that has them, the writer's own stands for root's. */
static void what_the_writer_could_not_record_is_roots(void **state)
{
	start_upper("u26");
	assert_int_equal(symlink("target", "u26/link"), 0);
	upper_file("u26/odd", "x");
	record("u26/odd", "nonsense");
	assert_int_equal(chmod("u26/odd", 0640), 0);
	if (geteuid() == 0) { /* as if 1234 had written it */
		assert_int_equal(lchown("u26", 1234, 1234), 0);
		assert_int_equal(lchown("u26/link", 1234, 1234), 0);
		assert_int_equal(lchown("u26/odd", 1234, 77), 0);
		expect_commit("s26", "u26", BASE_D "/f 100644 4\n/link 120777 -> target\n/odd 100640 0:77 x\n", NULL);
	} else {
		expect_commit("s26", "u26", BASE_D "/f 100644 4\n/link 120777 -> target\n/odd 100640 x\n", NULL);
	}
}

static void xattrs_come_along_but_for_the_overlays_own(void **state)
{
	start_upper("u11");
	upper_file("u11/x", "x");
	mark("u11/x", "user.b", "2");
	mark("u11/x", "user.a", "1");
	mark("u11/x", "user.overlay.origin", "private");
	expect_commit("s11", "u11", BASE_D "/f 100644 4\n/x 100644 x user.a=1 user.b=2\n", NULL);
}

static void hard_links_stay_one_inode(void **state)
{
	start_upper("u12");
	upper_dir("u12/d");
	upper_file("u12/d/z", "shared");
	assert_int_equal(link("u12/d/z", "u12/g"), 0);
	assert_int_equal(link("u12/d/z", "u12/d/y"), 0);
	expect_commit("s12", "u12",
		      "/d 40755\n/d/a 100644 1\n/d/b 100644 2\n/d/sub 40755\n/d/sub/x 100644 3\n"
		      "/d/y 100644 nlink=3 shared\n/d/z 100644 nlink=3 shared\n/f 100644 4\n/g 100644 nlink=3 shared\n",
		      NULL);
}

static void redirected_directories_are_whole(void **state)
{
	start_upper("u13");
	upper_dir("u13/moved");
	mark("u13/moved", "user.overlay.redirect", "/d");
	upper_file("u13/moved/a", "changed");
	upper_file("u13/moved/n", "new");
	upper_whiteout("u13/moved", "b");
	upper_whiteout("u13", "d");
	expect_commit("s13", "u13",
		      "/f 100644 4\n/moved 40755\n/moved/a 100644 changed\n/moved/n 100644 new\n/moved/sub 40755\n"
		      "/moved/sub/x 100644 3\n",
		      NULL);
}

static void a_redirect_onto_an_old_directory_hides_it(void **state)
{
	start_upper("u14");
	upper_dir("u14/d");
	upper_dir("u14/d/sub2");
	/* d is still the image's; in it the old sub has a new name, in a directory merged further down too. */
	mark("u14/d/sub2", "user.overlay.redirect", "sub");
	upper_whiteout("u14/d", "sub");
	upper_file("u14/d/sub2/y", "5");
	expect_commit("s14", "u14",
		      "/d 40755\n/d/a 100644 1\n/d/b 100644 2\n/d/sub2 40755\n/d/sub2/x 100644 3\n/d/sub2/y 100644 5\n"
		      "/f 100644 4\n",
		      NULL);
	start_upper("u15");
	upper_dir("u15/d");
	mark("u15/d", "user.overlay.redirect", "/d/sub");
	expect_commit("s15", "u15", "/d 40755\n/d/x 100644 3\n/f 100644 4\n", NULL);
}

static void a_redirect_to_nowhere_leaves_nothing_below(void **state)
{
	start_upper("u16");
	upper_dir("u16/d");
	mark("u16/d", "user.overlay.redirect", "/f/absent");
	expect_commit("s16", "u16", "/d 40755\n/f 100644 4\n", NULL);
}

static void metacopies_take_their_data_from_the_image(void **state)
{
	start_upper("u17");
	upper_dir("u17/d");
	upper_file("u17/d/a", "");
	record("u17/d/a", "9:9:0600:file");
	mark("u17/d/a", "user.overlay.metacopy", "");
	upper_file("u17/g", "");
	mark("u17/g", "user.overlay.metacopy", "");
	mark("u17/g", "user.overlay.redirect", "/d/sub/x");
	expect_commit("s17", "u17",
		      "/d 40755\n/d/a 100600 9:9 1\n/d/b 100644 2\n/d/sub 40755\n/d/sub/x 100644 3\n/f 100644 4\n"
		      "/g 100644 3\n",
		      NULL);
}

static void a_metacopy_without_data_fails(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s18");
	const struct commit_options options = { .created = 0 };
	struct image_id image, base;
	struct diag diag = { 0 };

	start_upper("u18");
	upper_file("u18/lost", "");
	mark("u18/lost", "user.overlay.metacopy", "");
	base = base_image(store);
	assert_int_equal(upper_commit(store, base, "u18", &options, &diag, &image, NULL), -EIO);
	assert_non_null(strstr(diag.text, "/lost"));
}

static void sockets_are_left_out_and_hide_what_was_there(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "u19/f" };
	AUTO(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	start_upper("u19");
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_commit("s19", "u19", BASE_D, NULL);
}

static void the_root_is_in_the_layer_when_it_differs(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s20");
	AUTO(view_closep) struct view *view = NULL;
	struct image_id base, image;

	start_upper("u20");
	record("u20", "3:4:0700:dir");
	base = base_image(store);
	image = commit_upper(store, base, "u20", NULL);
	assert_done(view_open(store, image, 0, &diag, &view));
	assert_int_equal(view_entry(view_root(view))->mode, S_IFDIR | 0700);
	assert_int_equal(view_entry(view_root(view))->uid, 3);
	assert_int_equal(view_layer(view_root(view)), 1);
}

static void make_rich_upper(const char *upper, bool backwards)
{
	char path[64];

	start_upper(upper);
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "%s/file%02d", upper, backwards ? 19 - i : i);
		upper_file(path, path + strlen(upper));
	}
	snprintf(path, sizeof(path), "%s/d", upper);
	upper_dir(path);
	mark(path, "user.overlay.opaque", "y");
	snprintf(path, sizeof(path), "%s/d/n", upper);
	upper_file(path, "n");
	mark(path, backwards ? "user.b" : "user.a", "1");
	mark(path, backwards ? "user.a" : "user.b", "1");
	upper_whiteout(upper, "f");
}

static void the_same_upper_gives_the_same_diff_id(void **state)
{
	AUTO(store_closep) struct store *one = open_store("s21");
	AUTO(store_closep) struct store *two = open_store("s22");
	struct ingest_result a, b, c;
	struct image_id base;

	make_rich_upper("u21", false);
	make_rich_upper("u22", true);
	base = base_image(one);
	commit_upper(one, base, "u21", &a);
	commit_upper(two, base_image(two), "u22", &b);
	assert_true(digest_eq(&a.diff_id, &b.diff_id));
	assert_false(a.existed);
	commit_upper(one, base, "u21", &c);
	assert_true(c.existed);
}

static void the_config_is_the_bases_and_one_layer_more(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s23");
	const char *const changes[] = { "CMD [\"run\"]", "ENV A=b", NULL };
	const struct commit_options options = {
		.message = "why", .author = "me", .tag = "app:1", .changes = changes, .created = 1700000000
	};
	AUTO(json_decrefp) json_t *config = NULL;
	struct image_id base, image, found;
	struct image_info base_info, info;
	const json_t *ids, *history;

	start_upper("u23");
	upper_file("u23/new", "x");
	base = base_image(store);
	assert_done(upper_commit(store, base, "u23", &options, &diag, &image, NULL));
	assert_done(image_find(store, "app:1", &diag, &found));
	assert_int_equal(found.value, image.value);
	assert_done(image_info(store, base, &diag, &base_info));
	assert_done(image_info(store, image, &diag, &info));
	assert_int_equal(info.layer_count, 2);
	assert_int_equal(info.layers[0].value, base_info.layers[0].value);
	assert_done(image_json_parse(info.config, info.config_bytes, "config", &diag, &config));
	ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	history = json_array_get(json_object_get(config, "history"), 0);
	assert_int_equal(json_array_size(ids), 2);
	assert_string_equal(json_string_value(json_object_get(history, "comment")), "why");
	assert_string_equal(json_string_value(json_object_get(history, "created")), "2023-11-14T22:13:20Z");
	assert_string_equal(json_string_value(json_object_get(config, "author")), "me");
	assert_int_equal(info.created, 1700000000);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(json_object_get(config, "config"), "Env"), 0)), "A=b");
	image_info_release(&base_info);
	image_info_release(&info);
}

static size_t image_count(struct store *store)
{
	struct image_info *images;
	size_t count;

	assert_done(image_list(store, &diag, &images, &count));
	image_list_free(images, count);
	return count;
}

static void what_is_refused_changes_nothing(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s24");
	const char *const changes[] = { "RUN true", NULL };
	const struct commit_options bad_change = { .changes = changes, .created = -1 };
	const struct commit_options bad_tag = { .tag = "Not A Tag", .created = -1 };
	const struct commit_options good = { .created = -1 };
	struct image_id base, image;
	struct diag diag = { 0 };

	start_upper("u24");
	base = base_image(store);
	assert_int_equal(upper_commit(store, base, "u24", &bad_change, &diag, &image, NULL), -EINVAL);
	assert_non_null(strstr(diag.text, "RUN true"));
	diag = (struct diag){ 0 };
	assert_int_equal(upper_commit(store, base, "u24", &bad_tag, &diag, &image, NULL), -EINVAL);
	diag = (struct diag){ 0 };
	assert_int_equal(upper_commit(store, base, "absent", &good, &diag, &image, NULL), -ENOENT);
	assert_non_null(strstr(diag.text, "absent"));
	diag = (struct diag){ 0 };
	assert_int_equal(upper_commit(store, base, "probe", &good, &diag, &image, NULL), -ENOTDIR);
	assert_int_equal(image_count(store), 1);
}

/* Called while a file is read: it grows meanwhile. */
static void touch_it(uint64_t bytes, void *arg)
{
	int fd = open(arg, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void a_file_that_changes_while_it_is_read_fails_the_commit(void **state)
{
	AUTO(store_closep) struct store *store = open_store("s25");
	const struct commit_options options = { .created = -1,
						.progress = touch_it,
						.progress_arg = (void *)"u25/big" };
	struct image_id base, image;
	struct diag diag = { 0 };
	int r;

	start_upper("u25");
	upper_file("u25/big", "");
	/* Much more than the ring holds, so that the reader reports progress before the writer is done. */
	assert_int_equal(truncate("u25/big", 64 << 20), 0);
	base = base_image(store);
	r = upper_commit(store, base, "u25", &options, &diag, &image, NULL);
	assert_int_equal(r, -EAGAIN);
	assert_string_equal(diag.text, "/big: changed while it was read");
	assert_int_equal(image_count(store), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_upper_gives_an_empty_layer),
		cmocka_unit_test(placeholders_are_no_change),
		cmocka_unit_test(files_are_added_and_replaced),
		cmocka_unit_test(whiteouts_delete),
		cmocka_unit_test(devices_0_0_are_whiteouts),
		cmocka_unit_test(xattr_whiteouts_delete),
		cmocka_unit_test(every_opaque_directory_hides_what_was_there),
		cmocka_unit_test(a_directory_beside_its_own_whiteout_is_opaque),
		cmocka_unit_test(a_new_directory_needs_no_mark),
		cmocka_unit_test(files_and_directories_take_each_others_place),
		cmocka_unit_test(recorded_owners_and_types_are_honoured),
		cmocka_unit_test(what_the_writer_could_not_record_is_roots),
		cmocka_unit_test(xattrs_come_along_but_for_the_overlays_own),
		cmocka_unit_test(hard_links_stay_one_inode),
		cmocka_unit_test(redirected_directories_are_whole),
		cmocka_unit_test(a_redirect_onto_an_old_directory_hides_it),
		cmocka_unit_test(a_redirect_to_nowhere_leaves_nothing_below),
		cmocka_unit_test(metacopies_take_their_data_from_the_image),
		cmocka_unit_test(a_metacopy_without_data_fails),
		cmocka_unit_test(sockets_are_left_out_and_hide_what_was_there),
		cmocka_unit_test(the_root_is_in_the_layer_when_it_differs),
		cmocka_unit_test(the_same_upper_gives_the_same_diff_id),
		cmocka_unit_test(the_config_is_the_bases_and_one_layer_more),
		cmocka_unit_test(what_is_refused_changes_nothing),
		cmocka_unit_test(a_file_that_changes_while_it_is_read_fails_the_commit),
	};

	return cmocka_run_group_tests_name("commit", tests, scratch_setup, scratch_teardown);
}
