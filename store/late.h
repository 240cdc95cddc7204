/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LATE_H
#define NACRE_STORE_LATE_H

#include "store/stage.h"

/**
 * late_share() - find contents that another writer published while this one was staging
 * @db: a connection in its write transaction, stage.db attached as "stage"
 * @framing: the framing's content; changed if it is one of them
 *
 * What the stage calls new and the store has by now becomes a shared content:
 * stage.entry and @framing get -id, the row of stage.content goes.  So two layers that are
 * loaded at once share as they would one after the other.  Its bytes in the staged
 * pack stay behind as a dead part; its object is not published.
 * Return: 0 or -errno.
 */
int late_share(struct stage *stage, struct db *db, int64_t *framing);
/** late_check() - for a stage that has no stage.db. Return: 0: there are no such contents; -EAGAIN: there may be some; -errno. */
int late_check(struct stage *stage, struct db *db);

#endif
