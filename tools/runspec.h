/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_RUNSPEC_H
#define NACRE_TOOLS_RUNSPEC_H

/*
 * What a container is run with: the command line over the image's config, as a
 * JSON object that stays in the container's folder (runstate.h), so that it can be
 * started again.  Its keys, all there unless said:
 *
 *   Args, Env       lists of texts; Env without what only the container itself tells (HOME)
 *   User            as account_find() takes it
 *   WorkingDir, Hostname, Network ("host", "none"), Runtime ("crun", "runc")
 *   Tty, OpenStdin, ReadOnly, Remove
 *   Memory, PidsLimit   numbers, 0: no limit
 *   StopSignal      a number
 *   Mounts          list of { Source, Destination, ReadOnly }
 *   Volumes         list of paths in the image
 *   Store, Image    the store's folder; the image's ID
 */

#include "store/image.h"
#include "tools/cli.h"
#include "tools/json.h"

/**
 * runspec_new() - of run's @args and the config of @image; Hostname is missing yet
 *
 * Return: 0; -EINVAL: @diag says what cannot be; ... .
 */
int runspec_new(const struct args *args, const struct image_info *image, const char *store, struct diag *diag,
		json_t **ret);

/** runspec_add_env() - put -e and --env-file of @args over the list @env. Return: 0, -errno with the reason. */
int runspec_add_env(const struct args *args, json_t *env, struct diag *diag);

/** runspec_signal() - "SIGTERM", "TERM" or "15". Return: the number, 0: there is none. */
int runspec_signal(const char *text);

/** runspec_command() - Args as people would have typed them; a string to free(). */
char *runspec_command(const json_t *spec);

/* Short for what JSON says of @spec. */
const char *runspec_text(const json_t *spec, const char *key);
bool runspec_is(const json_t *spec, const char *key);
long long runspec_number(const json_t *spec, const char *key);

#endif
