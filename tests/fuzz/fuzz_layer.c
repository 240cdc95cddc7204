/* SPDX-License-Identifier: Apache-2.0 */
/* An archive becomes a layer, which must come back byte for byte, in a store that is sound. */
#include "fuzz.h"

#include "store/check.h"
#include "store/limits.h"

static int add_piece(void *arg, const void *bytes, size_t len)
{
	digest_update(arg, bytes, len);
	return 0;
}

static void print_fault(const struct check_fault *fault, void *arg)
{
	fprintf(stderr, "%s: %s\n", fault->path ? fault->path : "-", fault->text);
}

static void check_layer_back(struct store *store, const struct ingest_result *layer)
{
	static const struct check_options all = { .bytes = true };
	struct digest_ctx *ctx = digest_ctx_new();
	struct check_result result;
	struct digest digest;

	MUST(ctx && layer_write_tar(store, layer->layer, add_piece, ctx, NULL) == 0);
	digest_final(ctx, &digest);
	digest_ctx_free(ctx);
	MUST(digest_eq(&digest, &layer->diff_id));
	MUST(store_check(store, &all, print_fault, NULL, NULL, &result) == 0);
	MUST(result.faults == 0);
}

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
