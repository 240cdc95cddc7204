// SPDX-License-Identifier: Apache-2.0
#include "tools/podmanuse.h"

/*
 * containers/storage (layers.go, containers.go, images.go) keeps lists in its folder: of layers, each with its parent, which may be
 * one of an additional image store; of containers and of images, each with its layer.
 */

#include "store/base/auto.h"
#include "tools/json.h"
#include "tools/storageconf.h"
#include "tools/ui.h"

#include <string.h>

static json_t *read_list(const char *root, const char *name)
{
	AUTO(freep) char *path = ui_format("%s/%s", root, name);

	return json_load_file(path, 0, NULL);
}

/* The first of @list of which @key is @value; NULL: none. */
static const json_t *find(const json_t *list, const char *key, const char *value)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const char *is = json_string_value(json_object_get(item, key));

		if (is && strcmp(is, value) == 0)
			return item;
	}
	return NULL;
}

/* "@kind NAME" of the one in the list that has @layer; NULL: none. */
static char *name_of(const char *root, const char *list, const char *kind, const char *layer)
{
	AUTO(json_freep) json_t *all = read_list(root, list);
	const json_t *one = find(all, "layer", layer);
	const char *name = json_string_value(json_array_get(json_object_get(one, "names"), 0));

	if (!name)
		name = json_string_value(json_object_get(one, "id"));
	return name ? ui_format("%s %s", kind, name) : NULL;
}

char *podman_user_of(const char *top)
{
	AUTO(freep) char *root = storageconf_graphroot();
	AUTO(json_freep) json_t *layers = root ? read_list(root, "overlay-layers/layers.json") : NULL;
	const json_t *user = find(layers, "parent", top);
	const char *id = json_string_value(json_object_get(user, "id"));
	char *name;

	if (!*top || !id || find(layers, "id", top))
		return NULL;
	name = name_of(root, "overlay-containers/containers.json", "container", id);
	if (!name)
		name = name_of(root, "overlay-images/images.json", "image", id);
	return name ? name : ui_format("layer %s", id);
}
