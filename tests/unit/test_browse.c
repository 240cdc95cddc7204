/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/images.h"

#include "tools/browse_model.h"
#include "tools/browse_page.h"
#include "tools/browse_sizes.h"
#include "tools/browse_sum.h"
#include "tools/browse_text.h"

#include <locale.h>
#include <poll.h>

/* --- an image to look at --- */

struct sample {
	struct store *store;
	struct image_info image;
	struct browse_model *model;
};

static void sample_release(struct sample *sample)
{
	browse_model_free(sample->model);
	image_info_release(&sample->image);
	store_close(sample->store);
}

static void sample_open(struct sample *sample, const char *name, struct buf *tars, size_t count)
{
	sample->store = open_store(name);
	assert_done(image_info(sample->store, add_image(sample->store, tars, count, NULL), &diag, &sample->image));
	assert_done(browse_model_new(sample->store, &sample->image, &diag, &sample->model));
}

/* Three layers: the second changes, adds and takes away, the third only changes metadata. */
static void sample_of_three(struct sample *sample, const char *name)
{
	struct buf tars[3] = { 0 };

	tar_dir(&tars[0], "etc");
	tar_file(&tars[0], "etc/motd", "old");
	tar_file(&tars[0], "etc/passwd", "root");
	tar_dir(&tars[0], "usr");
	tar_dir(&tars[0], "usr/bin");
	tar_file(&tars[0], "usr/bin/ls", "ls");
	tar_dir(&tars[0], "var");
	tar_dir(&tars[0], "var/cache");
	tar_file(&tars[0], "var/cache/big", "0123456789");

	tar_dir(&tars[1], "etc");
	tar_file(&tars[1], "etc/motd", "new text");
	tar_file(&tars[1], "etc/issue", "added");
	tar_file(&tars[1], "var/.wh.cache", "");

	tar_put(&tars[2],
		&(struct tar_entry){
			.path = "etc/passwd", .mode = S_IFREG | 0600, .size = 4, .uid = 7, .mtime_ns = T0_NS },
		"root");
	/* The same again is no change, though the layer has it. */
	tar_dir(&tars[2], "usr");
	tar_dir(&tars[2], "usr/bin");
	tar_file(&tars[2], "usr/bin/ls", "ls");
	sample_open(sample, name, tars, 3);
}

static const char letters[] = { ' ', 'A', 'C', 'M', 'D' };

/* The rows as text: mark, path, '+' where a folder is shut; '<' where the cursor is. */
static void expect_rows(const struct browse_model *model, const char *expected)
{
	AUTO(buf_release) struct buf out = { 0 };
	size_t count;
	struct browse_node *const *rows = browse_model_rows(model, &count);

	for (size_t i = 0; i < count; i++) {
		AUTO(freep) char *path = browse_path(rows[i]);

		assert_int_equal(rows[i]->row, i);
		buf_addf(&out, "%c %s%s%s\n", letters[rows[i]->mark], path,
			 browse_is_dir(rows[i]) && !browse_is_open(model, rows[i]) ? "+" : "",
			 i == browse_model_cursor(model) ? "<" : "");
	}
	assert_string_equal(buf_str(&out), expected);
}

static struct browse_node *row_of(const struct browse_model *model, const char *wanted)
{
	size_t count;
	struct browse_node *const *rows = browse_model_rows(model, &count);

	for (size_t i = 0; i < count; i++) {
		AUTO(freep) char *path = browse_path(rows[i]);

		if (strcmp(path, wanted) == 0)
			return rows[i];
	}
	fail_msg("there is no row %s", wanted);
	return NULL;
}

static void show(struct sample *sample, size_t layer, enum browse_compare compare)
{
	assert_done(browse_model_show(sample->model, layer, compare, &diag));
}

/* --- the tree --- */

static void folders_are_shut_at_first(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };

	sample_of_three(&s, "shut");
	expect_rows(s.model, "A etc+<\nA usr+\nA var+\n");
	assert_int_equal(browse_model_open(s.model, row_of(s.model, "usr"), true), 0);
	expect_rows(s.model, "A etc+<\nA usr\nA usr/bin+\nA var+\n");
	assert_true(row_of(s.model, "usr/bin")->last);
	assert_false(row_of(s.model, "usr")->last);
	assert_int_equal(browse_model_open(s.model, row_of(s.model, "usr"), false), 0);
	expect_rows(s.model, "A etc+<\nA usr+\nA var+\n");
}

static void marks_tell_what_a_layer_did(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };

	sample_of_three(&s, "marks");
	assert_int_equal(browse_model_open_all(s.model, true), 0);
	show(&s, 1, BROWSE_LAYER);
	expect_rows(s.model, "C etc<\nA etc/issue\nC etc/motd\n  etc/passwd\n  usr\n  usr/bin\n  usr/bin/ls\n"
			     "C var\nD var/cache\nD var/cache/big\n");
	show(&s, 2, BROWSE_LAYER);
	expect_rows(s.model, "C etc<\n  etc/issue\n  etc/motd\nM etc/passwd\n  usr\n  usr/bin\n  usr/bin/ls\n  var\n");
	show(&s, 2, BROWSE_AGGREGATE);
	expect_rows(s.model, "C etc<\nA etc/issue\nC etc/motd\nM etc/passwd\n  usr\n  usr/bin\n  usr/bin/ls\n"
			     "C var\nD var/cache\nD var/cache/big\n");
	assert_int_equal(browse_node_layer(row_of(s.model, "etc/passwd")), 2);
	assert_int_equal(browse_node_layer(row_of(s.model, "var/cache/big")), 0);
}

static void another_kind_of_file_is_a_change(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };
	struct buf tars[2] = { 0 };

	tar_dir(&tars[0], "a");
	tar_file(&tars[0], "a/x", "x");
	tar_file(&tars[0], "b", "b");
	tar_link(&tars[0], "c", "one", false);
	tar_file(&tars[1], "a", "now a file");
	tar_dir(&tars[1], "b");
	tar_file(&tars[1], "b/y", "y");
	tar_link(&tars[1], "c", "two", false);
	sample_open(&s, "kinds", tars, 2);
	assert_int_equal(browse_model_open_all(s.model, true), 0);
	show(&s, 1, BROWSE_LAYER);
	expect_rows(s.model, "C a<\nC b\nA b/y\nC c\n");
}

static void an_opaque_folder_shows_what_it_hides(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };
	struct buf tars[2] = { 0 };

	tar_dir(&tars[0], "d");
	tar_file(&tars[0], "d/gone", "1");
	tar_file(&tars[0], "d/kept", "2");
	tar_dir(&tars[1], "d");
	tar_file(&tars[1], "d/.wh..wh..opq", "");
	tar_file(&tars[1], "d/kept", "2");
	sample_open(&s, "opaque", tars, 2);
	assert_int_equal(browse_model_open_all(s.model, true), 0);
	show(&s, 1, BROWSE_LAYER);
	expect_rows(s.model, "C d<\nD d/gone\n  d/kept\n");
}

static void the_cursor_and_open_folders_stay_with_their_paths(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };

	sample_of_three(&s, "stay");
	assert_int_equal(browse_model_open(s.model, row_of(s.model, "var"), true), 0);
	assert_int_equal(browse_model_open(s.model, row_of(s.model, "var/cache"), true), 0);
	browse_model_move(s.model, row_of(s.model, "var/cache/big")->row);
	show(&s, 1, BROWSE_LAYER);
	expect_rows(s.model, "C etc+\n  usr+\nC var\nD var/cache\nD var/cache/big<\n");
	show(&s, 2, BROWSE_LAYER); /* there is none any more */
	expect_rows(s.model, "C etc+\n  usr+\n  var<\n");
	show(&s, 0, BROWSE_LAYER);
	expect_rows(s.model, "A etc+\nA usr+\nA var<\nA var/cache\nA var/cache/big\n");
	/* Those shut among all that are open stay so too. */
	assert_int_equal(browse_model_open_all(s.model, true), 0);
	assert_int_equal(browse_model_open(s.model, row_of(s.model, "etc"), false), 0);
	show(&s, 2, BROWSE_LAYER);
	expect_rows(s.model, "C etc+\n  usr\n  usr/bin\n  usr/bin/ls\n  var<\n");
}

static void marks_can_be_hidden(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };

	sample_of_three(&s, "hidden");
	show(&s, 1, BROWSE_LAYER);
	assert_int_equal(browse_model_hide(s.model, BROWSE_SAME, true), 0);
	assert_int_equal(browse_model_open_all(s.model, true), 0);
	expect_rows(s.model, "C etc<\nA etc/issue\nC etc/motd\nC var\nD var/cache\nD var/cache/big\n");
	assert_int_equal(browse_model_hide(s.model, BROWSE_REMOVED, true), 0);
	assert_int_equal(browse_model_hide(s.model, BROWSE_CHANGED, true), 0);
	expect_rows(s.model, "C etc<\nA etc/issue\nC var\n");
	show(&s, 2, BROWSE_LAYER);
	assert_int_equal(browse_model_hide(s.model, BROWSE_CHANGED, false), 0);
	expect_rows(s.model, "C etc<\nM etc/passwd\n");
	/* What was not read while it was hidden is there once it is not. */
	assert_int_equal(browse_model_hide(s.model, BROWSE_SAME, false), 0);
	expect_rows(s.model, "C etc<\n  etc/issue\n  etc/motd\nM etc/passwd\n  usr\n  usr/bin\n  usr/bin/ls\n  var\n");
}

static void everything_hidden_is_no_row(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };
	bool found = true;

	sample_of_three(&s, "nothing");
	assert_int_equal(browse_model_hide(s.model, BROWSE_ADDED, true), 0);
	expect_rows(s.model, "");
	browse_model_move(s.model, 5);
	assert_int_equal(browse_model_cursor(s.model), 0);
	assert_int_equal(browse_model_search(s.model, "ls", false, true, &found), 0);
	assert_false(found);
	assert_int_equal(browse_model_search(s.model, "ls", true, true, &found), 0);
	assert_false(found);
	show(&s, 1, BROWSE_LAYER);
	expect_rows(s.model, "C etc+<\n  usr+\nC var+\n");
}

/* --- finding --- */

static void a_filter_shows_matches_and_the_way_to_them(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };

	sample_of_three(&s, "filter");
	assert_int_equal(browse_model_filter(s.model, "LS$"), 0); /* capital letters count */
	expect_rows(s.model, "");
	assert_int_equal(browse_model_filter(s.model, "(ls|big)$"), 0);
	expect_rows(s.model, "A usr<\nA usr/bin\nA usr/bin/ls\nA var\nA var/cache\nA var/cache/big\n");
	assert_int_equal(browse_model_open(s.model, row_of(s.model, "usr"), false), 0);
	expect_rows(s.model, "A usr+<\nA var\nA var/cache\nA var/cache/big\n");
	assert_int_equal(browse_model_filter(s.model, "(ls"), 0); /* not ended yet: as it stands */
	expect_rows(s.model, "");
	assert_int_equal(browse_model_filter(s.model, "^/etc/m"), 0);
	expect_rows(s.model, "A etc<\nA etc/motd\n");
	show(&s, 1, BROWSE_LAYER);
	expect_rows(s.model, "C etc<\nC etc/motd\n");
	assert_int_equal(browse_model_filter(s.model, ""), 0);
	expect_rows(s.model, "C etc+<\n  usr+\nC var+\n");
}

static void a_search_opens_what_it_finds(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };
	bool found;

	sample_of_three(&s, "search");
	assert_int_equal(browse_model_search(s.model, "BIG", false, true, &found), 0);
	assert_false(found);
	assert_int_equal(browse_model_search(s.model, "big", false, true, &found), 0);
	assert_true(found);
	expect_rows(s.model, "A etc+\nA usr+\nA var\nA var/cache\nA var/cache/big<\n");
	/* Round the end, then back round the beginning. */
	assert_int_equal(browse_model_search(s.model, "s", false, false, &found), 0);
	expect_rows(s.model, "A etc\nA etc/motd\nA etc/passwd<\nA usr+\nA var\nA var/cache\nA var/cache/big\n");
	assert_int_equal(browse_model_search(s.model, "g", true, false, &found), 0);
	assert_string_equal(browse_entry(row_of(s.model, "var/cache/big"))->name, "big");
	assert_int_equal(browse_model_cursor(s.model), row_of(s.model, "var/cache/big")->row);
	/* The only one is found again from itself. */
	assert_int_equal(browse_model_search(s.model, "big", false, false, &found), 0);
	assert_true(found);
	assert_int_equal(browse_model_cursor(s.model), row_of(s.model, "var/cache/big")->row);
}

/* --- sums --- */

static void what_upper_layers_hide_is_summed_up(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };
	const struct browse_totals *totals;
	struct browse_sum *sum;

	sample_of_three(&s, "sums");
	assert_int_equal(browse_sum_start(s.store, &s.image, &sum), 0);
	struct pollfd fd = { .fd = browse_sum_fd(sum), .events = POLLIN };
	assert_int_equal(poll(&fd, 1, 30000), 1);
	totals = browse_sum_totals(sum);
	assert_non_null(totals);
	assert_int_equal(totals->error, 0);
	/* big (10) is removed, passwd (4), motd (3) and ls (2) are replaced. */
	assert_int_equal(totals->wasted_bytes, 19);
	assert_int_equal(totals->waste_count, 4);
	assert_string_equal(totals->waste[0].path, "var/cache/big");
	assert_int_equal(totals->waste[0].bytes, 10);
	assert_string_equal(totals->waste[3].path, "usr/bin/ls");
	assert_int_equal(totals->waste[3].versions, 1);
	assert_int_equal(totals->uses[0].wasted_bytes, 19);
	browse_sum_free(sum);
	/* Given up at once, it ends. */
	assert_int_equal(browse_sum_start(s.store, &s.image, &sum), 0);
	browse_sum_free(sum);
	assert_true(browse_efficiency(0, 0) == 100 && browse_efficiency(200, 50) == 75);
}

static void expect_size(struct browse_sizes *sizes, const struct browse_model *model, const char *path, uint64_t bytes)
{
	uint64_t found = 0;

	assert_true(browse_sizes_find(sizes, row_of(model, path)->new, &found));
	assert_int_equal(found, bytes);
}

static void folders_are_summed_up(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };
	struct browse_sizes *sizes;
	struct buf tars[2] = { 0 };

	tar_dir(&tars[0], "a");
	tar_dir(&tars[0], "a/b");
	tar_file(&tars[0], "a/b/f", "12345");
	tar_link(&tars[0], "a/b/g", "a/b/f", true);
	tar_file(&tars[0], "a/h", "123");
	tar_dir(&tars[0], "c");
	tar_file(&tars[1], "a/.wh.h", "");
	tar_file(&tars[1], "c/new", "1234567");
	sample_open(&s, "sizes", tars, 2);
	assert_int_equal(browse_model_open_all(s.model, true), 0);
	for (size_t layers = 1; layers <= 2; layers++) {
		show(&s, layers - 1, BROWSE_LAYER);
		assert_int_equal(browse_sizes_start(s.store, &s.image, layers, &sizes), 0);
		struct pollfd fd = { .fd = browse_sizes_fd(sizes), .events = POLLIN };
		assert_int_equal(poll(&fd, 1, 30000), 1);
		expect_size(sizes, s.model, "a", layers == 1 ? 8 : 5);
		expect_size(sizes, s.model, "a/b", 5);
		expect_size(sizes, s.model, "c", layers == 1 ? 0 : 7);
		browse_sizes_free(sizes);
	}
	assert_int_equal(browse_sizes_start(s.store, &s.image, 1, &sizes), 0);
	browse_sizes_free(sizes);
}

/* --- text --- */

static void expect_fit(const char *text, size_t skip, int width, const wchar_t *expected, int columns)
{
	wchar_t fit[5 * 80 + 2];

	assert_int_equal(browse_text_fit(text, skip, width, fit), columns);
	if (wcscmp(fit, expected) != 0)
		fail_msg("%s from %zu in %d columns is '%ls', not '%ls'", text, skip, width, fit, expected);
}

static void text_is_cut_at_columns(void **state)
{
	expect_fit("plain", 0, 80, L"plain", 5);
	expect_fit("plain", 0, 5, L"plain", 5);
	expect_fit("plain", 0, 4, L"pla\u2026", 4);
	expect_fit("plain", 0, 1, L"\u2026", 1);
	expect_fit("plain", 2, 80, L"ain", 3);
	expect_fit("plain", 9, 80, L"", 0);
	/* Of two columns each: half of one does not fit. */
	expect_fit("\u65e5\u672c\u8a9e", 0, 6, L"\u65e5\u672c\u8a9e", 6);
	expect_fit("\u65e5\u672c\u8a9e", 0, 5, L"\u65e5\u672c\u2026", 5);
	expect_fit("\u65e5\u672c\u8a9e", 0, 4, L"\u65e5\u2026", 3);
	expect_fit("\u65e5\u672c\u8a9e", 1, 6, L"\u672c\u8a9e", 4);
	/* An accent of its own takes no column. */
	expect_fit("e\u0301x", 0, 2, L"e\u0301x", 2);
	assert_int_equal(browse_text_columns("\u65e5e\u0301"), 3);
	assert_int_equal(browse_text_bytes("\u65e5\u672c", 3), 3);
	assert_int_equal(browse_text_bytes("\u65e5\u672c", 1), 3);
}

static void many_accents_stay_within_their_room(void **state)
{
	AUTO(buf_release) struct buf text = { 0 };
	wchar_t fit[5 * 3 + 2];

	for (int i = 0; i < 200; i++)
		buf_adds(&text, "\u0301");
	buf_adds(&text, "abcdef");
	assert_int_equal(browse_text_fit(buf_str(&text), 0, 3, fit), 3);
	assert_true(wcslen(fit) < ARRAY_SIZE(fit));
}

static void tabs_and_control_characters_can_be_shown(void **state)
{
	AUTO(buf_release) struct buf line = { 0 };

	browse_text_expand("a\tb\033[m\t\xff\r", 9, &line);
	assert_string_equal(buf_str(&line), "a       b\\x1b[m \\xff\\r");
}

static void bytes_are_shown_in_hexadecimal(void **state)
{
	AUTO(buf_release) struct buf line = { 0 };

	browse_text_hex(0x20, (const unsigned char *)"ab\0c~\177 01", 9, &line);
	assert_string_equal(buf_str(&line), "00000020  61 62 00 63 7e 7f 20 30  31                       |ab.c~. 01|");
	assert_true(browse_text_is_binary("a\0b", 3));
	assert_false(browse_text_is_binary("a\xff b", 4));
	assert_false(browse_text_is_binary("", 0));
}

static void expect_line(const struct browse_page *page, size_t n, const char *expected)
{
	AUTO(buf_release) struct buf line = { 0 };

	browse_page_line(page, n, &line);
	assert_string_equal(buf_str(&line), expected);
}

static void a_page_shows_a_file(void **state)
{
	AUTO(sample_release) struct sample s = { 0 };
	struct buf tar = { 0 };
	struct browse_page *page = browse_page_new("a\nb");

	tar_file(&tar, "f", "one\n\ttwo\nthree");
	sample_open(&s, "page", &tar, 1);
	assert_string_equal(browse_page_title(page), "a\\nb");
	browse_page_add(page, "head %d", 1);
	assert_int_equal(browse_page_content(page, s.store, browse_entry(row_of(s.model, "f"))), 0);
	assert_int_equal(browse_page_count(page), 4);
	expect_line(page, 0, "head 1");
	expect_line(page, 2, "        two");
	expect_line(page, 3, "three");
	assert_int_equal(browse_page_search(page, "t", 0, false), 2);
	assert_int_equal(browse_page_search(page, "t", 3, true), 3);
	assert_int_equal(browse_page_search(page, "none", 0, false), 4);
	browse_page_set_hex(page, true);
	assert_int_equal(browse_page_count(page), 2);
	expect_line(page, 1, "00000000  6f 6e 65 0a 09 74 77 6f  0a 74 68 72 65 65        |one..two.three|");
	browse_page_free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_are_shut_at_first),
		cmocka_unit_test(marks_tell_what_a_layer_did),
		cmocka_unit_test(another_kind_of_file_is_a_change),
		cmocka_unit_test(an_opaque_folder_shows_what_it_hides),
		cmocka_unit_test(the_cursor_and_open_folders_stay_with_their_paths),
		cmocka_unit_test(marks_can_be_hidden),
		cmocka_unit_test(everything_hidden_is_no_row),
		cmocka_unit_test(a_filter_shows_matches_and_the_way_to_them),
		cmocka_unit_test(a_search_opens_what_it_finds),
		cmocka_unit_test(what_upper_layers_hide_is_summed_up),
		cmocka_unit_test(folders_are_summed_up),
		cmocka_unit_test(text_is_cut_at_columns),
		cmocka_unit_test(many_accents_stay_within_their_room),
		cmocka_unit_test(tabs_and_control_characters_can_be_shown),
		cmocka_unit_test(bytes_are_shown_in_hexadecimal),
		cmocka_unit_test(a_page_shows_a_file),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("browse", tests, scratch_setup, scratch_teardown);
}
