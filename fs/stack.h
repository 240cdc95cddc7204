/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_STACK_H
#define NACRE_FS_STACK_H

/* Lowers that come to a mount in use, or leave it (stack.c). */

#include "fs/fs.h"

/* What the kernel knows and is not true any more. */
struct stale {
	const struct node *dir; /* as the kernel knows it; it may have been forgotten since */
	char *name;		/* owned; in @dir; NULL: attributes of @dir itself */
	bool listing;		/* without a name: and its listing */
};
struct stales {
	struct stale *list; /* owned */
	size_t count, room;
};

/** stales_add() - @name: copied; NULL: see struct stale. Return: 0 or -ENOMEM. */
int stales_add(struct stales *stales, const struct node *dir, const char *name, bool listing);
void stales_release(struct stales *stales);

/** Tells the kernel; called with no lock held, and never within fs_enter(). */
typedef void (*stale_fn)(const struct stale *stale, void *arg);

struct stack_change {
	stale_fn tell;
	void (*let_go)(void *arg); /* of what is remembered without anybody using it; as @tell is called */
	void *arg;
	uint64_t pause_ns; /* result: for how long requests had to wait */
	char *used;	   /* result, of -ETXTBSY: what is in use, "usr/bin/perl"; to be freed */
};

/**
 * fs_stack_add() - a layer comes to stand on top of all others, below the upper
 * @what: an absolute path; or, where the lowers are of a store, "DIFF-ID IMAGE-ID", an image that has that layer
 *
 * Not within fs_enter(); it takes turns with other changes of the stack.  When it returns, the kernel has been told of
 * all that has changed.  On failure all is as it was.
 * Return: 0; -errno with diag.
 */
int fs_stack_add(struct fs *fs, const char *what, struct stack_change *change, struct diag *diag);

/**
 * fs_stack_remove() - a layer goes
 * @what: its name as fs_stack_list() has it, or another path of the same folder
 *
 * As fs_stack_add().  -ETXTBSY: something of it is in use: change->used, no diag.
 */
int fs_stack_remove(struct fs *fs, const char *what, struct stack_change *change, struct diag *diag);

/**
 * fs_stack_list() - the layers, topmost first, a line each: "added " or "lower ", and its name
 * @from: leave out so many
 * @room: no more bytes than that, whole lines only
 *
 * Return: how many lines; -errno.
 */
int fs_stack_list(struct fs *fs, size_t from, char *text, size_t room);

/** stack_note_move() - @name in @dir is about to be what another name was, of which the kernel may know nothing true. */
int stack_note_move(struct fs *fs, const struct node *dir, const char *name);

/** stack_leaning() - -EBUSY with diag: something in the upper is nothing without @layer, which is leaving (leaning.c) */
struct layer;
int stack_leaning(struct fs *fs, struct layer *layer, struct diag *diag);

enum restack_flags {
	RESTACK_MAY_HIDE = 1 << 0, /* what is in use and shows no more lives on without a name; else that is -ETXTBSY */
	RESTACK_PLAN = 1 << 1,	   /* change nothing: only say what the kernel would have to be told */
};

/**
 * restack() - make the tree in memory what it would be if it was looked at for the first time (restack.c)
 * @how: enum restack_flags
 * @mounted: on what something is mounted: if that is to show no more, it is -ETXTBSY in any case
 * @ret: what the kernel is to be told once the gate is open
 * @ret_used: with -ETXTBSY, what is in use; to be freed
 *
 * fs->layers are as they are to be, the gate is closed.  If it fails, nothing has changed.
 */
struct mounted_on;
int restack(struct fs *fs, unsigned how, const struct mounted_on *mounted, struct stales *ret, char **ret_used);

/** stack_path() - of a node from the root, "usr/bin/perl"; to be freed; NULL: out of memory. The gate is closed. */
char *stack_path(const struct node *node);

#endif
