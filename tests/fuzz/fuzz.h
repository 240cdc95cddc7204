/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TESTS_FUZZ_H
#define NACRE_TESTS_FUZZ_H

/* What the libFuzzer targets share: an input as a source of bytes, a store in memory, and what must hold of it. */

#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/check.h"
#include "store/ingest.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is; libFuzzer keeps the input of whoever aborts. */
#define MUST(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct input {
	const uint8_t *data;
	size_t left;
};

static inline ssize_t input_read(void *arg, void *buf, size_t bytes)
{
	struct input *in = arg;
	size_t n = bytes < in->left ? bytes : in->left;

	memcpy(buf, in->data, n);
	in->data += n;
	in->left -= n;
	return (ssize_t)n;
}

static char *fuzz_folder; /* removed by whoever runs the target */

/* A folder of this process's own, in the folder that the environment names. */
static inline const char *fuzz_dir(void)
{
	const char *base = getenv("NACRE_FUZZ_DIR");

	if (!fuzz_folder) {
		MUST(asprintf(&fuzz_folder, "%s/nacre-fuzz.XXXXXX", base ? base : "/dev/shm") > 0);
		MUST(mkdtemp(fuzz_folder) != NULL);
	}
	return fuzz_folder;
}

static inline struct store *fuzz_store(void)
{
	AUTO(freep) char *path = NULL;
	struct store *store = NULL;

	MUST(asprintf(&path, "%s/store", fuzz_dir()) > 0);
	MUST(store_open(path, STORE_WRITE, NULL, &store) == 0);
	return store;
}

static inline int fuzz_add_piece(void *arg, const void *bytes, size_t len)
{
	digest_update(arg, bytes, len);
	return 0;
}

static inline void fuzz_print_fault(const struct check_fault *fault, void *arg)
{
	fprintf(stderr, "%s: %s\n", fault->path ? fault->path : "-", fault->text);
}

/* What came in comes back byte for byte, and the store is sound. */
static inline void check_layer_back(struct store *store, const struct ingest_result *layer)
{
	static const struct check_options all = { .bytes = true };
	struct digest_ctx *ctx = digest_ctx_new();
	struct check_result result;
	struct digest digest;

	MUST(ctx && layer_write_tar(store, layer->layer, fuzz_add_piece, ctx, NULL) == 0);
	digest_final(ctx, &digest);
	digest_ctx_free(ctx);
	MUST(digest_eq(&digest, &layer->diff_id));
	MUST(store_check(store, &all, fuzz_print_fault, NULL, NULL, &result) == 0);
	MUST(result.faults == 0);
}

#endif
