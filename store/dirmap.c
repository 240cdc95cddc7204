/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dirmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static size_t bucket_of(const struct dirmap *map, uint32_t parent, const char *name, size_t name_len)
{
	return (size_t)XXH3_64bits_withSeed(name, name_len, parent) & (map->bucket_count - 1);
}

static void bucket_link(struct dirmap *map, uint32_t dir)
{
	struct dirmap_dir *d = &map->dirs[dir];
	size_t bucket = bucket_of(map, d->parent, map->names + d->name, d->name_len);

	d->next = map->buckets[bucket];
	map->buckets[bucket] = dir;
}

static int buckets_grow(struct dirmap *map)
{
	size_t count = map->bucket_count ? map->bucket_count * 2 : 256;
	uint32_t *buckets = malloc(count * sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = count;
	memset(buckets, 0xff, count * sizeof(*buckets)); /* DIRMAP_NONE */
	for (uint32_t i = 1; i < map->count; i++) {
		if (!map->dirs[i].removed)
			bucket_link(map, i);
	}
	return 0;
}

static int names_room(struct dirmap *map, size_t len)
{
	size_t room = map->names_room ? map->names_room : 4096;
	char *names;

	while (room < map->names_len + len)
		room *= 2;
	if (room == map->names_room)
		return 0;
	names = realloc(map->names, room);
	if (!names)
		return -ENOMEM;
	map->names = names;
	map->names_room = room;
	return 0;
}

static int dirs_room(struct dirmap *map)
{
	size_t room = map->room ? map->room * 2 : 128;
	struct dirmap_dir *dirs;

	if (map->count < map->room)
		return 0;
	dirs = realloc(map->dirs, room * sizeof(*dirs));
	if (!dirs)
		return -ENOMEM;
	map->dirs = dirs;
	map->room = room;
	return 0;
}

int dirmap_init(struct dirmap *map, uint32_t root_no)
{
	int r;

	*map = (struct dirmap){ 0 };
	r = dirs_room(map);
	if (r == 0)
		r = buckets_grow(map);
	if (r < 0)
		return r;
	/* The root is in no bucket: nothing finds it by a name. */
	map->dirs[0] = (struct dirmap_dir){ .no = root_no, .next = DIRMAP_NONE };
	map->count = 1;
	return 0;
}

void dirmap_release(struct dirmap *map)
{
	free(map->dirs);
	free(map->buckets);
	free(map->names);
	*map = (struct dirmap){ 0 };
}

uint32_t dirmap_find(const struct dirmap *map, uint32_t parent, const char *name, size_t name_len)
{
	uint32_t i = map->buckets[bucket_of(map, parent, name, name_len)];

	for (; i != DIRMAP_NONE; i = map->dirs[i].next) {
		const struct dirmap_dir *d = &map->dirs[i];

		if (d->parent == parent && d->name_len == name_len && memcmp(map->names + d->name, name, name_len) == 0)
			break;
	}
	return i;
}

int dirmap_add(struct dirmap *map, uint32_t parent, const char *name, size_t name_len, uint32_t no, uint32_t *ret)
{
	int r = names_room(map, name_len);

	if (r == 0)
		r = dirs_room(map);
	if (r == 0 && map->count >= map->bucket_count)
		r = buckets_grow(map);
	if (r < 0)
		return r;
	*ret = (uint32_t)map->count++;
	map->dirs[*ret] = (struct dirmap_dir){
		.parent = parent, .no = no, .name = map->names_len, .name_len = (uint16_t)name_len
	};
	memcpy(map->names + map->names_len, name, name_len);
	map->names_len += name_len;
	map->dirs[parent].subdirs++;
	bucket_link(map, *ret);
	return 0;
}

void dirmap_remove(struct dirmap *map, uint32_t dir)
{
	struct dirmap_dir *d = &map->dirs[dir];
	uint32_t *at = &map->buckets[bucket_of(map, d->parent, map->names + d->name, d->name_len)];

	while (*at != dir)
		at = &map->dirs[*at].next;
	*at = d->next;
	map->dirs[d->parent].subdirs--;
	d->removed = true;
}
