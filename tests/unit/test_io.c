/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <pthread.h>

static int open_new(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

static void reads_end_at_the_end_of_file(void **state)
{
	AUTO(closep) int fd = -1;
	char buf[16];

	write_text("short", "hello");
	fd = open("short", O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_read_full(fd, buf, sizeof(buf)), 5);
	assert_int_equal(io_read_full(fd, buf, sizeof(buf)), 0);
	assert_int_equal(io_pread_full(fd, buf, 3, 1), 3);
	assert_memory_equal(buf, "ell", 3);
	assert_int_equal(io_pread_full(fd, buf, sizeof(buf), 4), 1);
	assert_int_equal(io_read_full(-1, buf, 1), -EBADF);
}

static void a_read_goes_on_after_a_short_count(void **state)
{
	char buf[8];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	if (fork() == 0) {
		usleep(50000);
		_exit(write(fds[1], "defgh", 5) == 5 ? 0 : 1);
	}
	close(fds[1]);
	assert_int_equal(io_read_full(fds[0], buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "abcdefgh", 8);
	close(fds[0]);
}

static void a_range_is_copied(void **state)
{
	AUTO(closep) int in = -1;
	AUTO(closep) int out = open_new("range.out");
	char buf[16] = { 0 };

	write_text("range.in", "0123456789");
	in = open("range.in", O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_copy_range(in, 2, out, 1, 5, IO_COPY), 0);
	assert_int_equal(io_pread_full(out, buf, sizeof(buf), 0), 6);
	assert_memory_equal(buf, "\00023456", 6);
	assert_int_equal(io_copy_range(in, 8, out, 0, 5, IO_COPY), -EIO);
}

static void holes_stay_holes(void **state)
{
	AUTO(closep) int in = open_new("sparse.in");
	AUTO(closep) int out = open_new("sparse.out");
	const off_t size = 8 << 20;
	struct stat a, b;
	char buf[8];

	assert_int_equal(io_pwrite_full(in, "middle", 6, 3 << 20), 0);
	assert_int_equal(ftruncate(in, size), 0);
	assert_int_equal(io_copy_sparse(in, out, (uint64_t)size, IO_COPY), 0);
	assert_int_equal(fstat(in, &a), 0);
	assert_int_equal(fstat(out, &b), 0);
	assert_int_equal(b.st_size, size);
	assert_in_range(b.st_blocks, 0, a.st_blocks + 256);
	assert_int_equal(io_pread_full(out, buf, 6, 3 << 20), 6);
	assert_memory_equal(buf, "middle", 6);
}

/* In more than one part: 8 MiB are given to the disk at a time. */
static void what_is_to_be_synced_is_copied_whole(void **state)
{
	AUTO(closep) int in = open_new("long.in");
	AUTO(closep) int out = open_new("long.out");
	const off_t size = (17 << 20) + 3;
	uint32_t number = 0;

	for (off_t offset = 0; offset < size; offset += 4096) {
		number++;
		assert_int_equal(io_pwrite_full(in, &number, sizeof(number), offset), 0);
	}
	assert_int_equal(ftruncate(in, size), 0);
	assert_int_equal(io_copy_range(in, 0, out, 0, (uint64_t)size, IO_COPY_TO_SYNC), 0);
	number = 0;
	for (off_t offset = 0; offset < size; offset += 4096) {
		uint32_t found = 0;

		number++;
		assert_int_equal(io_pread_full(out, &found, sizeof(found), offset), size - offset < 4 ? 3 : 4);
		assert_int_equal(found, number);
	}
	assert_int_equal(lseek(out, 0, SEEK_END), size);
	assert_int_equal(io_copy_range(in, 0, out, 0, (uint64_t)size + 1, IO_COPY_TO_SYNC), -EIO);
}

static void a_file_that_is_one_hole_is_copied(void **state)
{
	AUTO(closep) int in = open_new("hole.in");
	AUTO(closep) int out = open_new("hole.out");
	struct stat st;

	assert_int_equal(ftruncate(in, 1 << 20), 0);
	assert_int_equal(io_copy_sparse(in, out, 1 << 20, IO_COPY), 0);
	assert_int_equal(fstat(out, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
}

static void a_small_file_is_read_whole_up_to_its_limit(void **state)
{
	AUTO(freep) char *text = NULL;
	size_t bytes;

	write_text("small", "0123456789");
	assert_int_equal(io_read_file(AT_FDCWD, "small", 10, &text, &bytes), 0);
	assert_int_equal(bytes, 10);
	assert_string_equal(text, "0123456789");
	freep(&text);
	text = NULL;
	assert_int_equal(io_read_file(AT_FDCWD, "small", 9, &text, &bytes), -EFBIG);
	assert_int_equal(io_read_file(AT_FDCWD, "absent", 9, &text, &bytes), -ENOENT);
}

static void folders_are_made_with_their_parents(void **state)
{
	struct stat st;

	assert_int_equal(io_mkdirs("m/a/b", 0750), 0);
	assert_int_equal(stat("m/a", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(io_mkdirs("m/a/b", 0750), 0);
	write_text("m/file", "");
	assert_int_equal(io_mkdirs("m/file", 0750), -ENOTDIR);
	assert_int_equal(io_mkdirs("m/file/x", 0750), -ENOTDIR);
}

static void a_tree_is_removed_without_following_links(void **state)
{
	struct stat st;

	assert_int_equal(io_mkdirs("victim/a/b/c", 0755), 0);
	assert_int_equal(io_mkdirs("kept", 0755), 0);
	write_text("kept/file", "x");
	write_text("victim/a/file", "x");
	assert_int_equal(symlink("../../kept", "victim/a/link"), 0);
	assert_int_equal(chmod("victim/a/b", 0), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "victim"), 0);
	assert_int_equal(lstat("victim", &st), -1);
	assert_int_equal(lstat("kept/file", &st), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "victim"), 0);
}

static void *remove_shared(void *arg)
{
	pthread_barrier_wait(arg);
	return (void *)(intptr_t)io_remove_tree(AT_FDCWD, "shared");
}

static void two_remove_the_same_tree(void **state)
{
	pthread_barrier_t both;

	assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
	for (int round = 0; round < 20; round++) {
		pthread_t other;
		struct stat st;
		char path[64];
		void *r;

		for (int i = 0; i < 20; i++) {
			snprintf(path, sizeof(path), "shared/%d/a/b", i);
			assert_int_equal(io_mkdirs(path, 0755), 0);
			snprintf(path, sizeof(path), "shared/%d/a/file", i);
			write_text(path, "x");
		}
		assert_int_equal(pthread_create(&other, NULL, remove_shared, &both), 0);
		assert_int_equal((intptr_t)remove_shared(&both), 0);
		assert_int_equal(pthread_join(other, &r), 0);
		assert_int_equal((intptr_t)r, 0);
		assert_int_equal(lstat("shared", &st), -1);
	}
	pthread_barrier_destroy(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_end_at_the_end_of_file),
		cmocka_unit_test(a_read_goes_on_after_a_short_count),
		cmocka_unit_test(a_range_is_copied),
		cmocka_unit_test(holes_stay_holes),
		cmocka_unit_test(what_is_to_be_synced_is_copied_whole),
		cmocka_unit_test(a_file_that_is_one_hole_is_copied),
		cmocka_unit_test(a_small_file_is_read_whole_up_to_its_limit),
		cmocka_unit_test(folders_are_made_with_their_parents),
		cmocka_unit_test(a_tree_is_removed_without_following_links),
		cmocka_unit_test(two_remove_the_same_tree),
	};

	return cmocka_run_group_tests_name("io", tests, scratch_setup, scratch_teardown);
}
