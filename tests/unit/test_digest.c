/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/base/digest.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void known_digests_come_out(void **state)
{
	char text[DIGEST_TEXT_BYTES];
	struct digest digest;

	assert_int_equal(digest_of("", 0, &digest), 0);
	assert_string_equal(digest_format(&digest, text), EMPTY);
	assert_int_equal(digest_of("abc", 3, &digest), 0);
	assert_string_equal(digest_format(&digest, text), ABC);
}

static void pieces_give_the_same_digest_and_a_context_starts_anew(void **state)
{
	AUTO(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	struct digest expected, found;

	assert_non_null(ctx);
	assert_int_equal(digest_of("abc", 3, &expected), 0);
	for (int i = 0; i < 2; i++) {
		digest_update(ctx, "a", 1);
		digest_update(ctx, "bc", 2);
		digest_final(ctx, &found);
		assert_true(digest_eq(&expected, &found));
	}
}

static void texts_are_parsed_with_and_without_algorithm(void **state)
{
	char text[DIGEST_TEXT_BYTES];
	struct digest digest;

	assert_int_equal(digest_parse(ABC, &digest), 0);
	assert_string_equal(digest_format(&digest, text), ABC);
	assert_int_equal(digest_parse(&ABC[7], &digest), 0);
	assert_string_equal(digest_format(&digest, text), ABC);
}

static void what_is_no_digest_is_refused(void **state)
{
	struct digest digest;

	assert_int_equal(digest_parse("sha512:00", &digest), -ENOTSUP);
	assert_int_equal(digest_parse("sha256:00", &digest), -EINVAL);
	assert_int_equal(digest_parse("", &digest), -EINVAL);
	assert_int_equal(digest_parse(ABC "0", &digest), -EINVAL);
	/* Upper case is not a digest's canonical form, and a blob's name would differ. */
	assert_int_equal(digest_parse("sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
				      &digest),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_digests_come_out),
		cmocka_unit_test(pieces_give_the_same_digest_and_a_context_starts_anew),
		cmocka_unit_test(texts_are_parsed_with_and_without_algorithm),
		cmocka_unit_test(what_is_no_digest_is_refused),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
