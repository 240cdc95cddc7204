/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

#include "store/check.h"
#include "store/few.h"

/*
 * Rows of a staged layer are in arrays first and go to a database when they are many, or when something is done that only
 * the database can do (few.h).  Wherever they were, the layer is the same.
 */

#define WITH_STORE(name) AUTO(store_closep) struct store *name = test_store()

static void fault_is_failure(const struct check_fault *fault, void *arg)
{
	fail_msg("%s: %s", fault->path ? fault->path : "-", fault->text);
}

/* Its rows are those that a second reading of its stream gives, in a database. */
static void assert_as_read_again(struct store *store, const struct ingest_result *result)
{
	const struct check_options options = { .bytes = true };
	struct check_result checked;
	struct diag diag = { 0 };

	assert_comes_back(store, result);
	assert_consistent(store);
	if (store_check(store, &options, fault_is_failure, NULL, &diag, &checked) < 0)
		fail_msg("%s", diag.text);
}

enum kind { FILES, FOLDERS, XATTRS, SAME_NAMES, KINDS };

static void add_one(struct buf *tar, enum kind kind, int i)
{
	char name[32], text[32];

	snprintf(name, sizeof(name), "n%d", kind == SAME_NAMES ? 0 : i);
	snprintf(text, sizeof(text), "text of %d", i);
	if (kind == XATTRS) {
		tar_pax(tar, "SCHILY.xattr.user.b", text, strlen(text));
		tar_file(tar, name, i % 3 ? "one text" : text);
	} else if (kind == FOLDERS) {
		tar_dir(tar, name);
	} else {
		tar_file(tar, name, text);
	}
}

static void a_layer_of_any_number_of_rows_is_what_its_stream_says(void **state)
{
	static const int counts[] = { 1, 10, FEW_MAX - 2, FEW_MAX - 1, FEW_MAX, FEW_MAX + 1, 3 * FEW_MAX };

	for (int kind = 0; kind < KINDS; kind++) {
		for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
			WITH_STORE(store);
			AUTO(buf_release) struct buf tar = { 0 };
			struct ingest_result result;
			uint64_t rows = kind == SAME_NAMES ? 1 : (uint64_t)counts[c];
			char last[32];

			for (int i = 0; i < counts[c]; i++)
				add_one(&tar, (enum kind)kind, i);
			tar_end(&tar);
			result = ingest(store, tar.data, tar.len);
			assert_int_equal(result.entries, rows + 1);
			snprintf(last, sizeof(last), "n%d", (int)rows - 1);
			must_find(store, result.layer, last);
			assert_as_read_again(store, &result);
		}
	}
}

/* What the arrays cannot do, after each number of rows that was theirs. */
static void rows_go_on_in_the_database_whenever_it_is_needed(void **state)
{
	for (int before = 1; before < 6; before++) {
		WITH_STORE(store);
		AUTO(buf_release) struct buf tar = { 0 };
		struct ingest_result result;
		char *large = calloc(1, 200000);

		assert_non_null(large);
		for (int i = 0; i < before; i++)
			add_one(&tar, XATTRS, i);
		tar_hardlink(&tar, "link", "n0");
		tar_add(&tar, (struct tar_head){ .name = "large" }, large, 200000);
		tar_file(&tar, "n0", "in its place");
		tar_symlink(&tar, "s", "n0");
		tar_dir(&tar, "s");
		tar_file(&tar, "s/.wh..wh..opq", "");
		tar_file(&tar, ".wh.n1", "");
		tar_end(&tar);
		result = ingest(store, tar.data, tar.len);
		assert_text(store, result.layer, "n0", "in its place");
		assert_text(store, result.layer, "link", "text of 0");
		assert_int_equal(must_find(store, result.layer, "s").entry.flags, LAYER_OPAQUE);
		assert_as_read_again(store, &result);
		free(large);
	}
}

static void entries_share_what_is_equal_in_the_layer_and_in_the_store(void **state)
{
	WITH_STORE(store);
	AUTO(buf_release) struct buf base = { 0 };
	AUTO(buf_release) struct buf tar = { 0 };
	struct ingest_result result;

	tar_file(&base, "f", "of the store");
	tar_end(&base);
	ingest(store, base.data, base.len);
	tar_file(&tar, "a", "of the store");
	tar_file(&tar, "b", "its own");
	tar_file(&tar, "c", "of the store");
	tar_file(&tar, "d", "its own");
	tar_file(&tar, "e", "");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	assert_int_equal(query(store, "SELECT refs FROM content WHERE size = 12"), 3);
	assert_int_equal(query(store, "SELECT refs FROM content WHERE size = 7"), 2);
	assert_as_read_again(store, &result);
	/* The framing is one, too, when all headers are the same. */
	buf_release(&base);
	tar_file(&base, "f", "another one.");
	tar_end(&base);
	result = ingest(store, base.data, base.len);
	assert_int_equal(query(store, "SELECT count(DISTINCT framing) FROM layer"), 2);
	assert_as_read_again(store, &result);
}

/* A source whose last bytes come when another archive has become a layer. */
struct slow_source {
	struct store *store;
	const struct buf *tar, *other; /* @other: NULL when it is there */
	size_t at;
};

static ssize_t slow_read(void *arg, void *to, size_t bytes)
{
	struct slow_source *s = arg;
	size_t left = s->tar->len - s->at, n;

	if (left <= 512 && s->other) {
		ingest(s->store, s->other->data, s->other->len);
		s->other = NULL;
	}
	n = left > 512 ? left - 512 : left;
	n = n < bytes ? n : bytes;
	memcpy(to, (const char *)s->tar->data + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static void what_another_writer_published_meanwhile_is_shared(void **state)
{
	WITH_STORE(store);
	AUTO(buf_release) struct buf tar = { 0 };
	AUTO(buf_release) struct buf other = { 0 };
	struct slow_source source = { .store = store, .tar = &tar, .other = &other };
	const struct ingest_options options = { .name = "test.tar", .blob_bytes = -1 };
	struct ingest_result result;
	struct writer *writer = NULL;
	struct diag diag = { 0 };

	tar_file(&tar, "a", "of both");
	tar_file(&tar, "b", "of this one");
	tar_end(&tar);
	tar_file(&other, "c", "of both");
	tar_end(&other);
	assert_int_equal(writer_open(store, &diag, &writer), 0);
	if (ingest_tar(writer, (struct byte_source){ .read = slow_read, .arg = &source }, &options, &diag, &result) < 0)
		fail_msg("%s", diag.text);
	writer_close(writer);
	assert_null(source.other);
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 2);
	assert_int_equal(query(store, "SELECT count(*) FROM content WHERE size = 7"), 1);
	assert_int_equal(query(store, "SELECT refs FROM content WHERE size = 7"), 2);
	assert_text(store, result.layer, "a", "of both");
	assert_as_read_again(store, &result);
}

static int refuse(struct db *db, const struct ingest_result *layer, struct diag *diag, void *arg)
{
	int64_t there = 0;

	assert_int_equal(db_int(db, "SELECT count(*) FROM layer", &there), 0);
	assert_int_equal(there, 1);
	assert_true(layer->layer.value > 0);
	(*(int *)arg)++;
	return diag_set(diag, -EINVAL, "not along with this");
}

static void a_layer_and_what_comes_along_are_there_both_or_neither(void **state)
{
	static const int counts[] = { 3, 3 * FEW_MAX };

	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		WITH_STORE(store);
		AUTO(buf_release) struct buf tar = { 0 };
		int called = 0;
		const struct ingest_options options = {
			.name = "test.tar", .blob_bytes = -1, .along = refuse, .along_arg = &called
		};
		struct ingest_result result;
		struct diag diag = { 0 };
		AUTO(closedirp) DIR *dir = NULL;
		struct dirent *de;

		for (int i = 0; i < counts[c]; i++)
			add_one(&tar, FILES, i);
		tar_end(&tar);
		assert_int_equal(try_ingest(store, tar.data, tar.len, &options, &diag, &result), -EINVAL);
		assert_string_equal(diag.text, "not along with this");
		assert_int_equal(called, 1);
		assert_int_equal(query(store, "SELECT (SELECT count(*) FROM layer) + (SELECT count(*) FROM entry) +"
					      " (SELECT count(*) FROM content) + (SELECT count(*) FROM pack)"),
				 0);
		dir = opendir("store/packs");
		assert_non_null(dir);
		while ((de = readdir(dir)))
			assert_int_equal(de->d_name[0], '.');
		result = ingest(store, tar.data, tar.len);
		assert_as_read_again(store, &result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_layer_of_any_number_of_rows_is_what_its_stream_says),
		cmocka_unit_test(rows_go_on_in_the_database_whenever_it_is_needed),
		cmocka_unit_test(entries_share_what_is_equal_in_the_layer_and_in_the_store),
		cmocka_unit_test(what_another_writer_published_meanwhile_is_shared),
		cmocka_unit_test(a_layer_and_what_comes_along_are_there_both_or_neither),
	};

	return cmocka_run_group_tests_name("few", tests, scratch_setup, scratch_teardown);
}
