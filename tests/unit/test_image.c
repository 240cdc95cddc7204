/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

#include "store/container.h"
#include "store/watch.h"

#include <sys/wait.h>

/* ---- helpers ---- */

static struct layer_id add_layer(struct writer *writer, const char *name, const char *text)
{
	AUTO(buf_release) struct buf tar = { 0 };
	const struct ingest_options options = { .name = name, .blob_bytes = -1 };
	struct bytes_at at;
	struct ingest_result result;
	struct diag diag = { 0 };

	tar_file(&tar, name, text);
	tar_end(&tar);
	at = (struct bytes_at){ .bytes = tar.data, .left = tar.len };
	if (ingest_tar(writer, (struct byte_source){ .read = bytes_read, .arg = &at }, &options, &diag, &result) < 0)
		fail_msg("%s", diag.text);
	return result.layer;
}

static void config_for(struct store *store, const struct layer_id *layers, size_t count, const char *created,
		       struct buf *config)
{
	buf_addf(config, "{\"created\":\"%s\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[", created);
	for (size_t i = 0; i < count; i++) {
		struct layer_info info;
		char text[DIGEST_TEXT_BYTES];

		assert_int_equal(layer_info(store, layers[i], &info), 0);
		buf_addf(config, "%s\"%s\"", i ? "," : "", digest_format(&info.diff_id, text));
	}
	buf_adds(config, "]}}");
}

/* An image of layers with the given texts, each a file named like its text. */
static struct image_id add_image(struct store *store, const char *const *texts, size_t count, const char *created,
				 const char *tag)
{
	AUTO(buf_release) struct buf config = { 0 };
	struct layer_id layers[8];
	struct writer *writer;
	struct image_id image;
	struct diag diag = { 0 };

	assert_int_equal(writer_open(store, &diag, &writer), 0);
	for (size_t i = 0; i < count; i++)
		layers[i] = add_layer(writer, "file", texts[i]);
	config_for(store, layers, count, created, &config);
	if (image_add(writer, config.data, config.len, layers, count, tag, &diag, &image) < 0)
		fail_msg("%s", diag.text);
	writer_close(writer);
	return image;
}

static struct image_id simple_image(struct store *store, const char *text, const char *tag)
{
	return add_image(store, &text, 1, "2020-01-01T00:00:00Z", tag);
}

static void note_removed(const char *what, const char *name, void *arg)
{
	buf_addf(arg, "%s %.20s\n", what, name);
}

/* ---- references ---- */

static void references_are_normalised(void **state)
{
	static const char *const good[][2] = {
		{ "base", "base:latest" },
		{ "base:1", "base:1" },
		{ "a/b-c/d__e.f:V_1.2-x", "a/b-c/d__e.f:V_1.2-x" },
		{ "localhost:5000/x", "localhost:5000/x:latest" },
		{ "Host.Example/x:1", "Host.Example/x:1" },
		{ "[::1]:5000/x", "[::1]:5000/x:latest" },
		{ "[2001:DB8::1]/a/x:1", "[2001:DB8::1]/a/x:1" },
	};
	static const char *const bad[] = { "",	     ":1",    "Base",	  "a//b",     "/a",	   "a/",
					   "a:",     "a:-x",  "a b",	  "a\n",      "-a",	   "a..b",
					   "a@b",    "a___b", "a:1:2",	  "h:x/y",    "a-",	   "[::1]",
					   "[::1/a", "[]/a",  "[::1]x/a", "[::1]:/a", "a/[::1]/b", "[::g]/a" };
	char *name;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(reference_check(good[i][0], NULL, &name), 0);
		assert_string_equal(name, good[i][1]);
		free(name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct diag diag = { 0 };

		if (reference_check(bad[i], &diag, &name) != -EINVAL)
			fail_msg("\"%s\" is accepted", bad[i]);
		assert_non_null(strstr(diag.text, "not a valid image name"));
	}
}

static void an_image_is_found_by_tag_id_and_prefix(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct image_id image = simple_image(store, "x", "base:1"), found;
	struct image_info info;
	struct diag diag = { 0 };
	char id[DIGEST_TEXT_BYTES];

	assert_int_equal(image_info(store, image, &diag, &info), 0);
	digest_format(&info.digest, id);
	assert_int_equal(image_find(store, "base:1", &diag, &found), 0);
	assert_int_equal(found.value, image.value);
	assert_int_equal(image_find(store, id, &diag, &found), 0);
	assert_int_equal(image_find(store, id + 7, &diag, &found), 0);
	id[7 + 12] = '\0';
	assert_int_equal(image_find(store, id, &diag, &found), 0);
	assert_int_equal(image_find(store, id + 7, &diag, &found), 0);
	assert_int_equal(image_find(store, "base", NULL, &found), -ENOENT);
	assert_int_equal(image_find(store, "0000000000", NULL, &found), -ENOENT);
	assert_int_equal(image_find(store, "sha256:xyz", NULL, &found), -EINVAL);
	assert_int_equal(image_find(store, "No Good", &diag, &found), -EINVAL);
	image_info_release(&info);
}

/* ---- images ---- */

/* Else who could not read the index this once would never read it again. */
static void a_change_is_told_until_it_was_read(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct diag diag = { 0 };
	struct watch *watch;
	bool changed;

	simple_image(store, "a", "a:1");
	assert_int_equal(watch_new(store, &watch), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(watch_changed(watch, &changed), 0);
		assert_true(changed);
	}
	watch_read(watch);
	assert_int_equal(watch_changed(watch, &changed), 0);
	assert_false(changed);
	assert_int_equal(image_tag(store, "a:1", "b:2", &diag), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(watch_changed(watch, &changed), 0);
		assert_true(changed);
	}
	watch_read(watch);
	assert_int_equal(watch_changed(watch, &changed), 0);
	assert_false(changed);
	watch_free(watch);
}

static void an_image_keeps_its_config_layers_and_tags(void **state)
{
	static const char *const texts[] = { "one", "two", "one" };
	AUTO(store_closep) struct store *store = test_store();
	struct image_id image = add_image(store, texts, 3, "2020-01-02T03:04:05.678+01:00", "b:2");
	struct image_info info;
	struct diag diag = { 0 };

	assert_int_equal(image_tag(store, "b:2", "a:1", &diag), 0);
	assert_int_equal(image_info(store, image, &diag, &info), 0);
	assert_int_equal(info.layer_count, 3);
	assert_int_equal(info.layers[0].value, info.layers[2].value);
	assert_int_equal(info.content_bytes, 9);
	assert_int_equal(info.created, 1577930645);
	assert_int_equal(info.tag_count, 2);
	assert_string_equal(info.tags[0], "a:1");
	assert_string_equal(info.tags[1], "b:2");
	assert_true(strlen(info.config) == info.config_bytes);
	image_info_release(&info);
	assert_int_equal(image_tag(store, "none", "x", &diag), -ENOENT);
	assert_int_equal(image_tag(store, "a:1", "No", NULL), -EINVAL);
}

static void adding_an_image_again_only_moves_the_tag(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct image_id a = simple_image(store, "a", "x"), b = simple_image(store, "b", "x"), again, found;

	assert_int_not_equal(a.value, b.value);
	again = simple_image(store, "a", NULL);
	assert_int_equal(again.value, a.value);
	assert_int_equal(image_find(store, "x", NULL, &found), 0);
	assert_int_equal(found.value, b.value);
	simple_image(store, "a", "x:latest");
	assert_int_equal(image_find(store, "x", NULL, &found), 0);
	assert_int_equal(found.value, a.value);
	assert_int_equal(query(store, "SELECT count(*) FROM image"), 2);
}

static void a_config_must_fit_its_layers(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	AUTO(buf_release) struct buf config = { 0 };
	struct layer_id layers[2];
	struct image_id image;
	struct writer *writer;
	struct diag diag = { 0 };

	assert_int_equal(writer_open(store, &diag, &writer), 0);
	layers[0] = add_layer(writer, "f", "1");
	layers[1] = add_layer(writer, "f", "2");
	config_for(store, layers, 2, "", &config);
	assert_int_equal(image_add(writer, config.data, config.len, layers, 1, NULL, NULL, &image), -EBADMSG);
	layers[1] = layers[0];
	assert_int_equal(image_add(writer, config.data, config.len, layers, 2, NULL, &diag, &image), -EBADMSG);
	assert_non_null(strstr(diag.text, "layer 2"));
	assert_int_equal(image_add(writer, "{}", 2, layers, 0, NULL, NULL, &image), -EBADMSG);
	assert_int_equal(image_add(writer, "nonsense", 8, layers, 0, NULL, NULL, &image), -EBADMSG);
	writer_close(writer);
	assert_int_equal(query(store, "SELECT count(*) FROM image"), 0);
}

static void images_are_listed_newest_first(void **state)
{
	static const char *const texts[] = { "a", "b", "c" };
	AUTO(store_closep) struct store *store = test_store();
	struct image_info *images;
	size_t count;

	add_image(store, texts, 1, "2020-01-01T00:00:00Z", "old");
	add_image(store, texts + 1, 1, "2022-01-01T00:00:00Z", "new");
	add_image(store, texts + 2, 1, "2021-01-01T00:00:00Z", NULL);
	assert_int_equal(image_list(store, NULL, &images, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(images[0].tags[0], "new:latest");
	assert_int_equal(images[1].tag_count, 0);
	assert_string_equal(images[2].tags[0], "old:latest");
	image_list_free(images, count);
}

/* ---- removing ---- */

static void removing_the_last_tag_removes_image_layers_and_bytes(void **state)
{
	static const char *const texts[] = { "shared", "own" };
	AUTO(store_closep) struct store *store = test_store();
	AUTO(buf_release) struct buf said = { 0 };
	struct image_id found;
	struct diag diag = { 0 };

	add_image(store, texts, 2, "", "both");
	add_image(store, texts, 1, "", "one");
	assert_int_equal(image_tag(store, "both", "other", &diag), 0);
	assert_int_equal(image_remove(store, "both", false, note_removed, &said, &diag), 0);
	assert_string_equal(buf_str(&said), "untagged both:latest\n");
	said.len = 0;
	assert_int_equal(image_remove(store, "other", false, note_removed, &said, &diag), 0);
	assert_memory_equal(said.data, "untagged other:latest\ndeleted sha256:", 36);
	assert_int_equal(image_find(store, "other", NULL, &found), -ENOENT);
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 1);
	assert_int_equal(query(store, "SELECT count(*) FROM content WHERE size = 3"), 0);
	assert_int_equal(query(store, "SELECT count(*) FROM pack"), 1);
	assert_consistent(store);
	assert_int_equal(image_remove(store, "one", false, NULL, NULL, &diag), 0);
	assert_int_equal(query(store, "SELECT (SELECT count(*) FROM content) + (SELECT count(*) FROM entry) +"
				      " (SELECT count(*) FROM pack)"),
			 0);
	assert_int_equal(image_remove(store, "one", false, NULL, NULL, NULL), -ENOENT);
}

static void an_id_with_several_tags_needs_force(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct image_id image = simple_image(store, "x", "a");
	struct image_info info;
	struct diag diag = { 0 };
	char id[DIGEST_TEXT_BYTES];

	assert_int_equal(image_tag(store, "a", "b", NULL), 0);
	assert_int_equal(image_info(store, image, NULL, &info), 0);
	digest_format(&info.digest, id);
	image_info_release(&info);
	assert_int_equal(image_remove(store, id, false, NULL, NULL, &diag), -ENOTUNIQ);
	assert_int_equal(image_remove(store, id, true, NULL, NULL, &diag), 0);
	assert_int_equal(query(store, "SELECT count(*) FROM image"), 0);
	assert_int_equal(query(store, "SELECT count(*) FROM tag"), 0);
}

static void a_leased_image_stays(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct image_id image = simple_image(store, "x", "a"), found;
	struct lease *lease;
	struct gc_result gc;
	struct diag diag = { 0 };

	assert_int_equal(lease_take(store, image, "mounted on /some/mount", &diag, &lease), 0);
	assert_int_equal(image_remove(store, "a", false, NULL, NULL, &diag), -EBUSY);
	assert_non_null(strstr(diag.text, "the image is mounted on /some/mount"));
	assert_int_equal(image_remove(store, "a", true, NULL, NULL, NULL), 0);
	assert_int_equal(image_find(store, "a", NULL, &found), -ENOENT);
	assert_int_equal(query(store, "SELECT count(*) FROM image"), 1);
	assert_int_equal(store_gc(store, NULL, &gc), 0);
	assert_int_equal(gc.layers, 0);
	lease_drop(lease);
}

/* The rows of a leased image can be gone, when its removal and the mount met; its layers must not go. */
static void gc_keeps_leased_layers(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct image_id image = simple_image(store, "x", "a");
	struct lease *lease;
	struct gc_result gc;
	struct db *db;

	assert_int_equal(lease_take(store, image, "m", NULL, &lease), 0);
	assert_int_equal(db_open_index(store, &db), 0);
	assert_int_equal(db_exec(db, "DELETE FROM image; DELETE FROM image_layer; DELETE FROM tag"), 0);
	db_close(db);
	assert_int_equal(store_gc(store, NULL, &gc), 0);
	assert_int_equal(gc.layers, 0);
	lease_drop(lease);
	assert_int_equal(store_gc(store, NULL, &gc), 0);
	assert_int_equal(gc.layers, 1);
	assert_int_equal(query(store, "SELECT count(*) FROM content"), 0);
}

static void a_lease_dies_with_its_process(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct image_id image = simple_image(store, "x", "a");
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct store *own;
		struct lease *lease;

		if (store_open("store", STORE_READ, NULL, &own) < 0 || lease_take(own, image, "m", NULL, &lease) < 0)
			_exit(1);
		_exit(0); /* without lease_drop() */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(image_remove(store, "a", false, NULL, NULL, NULL), 0);
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 0);
}

static void gc_waits_for_no_writer(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct writer *writer;
	struct gc_result gc;
	struct diag diag = { 0 };

	simple_image(store, "x", "a");
	assert_int_equal(writer_open(store, &diag, &writer), 0);
	assert_int_equal(store_gc(store, &diag, &gc), -EBUSY);
	/* rmi works meanwhile, and leaves the bytes to gc. */
	assert_int_equal(image_remove(store, "a", false, NULL, NULL, NULL), 0);
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 1);
	writer_close(writer);
	assert_int_equal(store_gc(store, NULL, &gc), 0);
	assert_int_equal(gc.layers, 1);
	assert_int_equal(gc.contents, 2); /* the file and the framing */
}

static void gc_removes_what_crashes_left(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct gc_result gc;

	simple_image(store, "x", "a");
	write_text("store/packs/77", "orphan");
	mkdir("store/objects/0a", 0755);
	write_text("store/objects/0a/f0a", "orphan");
	mkdir("store/ingest/crashed", 0755);
	assert_int_equal(store_gc(store, NULL, &gc), 0);
	assert_int_equal(access("store/packs/77", F_OK), -1);
	assert_int_equal(access("store/objects/0a/f0a", F_OK), -1);
	assert_int_equal(access("store/ingest/crashed", F_OK), -1);
	assert_int_equal(access("store/packs/1", F_OK), 0);
}

static void dead_parts_of_a_pack_are_given_back(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	AUTO(freep) char *text = malloc(100001);
	AUTO(buf_release) struct buf one = { 0 };
	struct ingest_result first;
	struct stat before, after;
	struct gc_result gc;
	const char *small = "small";

	assert_non_null(text);
	memset(text, 'a', 100000);
	text[100000] = '\0';
	tar_file(&one, "large", text);
	tar_file(&one, "file", small);
	tar_end(&one);
	first = ingest(store, one.data, one.len);
	assert_false(first.existed);
	/* An image that shares the small file keeps the pack alive. */
	simple_image(store, small, "keeper");
	assert_int_equal(stat("store/packs/1", &before), 0);
	assert_int_equal(store_gc(store, NULL, &gc), 0);
	assert_int_equal(gc.layers, 1);
	assert_true(gc.bytes >= 100000);
	assert_int_equal(stat("store/packs/1", &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	if (after.st_blocks >= before.st_blocks)
		print_message("# no holes on this file system\n");
	assert_consistent(store);
}

/* ---- containers ---- */

static void a_container_holds_its_image(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	struct image_id image = simple_image(store, "x", "a");
	struct container_info info, found, *list;
	struct diag diag = { 0 };
	char prefix[5];
	size_t count;

	assert_int_equal(container_new(store, image, "web", true, &diag, &info), 0);
	assert_int_equal(strlen(info.id), CONTAINER_ID_HEX);
	assert_int_equal(access(info.upper, F_OK), 0);
	assert_int_equal(access(info.work, F_OK), 0);
	assert_int_equal(container_new(store, image, "web", false, &diag, &found), -EEXIST);
	assert_int_equal(image_remove(store, "a", false, NULL, NULL, &diag), -EBUSY);

	memcpy(prefix, info.id, 4);
	prefix[4] = '\0';
	assert_int_equal(container_find(store, prefix, NULL, &found), 0);
	assert_string_equal(found.name, "web");
	assert_true(found.fakeroot);
	container_info_release(&found);
	assert_int_equal(container_find(store, "nobody", NULL, &found), -ENOENT);
	assert_int_equal(container_find_mount(store, "/m", &found), -ENOENT);
	assert_int_equal(container_set_mountpoint(store, info.id, "/m"), 0);
	assert_int_equal(container_find_mount(store, "/m", &found), 0);
	assert_string_equal(found.id, info.id);
	container_info_release(&found);
	assert_int_equal(container_set_mountpoint(store, info.id, NULL), 0);
	assert_int_equal(container_find_mount(store, "/m", &found), -ENOENT);
	assert_int_equal(container_list(store, NULL, &list, &count), 0);
	assert_int_equal(count, 1);
	container_list_free(list, count);

	assert_int_equal(container_remove(store, info.id, NULL), 0);
	assert_int_equal(access(info.upper, F_OK), -1);
	assert_int_equal(container_remove(store, info.id, NULL), -ENOENT);
	assert_int_equal(image_remove(store, "a", false, NULL, NULL, NULL), 0);
	assert_int_equal(container_new(store, image, NULL, false, NULL, &found), -ENOENT);
	container_info_release(&info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_normalised),
		cmocka_unit_test(an_image_is_found_by_tag_id_and_prefix),
		cmocka_unit_test(an_image_keeps_its_config_layers_and_tags),
		cmocka_unit_test(a_change_is_told_until_it_was_read),
		cmocka_unit_test(adding_an_image_again_only_moves_the_tag),
		cmocka_unit_test(a_config_must_fit_its_layers),
		cmocka_unit_test(images_are_listed_newest_first),
		cmocka_unit_test(removing_the_last_tag_removes_image_layers_and_bytes),
		cmocka_unit_test(an_id_with_several_tags_needs_force),
		cmocka_unit_test(a_leased_image_stays),
		cmocka_unit_test(gc_keeps_leased_layers),
		cmocka_unit_test(a_lease_dies_with_its_process),
		cmocka_unit_test(gc_waits_for_no_writer),
		cmocka_unit_test(gc_removes_what_crashes_left),
		cmocka_unit_test(dead_parts_of_a_pack_are_given_back),
		cmocka_unit_test(a_container_holds_its_image),
	};

	return cmocka_run_group_tests_name("image", tests, scratch_setup, scratch_teardown);
}
