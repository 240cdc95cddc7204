// SPDX-License-Identifier: Apache-2.0
#include "tools/screen.h"

#include "store/base/auto.h"
#include "tools/browse_text.h"
#include "tools/libncurses.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/ioctl.h>

/* How long the bytes of one key may be apart, so that Escape alone is known soon. */
enum { ESCAPE_MS = 25 };

struct screen {
	SCREEN *curses; /* owned */
	WINDOW *window; /* owned: all of it */
	wchar_t *wide;	/* owned */
	int wide_columns;
	int cursor_row, cursor_column;
};

/* For exit(3), which is called where there is no memory. */
static bool shown;

static void leave(void)
{
	if (shown)
		endwin();
}

/* A terminal that cannot put its cursor somewhere shows no screen; curses would leave the program itself. */
static int check_terminal(struct diag *diag)
{
	const char *term = getenv("TERM");
	int err = 0;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return diag_set(diag, -ENOTTY, "standard %s is no terminal", isatty(STDIN_FILENO) ? "output" : "input");
	if (!term || !*term)
		return diag_set(diag, -ENOSYS, "$TERM is not set, which says what terminal this is");
	int r = libncurses_load(diag);
	if (r < 0)
		return r;
	if (setupterm(term, STDOUT_FILENO, &err) != OK)
		return diag_set(diag, -ENOSYS,
				err < 0 ? "there is no terminal database to look up $TERM in"
					: "there is no terminal '%s' in the terminal database ($TERM)",
				term);
	const char *address = tigetstr("cup");
	bool able = address && address != (char *)-1;
	del_curterm(set_curterm(NULL));
	return able ? 0 : diag_set(diag, -ENOSYS, "a terminal '%s' ($TERM) cannot move its cursor", term);
}

static void set_colours(void)
{
	const char *no_color = getenv("NO_COLOR");

	if ((no_color && *no_color) || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	init_pair(SCREEN_GREEN, COLOR_GREEN, -1);
	init_pair(SCREEN_YELLOW, COLOR_YELLOW, -1);
	init_pair(SCREEN_CYAN, COLOR_CYAN, -1);
	init_pair(SCREEN_RED, COLOR_RED, -1);
}

int screen_open(struct diag *diag, struct screen **ret)
{
	struct screen *screen;
	int r = check_terminal(diag);

	if (r < 0)
		return r;
	screen = ui_need(calloc(1, sizeof(*screen)));
	screen->cursor_row = -1;
	screen->curses = newterm(NULL, stdout, stdin);
	if (!screen->curses) {
		free(screen);
		return diag_set(diag, -ENOSYS, "a terminal '%s' ($TERM) cannot show it", getenv("TERM"));
	}
	shown = true;
	atexit(leave);
	screen->window = ui_need(newwin(0, 0, 0, 0));
	set_escdelay(ESCAPE_MS);
	cbreak();
	noecho();
	nonl();
	keypad(screen->window, TRUE);
	nodelay(screen->window, TRUE);
	set_colours();
	*ret = screen;
	return 0;
}

void screen_close(struct screen *screen)
{
	if (!screen)
		return;
	endwin();
	shown = false;
	delwin(screen->window);
	delscreen(screen->curses);
	free(screen->wide);
	free(screen);
}

void screen_closep(struct screen **screen)
{
	int saved = errno;

	screen_close(*screen);
	errno = saved;
}

void screen_measure(struct screen *screen)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return;
	if (size.ws_row == screen_rows(screen) && size.ws_col == screen_columns(screen))
		return;
	resizeterm(size.ws_row, size.ws_col);
	wresize(screen->window, size.ws_row, size.ws_col);
	werase(screen->window);
}

int screen_rows(const struct screen *screen)
{
	return getmaxy(screen->window);
}

int screen_columns(const struct screen *screen)
{
	return getmaxx(screen->window);
}

void screen_clear(struct screen *screen)
{
	screen->cursor_row = -1;
	werase(screen->window);
}

static void set_style(WINDOW *window, unsigned style)
{
	attr_t attributes = A_NORMAL;

	if (style & SCREEN_BOLD)
		attributes |= A_BOLD;
	if (style & SCREEN_DIM)
		attributes |= A_DIM;
	if (style & SCREEN_REVERSE)
		attributes |= A_REVERSE;
	wattr_set(window, attributes, (short)(style & SCREEN_COLOURS), NULL);
}

/* (<term.h> has the word `columns` for itself.) */
static void make_room(struct screen *screen, int cells)
{
	if (cells <= screen->wide_columns)
		return;
	screen->wide = ui_need(realloc(screen->wide, (5 * (size_t)cells + 2) * sizeof(*screen->wide)));
	screen->wide_columns = cells;
}

int screen_text(struct screen *screen, int row, int column, int width, unsigned style, size_t skip, const char *text)
{
	if (width > screen_columns(screen) - column)
		width = screen_columns(screen) - column;
	if (row < 0 || row >= screen_rows(screen) || column < 0 || width <= 0)
		return 0;
	make_room(screen, width);
	set_style(screen->window, style);
	int used = browse_text_fit(text, skip, width, screen->wide);
	wmove(screen->window, row, column);
	waddnwstr(screen->window, screen->wide, -1);
	for (int i = used; i < width; i++) {
		wmove(screen->window, row, column + i);
		waddnwstr(screen->window, L" ", 1);
	}
	return used;
}

void screen_cursor(struct screen *screen, int row, int column)
{
	screen->cursor_row = row;
	screen->cursor_column = column;
}

void screen_flush(struct screen *screen)
{
	curs_set(screen->cursor_row >= 0);
	if (screen->cursor_row >= 0)
		wmove(screen->window, screen->cursor_row,
		      screen->cursor_column < screen_columns(screen) ? screen->cursor_column
								     : screen_columns(screen) - 1);
	wrefresh(screen->window);
}

void screen_suspend(struct screen *screen)
{
	endwin();
}

static int key_of(wint_t code)
{
	switch (code) {
	case KEY_UP:
		return SCREEN_UP;
	case KEY_DOWN:
		return SCREEN_DOWN;
	case KEY_LEFT:
		return SCREEN_LEFT;
	case KEY_RIGHT:
		return SCREEN_RIGHT;
	case KEY_PPAGE:
		return SCREEN_PAGE_UP;
	case KEY_NPAGE:
		return SCREEN_PAGE_DOWN;
	case KEY_HOME:
		return SCREEN_HOME;
	case KEY_END:
		return SCREEN_END;
	case KEY_BTAB:
		return SCREEN_BACK_TAB;
	case KEY_BACKSPACE:
		return SCREEN_BACKSPACE;
	case KEY_ENTER:
		return SCREEN_ENTER;
	case KEY_RESIZE:
		return SCREEN_RESIZED;
	default:
		return SCREEN_OTHER;
	}
}

int screen_key(struct screen *screen)
{
	wint_t code;
	int r = wget_wch(screen->window, &code);

	if (r == ERR)
		return SCREEN_NONE;
	if (r == KEY_CODE_YES)
		return key_of(code);
	return code == 0x7f || code == SCREEN_CTRL('h') ? SCREEN_BACKSPACE : code == '\n' ? SCREEN_ENTER : (int)code;
}
