/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/base/buf.h"

static void an_empty_buffer_is_a_valid_string(void **state)
{
	struct buf buf = { 0 };
	char *taken;

	assert_string_equal(buf_str(&buf), "");
	assert_int_equal(buf_error(&buf), 0);
	taken = buf_take(&buf);
	assert_string_equal(taken, "");
	free(taken);
}

static void additions_follow_each_other_and_keep_nul_bytes(void **state)
{
	struct buf buf = { 0 };

	buf_adds(&buf, "one ");
	buf_addf(&buf, "%d ", 2);
	buf_add(&buf, "a\0b", 3);
	assert_int_equal(buf.len, 9);
	assert_memory_equal(buf.data, "one 2 a\0b", 10);
	buf_release(&buf);
	assert_null(buf.data);
}

static void it_grows_past_any_first_size(void **state)
{
	AUTO(buf_release) struct buf buf = { 0 };

	for (int i = 0; i < 10000; i++)
		buf_addf(&buf, "%04d", i);
	assert_int_equal(buf.len, 40000);
	assert_memory_equal(buf.data + 4 * 9999, "9999", 5);
}

static void a_failed_addition_is_remembered(void **state)
{
	struct buf buf = { 0 };
	char *taken;

	buf_adds(&buf, "text");
	buf.failed = true;
	buf_adds(&buf, "more");
	assert_int_equal(buf_error(&buf), -ENOMEM);
	assert_null(buf_reserve(&buf, 1));
	taken = buf_take(&buf);
	assert_null(taken);
	assert_int_equal(buf_error(&buf), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_a_valid_string),
		cmocka_unit_test(additions_follow_each_other_and_keep_nul_bytes),
		cmocka_unit_test(it_grows_past_any_first_size),
		cmocka_unit_test(a_failed_addition_is_remembered),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
