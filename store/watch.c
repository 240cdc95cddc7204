/* SPDX-License-Identifier: Apache-2.0 */
#include "store/watch.h"

#include "store/db.h"

/* SQLite tells a connection apart from all others: so it is one that is used for nothing else. */
struct watch {
	struct db *db; /* owned */
	int64_t read;  /* the version that was read last; 0: none */
	int64_t seen;  /* and when it was asked last */
};

int watch_new(struct store *store, struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	r = db_open_index(store, &watch->db);
	if (r < 0) {
		free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	db_close(watch->db);
	free(watch);
}

int watch_changed(struct watch *watch, bool *ret)
{
	int r = db_int(watch->db, "PRAGMA data_version", &watch->seen);

	if (r < 0)
		return r;
	*ret = watch->seen != watch->read;
	return 0;
}

void watch_read(struct watch *watch)
{
	watch->read = watch->seen;
}
