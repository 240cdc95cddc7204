/* SPDX-License-Identifier: Apache-2.0 */
#include "store/content.h"

#include "store/base/io.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum { PACK_BUCKETS = 64, COMPARE_BYTES = 64 * 1024 };

/*
 * Packs stay open for the life of the store, since a content_place borrows
 * their descriptor.  A store has a pack for each ingest, so this is bounded by
 * the layers that are read.
 */
struct pack_fd {
	int64_t id;
	int fd; /* owned */
	struct pack_fd *next;
};

static void hash_mask(struct store *store, XXH128_hash_t hash, struct content_hash *ret)
{
	XXH128_canonical_t canonical;

	hash.low64 &= store->weak_mask;
	hash.high64 &= store->weak_mask;
	XXH128_canonicalFromHash(&canonical, hash);
	memcpy(ret->bytes, canonical.digest, CONTENT_HASH_BYTES);
}

void content_hash_of(struct store *store, const void *bytes, size_t len, struct content_hash *ret)
{
	hash_mask(store, XXH3_128bits(bytes, len), ret);
}

void content_hash_final(struct store *store, const XXH3_state_t *state, struct content_hash *ret)
{
	hash_mask(store, XXH3_128bits_digest(state), ret);
}

void content_pack_name(int64_t pack, char name[CONTENT_NAME_BYTES])
{
	snprintf(name, CONTENT_NAME_BYTES, "packs/%" PRIx64, (uint64_t)pack);
}

void content_object_name(int64_t content, char name[CONTENT_NAME_BYTES])
{
	snprintf(name, CONTENT_NAME_BYTES, "objects/%02x/%" PRIx64, (unsigned)(content & 0xff), (uint64_t)content);
}

void content_object_folder(unsigned folder, char name[CONTENT_NAME_BYTES])
{
	snprintf(name, CONTENT_NAME_BYTES, "objects/%02x", folder);
}

void content_packs_release(struct store *store)
{
	for (size_t i = 0; store->packs && i < PACK_BUCKETS; i++) {
		struct pack_fd *pack = store->packs[i].next;

		while (pack) {
			struct pack_fd *next = pack->next;

			close(pack->fd);
			free(pack);
			pack = next;
		}
	}
	free(store->packs);
	store->packs = NULL;
}

static int pack_open_locked(struct store *store, int64_t id, int *ret_fd)
{
	char name[CONTENT_NAME_BYTES];
	struct pack_fd *head, *pack;

	if (!store->packs)
		store->packs = calloc(PACK_BUCKETS, sizeof(*store->packs));
	if (!store->packs)
		return -ENOMEM;
	head = &store->packs[(uint64_t)id % PACK_BUCKETS];
	for (pack = head->next; pack && pack->id != id; pack = pack->next)
		;
	if (!pack) {
		pack = calloc(1, sizeof(*pack));
		if (!pack)
			return -ENOMEM;
		content_pack_name(id, name);
		pack->id = id;
		pack->fd = openat(store->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (pack->fd < 0) {
			int err = errno;

			free(pack);
			return err == ENOENT ? -EIO : -err;
		}
		pack->next = head->next;
		head->next = pack;
	}
	*ret_fd = pack->fd;
	return 0;
}

int content_place_of(struct store *store, struct content_id id, int64_t pack, int64_t offset, int64_t bytes,
		     struct content_place *ret)
{
	struct content_place place = { .offset = (uint64_t)offset, .bytes = (uint64_t)bytes };
	char name[CONTENT_NAME_BYTES];
	int r = 0;

	if (pack) {
		pthread_mutex_lock(&store->pack_lock);
		r = pack_open_locked(store, pack, &place.fd);
		pthread_mutex_unlock(&store->pack_lock);
	} else {
		content_object_name(id.value, name);
		place.owned = true;
		place.fd = openat(store->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (place.fd < 0)
			r = errno == ENOENT ? -EIO : -errno;
	}
	if (r == 0)
		*ret = place;
	return r;
}

int content_open(struct store *store, struct content_id id, struct content_place *ret)
{
	AUTO(db_loan_end) struct db_loan loan = { .store = store };
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int64_t pack, offset, size;
	int r = db_loan_begin(&loan);

	if (r == 0)
		r = db_stmt(loan.db, "SELECT pack, offset, size FROM content WHERE id = ?", &stmt);
	if (r < 0)
		return r;
	db_bind_int(stmt, 1, id.value);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	pack = sqlite3_column_int64(stmt, 0);
	offset = sqlite3_column_int64(stmt, 1);
	size = sqlite3_column_int64(stmt, 2);
	return content_place_of(store, id, pack, offset, size, ret);
}

void content_place_release(struct content_place *place)
{
	if (place->owned)
		closep(&place->fd);
	*place = (struct content_place){ .fd = -1 };
}

int content_equals_bytes(const struct content_place *place, const void *bytes)
{
	AUTO(freep) char *buf = malloc(COMPARE_BYTES);

	if (!buf)
		return -ENOMEM;
	for (uint64_t at = 0; at < place->bytes;) {
		uint64_t left = place->bytes - at;
		size_t want = left < COMPARE_BYTES ? (size_t)left : COMPARE_BYTES;
		ssize_t n = io_pread_full(place->fd, buf, want, (off_t)(place->offset + at));

		if (n < 0)
			return (int)n;
		/* A short file is damage, which is no reason to refuse what has come in whole. */
		if ((size_t)n != want || memcmp(buf, (const char *)bytes + at, want) != 0)
			return 0;
		at += want;
	}
	return 1;
}

int content_equals_place(const struct content_place *a, const struct content_place *b)
{
	AUTO(freep) char *buf = malloc(COMPARE_BYTES);

	if (!buf)
		return -ENOMEM;
	if (a->bytes != b->bytes)
		return 0;
	for (uint64_t at = 0; at < a->bytes;) {
		uint64_t left = a->bytes - at;
		size_t want = left < COMPARE_BYTES ? (size_t)left : COMPARE_BYTES;
		struct content_place part = { .fd = b->fd, .offset = b->offset + at, .bytes = want };
		ssize_t n = io_pread_full(a->fd, buf, want, (off_t)(a->offset + at));
		int r;

		if (n < 0)
			return (int)n;
		r = (size_t)n == want ? content_equals_bytes(&part, buf) : 0;
		if (r <= 0)
			return r;
		at += want;
	}
	return 1;
}

int content_read(struct store *store, struct content_id id, uint64_t limit, char **ret, size_t *ret_bytes)
{
	AUTO(content_place_release) struct content_place place = { .fd = -1 };
	AUTO(freep) char *bytes = NULL;
	ssize_t n;
	int r = content_open(store, id, &place);

	if (r < 0)
		return r;
	if (place.bytes > limit)
		return -EFBIG;
	bytes = malloc((size_t)place.bytes + 1);
	if (!bytes)
		return -ENOMEM;
	n = io_pread_full(place.fd, bytes, (size_t)place.bytes, (off_t)place.offset);
	if (n < 0 || (uint64_t)n != place.bytes)
		return n < 0 ? (int)n : -EIO;
	bytes[n] = '\0';
	*ret = TAKE(bytes);
	*ret_bytes = (size_t)n;
	return 0;
}
