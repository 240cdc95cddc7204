/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LOOP_H
#define NACRE_FS_LOOP_H

/* Takes requests from the kernel and hands them to the handlers, with as few threads as will do. */

#include "fs/ops.h"

#include <linux/fuse.h>

/**
 * loop_block_signals() - keep the signals that loop_run() waits for from everybody else
 *
 * Before the first thread is made.  SIGPIPE is ignored from then on.
 */
void loop_block_signals(void);

/** loop_takes_long() - is the request, of @bytes, one that takes longer than waking a thread for the next one? */
bool loop_takes_long(const struct fuse_in_header *in, size_t bytes);

/** loop_serve() - one request, through the gate of the tree, if the mount has one that may be changed as a whole */
void loop_serve(struct mount *mount, const struct fuse_buf *buf);

struct loop_options {
	unsigned max_threads; /* that serve requests; 1: one request at a time; 0: as many as have something to do */
	void (*serving)(void *arg); /* called in the thread of loop_run() when requests are served */
	void (*asked)(void *arg);   /* called in the thread of loop_run() when SIGUSR1 comes */
	void (*ending)(void *arg);  /* likewise at the end, while requests are still served, if anybody can send some */
	void *arg;
};

/**
 * loop_run() - serve until the mount is gone or SIGTERM, SIGINT or SIGHUP comes
 * @mount: its session is mounted; its rings, if it has some, are stopped when it is over
 *
 * Return: 0, -ENOMEM, -EAGAIN (no thread), or the error of reading requests.
 */
int loop_run(struct mount *mount, const struct loop_options *options);

#endif
