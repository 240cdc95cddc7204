/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BROWSE_SIZES_H
#define NACRE_TOOLS_BROWSE_SIZES_H

/* What folders of a merged tree hold, all below them counted, summed up by a thread of its own. */

#include "store/image.h"
#include "store/view.h"

struct browse_sizes;

/**
 * browse_sizes_start() - of the tree that the first @layers layers of @image make
 * @store, @image: borrowed until browse_sizes_free()
 *
 * Return: 0 or -errno.
 */
int browse_sizes_start(struct store *store, const struct image_info *image, size_t layers, struct browse_sizes **ret);
/** browse_sizes_free() - ends the thread if it still runs; NULL is ignored. */
void browse_sizes_free(struct browse_sizes *sizes);

/** browse_sizes_fd() - readable once it is done; borrowed */
int browse_sizes_fd(const struct browse_sizes *sizes);

/**
 * browse_sizes_find() - the bytes of the files in a directory, and in those below it
 * @dir: of any view of the same layers
 * @ret: a file of several names counts where the walk met the first of them
 *
 * Return: false: not known yet, or it could not be read.
 */
bool browse_sizes_find(struct browse_sizes *sizes, const struct view_node *dir, uint64_t *ret);

#endif
