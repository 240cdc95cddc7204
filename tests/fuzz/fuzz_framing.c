/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's tar stream from a framing that is damaged.  The input is the framing, zstd undone; after a first byte
 * of 0 what follows is the zstd stream itself.
 */
#include "fuzz.h"

#include "store/content.h"
#include "store/store_priv.h"

#include <sys/stat.h>
#include <zstd.h>

/* An archive of the folder d and the files d/a and d/b, the one way that tar(5) has for them. */
static void put_header(uint8_t *at, const char *name, char type, unsigned size)
{
	unsigned sum = 0;

	memset(at, 0, 512);
	strcpy((char *)at, name);
	strcpy((char *)at + 100, "0000755");
	strcpy((char *)at + 108, "0000000");
	strcpy((char *)at + 116, "0000000");
	snprintf((char *)at + 124, 12, "%011o", size);
	strcpy((char *)at + 136, "00000000000");
	memset(at + 148, ' ', 8);
	at[156] = (uint8_t)type;
	memcpy(at + 257, "ustar\00000", 8);
	for (size_t i = 0; i < 512; i++)
		sum += at[i];
	snprintf((char *)at + 148, 8, "%06o", sum);
}

static struct layer_id make_layer(struct store *store)
{
	static uint8_t tar[12 * 512];
	const struct ingest_options options = { .name = "base", .blob_bytes = -1 };
	struct input in = { tar, sizeof(tar) };
	AUTO(writer_closep) struct writer *writer = NULL;
	struct ingest_result layer;

	put_header(tar, "d/", '5', 0);
	put_header(tar + 512, "d/a", '0', 700);
	memset(tar + 1024, 'a', 700);
	put_header(tar + 2048, "d/b", '0', 300);
	memset(tar + 2560, 'b', 300);
	MUST(writer_open(store, NULL, &writer) == 0);
	MUST(ingest_tar(writer, (struct byte_source){ input_read, &in }, &options, NULL, &layer) == 0);
	check_layer_back(store, &layer);
	return layer.layer;
}

enum { FRAMING_ID = 1000 };

static void run_sql(struct store *store, const char *sql)
{
	AUTO(txn_abortp) struct txn *txn = NULL;

	MUST(txn_begin(store, &txn) == 0 && db_exec(txn_db(txn), sql) == 0 && txn_commit(TAKE(txn)) == 0);
}

/* An object of its own is the layer's framing from now on; each input is written over the one before. */
static int set_framing(struct store *store, const void *bytes, size_t len)
{
	char name[CONTENT_NAME_BYTES], folder[CONTENT_NAME_BYTES];
	AUTO(freep) char *sql = NULL;
	AUTO(closep) int fd = -1;

	content_object_name(FRAMING_ID, name);
	content_object_folder(FRAMING_ID % OBJECT_FOLDERS, folder);
	(void)mkdirat(store->dirfd, folder, 0755);
	fd = openat(store->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	MUST(fd >= 0 && io_write_full(fd, bytes, len) == 0);
	MUST(asprintf(&sql,
		      "INSERT INTO content VALUES(%d, zeroblob(16), 0, NULL, 0, 1) ON CONFLICT DO NOTHING;"
		      "UPDATE content SET size = %zu WHERE id = %d; UPDATE layer SET framing = %d",
		      FRAMING_ID, len, FRAMING_ID, FRAMING_ID) > 0);
	run_sql(store, sql);
	return 0;
}

/* What unfolds without end is left at some point. */
static int count_piece(void *arg, const void *bytes, size_t len)
{
	uint64_t *sum = arg;

	*sum += len;
	return *sum > (4 << 20) ? -EFBIG : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t packed[64 * 1024];
	static struct store *store;
	static struct layer_id layer;
	struct diag diag = { 0 };
	uint64_t sum = 0;
	int r;

	if (!store) {
		store = fuzz_store();
		layer = make_layer(store);
	}
	if (size > 0 && data[0] == 0) {
		set_framing(store, data + 1, size - 1);
	} else {
		size_t len = ZSTD_compress(packed, sizeof(packed), data, size, 1);

		MUST(!ZSTD_isError(len));
		set_framing(store, packed, len);
	}
	r = layer_write_tar(store, layer, count_piece, &sum, &diag);
	MUST(r == 0 || r == -EIO || r == -EFBIG);
	return 0;
}
