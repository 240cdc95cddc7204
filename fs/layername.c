/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/layername.h"

/*
 * Which layer a file comes from, for whoever asks for it by name: it is in no listing, so that no program copies it.
 */

#include <string.h>

bool is_layer_xattr(const char *name)
{
	return strcmp(name, LAYER_XATTR) == 0;
}

static const char *layer_name(const struct fs *fs, struct node *node)
{
	uint16_t layer = node_layer_index(fs, node);

	if (node_in_upper(fs, node))
		return "upper";
	if (layer == NO_LAYER && node_is_dir(node) && node_dir(node)->part_count > 0)
		layer = node_dir(node)->parts[0].layer;
	return layer == NO_LAYER ? NULL : fs->layers[layer]->name;
}

ssize_t layer_xattr_get(const struct fs *fs, struct node *node, void *value, size_t bytes)
{
	const char *name = layer_name(fs, node);
	size_t len = name ? strlen(name) : 0;

	if (!name)
		return -ENODATA;
	if (bytes && bytes < len)
		return -ERANGE;
	if (bytes)
		memcpy(value, name, len);
	return (ssize_t)len;
}
