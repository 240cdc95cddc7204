/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_REMOTE_H
#define NACRE_TOOLS_REMOTE_H

/* What the commands that talk to registries share. */

#include "store/registry.h"
#include "tools/bars.h"
#include "tools/cli.h"

/** remote_options() - from the command line; texts are borrowed from it. Return: DONE or MISUSED. */
int remote_options(const struct args *args, struct registry_options *ret);

/** remote_hint() - what helps with a failure; NULL: nothing known. */
const char *remote_hint(int err);

/** remote_events() - bars for transfers; @bars is borrowed. @words: by enum transfer_result. */
struct remote_view {
	struct bars *bars;
	const char *words[4];
};
struct transfer_events remote_events(struct remote_view *view);

#endif
