/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_LIFECYCLE_H
#define NACRE_TOOLS_LIFECYCLE_H

/* What start, stop and restart share: a container of `nacre run`, from its name to the launch. */

#include "store/base/diag.h"

#include <stdbool.h>

struct cli;
struct target;

/** lifecycle_find() - a container by ID or name. -EINVAL: `nacre run` did not make it. */
int lifecycle_find(struct cli *cli, const char *what, struct diag *diag, struct target *ret);

/** lifecycle_hint() - for a failure of the above; NULL: none. */
const char *lifecycle_hint(int err);

enum { STOP_SECONDS = 10 }; /* docker's, before it is killed */

/** lifecycle_seconds() - docker's --time: -1 waits for ever. Return: whether @text, which may be NULL, is one. */
bool lifecycle_seconds(const char *text, int *ret);

/** lifecycle_stop() - with its own StopSignal; one that does not run is no failure. cli->store is open. */
int lifecycle_stop(struct cli *cli, const char *what, int seconds, struct diag *diag);

/**
 * lifecycle_start() - start one again; the store is opened, and closed before the launch
 * @attach: stay with it
 *
 * Return: an exit status; what went wrong has been said, as "cannot @verb @what".  With @attach that of the program.
 */
int lifecycle_start(struct cli *cli, const char *verb, const char *what, bool attach);

#endif
