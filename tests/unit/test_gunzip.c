/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/gunzip.h"

enum { PLAIN_MAX = 8192 };

struct bytes {
	uint8_t data[PLAIN_MAX];
	size_t len;
};

static void load(const char *path, struct bytes *ret)
{
	AUTO(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, ret->data, sizeof(ret->data));

	assert_true(n > 0 && n < PLAIN_MAX);
	ret->len = (size_t)n;
}

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* A text, and what gzip(1) makes of it, with its name in the header. */
static void make(struct bytes *plain, struct bytes *packed)
{
	run("seq 300 700 | sed 's/.*/& bottles of &/' | head -c 3000 >plain && gzip -c plain >packed");
	load("plain", plain);
	load("packed", packed);
}

/* Members of @in one after the other, given in pieces of @piece. Return: 0; -EBADMSG: damaged, or cut off. */
static int undo(const struct bytes *in, size_t piece, struct bytes *out)
{
	AUTO(gunzip_freep) struct gunzip *gunzip = NULL;
	enum gunzip_state state = GUNZIP_END;
	size_t used = 0, given = 0;

	out->len = 0;
	assert_int_equal(gunzip_new(NULL, &gunzip), 0);
	for (;;) {
		struct gunzip_buffers b = { .in = in->data + used, .out = out->data + out->len };
		const char *why;
		int r;

		if (used == given)
			given = given + piece < in->len ? given + piece : in->len;
		if (given == used && state == GUNZIP_END)
			return 0;
		b.in_len = given - used;
		b.out_len = sizeof(out->data) - out->len < piece ? sizeof(out->data) - out->len : piece;
		r = gunzip_step(gunzip, &b, &state, &why);
		if (r < 0)
			return r;
		if (b.in_len == given - used && b.out == out->data + out->len && given == in->len &&
		    state == GUNZIP_MORE)
			return -EBADMSG;
		used = (size_t)(b.in - in->data);
		out->len = (size_t)(b.out - out->data);
	}
}

static bool equal(const struct bytes *a, const struct bytes *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void pieces_of_any_size_give_the_same(void **state)
{
	struct bytes plain, packed, out;

	make(&plain, &packed);
	for (size_t piece = 1; piece <= PLAIN_MAX; piece = piece * 3 / 2 + 1) {
		assert_int_equal(undo(&packed, piece, &out), 0);
		assert_true(equal(&plain, &out));
	}
}

static void members_follow_each_other(void **state)
{
	struct bytes plain, packed, out;

	run("seq 500 >plain && (head -n 100 plain | gzip; tail -n +101 plain | gzip -1; gzip -c /dev/null) >packed");
	load("plain", &plain);
	load("packed", &packed);
	for (size_t piece = 1; piece <= PLAIN_MAX; piece *= 4) {
		assert_int_equal(undo(&packed, piece, &out), 0);
		assert_true(equal(&plain, &out));
	}
}

/* A bit of the header, or of what fills the last byte of the data, may say nothing of the content: it comes out whole. */
static void no_flipped_bit_passes(void **state)
{
	struct bytes plain, packed, out;
	size_t refused = 0;

	make(&plain, &packed);
	for (size_t bit = 0; bit < 8 * packed.len; bit++) {
		int r;

		packed.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		r = undo(&packed, PLAIN_MAX, &out);
		refused += r == -EBADMSG;
		assert_true(r == -EBADMSG || (r == 0 && equal(&plain, &out)));
		packed.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_true(refused > 8 * packed.len - 150);
}

static void no_part_passes_for_the_whole(void **state)
{
	struct bytes plain, packed, out;
	size_t len;

	make(&plain, &packed);
	len = packed.len;
	for (packed.len = 1; packed.len < len; packed.len++) {
		assert_int_equal(undo(&packed, PLAIN_MAX, &out), -EBADMSG);
		assert_int_equal(undo(&packed, 7, &out), -EBADMSG);
	}
}

static void what_follows_must_be_a_member(void **state)
{
	struct bytes plain, packed, out;

	make(&plain, &packed);
	memcpy(packed.data + packed.len, "more", 4);
	packed.len += 4;
	assert_int_equal(undo(&packed, PLAIN_MAX, &out), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_of_any_size_give_the_same),
		cmocka_unit_test(members_follow_each_other),
		cmocka_unit_test(no_flipped_bit_passes),
		cmocka_unit_test(no_part_passes_for_the_whole),
		cmocka_unit_test(what_follows_must_be_a_member),
	};

	return cmocka_run_group_tests_name("gunzip", tests, scratch_setup, scratch_teardown);
}
