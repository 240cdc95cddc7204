/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

#include "store/check.h"
#include "store/container.h"
#include "store/content.h"
#include "store/stage.h"
#include "store/tarread.h"
#include "store/unpack.h"

/* Faults as lines "IMAGES|PATH|TEXT\n". */
struct faults {
	struct buf text;
	struct check_result result;
};

static void faults_release(struct faults *f)
{
	buf_release(&f->text);
}

static void note_fault(const struct check_fault *fault, void *arg)
{
	struct faults *f = arg;

	for (size_t i = 0; i < fault->image_count; i++)
		buf_addf(&f->text, "%s%s", i ? "," : "", fault->images[i]);
	buf_addf(&f->text, "|%s|%s\n", fault->path ? fault->path : "-", fault->text);
}

static void check(struct store *store, const struct image_id *image, struct faults *ret)
{
	struct check_options options = { .bytes = true, .images = image, .image_count = image != NULL };
	struct diag diag = { 0 };

	buf_release(&ret->text);
	if (store_check(store, &options, note_fault, ret, &diag, &ret->result) < 0)
		fail_msg("%s", diag.text);
}

static void expect_faults(struct store *store, const char *expected)
{
	AUTO(faults_release) struct faults f = { 0 };

	check(store, NULL, &f);
	assert_string_equal(buf_str(&f.text), expected);
}

static struct image_id add_image(struct store *store, const struct buf *tar, const char *tag)
{
	AUTO(buf_release) struct buf config = { 0 };
	struct ingest_result layer = ingest(store, tar->data, tar->len);
	char text[DIGEST_TEXT_BYTES];
	struct writer *writer = NULL;
	struct image_id id;

	buf_addf(&config, "{\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
		 digest_format(&layer.diff_id, text));
	assert_int_equal(writer_open(store, NULL, &writer), 0);
	assert_int_equal(image_add(writer, config.data, config.len, &layer.layer, 1, tag, NULL, &id), 0);
	writer_close(writer);
	return id;
}

/* Small files in a pack, one file as an object, links, an xattr, a replaced entry, whiteouts. */
static void make_layer(struct buf *tar)
{
	AUTO(freep) char *large = calloc(1, PACK_MAX_BYTES + 1);

	assert_non_null(large);
	memset(large, 'L', PACK_MAX_BYTES + 1);
	tar_dir(tar, "d");
	tar_dir(tar, "d/e");
	tar_file(tar, "d/e/small", "some bytes");
	tar_file(tar, "d/again", "will be replaced");
	tar_file(tar, "d/again", "new");
	tar_pax(tar, "SCHILY.xattr.user.a", "b", 1);
	tar_file(tar, "d/x", "with an xattr");
	tar_hardlink(tar, "d/link", "d/e/small");
	tar_symlink(tar, "d/sym", "e/small");
	tar_add(tar, (struct tar_head){ .name = "d/large" }, large, PACK_MAX_BYTES + 1);
	tar_file(tar, "d/.wh.gone", "");
	tar_file(tar, "d/e/.wh..wh..opq", "");
	tar_end(tar);
}

static struct store *sample(struct image_id *ret)
{
	AUTO(buf_release) struct buf tar = { 0 };
	struct store *store = test_store();

	make_layer(&tar);
	*ret = add_image(store, &tar, "base:1");
	return store;
}

static void a_sound_store_has_no_faults(void **state)
{
	struct image_id image;
	AUTO(store_closep) struct store *store = sample(&image);
	AUTO(faults_release) struct faults f = { 0 };

	check(store, NULL, &f);
	assert_string_equal(buf_str(&f.text), "");
	assert_int_equal(f.result.faults, 0);
	assert_int_equal(f.result.images, 1);
	assert_int_equal(f.result.layers, 1);
	assert_int_equal(f.result.contents, query(store, "SELECT count(*) FROM content"));
	assert_int_equal(f.result.leftovers, 0);
}

static void an_empty_store_has_no_faults(void **state)
{
	AUTO(store_closep) struct store *store = test_store();

	expect_faults(store, "");
}

static void flip(const char *path, off_t at, unsigned bit)
{
	AUTO(closep) int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= (unsigned char)(1 << bit);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static bool has_line_with(const struct faults *f, const char *path)
{
	AUTO(freep) char *line = NULL;

	assert_true(asprintf(&line, "base:1|%s|", path) >= 0);
	return strstr(buf_str(&f->text), line) != NULL;
}

/* Which file of the layer has the byte at @offset of the pack. */
static void owner_of(struct store *store, int64_t offset, char path[256])
{
	static const struct {
		const char *path;
		const char *text;
	} files[] = {
		{ "d/e/small", "some bytes" },
		{ "d/again", "new" },
		{ "d/x", "with an xattr" },
	};

	strcpy(path, "-"); /* the replaced one, and the framing */
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct layer_id layer = { query(store, "SELECT max(id) FROM layer") };
		struct content_place place;

		assert_int_equal(content_open(store, must_find(store, layer, files[i].path).entry.content, &place), 0);
		if (offset >= (int64_t)place.offset && offset < (int64_t)(place.offset + place.bytes))
			strcpy(path, files[i].path);
	}
}

static void every_flipped_bit_of_a_pack_is_found_and_its_file_named(void **state)
{
	struct image_id image;
	AUTO(store_closep) struct store *store = sample(&image);
	int64_t bytes = query(store, "SELECT bytes FROM pack");

	for (int64_t at = 0; at < bytes; at++) {
		AUTO(faults_release) struct faults f = { 0 };
		char path[256];

		owner_of(store, at, path);
		flip("store/packs/1", at, (unsigned)at % 8);
		check(store, NULL, &f);
		if (f.result.faults == 0 || !has_line_with(&f, path))
			fail_msg("byte %" PRId64 " is of %s; found was: %s", at, path, buf_str(&f.text));
		flip("store/packs/1", at, (unsigned)at % 8);
	}
	expect_faults(store, "");
}

static void damage_to_an_object_is_found(void **state)
{
	struct image_id image;
	AUTO(store_closep) struct store *store = sample(&image);
	AUTO(freep) char *path = NULL;
	int64_t id = query(store, "SELECT id FROM content WHERE pack IS NULL");

	assert_true(asprintf(&path, "store/objects/%02" PRIx64 "/%" PRIx64, (uint64_t)id, (uint64_t)id) >= 0);
	flip(path, PACK_MAX_BYTES, 7);
	expect_faults(store, "base:1|d/large|its content is damaged\n");
	assert_int_equal(truncate(path, 5), 0);
	{
		AUTO(faults_release) struct faults f = { 0 };

		check(store, NULL, &f);
		assert_non_null(strstr(buf_str(&f.text), "has 5 bytes instead of 131073"));
		assert_true(has_line_with(&f, "d/large"));
		assert_int_equal(unlink(path), 0);
		check(store, NULL, &f);
		assert_non_null(strstr(buf_str(&f.text), "is not there"));
		assert_true(has_line_with(&f, "d/large"));
	}
}

static void a_short_pack_names_what_it_lost(void **state)
{
	struct image_id image;
	AUTO(store_closep) struct store *store = sample(&image);
	AUTO(faults_release) struct faults f = { 0 };

	assert_int_equal(truncate("store/packs/1", 10), 0);
	check(store, NULL, &f);
	assert_false(has_line_with(&f, "d/e/small"));
	assert_true(has_line_with(&f, "d/x"));
	assert_int_equal(unlink("store/packs/1"), 0);
	/* The connections of the first check had it open. */
	content_packs_release(store);
	check(store, NULL, &f);
	assert_true(has_line_with(&f, "d/e/small"));
}

static void change(const char *sql)
{
	struct db *db;

	assert_int_equal(db_open("store/index.db", SQLITE_OPEN_READWRITE, &db), 0);
	assert_int_equal(db_exec(db, sql), 0);
	db_close(db);
}

/* Every column of a row, and both ways back. */
static void a_changed_row_is_found_and_its_path_named(void **state)
{
	static const struct {
		const char *change, *back, *expected;
	} cases[] = {
		{ "UPDATE entry SET mode = mode | 2048 WHERE name = x'736d616c6c'",
		  "UPDATE entry SET mode = mode & ~2048 WHERE name = x'736d616c6c'",
		  "base:1|d/e/small|the index has wrong values: mode\n" },
		{ "UPDATE entry SET uid = 1, gid = 1, rdev = 1 WHERE name = x'78'",
		  "UPDATE entry SET uid = 0, gid = 0, rdev = 0 WHERE name = x'78'",
		  "base:1|d/x|the index has wrong values: owner, group, device\n" },
		{ "UPDATE entry SET mtime_ns = mtime_ns + 1 WHERE name = x'78'",
		  "UPDATE entry SET mtime_ns = mtime_ns - 1 WHERE name = x'78'",
		  "base:1|d/x|the index has wrong values: time\n" },
		{ "UPDATE entry SET target = x'652f736d616c6d' WHERE name = x'73796d'",
		  "UPDATE entry SET target = x'652f736d616c6c' WHERE name = x'73796d'",
		  "base:1|d/sym|the index has wrong values: link target\n" },
		{ "UPDATE entry SET nlink = 3 WHERE name = x'6c696e6b'",
		  "UPDATE entry SET nlink = 2 WHERE name = x'6c696e6b'",
		  "base:1|d/link|the index has wrong values: links\n" },
		{ "UPDATE entry SET name = x'79' WHERE name = x'78'",
		  "UPDATE entry SET name = x'78' WHERE name = x'79'",
		  "base:1|d/x|it is not in the index\nbase:1|d/y|it is in the index, but not in the layer\n" },
		{ "UPDATE entry SET flags = 0 WHERE name = x'65'", "UPDATE entry SET flags = 2 WHERE name = x'65'",
		  "base:1|d/e|the index has wrong values: whiteout marks\n" },
		{ "UPDATE xattr SET value = x'63'", "UPDATE xattr SET value = x'62'",
		  "base:1|d/x|the index has a wrong xattr user.a\n" },
		{ "UPDATE layer SET content_bytes = content_bytes + 1",
		  "UPDATE layer SET content_bytes = content_bytes - 1",
		  "base:1|-|its files have 131099 bytes, counted are 131100\n" },
	};
	struct image_id image;
	AUTO(store_closep) struct store *store = sample(&image);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		change(cases[i].change);
		expect_faults(store, cases[i].expected);
		change(cases[i].back);
	}
	expect_faults(store, "");
}

/* Two files of one size change their contents: every content is sound, and the layer is not. */
static void exchanged_contents_are_found(void **state)
{
	AUTO(buf_release) struct buf tar = { 0 };
	AUTO(store_closep) struct store *store = test_store();
	AUTO(faults_release) struct faults f = { 0 };

	tar_file(&tar, "a", "one");
	tar_file(&tar, "b", "two");
	tar_end(&tar);
	add_image(store, &tar, "base:1");
	change("UPDATE entry SET content = 3 - content WHERE content IS NOT NULL");
	check(store, NULL, &f);
	assert_int_equal(f.result.faults, 1);
	assert_non_null(strstr(buf_str(&f.text),
			       "base:1|-|the index names other contents for its files, or another tar framing:"));
}

static void broken_invariants_are_found(void **state)
{
	static const struct {
		const char *change, *expected;
	} cases[] = {
		{ "INSERT INTO tag VALUES('lost:1', 77)", "tag lost:1 names an image that is not there" },
		{ "INSERT INTO image_layer VALUES(78, 0, 1)", "image row 78 has layers but is not there" },
		{ "UPDATE image_layer SET layer = 79", "layer 1 of image base:1 is lost" },
		{ "UPDATE image_layer SET position = 3", "are not numbered from 0 on" },
		{ "INSERT INTO container VALUES('c1', 80, NULL, NULL, 0, 0)", "container c1 is over an image" },
		{ "INSERT INTO container VALUES('c2', 1, NULL, NULL, 0, 0)", "container c2 has lost its folder" },
		{ "UPDATE layer SET framing = 81", "its tar framing is not there" },
		{ "UPDATE layer SET entries = 99", "entries instead of 99" },
		{ "INSERT INTO entry SELECT 82, dir, name, no, mode, uid, gid, rdev, mtime_ns, size, NULL, target,"
		  " nlink, flags FROM entry WHERE dir = 0",
		  "are of layer row 82" },
		{ "DELETE FROM entry WHERE dir = 0", "has no root directory" },
		{ "DELETE FROM content WHERE id = 1", "the index has no content 1, which it should have" },
		{ "UPDATE entry SET size = 5 WHERE name = x'78'",
		  "d/x|it has 5 bytes, the content that the index names for it has 13" },
		{ "DELETE FROM entry WHERE name = x'65'", "entries are in directory 3" },
		{ "UPDATE entry SET flags = flags & ~8", "d/x|the index has xattrs that it should not have" },
		{ "DELETE FROM xattr", "d/x|the index has lost its xattrs" },
		{ "UPDATE content SET refs = refs + 1 WHERE id = 1", "content 1 is used 2 times, and counted as 3" },
		{ "UPDATE content SET pack = 83 WHERE id = 1", "content 1 lies in pack 83" },
		{ "UPDATE content SET offset = 1000000 WHERE id = 1", "content 1 reaches beyond pack 1" },
		{ "UPDATE content SET offset = 1 WHERE id = 2", "content 2 overlaps another in pack 1" },
		{ "UPDATE pack SET live = live + 1", "are counted" },
		{ "UPDATE counter SET next = 1 WHERE name = 'content'", "the counter of contents is lost or behind" },
		{ "DELETE FROM counter WHERE name = 'pack'", "the counter of packs is lost or behind" },
		{ "UPDATE image SET config = x'7b7d'", "its config is damaged" },
		{ "UPDATE layer SET diff_id = zeroblob(32)", "layer 1 is not the one that its config names" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image_id image;
		AUTO(store_closep) struct store *store = sample(&image);
		AUTO(faults_release) struct faults f = { 0 };

		change(cases[i].change);
		check(store, NULL, &f);
		if (!strstr(buf_str(&f.text), cases[i].expected))
			fail_msg("%s: \"%s\" is not in: %s", cases[i].change, cases[i].expected, buf_str(&f.text));
	}
}

static void only_the_images_asked_for_are_read(void **state)
{
	AUTO(buf_release) struct buf tar = { 0 };
	AUTO(faults_release) struct faults f = { 0 };
	struct image_id first, second;
	AUTO(store_closep) struct store *store = sample(&first);

	tar_file(&tar, "other", "of another image");
	tar_end(&tar);
	second = add_image(store, &tar, "other:1");
	flip("store/packs/2", 0, 0);
	check(store, &first, &f);
	assert_int_equal(f.result.faults, 0);
	assert_int_equal(f.result.images, 1);
	assert_int_equal(f.result.layers, 1);
	check(store, &second, &f);
	assert_string_equal(buf_str(&f.text), "other:1|other|its content is damaged\n");
}

static void remove_container(const struct check_fault *fault, void *arg)
{
	AUTO(store_closep) struct store *store = NULL;
	struct container_info container;

	note_fault(fault, arg);
	assert_int_equal(store_open("store", STORE_WRITE, NULL, &store), 0);
	if (container_find(store, "goes", NULL, &container) < 0)
		return;
	assert_int_equal(container_remove(store, container.id, NULL), 0);
	container_info_release(&container);
}

static void a_container_that_is_removed_meanwhile_is_no_fault(void **state)
{
	struct image_id image;
	AUTO(store_closep) struct store *store = sample(&image);
	const struct check_options options = { .bytes = true };
	AUTO(faults_release) struct faults f = { 0 };
	struct container_info container;

	assert_int_equal(container_new(store, image, "goes", false, NULL, &container), 0);
	container_info_release(&container);
	change("UPDATE pack SET live = live + 1");
	assert_int_equal(store_check(store, &options, remove_container, &f, NULL, &f.result), 0);
	assert_int_equal(query(store, "SELECT count(*) FROM container"), 0);
	assert_non_null(strstr(buf_str(&f.text), "are counted"));
	assert_int_equal(f.result.faults, 1);
}

static void what_a_crash_left_is_no_fault(void **state)
{
	struct image_id image;
	AUTO(store_closep) struct store *store = sample(&image);
	AUTO(faults_release) struct faults f = { 0 };
	struct gc_result gc;

	write_text("store/packs/77", "nobody's");
	assert_int_equal(mkdir("store/objects/10", 0755) < 0 && errno != EEXIST, 0);
	write_text("store/objects/10/1110", "nobody's");
	assert_int_equal(mkdir("store/ingest/dead", 0755), 0);
	write_text("store/ingest/dead/pack", "nobody's");
	check(store, NULL, &f);
	assert_int_equal(f.result.faults, 0);
	assert_int_equal(f.result.leftovers, 3);
	assert_int_equal(store_gc(store, NULL, &gc), 0);
	check(store, NULL, &f);
	assert_int_equal(f.result.leftovers, 0);
	assert_string_equal(buf_str(&f.text), "");
}

static void a_page_of_noise_in_the_index_is_found(void **state)
{
	struct image_id image;
	struct store *store = sample(&image);
	AUTO(faults_release) struct faults f = { 0 };
	int64_t pages;
	uint8_t noise[8192];

	change("PRAGMA wal_checkpoint(TRUNCATE)");
	pages = query(store, "PRAGMA page_count");
	store_close(store);
	memset(noise, 0x5a, sizeof(noise));
	for (int64_t page = 1; page < pages; page++) {
		AUTO(closep) int fd = open("store/index.db", O_RDWR | O_CLOEXEC);
		uint8_t good[sizeof(noise)];
		int r;

		assert_int_equal(pread(fd, good, sizeof(good), page * 8192), sizeof(good));
		assert_int_equal(pwrite(fd, noise, sizeof(noise), page * 8192), sizeof(noise));
		r = store_open("store", STORE_READ, NULL, &store);
		/* Either it is seen at once, or by the check. */
		if (r == 0) {
			check(store, NULL, &f);
			assert_true(f.result.faults > 0);
			store_close(store);
		} else {
			assert_int_equal(r, -EBADMSG);
		}
		assert_int_equal(pwrite(fd, good, sizeof(good), page * 8192), sizeof(good));
	}
}

static int read_rows(const struct buf *tar, struct db *rows, struct diag *diag, struct tree_totals *ret)
{
	const struct ingest_options options = { .name = "rows.tar", .blob_bytes = -1 };
	struct bytes_at at = { .bytes = tar->data, .left = tar->len };
	struct stage stage = { .db = rows };
	struct unpack *unpack = NULL;
	int r = unpack_new((struct byte_source){ .read = bytes_read, .arg = &at }, &options, NULL, &unpack);

	if (r == 0)
		r = tar_read_rows(&stage, unpack, options.name, diag, ret);
	unpack_free(unpack);
	return r;
}

/* A layer may be older than the reason to refuse it: verify must not call it damaged. */
static void what_would_be_refused_today_is_read_again_as_it_came_in(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	AUTO(buf_release) struct buf tar = { 0 };
	AUTO(freep) char *large = calloc(1, 65537);
	struct tree_totals totals;
	struct diag diag = { 0 };
	struct db *rows = NULL;
	sqlite3_stmt *stmt;

	assert_non_null(large);
	tar_pax(&tar, "mtime", "yesterday", 9);
	tar_file(&tar, "dated", "1");
	assert_refused(store, &tar, "its time is no number");
	tar_pax(&tar, "SCHILY.xattr.user.large", large, 65537);
	tar_file(&tar, "marked", "1");
	tar_end(&tar);
	assert_int_equal(stage_rows_open("", &rows), 0);
	if (read_rows(&tar, rows, &diag, &totals) < 0)
		fail_msg("%s", diag.text);
	assert_int_equal(db_stmt(rows,
				 "SELECT max(length(value)) FROM xattr UNION ALL"
				 " SELECT mtime_ns FROM entry WHERE name = CAST('dated' AS BLOB)",
				 &stmt),
			 0);
	assert_int_equal(db_step(stmt), 1);
	assert_int_equal(sqlite3_column_int(stmt, 0), 65537);
	assert_int_equal(db_step(stmt), 1);
	assert_int_equal(sqlite3_column_int(stmt, 0), 0);
	sqlite3_reset(stmt);
	db_close(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_store_has_no_faults),
		cmocka_unit_test(an_empty_store_has_no_faults),
		cmocka_unit_test(every_flipped_bit_of_a_pack_is_found_and_its_file_named),
		cmocka_unit_test(damage_to_an_object_is_found),
		cmocka_unit_test(a_short_pack_names_what_it_lost),
		cmocka_unit_test(a_changed_row_is_found_and_its_path_named),
		cmocka_unit_test(exchanged_contents_are_found),
		cmocka_unit_test(broken_invariants_are_found),
		cmocka_unit_test(only_the_images_asked_for_are_read),
		cmocka_unit_test(a_container_that_is_removed_meanwhile_is_no_fault),
		cmocka_unit_test(what_a_crash_left_is_no_fault),
		cmocka_unit_test(a_page_of_noise_in_the_index_is_found),
		cmocka_unit_test(what_would_be_refused_today_is_read_again_as_it_came_in),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
