// SPDX-License-Identifier: Apache-2.0
#include "tools/browse.h"

#include "store/base/auto.h"
#include "tools/browse_text.h"
#include "tools/entrytext.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/sysmacros.h>

/* Below this width only the pane that has the keys is shown. */
enum { TWO_PANES_COLUMNS = 70, LEFT_MAX_COLUMNS = 90, DETAIL_ROWS_MIN = 14 };
/* Nor are attributes, where they would leave no room for names. */
enum { ATTRIBUTES_COLUMNS = 50 };

struct area {
	int row, column, rows, columns;
};

static int put(struct browse *browse, const struct area *area, int row, unsigned style, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* A row of the area; unprintable bytes are escaped. */
static int put(struct browse *browse, const struct area *area, int row, unsigned style, const char *fmt, ...)
{
	va_list ap;

	if (row >= area->rows)
		return 0;
	va_start(ap, fmt);
	AUTO(freep) char *text = ui_vformat(fmt, ap);
	va_end(ap);
	return screen_text(browse->screen, area->row + row, area->column, area->columns, style, 0, text);
}

static void put_title(struct browse *browse, const struct area *area, int row, bool focus, const char *title)
{
	AUTO(buf_release) struct buf line = { 0 };
	const char *dash = browse_text_is_utf8() ? "\u2500" : "-";

	buf_addf(&line, "%s%s %s ", dash, dash, title);
	for (size_t i = browse_text_columns(buf_str(&line)); i < (size_t)area->columns; i++)
		buf_adds(&line, dash);
	put(browse, area, row, focus ? SCREEN_BOLD : SCREEN_DIM, "%s", buf_str(&line));
}

/* The first row that is seen, so that @at is among @rows of them. */
static size_t scrolled(size_t top, size_t at, size_t rows, size_t count)
{
	if (rows == 0)
		return at;
	if (at < top)
		top = at;
	if (at >= top + rows)
		top = at - rows + 1;
	/* No empty rows at the end while there is something above. */
	return top + rows > count ? (count > rows ? count - rows : 0) : top;
}

/*
 * The tree.
 */

static const struct {
	char letter;
	unsigned style;
} marks[] = {
	[BROWSE_SAME] = { ' ', SCREEN_PLAIN },	   [BROWSE_ADDED] = { 'A', SCREEN_GREEN },
	[BROWSE_CHANGED] = { 'C', SCREEN_YELLOW }, [BROWSE_METADATA] = { 'M', SCREEN_CYAN },
	[BROWSE_REMOVED] = { 'D', SCREEN_RED },
};

static void add_branches(struct buf *line, const struct browse_node *node)
{
	bool utf8 = browse_text_is_utf8();

	if (node->depth > 1)
		add_branches(line, node->parent);
	/* Only the row's own branch leads to it; those above go by. */
	buf_adds(line, node->last ? "    " : utf8 ? "\u2502   " : "|   ");
}

static void add_branch(struct buf *line, const struct browse_node *node)
{
	bool utf8 = browse_text_is_utf8();

	if (node->depth > 1)
		add_branches(line, node->parent);
	if (node->last)
		buf_adds(line, utf8 ? "\u2514\u2500\u2500 " : "`-- ");
	else
		buf_adds(line, utf8 ? "\u251c\u2500\u2500 " : "|-- ");
}

static void add_size(struct buf *line, const struct browse *browse, const struct browse_node *node)
{
	const struct layer_entry *entry = browse_entry(node);
	char size[UI_SIZE_BYTES], text[32] = "-";
	uint64_t bytes;

	if (S_ISDIR(entry->mode) && node->new && browse->sizes && browse_sizes_find(browse->sizes, node->new, &bytes))
		snprintf(text, sizeof(text), "%s", ui_size(bytes, size));
	else if (S_ISREG(entry->mode))
		snprintf(text, sizeof(text), "%s", ui_size(entry->size, size));
	else if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		snprintf(text, sizeof(text), "%u,%u", major(entry->rdev), minor(entry->rdev));
	buf_addf(line, " %7s", text);
}

static void add_attributes(struct buf *line, const struct browse *browse, const struct browse_node *node)
{
	const struct layer_entry *entry = browse_entry(node);
	char mode[ENTRY_MODE_BYTES], owner[32];

	snprintf(owner, sizeof(owner), "%u:%u", entry->uid, entry->gid);
	buf_addf(line, " %s %9s", entry_mode(entry->mode, mode), owner);
	add_size(line, browse, node);
}

static void add_escaped(struct buf *line, const char *text)
{
	ui_escape(line, text, strlen(text));
}

static void add_name(struct buf *line, const struct browse *browse, const struct browse_node *node)
{
	const struct layer_entry *entry = browse_entry(node);

	add_escaped(line, entry->name);
	if (S_ISLNK(entry->mode)) {
		buf_adds(line, " -> ");
		add_escaped(line, entry->target);
	} else if (S_ISDIR(entry->mode)) {
		buf_adds(line, browse_is_open(browse->model, node) ? "/" : "/ +");
	} else if (entry->nlink > 1) {
		buf_addf(line, " (%u names)", entry->nlink);
	}
}

static bool has_attributes(const struct browse *browse, const struct area *area)
{
	return !browse->hides_attributes && area->columns >= ATTRIBUTES_COLUMNS;
}

static void draw_node(struct browse *browse, const struct area *area, int row, const struct browse_node *node,
		      bool here)
{
	AUTO(buf_release) struct buf line = { 0 };
	unsigned style = marks[node->mark].style;

	buf_addf(&line, "%c", marks[node->mark].letter);
	if (has_attributes(browse, area))
		add_attributes(&line, browse, node);
	buf_adds(&line, " ");
	add_branch(&line, node);
	add_name(&line, browse, node);
	if (here)
		style |= browse->focus == BROWSE_TREE ? SCREEN_REVERSE : SCREEN_BOLD;
	screen_text(browse->screen, area->row + row, area->column, area->columns, style, 0, buf_str(&line));
}

static void tree_title(struct browse *browse, const struct area *area)
{
	bool aggregate = browse_model_compare(browse->model) == BROWSE_AGGREGATE;
	size_t layer = browse_model_layer(browse->model);
	AUTO(freep) char *title = NULL;

	if (asprintf(&title,
		     layer == 0	 ? "Tree at layer 1"
		     : aggregate ? "Tree at layer %zu, changes since layer 1"
				 : "Tree at layer %zu, changes of layer %zu",
		     layer + 1, layer + 1) < 0)
		ui_out_of_memory();
	put_title(browse, area, 0, browse->focus == BROWSE_TREE, title);
}

static void draw_tree(struct browse *browse, const struct area *area)
{
	size_t count, cursor = browse_model_cursor(browse->model);
	struct browse_node *const *rows = browse_model_rows(browse->model, &count);
	size_t room = area->rows > 2 ? (size_t)area->rows - 2 : 0;

	tree_title(browse, area);
	put(browse, area, 1, SCREEN_BOLD,
	    has_attributes(browse, area) ? "  Mode         UID:GID    Size Name" : "  Name");
	browse->tree_rows = room;
	browse->tree_top = scrolled(browse->tree_top, cursor, room, count);
	for (size_t i = 0; i < room && browse->tree_top + i < count; i++)
		draw_node(browse, area, (int)i + 2, rows[browse->tree_top + i], browse->tree_top + i == cursor);
	if (count == 0)
		put(browse, area, 2, SCREEN_DIM, "  %s",
		    *browse_model_pattern(browse->model) ? "nothing matches the filter" : "nothing to show");
}

/*
 * The layers.
 */

/* Which layers the marks speak of. */
static char compared(const struct browse *browse, size_t layer)
{
	size_t shown = browse_model_layer(browse->model);

	if (layer > shown)
		return ' ';
	if (browse_model_compare(browse->model) == BROWSE_AGGREGATE ? layer > 0 || shown == 0 : layer == shown)
		return '*';
	return '.';
}

/* Many builders tell what they did in the comment only. */
static char *command_of(const struct browse *browse, size_t n)
{
	const struct history_step *step = history_of_layer(&browse->history, n);
	const char *by = history_made_by(step), *comment = step && step->comment ? step->comment : "";
	bool both = *comment && strcmp(by, comment) != 0;

	return ui_format("%s%s%s", by, both ? "  # " : "", both ? comment : "");
}

static void draw_layer(struct browse *browse, const struct area *area, int row, size_t n)
{
	const struct browse_totals *totals = browse->sum ? browse_sum_totals(browse->sum) : NULL;
	bool here = n == browse_model_layer(browse->model);
	char size[UI_SIZE_BYTES], wasted[UI_SIZE_BYTES] = "...";
	unsigned style = compared(browse, n) == ' ' ? SCREEN_DIM : SCREEN_PLAIN;
	AUTO(freep) char *command = command_of(browse, n);

	if (totals)
		ui_size(totals->error ? 0 : totals->uses[n].wasted_bytes, wasted);
	if (here)
		style = browse->focus == BROWSE_LAYERS ? SCREEN_REVERSE : SCREEN_BOLD;
	put(browse, area, row, style, "%c %3zu %7s %7s  %s", compared(browse, n), n + 1,
	    ui_size(browse->layers[n].content_bytes, size), totals && totals->error ? "?" : wasted, command);
}

static void draw_layers(struct browse *browse, const struct area *area)
{
	size_t count = browse->image->layer_count, room = area->rows > 2 ? (size_t)area->rows - 2 : 0;

	put_title(browse, area, 0, browse->focus == BROWSE_LAYERS, "Layers");
	put(browse, area, 1, SCREEN_BOLD, "    #    Size  Wasted  Command");
	browse->layer_rows = room;
	browse->layer_top = scrolled(browse->layer_top, browse_model_layer(browse->model), room, count);
	for (size_t i = 0; i < room && browse->layer_top + i < count; i++)
		draw_layer(browse, area, (int)i + 2, browse->layer_top + i);
}

/* How much of @text is on a row of so many columns: whole words, where it is not all one. */
static size_t row_bytes(const char *text, size_t columns)
{
	size_t len = browse_text_bytes(text, columns), words = len;

	if (!text[len])
		return len;
	while (words > 0 && text[words - 1] != ' ')
		words--;
	return words > len / 2 ? words : len;
}

/* A text on as many rows as it takes, up to @rows; the last of them says where there is more. Return: the row after it. */
static int put_wrapped(struct browse *browse, const struct area *area, int row, int rows, const char *text)
{
	AUTO(freep) char *safe = ui_format("%s", text);

	for (const char *at = safe; *at && rows > 0; rows--, row++) {
		size_t len = rows > 1 ? row_bytes(at, (size_t)area->columns) : strlen(at);

		put(browse, area, row, SCREEN_PLAIN, "%.*s", (int)len, at);
		at += len;
	}
	return row;
}

static int draw_details(struct browse *browse, const struct area *area)
{
	const struct browse_totals *totals = browse->sum ? browse_sum_totals(browse->sum) : NULL;
	size_t n = browse_model_layer(browse->model);
	const struct layer_info *layer = &browse->layers[n];
	char digest[DIGEST_TEXT_BYTES];
	int row = 0;

	put_title(browse, area, row++, false, "Layer Details");
	put(browse, area, row++, SCREEN_PLAIN, "Digest:  %s", ui_id(&layer->diff_id, true, digest));
	if (totals && !totals->error)
		put(browse, area, row++, SCREEN_PLAIN, "Files:   %llu added, %llu changed, %llu removed",
		    (unsigned long long)totals->uses[n].added, (unsigned long long)totals->uses[n].changed,
		    (unsigned long long)totals->uses[n].removed);
	else
		put(browse, area, row++, SCREEN_PLAIN, "Files:   %llu entries", (unsigned long long)layer->entries);
	put(browse, area, row++, SCREEN_PLAIN, "Command:");
	AUTO(freep) char *command = command_of(browse, n);
	return put_wrapped(browse, area, row, 3, command) + 1;
}

/* The last columns of the area: of a path that is too long its end, which tells more. */
static void put_end(struct browse *browse, const struct area *area, int row, int room, const char *path)
{
	size_t all = browse_text_columns(path), skip = 0;
	int column = area->column + area->columns - room;

	if (all > (size_t)room && room > 1) {
		skip = all - (size_t)room + 1;
		screen_text(browse->screen, area->row + row, column++, 1, SCREEN_PLAIN, 0,
			    browse_text_is_utf8() ? "\u2026" : "<");
		room--;
	}
	screen_text(browse->screen, area->row + row, column, room, SCREEN_PLAIN, skip, path);
}

static void draw_waste(struct browse *browse, const struct area *area, int row)
{
	const struct browse_totals *totals = browse->sum ? browse_sum_totals(browse->sum) : NULL;
	char size[UI_SIZE_BYTES];

	if (!totals || totals->error) {
		put(browse, area, row, SCREEN_DIM,
		    totals || !browse->sum ? "Wasted space cannot be told: the store cannot be read"
					   : "Wasted space is being summed up...");
		return;
	}
	put(browse, area, row++, SCREEN_PLAIN, "Wasted space: %s", ui_size(totals->wasted_bytes, size));
	put(browse, area, row++, SCREEN_PLAIN, "Efficiency:   %.1f %%",
	    browse_efficiency(browse->bytes, totals->wasted_bytes));
	if (totals->waste_count == 0)
		return;
	row++;
	put(browse, area, row++, SCREEN_BOLD, "Count  Wasted  Path");
	for (size_t i = 0; i < totals->waste_count && row < area->rows; i++, row++) {
		AUTO(freep) char *path = ui_format("/%s", totals->waste[i].path);
		int room = area->columns - put(browse, area, row, SCREEN_PLAIN, "%5u %7s  ", totals->waste[i].versions,
					       ui_size(totals->waste[i].bytes, size));

		put_end(browse, area, row, room, path);
	}
}

static void draw_image(struct browse *browse, const struct area *area, int row)
{
	char size[UI_SIZE_BYTES];

	put_title(browse, area, row++, false, "Image Details");
	put(browse, area, row++, SCREEN_PLAIN, "Image:        %s", browse->label);
	put(browse, area, row++, SCREEN_PLAIN, "Total size:   %s in %zu layer%s", ui_size(browse->bytes, size),
	    browse->image->layer_count, browse->image->layer_count == 1 ? "" : "s");
	draw_waste(browse, area, row);
}

static void draw_left(struct browse *browse, const struct area *area)
{
	struct area layers = *area, details = *area;
	int wanted = (int)browse->image->layer_count + 3;

	if (area->rows >= DETAIL_ROWS_MIN + 4) {
		int most = area->rows - DETAIL_ROWS_MIN;

		layers.rows = wanted < most ? wanted : most;
		details.row += layers.rows;
		details.rows -= layers.rows;
		draw_image(browse, &details, draw_details(browse, &details));
		/* One row apart. */
		if (layers.rows == wanted)
			layers.rows--;
	}
	draw_layers(browse, &layers);
}

/*
 * The page, and the bottom.
 */

static void draw_page(struct browse *browse, const struct area *area)
{
	const struct browse_page *page = browse->page;
	size_t count = browse_page_count(page), room = area->rows > 1 ? (size_t)area->rows - 1 : 0;

	if (browse->page_top + room > count)
		browse->page_top = count > room ? count - room : 0;
	browse->page_rows = room;
	put_title(browse, area, 0, true, browse_page_title(page));
	for (size_t i = 0; i < room && browse->page_top + i < count; i++) {
		AUTO(buf_release) struct buf line = { 0 };

		browse_page_line(page, browse->page_top + i, &line);
		screen_text(browse->screen, area->row + 1 + (int)i, area->column, area->columns, SCREEN_PLAIN,
			    browse->page_left, buf_str(&line));
	}
}

static void add_hidden(const struct browse *browse, struct buf *line)
{
	static const struct {
		enum browse_mark mark;
		const char *name;
	} kinds[] = {
		{ BROWSE_ADDED, "added" },
		{ BROWSE_REMOVED, "removed" },
		{ BROWSE_CHANGED, "modified" },
		{ BROWSE_SAME, "unmodified" },
	};
	const char *before = "Not shown: ";

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (browse_model_hides(browse->model, kinds[i].mark)) {
			buf_addf(line, "%s%s", before, kinds[i].name);
			before = ", ";
		}
	if (line->len > 0)
		buf_adds(line, "  ");
	if (*browse_model_pattern(browse->model))
		buf_addf(line, "Filter: %s  ", browse_model_pattern(browse->model));
}

static void draw_bottom(struct browse *browse, const struct area *area)
{
	AUTO(buf_release) struct buf line = { 0 };
	int used;

	if (browse->input != BROWSE_NO_INPUT) {
		used = put(browse, area, 0, SCREEN_BOLD, "%s%s",
			   browse->input == BROWSE_FILTER ? "Filter: " : "Search: ", buf_str(&browse->typed));
		screen_cursor(browse->screen, area->row, area->column + used);
		return;
	}
	if (browse->message) {
		put(browse, area, 0, SCREEN_BOLD, "%s", browse->message);
		return;
	}
	if (browse->page)
		buf_addf(&line, "q back  / search%s", browse_page_has_content(browse->page) ? "  x text/hex" : "");
	else
		add_hidden(browse, &line);
	if (!browse->page)
		buf_addf(&line, "q quit  ? help  TAB switch  %s^F filter  / search",
			 browse->focus == BROWSE_TREE ? "SPACE open  ENTER view  h history  "
						      : "^L layer  ^A aggregated  ");
	put(browse, area, 0, SCREEN_REVERSE, "%s", buf_str(&line));
}

void browse_draw(struct browse *browse)
{
	int rows = screen_rows(browse->screen), columns = screen_columns(browse->screen);
	struct area all = { 0, 0, rows - 1, columns }, bottom = { rows - 1, 0, 1, columns }, left = all, right = all;

	screen_clear(browse->screen);
	if (browse->page) {
		draw_page(browse, &all);
	} else if (columns < TWO_PANES_COLUMNS) {
		if (browse->focus == BROWSE_LAYERS)
			draw_left(browse, &all);
		else
			draw_tree(browse, &all);
	} else {
		left.columns = columns * 9 / 20;
		if (left.columns > LEFT_MAX_COLUMNS)
			left.columns = LEFT_MAX_COLUMNS;
		right.column = left.columns + 1;
		right.columns = columns - right.column;
		draw_left(browse, &left);
		draw_tree(browse, &right);
	}
	draw_bottom(browse, &bottom);
}
