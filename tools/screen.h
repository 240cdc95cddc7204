/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_SCREEN_H
#define NACRE_TOOLS_SCREEN_H

/*
 * The whole terminal as a screen of cells; all that knows of curses is behind it.
 *
 * There is one at a time, since there is one terminal.  However the program ends, by exit(3) too, the terminal is
 * as it was before.
 */

#include "store/base/diag.h"

#include <stdbool.h>
#include <stddef.h>

struct screen;

enum screen_style {
	SCREEN_PLAIN,
	SCREEN_GREEN,
	SCREEN_YELLOW,
	SCREEN_CYAN,
	SCREEN_RED,
	SCREEN_COLOURS = 7,
	/* Added to one of these. */
	SCREEN_BOLD = 1 << 3,
	SCREEN_DIM = 1 << 4,
	SCREEN_REVERSE = 1 << 5,
};

/* Keys that are no characters. */
enum screen_key {
	SCREEN_NONE = -1, /* there is no more */
	SCREEN_UP = 0x200000,
	SCREEN_DOWN,
	SCREEN_LEFT,
	SCREEN_RIGHT,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_HOME,
	SCREEN_END,
	SCREEN_BACK_TAB,
	SCREEN_BACKSPACE,
	SCREEN_RESIZED,
	SCREEN_OTHER,
};
enum { SCREEN_ENTER = '\r', SCREEN_ESCAPE = 033, SCREEN_TAB = '\t' };
#define SCREEN_CTRL(letter) ((letter)&0x1f)

/** screen_open() - Return: 0; -ENOTTY: no terminal; -ENOSYS: $TERM names none that can show it; -ELIBACC: no curses; @diag says which. */
int screen_open(struct diag *diag, struct screen **ret);
void screen_close(struct screen *screen);
void screen_closep(struct screen **screen);

/** screen_measure() - take over the terminal's size if it has changed. */
void screen_measure(struct screen *screen);
int screen_rows(const struct screen *screen);
int screen_columns(const struct screen *screen);

void screen_clear(struct screen *screen);
/**
 * screen_text() - @text from (@row, @column) on, cut at @width columns and filled up to them
 * @text: escaped (ui_escape()); from its column @skip on
 *
 * What is outside of the screen is left out.  Return: the columns that the text itself took.
 */
int screen_text(struct screen *screen, int row, int column, int width, unsigned style, size_t skip, const char *text);
/** screen_cursor() - show it there; @row < 0: hide it */
void screen_cursor(struct screen *screen, int row, int column);
/** screen_flush() - let it be seen */
void screen_flush(struct screen *screen);

/** screen_suspend() - the terminal as it was before, until the next screen_flush() */
void screen_suspend(struct screen *screen);

/** screen_key() - a key that was pressed, or what there is instead; never waits. */
int screen_key(struct screen *screen);

#endif
