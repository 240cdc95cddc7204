/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "fs/fdcache.h"

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Puts a new descriptor into the slot, and lets go of it. */
static int fill(struct fdcache *cache, struct fd_slot *slot)
{
	struct fd_ref ref;
	int fd = open_null();

	assert_int_equal(fd_insert(cache, slot, fd, &ref), 0);
	fd_put(cache, &ref);
	return fd;
}

static void a_slot_gives_back_its_descriptor(void **state)
{
	struct fdcache *cache = fdcache_new(4);
	struct fd_slot slot = { 0 };
	struct fd_ref ref;
	int fd;

	assert_false(fd_get(cache, &slot, &ref));
	fd = fill(cache, &slot);
	assert_true(fd_get(cache, &slot, &ref));
	assert_int_equal(ref.fd, fd);
	fd_put(cache, &ref);
	fdcache_free(cache);
	assert_false(is_open(fd));
}

static void the_least_recently_used_is_closed_first(void **state)
{
	struct fdcache *cache = fdcache_new(2);
	struct fd_slot slots[3] = { 0 };
	struct fd_ref ref;
	int a = fill(cache, &slots[0]), b = fill(cache, &slots[1]);

	assert_true(fd_get(cache, &slots[0], &ref)); /* now b is the older one */
	fd_put(cache, &ref);
	fill(cache, &slots[2]);
	assert_true(is_open(a));
	assert_false(fd_get(cache, &slots[1], &ref));
	assert_int_equal(fdcache_count(cache), 2);
	assert_int_equal(slots[1].entry, 0);
	(void)b;
	fdcache_free(cache);
}

static void one_in_use_is_not_closed(void **state)
{
	struct fdcache *cache = fdcache_new(1);
	struct fd_slot slots[3] = { 0 };
	struct fd_ref used;
	int fd = open_null();

	assert_int_equal(fd_insert(cache, &slots[0], fd, &used), 0);
	fill(cache, &slots[1]);
	fill(cache, &slots[2]);
	assert_true(is_open(fd));
	fd_put(cache, &used);
	fdcache_free(cache);
}

static void a_dropped_one_is_closed_by_its_last_user(void **state)
{
	struct fdcache *cache = fdcache_new(4);
	struct fd_slot slot = { 0 };
	struct fd_ref ref;
	int fd = open_null();

	assert_int_equal(fd_insert(cache, &slot, fd, &ref), 0);
	fd_drop(cache, &slot);
	assert_int_equal(slot.entry, 0);
	assert_true(is_open(fd));
	fd_put(cache, &ref);
	assert_false(is_open(fd));
	fdcache_free(cache);
}

static void a_pinned_one_stays_over_the_limit(void **state)
{
	struct fdcache *cache = fdcache_new(1);
	struct fd_slot pinned = { 0 }, others[2] = { 0 };
	struct fd_ref ref;
	int fd = fill(cache, &pinned);

	fd_pin(cache, &pinned);
	fill(cache, &others[0]);
	fill(cache, &others[1]);
	assert_true(fd_get(cache, &pinned, &ref));
	assert_int_equal(ref.fd, fd);
	fd_put(cache, &ref);
	fd_drop(cache, &pinned);
	assert_false(is_open(fd));
	fdcache_free(cache);
}

static void the_second_to_open_gets_the_first_ones(void **state)
{
	struct fdcache *cache = fdcache_new(4);
	struct fd_slot slot = { 0 };
	struct fd_ref ref;
	int first = fill(cache, &slot), second = open_null();

	assert_int_equal(fd_insert(cache, &slot, second, &ref), 0);
	assert_int_equal(ref.fd, first);
	assert_false(is_open(second));
	fd_put(cache, &ref);
	fdcache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_gives_back_its_descriptor),
		cmocka_unit_test(the_least_recently_used_is_closed_first),
		cmocka_unit_test(one_in_use_is_not_closed),
		cmocka_unit_test(a_dropped_one_is_closed_by_its_last_user),
		cmocka_unit_test(a_pinned_one_stays_over_the_limit),
		cmocka_unit_test(the_second_to_open_gets_the_first_ones),
	};

	return cmocka_run_group_tests_name("fdcache", tests, NULL, NULL);
}
