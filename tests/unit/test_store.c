/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

#include <sys/wait.h>

static void a_new_store_has_its_folders_and_version(void **state)
{
	AUTO(store_closep) struct store *store = test_store();

	assert_true(store_dir(store)[0] == '/');
	assert_int_equal(access("store/packs", F_OK), 0);
	assert_int_equal(query(store, "PRAGMA user_version"), STORE_VERSION);
	assert_int_equal(query(store, "PRAGMA application_id"), 0x6e616372);
}

static void reading_needs_a_store(void **state)
{
	struct diag diag = { 0 };
	struct store *store = NULL;

	assert_int_equal(store_open("nowhere", STORE_READ, &diag, &store), -ENOENT);
	assert_non_null(strstr(diag.text, "nowhere"));
	assert_null(store);
	assert_int_equal(access("nowhere", F_OK), -1);
	assert_int_equal(mkdir("hollow", 0755), 0);
	assert_int_equal(store_open("hollow", STORE_READ, NULL, &store), -ENOENT);
}

static void a_newer_store_is_refused(void **state)
{
	struct store *store = test_store();
	struct diag diag = { 0 };
	struct db *db;

	assert_int_equal(db_open_index(store, &db), 0);
	assert_int_equal(db_exec(db, "PRAGMA user_version=99"), 0);
	db_close(db);
	store_close(store);
	assert_int_equal(store_open("store", STORE_WRITE, &diag, &store), -EPROTO);
	assert_non_null(strstr(diag.text, "version 99"));
	assert_int_equal(store_open("store", STORE_READ, NULL, &store), -EPROTO);
}

static void a_damaged_index_is_refused(void **state)
{
	struct diag diag = { 0 };
	struct store *store = NULL;

	assert_int_equal(mkdir("bad", 0755), 0);
	write_text("bad/index.db", "This is no database at all, but it is long enough to be looked at as one........."
				   "........................................................................");
	assert_int_equal(store_open("bad", STORE_WRITE, &diag, &store), -EBADMSG);
	assert_int_equal(store_open("bad", STORE_READ, NULL, &store), -EBADMSG);
}

static void somebody_elses_database_is_refused(void **state)
{
	struct diag diag = { 0 };
	struct store *store = NULL;
	struct db *db;

	assert_int_equal(mkdir("other", 0755), 0);
	assert_int_equal(db_open("other/index.db", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db), 0);
	assert_int_equal(db_exec(db, "CREATE TABLE theirs(x)"), 0);
	db_close(db);
	assert_int_equal(store_open("other", STORE_WRITE, &diag, &store), -EBADMSG);
	assert_non_null(strstr(diag.text, "not the index of a store"));
}

static void odd_folder_names_work(void **state)
{
	static const char *const names[] = { "with space", "100%41", "a?b#c", "q'uote" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct diag diag = { 0 };
		struct store *store;
		AUTO(buf_release) struct buf tar = { 0 };
		AUTO(freep) char *index = NULL;

		if (store_open(names[i], STORE_WRITE, &diag, &store) < 0)
			fail_msg("%s", diag.text);
		tar_file(&tar, "f", "1");
		tar_end(&tar);
		ingest(store, tar.data, tar.len);
		store_close(store);
		assert_true(asprintf(&index, "%s/index.db", names[i]) > 0);
		assert_int_equal(access(index, F_OK), 0);
	}
}

/* Runs @fn as an unprivileged user where the test has the right to become one. */
static void as_nobody(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(2);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void read_the_store(void)
{
	struct store *store;
	struct layer_info info;
	struct lease *lease;
	struct diag diag = { 0 };

	if (store_open("store", STORE_READ, &diag, &store) < 0) {
		fprintf(stderr, "%s\n", diag.text);
		_exit(3);
	}
	if (layer_info(store, (struct layer_id){ 1 }, &info) < 0 || info.entries != 2)
		_exit(4);
	if (lease_take(store, (struct image_id){ 1 }, "test", &diag, &lease) != -ENOENT)
		_exit(5);
	store_close(store);
}

static void a_store_that_may_only_be_read_is_readable(void **state)
{
	struct store *store = test_store();
	AUTO(buf_release) struct buf tar = { 0 };

	tar_file(&tar, "f", "1");
	tar_end(&tar);
	ingest(store, tar.data, tar.len);
	assert_int_equal(chmod(".", 0755), 0);
	as_nobody(read_the_store); /* while a writer has it open */
	store_close(store);
	assert_int_equal(access("store/index.db-wal", F_OK), -1);
	as_nobody(read_the_store); /* and after */
	assert_int_equal(chmod("store", 0555), 0);
	as_nobody(read_the_store);
	assert_int_equal(chmod("store", 0755), 0);
}

static void readers_may_not_write(void **state)
{
	AUTO(store_closep) struct store *reader = NULL;
	struct store *store = test_store();
	struct writer *writer = NULL;
	struct gc_result gc;
	struct diag diag = { 0 };

	store_close(store);
	assert_int_equal(store_open("store", STORE_READ, &diag, &reader), 0);
	assert_int_equal(writer_open(reader, &diag, &writer), -EROFS);
	assert_int_equal(store_gc(reader, &diag, &gc), -EROFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_store_has_its_folders_and_version),
		cmocka_unit_test(reading_needs_a_store),
		cmocka_unit_test(a_newer_store_is_refused),
		cmocka_unit_test(a_damaged_index_is_refused),
		cmocka_unit_test(somebody_elses_database_is_refused),
		cmocka_unit_test(odd_folder_names_work),
		cmocka_unit_test(a_store_that_may_only_be_read_is_readable),
		cmocka_unit_test(readers_may_not_write),
	};

	return cmocka_run_group_tests_name("store", tests, scratch_setup, scratch_teardown);
}
