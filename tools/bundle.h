/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_BUNDLE_H
#define NACRE_TOOLS_BUNDLE_H

/*
 * From what a container is run with (runspec.h) to what the runtime reads: the
 * config.json of the OCI runtime-spec, with the devices, capabilities and masked
 * paths that docker gives.  No seccomp filter.
 */

#include "store/base/diag.h"
#include "tools/etcfiles.h"
#include "tools/json.h"

struct bundle {
	const char *dir;    /* the container's folder, absolute; its "rootfs" is mounted */
	const json_t *spec; /* borrowed */
	int rootfd;	    /* the root of "rootfs" */
	bool user;	    /* in a user namespace */
	bool cgroups;	    /* the runtime may make control groups */
	const char *id;
	const struct etc_places *etc; /* borrowed: where the files for /etc go */
};

/** bundle_write() - config.json, and what is mounted over /etc; folders that the container needs are made in it. */
int bundle_write(const struct bundle *bundle, struct diag *diag);

/**
 * bundle_process() - the "process" of a program in the container
 * @ret: owned
 *
 * Return: 0; -ENOENT: it has no such user; ... .
 */
int bundle_process(const json_t *spec, int rootfd, struct diag *diag, json_t **ret);

/** bundle_cgroup() - the control group of container @id, from the hierarchy's root; a string to free(). */
char *bundle_cgroup(const char *id);

#endif
