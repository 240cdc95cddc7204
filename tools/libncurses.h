/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_LIBNCURSES_H
#define NACRE_TOOLS_LIBNCURSES_H

/* ncurses, loaded when it is needed (store/base/library.h): all of <curses.h> and <term.h> that tools/ calls. */

#include "store/base/library.h"

/* Functions only, and those with wide characters. */
#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <term.h>

/** libncurses_load() - before the first of its functions; see library_load(). */
int libncurses_load(struct diag *diag);

#ifdef LAZY_LIBRARIES

#define LIBNCURSES_FUNCTIONS(F) \
	F(cbreak)               \
	F(curs_set)             \
	F(del_curterm)          \
	F(delscreen)            \
	F(delwin)               \
	F(endwin)               \
	F(getmaxx)              \
	F(getmaxy)              \
	F(has_colors)           \
	F(init_pair)            \
	F(keypad)               \
	F(newterm)              \
	F(newwin)               \
	F(nodelay)              \
	F(noecho)               \
	F(nonl)                 \
	F(resizeterm)           \
	F(set_curterm)          \
	F(set_escdelay)         \
	F(setupterm)            \
	F(start_color)          \
	F(tigetstr)             \
	F(use_default_colors)   \
	F(waddnwstr)            \
	F(wattr_set)            \
	F(werase)               \
	F(wget_wch)             \
	F(wmove)                \
	F(wrefresh)             \
	F(wresize)

struct libncurses_functions {
#define MEMBER(name) typeof(name) *name;
	LIBNCURSES_FUNCTIONS(MEMBER)
#undef MEMBER
};
extern struct libncurses_functions libncurses_functions;

#define cbreak		   libncurses_functions.cbreak
#define curs_set	   libncurses_functions.curs_set
#define del_curterm	   libncurses_functions.del_curterm
#define delscreen	   libncurses_functions.delscreen
#define delwin		   libncurses_functions.delwin
#define endwin		   libncurses_functions.endwin
#define getmaxx		   libncurses_functions.getmaxx
#define getmaxy		   libncurses_functions.getmaxy
#define has_colors	   libncurses_functions.has_colors
#define init_pair	   libncurses_functions.init_pair
#define keypad		   libncurses_functions.keypad
#define newterm		   libncurses_functions.newterm
#define newwin		   libncurses_functions.newwin
#define nodelay		   libncurses_functions.nodelay
#define noecho		   libncurses_functions.noecho
#define nonl		   libncurses_functions.nonl
#define resizeterm	   libncurses_functions.resizeterm
#define set_curterm	   libncurses_functions.set_curterm
#define set_escdelay	   libncurses_functions.set_escdelay
#define setupterm	   libncurses_functions.setupterm
#define start_color	   libncurses_functions.start_color
#define tigetstr	   libncurses_functions.tigetstr
#define use_default_colors libncurses_functions.use_default_colors
#define waddnwstr	   libncurses_functions.waddnwstr
#define wattr_set	   libncurses_functions.wattr_set
#define werase		   libncurses_functions.werase
#define wget_wch	   libncurses_functions.wget_wch
#define wmove		   libncurses_functions.wmove
#define wrefresh	   libncurses_functions.wrefresh
#define wresize		   libncurses_functions.wresize

#endif

#endif
