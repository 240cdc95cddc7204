/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "fs/told.h"

enum { ONE = 101, OTHER = 102, THIRD = 103, FOLDER = 0x7f0000001000, ELSEWHERE = 0x7f0000002040 };

static struct told *told_make(void **state)
{
	struct told *told = malloc(sizeof(*told));

	assert_non_null(told);
	told_init(told);
	*state = told;
	return told;
}

static int teardown(void **state)
{
	told_release(*state);
	free(*state);
	return 0;
}

static void a_client_by_itself_is_no_other(void **state)
{
	struct told *told = told_make(state);

	assert_false(told_others(told, ONE));
	told_note(told, ONE);
	told_note_at(told, ONE, FOLDER);
	assert_false(told_others(told, ONE));
	assert_false(told_others_at(told, ONE, FOLDER));
	assert_true(told_others(told, OTHER));
	assert_true(told_others_at(told, OTHER, FOLDER));
}

static void who_is_told_of_one_folder_is_not_told_of_another(void **state)
{
	struct told *told = told_make(state);

	told_note_at(told, OTHER, FOLDER);
	assert_true(told_others_at(told, ONE, FOLDER));
	assert_false(told_others_at(told, ONE, ELSEWHERE));
}

static void the_last_of_several_is_not_the_only_one(void **state)
{
	struct told *told = told_make(state);

	told_note_at(told, OTHER, FOLDER);
	told_note_at(told, ONE, FOLDER);
	told_note_at(told, ONE, FOLDER);
	assert_true(told_others_at(told, ONE, FOLDER));
	assert_true(told_others_at(told, OTHER, FOLDER));
	assert_true(told_others_at(told, THIRD, FOLDER));
}

static void nobody_is_everybody(void **state)
{
	struct told *told = told_make(state);

	told_note_at(told, 0, FOLDER);
	assert_true(told_others_at(told, 0, FOLDER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_client_by_itself_is_no_other, teardown),
		cmocka_unit_test_teardown(who_is_told_of_one_folder_is_not_told_of_another, teardown),
		cmocka_unit_test_teardown(the_last_of_several_is_not_the_only_one, teardown),
		cmocka_unit_test_teardown(nobody_is_everybody, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
