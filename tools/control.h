/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_CONTROL_H
#define NACRE_TOOLS_CONTROL_H

/*
 * Talking with the monitor of a container (monitor.h): messages of one size over a
 * socket that keeps them apart.  Whoever starts the container has a pair of
 * sockets with it, others connect to "control" in its folder.
 */

#include <stdint.h>
#include <sys/types.h>

enum control_verb {
	/* to the monitor */
	CONTROL_SIGNAL, /* send the container's first process signal @value; answered by DONE */
	CONTROL_SYNC,	/* write to the upper what the kernel keeps; answered by DONE */
	CONTROL_SWITCH, /* go on with a fresh upper (live.h); answered by DONE */
	/* as of the driver (fs/control.h), with its @text; answered by DONE with its result, or how many lines, and @text */
	CONTROL_ADD_LAYER,
	CONTROL_REMOVE_LAYER,
	CONTROL_LIST_LAYERS,
	CONTROL_WAIT,	/* tell when it has ended; answered by EXITED, then */
	CONTROL_RESIZE, /* of who started it: the terminal's size has changed; not answered */
	CONTROL_MAPPED, /* of who started it: the user namespace has its numbers */
	/* from the monitor */
	CONTROL_MAP,	 /* the user namespace is there */
	CONTROL_DONE,	 /* @value: 0 or -errno */
	CONTROL_STARTED, /* the container runs */
	CONTROL_FAILED,	 /* it could not be started; @value: what docker exits with then; @text: why */
	CONTROL_EXITED,	 /* it has ended and is tidied up; @value: its exit status, or 128 + signal */
};

struct control_message {
	uint32_t verb;
	int32_t value;
	char text[1024];
};

/** control_connect() - to the monitor of the container in folder @dir. Return: a descriptor or -errno. */
int control_connect(const char *dir);
/** control_listen() - the monitor's end, in place of what an earlier one left. Return: a descriptor or -errno. */
int control_listen(const char *dir);

/* Of control_connect() and these -ESRCH means that the monitor has gone, -EBUSY that it has too many to talk to. */

int control_send(int fd, enum control_verb verb, int value, const char *text);
/** control_receive() - Return: 0 or -errno. */
int control_receive(int fd, struct control_message *ret);

/** control_ask() - send, and wait for the answer. Return: its value, or -errno. */
int control_ask(int fd, enum control_verb verb, int value);

/** control_peer() - the process that listens at the other end of control_connect(). */
int control_peer(int fd, pid_t *ret);

#endif
