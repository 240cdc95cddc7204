/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REPAIR_H
#define NACRE_STORE_REPAIR_H

/*
 * Making whole what store_check() found damaged: contents, configs and manifests of images, and rows of layers.
 */

#include "store/imagearchive.h"
#include "store/registry.h"
#include "store/restore.h"
#include "store/restore_rows.h"

/* What was done for one layer, for one image's config or manifest, or for another thing; all borrowed for the call. */
struct repair_report {
	const struct digest *layer; /* its diff ID; else NULL */
	const struct digest *image; /* of a config or manifest: the image's ID; else NULL */
	const char *subject;	    /* with neither: what it is, "counts of the index" */
	bool manifest;		    /* of the image it is that */
	uint64_t contents;	    /* that are whole again */
	bool whole;		    /* all that was damaged of it is */
	const char *text;	    /* where from, or why not */
};
typedef void (*repair_fn)(const struct repair_report *report, void *arg);

struct repair_options {
	const struct registry_options *registry;
	struct image_archive *const *archives; /* to take from, before a registry is asked; borrowed */
	size_t archive_count;
	const struct transfer_events *events; /* of what is fetched; may be NULL */
	const struct layer_list *rows;	      /* layers whose rows are wrong, as store_check() tells them; borrowed */
	bool all;			      /* store_check() looked at all images */
	repair_fn report;
	void *arg;
};

/**
 * store_repair() - from the store itself where it has the same bytes elsewhere, else from archives that have the layer,
 * else from the registry that it came from or went to
 * @damaged: contents, as store_check() tells them; what is sound by now stays as it is
 *
 * Nothing counts before the digest of all of the layer it came in was checked.  Whatever happens meanwhile,
 * nothing is worse than before: each layer's part is one transaction, and damaged bytes go last.
 * Return: 0 when all was tried, whatever came of it; -errno if it could not be.
 */
int store_repair(struct store *store, const struct content_list *damaged, const struct repair_options *options,
		 struct diag *diag);

#endif
