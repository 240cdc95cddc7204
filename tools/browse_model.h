/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_MODEL_H
#define NACRE_TOOLS_BROWSE_MODEL_H

/*
 * What `nacre browse` shows of an image's tree, without a terminal: the merged
 * tree at a layer with marks for what changed there, folders that are open or
 * not, a filter, and the rows that come of it.
 *
 * A folder is read from the index when it is first opened, and a mark costs a
 * look at what the layer has only, so that the size of the image does not count.
 * Filters and searches read the whole tree, once for each layer.
 *
 * One thread at a time.  Functions that return int give 0 or -errno of the store.
 */

#include "store/image.h"
#include "tools/browse_tree.h"

/* What the tree is compared with. */
enum browse_compare {
	BROWSE_LAYER,	  /* the tree without the layer */
	BROWSE_AGGREGATE, /* the lowest layer's tree; that one itself with nothing */
};

struct browse_model;

/** browse_model_new() - of the whole image, at its lowest layer. @store and @image: borrowed. */
int browse_model_new(struct store *store, const struct image_info *image, struct diag *diag, struct browse_model **ret);
void browse_model_free(struct browse_model *model);
void browse_model_freep(struct browse_model **model);

/**
 * browse_model_show() - the tree as the layers 0 to @layer make it
 *
 * The cursor stays on its path, or the nearest above that is there; folders stay open.  On failure nothing changes.
 */
int browse_model_show(struct browse_model *model, size_t layer, enum browse_compare compare, struct diag *diag);
size_t browse_model_layer(const struct browse_model *model);
enum browse_compare browse_model_compare(const struct browse_model *model);

/** The rows that are shown, in order; valid until the next call that changes anything.  There may be none. */
struct browse_node *const *browse_model_rows(const struct browse_model *model, size_t *ret_count);

/** The cursor's row; 0 where there is none.  What is beyond the end becomes the last row. */
size_t browse_model_cursor(const struct browse_model *model);
void browse_model_move(struct browse_model *model, size_t row);

/** browse_is_open() - are a folder's children rows? */
bool browse_is_open(const struct browse_model *model, const struct browse_node *node);

/** browse_model_open() - open or shut a folder; others stay as they are. */
int browse_model_open(struct browse_model *model, struct browse_node *node, bool open);
/** browse_model_open_all() - all of them, also those not read yet. */
int browse_model_open_all(struct browse_model *model, bool open);
bool browse_model_all_open(const struct browse_model *model);

/** Marks that are not shown.  BROWSE_CHANGED stands for BROWSE_METADATA too; folders stay that lead to what is shown. */
int browse_model_hide(struct browse_model *model, enum browse_mark mark, bool hide);
bool browse_model_hides(const struct browse_model *model, enum browse_mark mark);

/**
 * browse_model_filter() - show only paths that match, and the folders on the way
 * @pattern: an extended regular expression; what is none is taken as it stands.  Without capital letters
 *           they do not count.  "": no filter
 */
int browse_model_filter(struct browse_model *model, const char *pattern);
const char *browse_model_pattern(const struct browse_model *model);

/**
 * browse_model_search() - move to the next name that has @text in it, open or not; round the end
 * @backwards: to the one before
 * @from_here: the cursor's own row counts
 * @ret_found: whether there is one
 */
int browse_model_search(struct browse_model *model, const char *text, bool backwards, bool from_here, bool *ret_found);

#endif
