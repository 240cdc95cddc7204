/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_H
#define NACRE_TOOLS_BROWSE_H

/* One run of `nacre browse`: what its parts share. */

#include "tools/browse_model.h"
#include "tools/browse_page.h"
#include "tools/browse_sizes.h"
#include "tools/browse_sum.h"
#include "tools/imageconf.h"
#include "tools/screen.h"

enum browse_focus {
	BROWSE_LAYERS,
	BROWSE_TREE,
};

/* What is being typed at the bottom. */
enum browse_input {
	BROWSE_NO_INPUT,
	BROWSE_FILTER,
	BROWSE_SEARCH,
};

struct browse {
	struct store *store;		/* borrowed */
	const struct image_info *image; /* borrowed */
	const char *label;		/* borrowed: what the image is called */
	struct screen *screen;		/* borrowed */
	struct history history;
	struct layer_info *layers; /* owned: of image->layers */
	uint64_t bytes;		   /* of all of them */
	struct browse_model *model;
	struct browse_sum *sum;	    /* owned; NULL: it could not be started */
	struct browse_sizes *sizes; /* owned; of the selected layer's tree; NULL: it could not be started */
	struct browse_page *page;   /* owned; NULL: the panes are seen */
	enum browse_focus focus;
	bool hides_attributes;
	/* What is seen first. */
	size_t layer_top, tree_top, page_top, page_left;
	size_t page_rows, tree_rows, layer_rows; /* that the screen has room for; set by browse_draw() */
	enum browse_input input;
	struct buf typed;
	bool filter_changed; /* by what was typed; browse_settle() */
	char *searched;	     /* owned: the last search; NULL: none */
	char *message;	     /* owned: at the bottom until the next key; NULL: none */
	bool leaves;
};

/** browse_measure() - begin to sum up the folders of the selected layer's tree; nothing is said if that fails. */
void browse_measure(struct browse *browse);

/** browse_draw() - all of it, onto the screen */
void browse_draw(struct browse *browse);

/** browse_key() - do what a key asks for */
void browse_key(struct browse *browse, int key);

/** browse_settle() - before drawing: what keys that came together ask for once is done once */
void browse_settle(struct browse *browse);

/* The other screens: each opens a page. */
void browse_show_help(struct browse *browse);
/** browse_show_node() - what there is to see of a file, or of a folder in itself */
void browse_show_node(struct browse *browse, const struct browse_node *node);
/** browse_show_history() - which layers have it, hide it or take it away */
void browse_show_history(struct browse *browse, const struct browse_node *node);
/** browse_show_layer() - all that is known of the selected layer */
void browse_show_layer(struct browse *browse);
/** browse_show_waste() - all files that upper layers hide */
void browse_show_waste(struct browse *browse);

/** browse_say() - at the bottom, until the next key */
void browse_say(struct browse *browse, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
