/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fdcache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* Entry 0 is the head of the two lists, so that a zero slot has none. */
struct entry {
	int fd;
	uint32_t users;
	uint32_t prev, next;  /* idle entries, least recently used first; free ones use next */
	struct fd_slot *slot; /* NULL: dropped, to be closed by its last user */
	bool pinned;
};

struct fdcache {
	pthread_mutex_t lock;
	struct entry *entries;
	uint32_t room;	    /* of entries, the head included */
	uint32_t free_head; /* list of unused entries, by next */
	uint32_t count, idle, limit;
};

struct fdcache *fdcache_new(uint32_t limit)
{
	struct fdcache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->entries = calloc(1, sizeof(*cache->entries));
	if (!cache->entries) {
		free(cache);
		return NULL;
	}
	cache->room = 1;
	cache->limit = limit;
	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

void fdcache_free(struct fdcache *cache)
{
	if (!cache)
		return;
	for (uint32_t i = 1; i < cache->room; i++) {
		if (cache->entries[i].fd >= 0)
			close(cache->entries[i].fd);
	}
	pthread_mutex_destroy(&cache->lock);
	free(cache->entries);
	free(cache);
}

static void idle_remove(struct fdcache *cache, uint32_t i)
{
	struct entry *e = &cache->entries[i];

	cache->entries[e->prev].next = e->next;
	cache->entries[e->next].prev = e->prev;
	cache->idle--;
}

static void idle_append(struct fdcache *cache, uint32_t i)
{
	struct entry *e = &cache->entries[i];
	uint32_t last = cache->entries[0].prev;

	e->prev = last;
	e->next = 0;
	cache->entries[last].next = i;
	cache->entries[0].prev = i;
	cache->idle++;
}

/* The entry is on no list. Return: the descriptor, for the caller to close without the lock. */
static int release_locked(struct fdcache *cache, uint32_t i)
{
	struct entry *e = &cache->entries[i];
	int fd = e->fd;

	if (e->slot)
		e->slot->entry = 0;
	*e = (struct entry){ .fd = -1, .next = cache->free_head };
	cache->free_head = i;
	cache->count--;
	return fd;
}

static int grow_locked(struct fdcache *cache)
{
	uint32_t room = cache->room < 64 ? 64 : cache->room * 2;
	struct entry *entries = realloc(cache->entries, room * sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	cache->entries = entries;
	for (uint32_t i = room - 1; i >= cache->room; i--) {
		entries[i] = (struct entry){ .fd = -1, .next = cache->free_head };
		cache->free_head = i;
	}
	cache->room = room;
	return 0;
}

static bool get_locked(struct fdcache *cache, struct fd_slot *slot, struct fd_ref *ret)
{
	uint32_t i = slot->entry;
	struct entry *e = &cache->entries[i];

	if (!i)
		return false;
	if (e->users++ == 0 && !e->pinned)
		idle_remove(cache, i);
	*ret = (struct fd_ref){ .fd = e->fd, .entry = i };
	return true;
}

bool fd_get(struct fdcache *cache, struct fd_slot *slot, struct fd_ref *ret)
{
	bool found;

	pthread_mutex_lock(&cache->lock);
	found = get_locked(cache, slot, ret);
	pthread_mutex_unlock(&cache->lock);
	return found;
}

/* Return: 0, or -ENOMEM. *ret_close: what is to be closed without the lock, -1 for nothing. */
static int insert_locked(struct fdcache *cache, struct fd_slot *slot, int fd, struct fd_ref *ret, int *ret_close)
{
	uint32_t i;

	*ret_close = fd;
	if (get_locked(cache, slot, ret))
		return 0;
	if (!cache->free_head && grow_locked(cache) < 0)
		return -ENOMEM;
	*ret_close = -1;
	if (cache->count >= cache->limit && cache->idle > 0) {
		uint32_t oldest = cache->entries[0].next;

		idle_remove(cache, oldest);
		*ret_close = release_locked(cache, oldest);
	}
	i = cache->free_head;
	cache->free_head = cache->entries[i].next;
	cache->entries[i] = (struct entry){ .fd = fd, .users = 1, .slot = slot };
	slot->entry = i;
	cache->count++;
	*ret = (struct fd_ref){ .fd = fd, .entry = i };
	return 0;
}

int fd_insert(struct fdcache *cache, struct fd_slot *slot, int fd, struct fd_ref *ret)
{
	int old, r;

	pthread_mutex_lock(&cache->lock);
	r = insert_locked(cache, slot, fd, ret, &old);
	pthread_mutex_unlock(&cache->lock);
	if (old >= 0)
		close(old);
	return r;
}

void fd_put(struct fdcache *cache, struct fd_ref *ref)
{
	int fd = -1;
	struct entry *e;

	if (ref->owned)
		close(ref->fd);
	ref->owned = false;
	if (!ref->entry)
		return;
	pthread_mutex_lock(&cache->lock);
	e = &cache->entries[ref->entry];
	if (--e->users == 0) {
		if (!e->slot)
			fd = release_locked(cache, ref->entry);
		else if (!e->pinned)
			idle_append(cache, ref->entry);
	}
	pthread_mutex_unlock(&cache->lock);
	ref->entry = 0;
	if (fd >= 0)
		close(fd);
}

void fd_pin(struct fdcache *cache, struct fd_slot *slot)
{
	pthread_mutex_lock(&cache->lock);
	if (slot->entry) {
		struct entry *e = &cache->entries[slot->entry];

		if (!e->pinned && e->users == 0)
			idle_remove(cache, slot->entry);
		e->pinned = true;
	}
	pthread_mutex_unlock(&cache->lock);
}

void fd_drop(struct fdcache *cache, struct fd_slot *slot)
{
	int fd = -1;
	uint32_t i;

	pthread_mutex_lock(&cache->lock);
	i = slot->entry;
	if (i) {
		struct entry *e = &cache->entries[i];

		if (e->users == 0) {
			if (!e->pinned)
				idle_remove(cache, i);
			fd = release_locked(cache, i);
		} else {
			e->slot = NULL;
			slot->entry = 0;
		}
	}
	pthread_mutex_unlock(&cache->lock);
	if (fd >= 0)
		close(fd);
}

void fdcache_each_pinned(struct fdcache *cache, void (*fn)(int fd, void *arg), void *arg)
{
	pthread_mutex_lock(&cache->lock);
	for (uint32_t i = 1; i < cache->room; i++) {
		const struct entry *e = &cache->entries[i];

		if (e->fd >= 0 && e->slot && e->pinned)
			fn(e->fd, arg);
	}
	pthread_mutex_unlock(&cache->lock);
}

uint32_t fdcache_count(struct fdcache *cache)
{
	uint32_t count;

	pthread_mutex_lock(&cache->lock);
	count = cache->count;
	pthread_mutex_unlock(&cache->lock);
	return count;
}

uint32_t fdcache_limit(const struct fdcache *cache)
{
	return cache->limit;
}
