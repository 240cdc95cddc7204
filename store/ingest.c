/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ingest.h"

#include "store/heal.h"
#include "store/publish.h"
#include "store/stage.h"
#include "store/store_priv.h"
#include "store/tarcanon.h"
#include "store/unpack.h"

/*
 * An ingest, from bytes to a layer:
 *
 *   unpack.c	(a thread) source -> decompressed blocks, hashed
 *   tarread.c	blocks -> archive entries (libarchive); file data -> contents
 *   tarcanon.c	the same for what this program has written itself
 *   tree.c	entries -> rows, by the rules for layers
 *   framing.c	all that is between the contents, so that the stream can be given back
 *   stage.c	where contents and rows are gathered
 *   publish.c	the stage becomes a layer
 *   heal.c	what is damaged of one that was there is put right
 */
int ingest_tar(struct writer *writer, struct byte_source source, const struct ingest_options *options,
	       struct diag *diag, struct ingest_result *ret)
{
	struct store *store = writer_store(writer);
	AUTO(unpack_freep) struct unpack *unpack = NULL;
	AUTO(stage_freep) struct stage *stage = NULL;
	const char *name = options->name ? options->name : "archive";
	const struct store_limits *limits = options->own ? NULL : &store->limits;
	struct unpack_totals stream;
	struct tar_result tar;
	int r;

	*ret = (struct ingest_result){ 0 };
	r = stage_new(store, diag, &stage);
	if (r == 0)
		r = unpack_new(source, options, limits, &unpack);
	if (r == 0)
		r = options->own ? tar_read_canonical(stage, unpack, name, diag, &tar)
				 : tar_read(stage, unpack, name, limits, diag, &tar);
	if (r == 0)
		r = unpack_finish(unpack, diag, &stream);
	if (r < 0)
		return diag_errno(diag, r, "%s: cannot be read into the store", name);
	ret->diff_id = stream.diff_id;
	ret->entries = tar.totals.entries;
	ret->left_out = tar.left_out;
	ret->new_bytes = stage->new_bytes;
	r = publish(stage, &stream, &tar, options, diag, ret);
	if (r == 0 && ret->existed)
		r = heal_layer(stage, ret->layer, &stream, &tar, diag, &ret->repaired);
	return r;
}
