/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/base/diag.h"

static void the_first_text_stays(void **state)
{
	struct diag diag = { 0 };

	assert_int_equal(diag_set(&diag, -EIO, "block %d", 7), -EIO);
	assert_int_equal(diag_set(&diag, -EINVAL, "something else"), -EINVAL);
	assert_string_equal(diag_text(&diag, -EINVAL), "block 7");
}

static void no_diag_passes_the_code_on(void **state)
{
	assert_int_equal(diag_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(diag_context(NULL, -EIO, "x"), -EIO);
	assert_string_equal(diag_text(NULL, -ENOENT), strerror(ENOENT));
}

static void context_goes_before_the_text(void **state)
{
	struct diag diag = { 0 };

	diag_errno(&diag, -ENOENT, "cannot open %s", "a");
	assert_int_equal(diag_context(&diag, -ENOENT, "layer %d", 3), -ENOENT);
	assert_string_equal(diag.text, "layer 3: cannot open a: No such file or directory");
}

static void context_without_a_text_names_the_error(void **state)
{
	struct diag diag = { 0 };

	diag_context(&diag, -EIO, "layer");
	assert_string_equal(diag.text, "layer: Input/output error");
	diag = (struct diag){ 0 };
	assert_int_equal(diag_context(&diag, 0, "layer"), 0);
	assert_string_equal(diag.text, "");
}

static void control_bytes_are_escaped(void **state)
{
	struct diag diag = { 0 };

	diag_set(&diag, -EINVAL, "name %s", "a\n\033[31m\x7f");
	assert_string_equal(diag.text, "name a\\012\\033[31m\\177");
}

static void long_texts_are_cut(void **state)
{
	struct diag diag = { 0 };
	char name[5000];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	diag_set(&diag, -EINVAL, "%s", name);
	assert_in_range(strlen(diag.text), 1000, sizeof(diag.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_text_stays),
		cmocka_unit_test(no_diag_passes_the_code_on),
		cmocka_unit_test(context_goes_before_the_text),
		cmocka_unit_test(context_without_a_text_names_the_error),
		cmocka_unit_test(control_bytes_are_escaped),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
