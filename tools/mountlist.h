/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_MOUNTLIST_H
#define NACRE_TOOLS_MOUNTLIST_H

/*
 * nacre mount without operands: what is mounted, by whomever, as the kernel lists it.  What a mount shows is in
 * its source, which driver_start() gives it (findmnt and df show it too):
 *
 *	nacre:IMAGE[@FIRST-LAST]	an image, by the first digits of its ID; only these of its layers
 *	nacre:IMAGE/layers		a folder for each of its layers
 *	nacre:all			the whole store
 *	nacre:layers			all layers, for other programs
 */

#define MOUNT_SOURCE_PREFIX "nacre:"
#define MOUNT_SOURCE_LAYERS "/layers"
#define MOUNT_SOURCE_ALL    "all"
#define MOUNT_SOURCE_SERVED "layers"

struct cli;
struct args;

/** mount_list() - print it, as the options of @args say. Return: an exit status. */
int mount_list(struct cli *cli, const struct args *args);

#endif
