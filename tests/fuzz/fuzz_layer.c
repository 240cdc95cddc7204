/* SPDX-License-Identifier: Apache-2.0 */
/* An archive becomes a layer, which must come back byte for byte, in a store that is sound. */
#include "fuzz.h"

#include "store/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store *store;
	const struct ingest_options options = { .name = "input", .blob_bytes = -1 };
	struct input in = { data, size };
	AUTO(writer_closep) struct writer *writer = NULL;
	struct ingest_result layer;
	struct gc_result gone;
	struct diag diag = { 0 };
	int r;

	if (!store) {
		store = fuzz_store();
		store_set_limits(store, &(struct store_limits){ .bytes = 16 << 20, .entries = 10000 });
	}
	MUST(writer_open(store, NULL, &writer) == 0);
	r = ingest_tar(writer, (struct byte_source){ input_read, &in }, &options, &diag, &layer);
	MUST(r == 0 || diag.text[0]);
	if (r == 0)
		check_layer_back(store, &layer);
	writer_close(TAKE(writer));
	MUST(store_gc(store, NULL, &gone) == 0);
	return 0;
}
