/* SPDX-License-Identifier: Apache-2.0 */
/* An archive becomes rows: compressions, tar in all its dialects, names, links, whiteouts, xattrs. */
#include "fuzz.h"

#include "store/stage.h"
#include "store/tarread.h"
#include "store/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct store_limits limits = { .bytes = 16 << 20, .entries = 10000 };
	const struct ingest_options options = { .name = "input", .blob_bytes = -1 };
	struct input in = { data, size };
	AUTO(db_closep) struct db *db = NULL;
	AUTO(unpack_freep) struct unpack *unpack = NULL;
	struct diag diag = { 0 };
	struct tree_totals totals;
	int r;

	MUST(stage_rows_open(":memory:", &db) == 0);
	MUST(unpack_new((struct byte_source){ input_read, &in }, &options, &limits, &unpack) == 0);
	r = tar_read_rows(&(struct stage){ .db = db }, unpack, "input", &diag, &totals);
	MUST(r == 0 || diag.text[0]);
	return 0;
}
