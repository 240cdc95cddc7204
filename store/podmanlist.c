/* SPDX-License-Identifier: Apache-2.0 */
#include "store/podmanindex.h"

/* Reading an index of images: one of it, or a part of a list, which is nowhere as a whole. */

#include <string.h>

const struct podmanindex_text *podmanindex_text(const struct podmanindex *index, enum podmanindex_list list, size_t i)
{
	return list == PODMANINDEX_IMAGES ? &index->images[i]->text : &index->layers[i]->text;
}

size_t podmanindex_count(const struct podmanindex *index, enum podmanindex_list list)
{
	return list == PODMANINDEX_IMAGES ? index->image_count : index->layer_count;
}

size_t podmanindex_bytes(const struct podmanindex *index, enum podmanindex_list list)
{
	size_t count = podmanindex_count(index, list);

	return count > 0 ? index->starts[list][count] : 2;
}

/* Which one @offset is in, or just behind; there is one. */
static size_t find_at(const struct podmanindex *index, enum podmanindex_list list, size_t offset)
{
	size_t low = 0, high = podmanindex_count(index, list);

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (index->starts[list][middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

size_t podmanindex_copy(const struct podmanindex *index, enum podmanindex_list list, char *buf, size_t size,
			size_t offset)
{
	size_t bytes = podmanindex_bytes(index, list), count = podmanindex_count(index, list), done = 0;
	size_t i = count > 0 ? find_at(index, list, offset) : 0;

	while (done < size && offset < bytes) {
		size_t start = count > 0 ? index->starts[list][i] : 1, part;
		const struct podmanindex_text *text = count > 0 ? podmanindex_text(index, list, i) : NULL;

		if (offset < start) {
			buf[done++] = '[';
			offset++;
			continue;
		}
		if (!text || offset - start == text->bytes) {
			buf[done++] = offset + 1 == bytes ? ']' : ',';
			offset++;
			i++;
			continue;
		}
		part = text->bytes - (offset - start);
		if (part > size - done)
			part = size - done;
		memcpy(buf + done, text->json + (offset - start), part);
		done += part;
		offset += part;
	}
	return done;
}

const struct podmanindex_image *podmanindex_image(const struct podmanindex *index, const char *id)
{
	for (size_t low = 0, high = index->image_count; low < high;) {
		size_t middle = (low + high) / 2;
		int order = strcmp(id, index->images[middle]->id);

		if (order == 0)
			return index->images[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct podmanindex_layer *podmanindex_layer(const struct podmanindex *index, const char *id, size_t digits)
{
	for (size_t low = 0, high = index->layer_count; low < high;) {
		size_t middle = (low + high) / 2;
		int order = strncmp(id, index->layers[middle]->id, digits);

		if (order == 0)
			return index->layers[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
