/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LOOP_H
#define NACRE_FS_LOOP_H

/* Takes requests from the kernel and hands them to the handlers, with as few threads as will do. */

#include "fs/ops.h"

/**
 * loop_block_signals() - keep the signals that loop_run() waits for from everybody else
 *
 * Before the first thread is made.  SIGPIPE is ignored from then on.
 */
void loop_block_signals(void);

/**
 * loop_run() - serve until the mount is gone or SIGTERM, SIGINT or SIGHUP comes
 * @session: mounted
 * @max_threads: that serve requests; 1: one request at a time; 0: as many as have something to do
 * @readers: borrowed; how many threads read: while it is 0, each request that was read is counted in @stats
 * @stats: borrowed; requests and threads are counted there
 * @fs: borrowed; whose gate requests pass (fs_enter()); NULL: none, no tree of the mount is ever changed as a whole
 * @asked: called, with @arg, in the calling thread, when SIGUSR1 comes
 *
 * Return: 0, -ENOMEM, -EAGAIN (no thread), or the error of reading requests.
 */
int loop_run(struct fuse_session *session, unsigned max_threads, _Atomic unsigned *readers, struct stats *stats,
	     struct fs *fs, void (*asked)(void *arg), void *arg);

#endif
