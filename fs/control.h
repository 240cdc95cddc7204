/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_CONTROL_H
#define NACRE_FS_CONTROL_H

/*
 * How another process has a mount changed while it is in use: ioctls on its root, by
 * the user who mounted it (or root, as far as the driver may look at his processes), and
 * from where the driver runs too: not from within a container that stands on the mount,
 * whose root may well be that user.
 *
 * CONTROL_IOC_SWITCH_UPPER
 *	The folder that now stands where the upper stood becomes the upper, the present
 *	upper a read-only lower; see fs/live.h.  Result: for how long requests had to wait,
 *	in microseconds, at least 1; 0: that folder is the upper already.
 *
 * CONTROL_IOC_ADD_LAYER, CONTROL_IOC_REMOVE_LAYER, CONTROL_IOC_LIST_LAYERS
 *	See fs/stack.h.  @text: which layer; afterwards, where the result is CONTROL_REFUSED,
 *	why, and where it is CONTROL_USED, what is in use.  @number: afterwards, for how many
 *	microseconds requests had to wait.  Of a list @number is how many layers to leave
 *	out, afterwards how many lines there are in @text.
 *
 * CONTROL_IOC_WRITES
 *	What has come of that which the kernel writes back, for who waits for it: see driver_sync().
 *	It changes nothing, so it may be asked for from anywhere.
 */

#include <stdint.h>
#include <sys/ioctl.h>

enum { CONTROL_TEXT_BYTES = 8192 };
struct control_layer {
	uint64_t number;
	char text[CONTROL_TEXT_BYTES];
};
enum { CONTROL_REFUSED = 1, CONTROL_USED = 2 }; /* results of those that are no errors */

/* While so many are under way the kernel sends no page of a file: FUSE_DEFAULT_CONGESTION_THRESHOLD in fs/fuse/inode.c. */
enum { CONTROL_CONGESTED = 9 };

struct control_writes {
	uint64_t taken;	      /* WRITE requests that have come so far */
	uint64_t done;	      /* those of them that were answered */
	uint64_t later_taken; /* requests that the kernel may have let wait: those, and READ and RELEASE */
	uint64_t later_done;
	uint32_t hidden; /* not 0: one more may have come that is not counted yet */
	uint32_t padding;
};

#define CONTROL_IOC_SWITCH_UPPER _IO('N', 0x74)
#define CONTROL_IOC_ADD_LAYER	 _IOWR('N', 0x75, struct control_layer)
#define CONTROL_IOC_REMOVE_LAYER _IOWR('N', 0x76, struct control_layer)
#define CONTROL_IOC_LIST_LAYERS	 _IOWR('N', 0x77, struct control_layer)
#define CONTROL_IOC_WRITES	 _IOR('N', 0x78, struct control_writes)

#endif
