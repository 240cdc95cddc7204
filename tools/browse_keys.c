// SPDX-License-Identifier: Apache-2.0
#include "tools/browse.h"

#include "store/base/auto.h"
#include "tools/browse_text.h"
#include "tools/ui.h"

#include <limits.h>
#include <string.h>
#include <wchar.h>

enum { SIDE_STEP_COLUMNS = 8 };

void browse_say(struct browse *browse, const char *fmt, ...)
{
	va_list ap;

	free(browse->message);
	va_start(ap, fmt);
	browse->message = ui_vformat(fmt, ap);
	va_end(ap);
}

static void say_failure(struct browse *browse, int r)
{
	if (r < 0)
		browse_say(browse, "Cannot read the tree: %s", strerror(-r));
}

/* A row in a list of @count, after a key that moves, or SIZE_MAX: the key does not. */
static size_t moved(int key, size_t at, size_t page, size_t count)
{
	size_t last = count > 0 ? count - 1 : 0;

	page = page > 1 ? page - 1 : 1; /* one row stays in sight */
	switch (key) {
	case SCREEN_UP:
	case 'k':
		return at > 0 ? at - 1 : 0;
	case SCREEN_DOWN:
	case 'j':
		return at < last ? at + 1 : last;
	case SCREEN_PAGE_UP:
		return at > page ? at - page : 0;
	case SCREEN_PAGE_DOWN:
		return last - at > page ? at + page : last;
	case SCREEN_HOME:
	case 'g':
		return 0;
	case SCREEN_END:
	case 'G':
		return last;
	default:
		return SIZE_MAX;
	}
}

/*
 * Search, and what is typed.
 */

static struct browse_node *current(struct browse *browse)
{
	size_t count;
	struct browse_node *const *rows = browse_model_rows(browse->model, &count);

	return count > 0 ? rows[browse_model_cursor(browse->model)] : NULL;
}

static void search_page(struct browse *browse, bool backwards, bool from_here)
{
	size_t count = browse_page_count(browse->page), from = browse->page_top;
	size_t found;

	if (!from_here)
		from += backwards ? (size_t)-1 : 1;
	found = browse_page_search(browse->page, browse->searched, from, backwards);
	if (found == count) /* round the end */
		found = browse_page_search(browse->page, browse->searched, backwards ? count - 1 : 0, backwards);
	if (found == count)
		browse_say(browse, "Not found: %s", browse->searched);
	else
		browse->page_top = found;
}

static void search(struct browse *browse, bool backwards, bool from_here)
{
	bool found = false;

	if (!browse->searched) {
		browse_say(browse, "Nothing was searched for yet; '/' asks for it");
		return;
	}
	if (browse->page) {
		search_page(browse, backwards, from_here);
		return;
	}
	browse->focus = BROWSE_TREE;
	int r = browse_model_search(browse->model, browse->searched, backwards, from_here, &found);
	if (r < 0)
		say_failure(browse, r);
	else if (!found)
		browse_say(browse, "No name has '%s' in it at this layer", browse->searched);
}

static void set_filter(struct browse *browse, const char *pattern)
{
	say_failure(browse, browse_model_filter(browse->model, pattern));
}

static void typed_clear(struct browse *browse)
{
	buf_release(&browse->typed);
}

static void start_input(struct browse *browse, enum browse_input input)
{
	typed_clear(browse);
	browse->input = input;
	if (input != BROWSE_FILTER)
		return;
	browse->focus = BROWSE_TREE;
	buf_adds(&browse->typed, browse_model_pattern(browse->model));
}

static void end_input(struct browse *browse, bool accepted)
{
	enum browse_input input = browse->input;

	browse->input = BROWSE_NO_INPUT;
	browse->filter_changed &= accepted;
	if (input == BROWSE_FILTER && !accepted)
		set_filter(browse, "");
	if (input == BROWSE_SEARCH && accepted && browse->typed.len > 0) {
		free(browse->searched);
		browse->searched = ui_need(strdup(buf_str(&browse->typed)));
	}
	if (input == BROWSE_SEARCH && accepted)
		search(browse, false, true);
}

static void type_back(struct buf *typed)
{
	while (typed->len > 0) {
		bool inside = (typed->data[--typed->len] & 0xc0) == 0x80;

		typed->data[typed->len] = '\0';
		if (!inside)
			break;
	}
}

static void type_char(struct buf *typed, int key)
{
	char bytes[MB_LEN_MAX];
	mbstate_t state = { 0 };
	size_t n = wcrtomb(bytes, (wchar_t)key, &state);

	if (n != (size_t)-1)
		buf_add(typed, bytes, n);
}

static void input_key(struct browse *browse, int key)
{
	size_t len = browse->typed.len, count, row;

	switch (key) {
	case SCREEN_ENTER:
		end_input(browse, true);
		return;
	case SCREEN_ESCAPE:
		end_input(browse, false);
		return;
	case SCREEN_BACKSPACE:
		type_back(&browse->typed);
		break;
	case SCREEN_CTRL('u'):
		typed_clear(browse);
		break;
	default:
		if (key >= 0x20 && key < SCREEN_UP)
			type_char(&browse->typed, key);
	}
	if (browse->input != BROWSE_FILTER)
		return;
	if (len != browse->typed.len)
		browse->filter_changed = true;
	browse_model_rows(browse->model, &count);
	row = key < SCREEN_UP ? SIZE_MAX : moved(key, browse_model_cursor(browse->model), browse->tree_rows, count);
	if (row != SIZE_MAX)
		browse_model_move(browse->model, row);
}

/*
 * The page.
 */

static void page_key(struct browse *browse, int key)
{
	struct browse_page *page = browse->page;
	size_t count = browse_page_count(page), rows = browse->page_rows, top;

	switch (key) {
	case 'q':
	case SCREEN_ESCAPE:
		browse_page_free(TAKE(browse->page));
		return;
	case 'x':
		if (browse_page_has_content(page))
			browse_page_set_hex(page, !browse_page_is_hex(page));
		return;
	case ' ':
		key = SCREEN_PAGE_DOWN;
		break;
	case SCREEN_LEFT:
		browse->page_left -= browse->page_left < SIDE_STEP_COLUMNS ? browse->page_left : SIDE_STEP_COLUMNS;
		return;
	case SCREEN_RIGHT:
		browse->page_left += SIDE_STEP_COLUMNS;
		return;
	}
	/* The list is that of the tops a page can have. */
	top = moved(key, browse->page_top, rows, count > rows ? count - rows + 1 : 1);
	if (top != SIZE_MAX)
		browse->page_top = top;
}

/*
 * The layers.
 */

void browse_measure(struct browse *browse)
{
	browse_sizes_free(TAKE(browse->sizes));
	if (browse_sizes_start(browse->store, browse->image, browse_model_layer(browse->model) + 1, &browse->sizes) < 0)
		browse->sizes = NULL;
}

static void show_layer(struct browse *browse, size_t layer, enum browse_compare compare)
{
	struct diag diag = { 0 };
	size_t before = browse_model_layer(browse->model);
	int r = browse_model_show(browse->model, layer, compare, &diag);

	if (r < 0)
		browse_say(browse, "%s", diag_text(&diag, r));
	else if (layer != before)
		browse_measure(browse);
}

static void layers_key(struct browse *browse, int key)
{
	size_t at = browse_model_layer(browse->model);
	size_t to = moved(key, at, browse->layer_rows, browse->image->layer_count);

	if (to != SIZE_MAX && to != at)
		show_layer(browse, to, browse_model_compare(browse->model));
	else if (key == SCREEN_CTRL('a'))
		show_layer(browse, at, BROWSE_AGGREGATE);
	else if (key == SCREEN_ENTER || key == 'i')
		browse_show_layer(browse);
	else if (key == SCREEN_RIGHT)
		browse->focus = BROWSE_TREE;
}

/*
 * The tree.
 */

static void toggle_mark(struct browse *browse, enum browse_mark mark)
{
	say_failure(browse, browse_model_hide(browse->model, mark, !browse_model_hides(browse->model, mark)));
}

static void open_node(struct browse *browse, bool open)
{
	struct browse_node *node = current(browse);

	if (node && browse_is_dir(node))
		say_failure(browse, browse_model_open(browse->model, node, open));
}

static void toggle_node(struct browse *browse)
{
	struct browse_node *node = current(browse);

	if (node)
		open_node(browse, !browse_is_open(browse->model, node));
}

static void enter_node(struct browse *browse)
{
	struct browse_node *node = current(browse);

	if (node && browse_is_dir(node))
		toggle_node(browse);
	else if (node)
		browse_show_node(browse, node);
}

/* Shut the folder, or go to the one it is in. */
static void leave_node(struct browse *browse)
{
	struct browse_node *node = current(browse);

	if (!node)
		return;
	if (browse_is_open(browse->model, node))
		open_node(browse, false);
	else if (node->parent->parent)
		browse_model_move(browse->model, node->parent->row);
	else
		browse->focus = BROWSE_LAYERS;
}

static void page_of_node(struct browse *browse, void (*show)(struct browse *browse, const struct browse_node *node))
{
	struct browse_node *node = current(browse);

	if (node)
		show(browse, node);
}

static void tree_key(struct browse *browse, int key)
{
	size_t count, row;

	browse_model_rows(browse->model, &count);
	row = moved(key, browse_model_cursor(browse->model), browse->tree_rows, count);
	if (row != SIZE_MAX) {
		browse_model_move(browse->model, row);
		return;
	}
	switch (key) {
	case ' ':
		toggle_node(browse);
		break;
	case SCREEN_CTRL(' '):
	case 'e':
		say_failure(browse, browse_model_open_all(browse->model, !browse_model_all_open(browse->model)));
		break;
	case SCREEN_ENTER:
		enter_node(browse);
		break;
	case SCREEN_RIGHT:
		open_node(browse, true);
		break;
	case SCREEN_LEFT:
		leave_node(browse);
		break;
	case SCREEN_CTRL('a'):
	case 'a':
		toggle_mark(browse, BROWSE_ADDED);
		break;
	case SCREEN_CTRL('r'):
	case 'r':
		toggle_mark(browse, BROWSE_REMOVED);
		break;
	case 'm':
		toggle_mark(browse, BROWSE_CHANGED);
		break;
	case SCREEN_CTRL('u'):
	case 'u':
		toggle_mark(browse, BROWSE_SAME);
		break;
	case SCREEN_CTRL('b'):
	case 'b':
		browse->hides_attributes = !browse->hides_attributes;
		break;
	case 'i':
		page_of_node(browse, browse_show_node);
		break;
	}
}

/* What means the same in both panes. Return: false: it means nothing here. */
static bool pane_key(struct browse *browse, int key)
{
	switch (key) {
	case 'q':
		browse->leaves = true;
		return true;
	case SCREEN_ESCAPE:
		if (*browse_model_pattern(browse->model))
			set_filter(browse, "");
		return true;
	case SCREEN_TAB:
	case SCREEN_BACK_TAB:
		browse->focus = browse->focus == BROWSE_LAYERS ? BROWSE_TREE : BROWSE_LAYERS;
		return true;
	case SCREEN_CTRL('l'):
		show_layer(browse, browse_model_layer(browse->model), BROWSE_LAYER);
		return true;
	case SCREEN_CTRL('f'):
		start_input(browse, BROWSE_FILTER);
		return true;
	case 'h':
		page_of_node(browse, browse_show_history);
		return true;
	case 'w':
		browse_show_waste(browse);
		return true;
	default:
		return false;
	}
}

void browse_settle(struct browse *browse)
{
	if (browse->filter_changed)
		set_filter(browse, buf_str(&browse->typed));
	browse->filter_changed = false;
}

void browse_key(struct browse *browse, int key)
{
	free(TAKE(browse->message));
	if (browse->input == BROWSE_NO_INPUT)
		browse_settle(browse);
	if (browse->input != BROWSE_NO_INPUT)
		input_key(browse, key);
	else if (key == '/')
		start_input(browse, BROWSE_SEARCH);
	else if (key == 'n' || key == 'N')
		search(browse, key == 'N', false);
	else if (key == '?' && !browse->page)
		browse_show_help(browse);
	else if (browse->page)
		page_key(browse, key);
	else if (!pane_key(browse, key))
		(browse->focus == BROWSE_LAYERS ? layers_key : tree_key)(browse, key);
}
