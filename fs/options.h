/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_OPTIONS_H
#define NACRE_FS_OPTIONS_H

/* The command line of nacrefs: its own options, and what goes on to the kernel. */

#include "fs/fs.h"
#include "store/base/buf.h"

struct mount_options {
	struct fs_options fs;
	char *mountpoint;   /* owned */
	struct buf kernel;  /* "ro,nodev,...": for the mount itself */
	struct buf ignored; /* names of unknown options, for a warning */
	double timeout;	    /* seconds that the kernel may keep names and attributes; <0: for ever */
	bool foreground, debug;
	bool io_uring; /* requests come that way where it can be had */
	bool help, version;
	bool stats, json; /* ask the driver of the mount that is there */
	bool read_only;
	char *layerstore; /* owned; "layerstore": the folder of the store, all of which is shown */
	bool in_storage;  /* a layer of containers/storage */
	bool remount;	  /* change the flags of the mount that is there */
	bool squash_to_root;
	bool writeback, writeback_set, metacopy_set, redirect_set;
	bool passthrough;
	bool allow_other;
	bool suid, dev; /* from "suid", "dev", or root's default */
	bool no_suid, no_dev;
	unsigned max_read; /* bytes; 0: no limit of ours */
	unsigned threads;  /* at most; 1: threaded=0 was said; 0: as many as there is need for */
};

/** options_parse() - Return: 0; -EINVAL: misused, diag says how. Release in any case. */
int options_parse(int argc, char **argv, struct mount_options *ret, struct diag *diag);
void options_release(struct mount_options *options);
/** options_check() - what all options mean together; options_parse() calls it. Return: 0; -EINVAL, diag says why. */
int options_check(struct mount_options *options, struct diag *diag);
/** options_name() - of the @i-th option that is known, for tests; NULL: there are no more. */
const char *options_name(size_t i);
/** options_help() - text of --help. */
const char *options_help(void);

#endif
