/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_CONTENT_H
#define NACRE_STORE_CONTENT_H

/*
 * Content: where the bytes of packs and objects lie, how they are hashed and
 * compared.  For files of store/ only; readers use content_open() of layer.h.
 *
 * packs/ID	small contents one behind the other
 * objects/XX/ID	one large content; ID is the content id in hex, XX its two last digits
 */

#include "store/db.h"
#include "store/layer.h"

#include <xxhash.h>

enum {
	CONTENT_HASH_BYTES = 16,
	CONTENT_NAME_BYTES = 40, /* of the names below, with their NUL */
	OBJECT_FOLDERS = 256,	 /* by a content id's last byte */
	/*
	 * Contents up to this size go into packs.  A file of its own costs about 30 us to make, close, rename
	 * and find again; appending 128 KiB to a pack costs about that.  Beyond it a file of its own pays off, as
	 * it can be reflinked and handed to the kernel.
	 */
	PACK_MAX_BYTES = 128 * 1024,
};

struct content_hash {
	uint8_t bytes[CONTENT_HASH_BYTES];
};

void content_hash_of(struct store *store, const void *bytes, size_t len, struct content_hash *ret);
/** content_hash_final() - of a stream; the mask of store_test_weaken_hash() is applied. */
void content_hash_final(struct store *store, const XXH3_state_t *state, struct content_hash *ret);

/** Names relative to the store's folder. */
void content_pack_name(int64_t pack, char name[CONTENT_NAME_BYTES]);
void content_object_name(int64_t content, char name[CONTENT_NAME_BYTES]);
/** content_object_folder() - that of number @folder, below OBJECT_FOLDERS */
void content_object_folder(unsigned folder, char name[CONTENT_NAME_BYTES]);

/** content_place_release() - close what content_open() opened. */
void content_place_release(struct content_place *place);

/** content_equals_bytes() - Return: 1, 0, or -errno. */
int content_equals_bytes(const struct content_place *place, const void *bytes);
/** content_equals_place() - both of the same size. Return: 1, 0, or -errno. */
int content_equals_place(const struct content_place *a, const struct content_place *b);

/** content_read() - all of a content; owned, NUL-terminated. -EFBIG beyond @limit. */
int content_read(struct store *store, struct content_id id, uint64_t limit, char **ret, size_t *ret_bytes);

/** content_place_of() - as content_open(), from a row's values. @pack 0: an object. */
int content_place_of(struct store *store, struct content_id id, int64_t pack, int64_t offset, int64_t bytes,
		     struct content_place *ret);

/** content_packs_release() - close all packs; when the store closes. */
void content_packs_release(struct store *store);

#endif
