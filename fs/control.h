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
 */

#include <sys/ioctl.h>

#define CONTROL_IOC_SWITCH_UPPER _IO('N', 0x74)

#endif
