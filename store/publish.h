/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_PUBLISH_H
#define NACRE_STORE_PUBLISH_H

#include "store/ingest.h"
#include "store/stage.h"
#include "store/tarread.h"
#include "store/unpack.h"

/**
 * publish() - what is staged becomes a layer, all of it or nothing
 * @stage: sealed here
 * @tar: its framing may become a shared content
 */
int publish(struct stage *stage, const struct unpack_totals *stream, struct tar_result *tar, struct diag *diag,
	    struct ingest_result *ret);

#endif
