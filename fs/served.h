/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_SERVED_H
#define NACRE_FS_SERVED_H

/*
 * Lowers that others serve: a network's server, or another driver.
 *
 * Who serves may take his time, or never answer.  That is for who asks about what he
 * has: nobody else is to wait for it.  So he is asked with no lock held that others
 * need, names_lock first of all, since behind one who wants that exclusively all wait.
 */

#include "fs/internal.h"

/** struct node_reach - where a node is on disk, as in struct node_at, for who is about to ask there */
struct node_reach {
	struct node_at at;
	struct layer *layer; /* that others serve; it stays right without names_lock.  NULL: that is held until the end */
	bool kept;	     /* of @layer: a reference to @dir is held */
	union dref dir;
	char name[NAME_MAX + 1];
};

/** node_reach() - as node_at(). names_lock is not held. */
int node_reach(struct fs *fs, struct node *node, struct node_reach *ret);
void node_reach_end(struct fs *fs, struct node_reach *reach);

/** served_is() - would others be asked for this node's attributes? names_lock is not held. */
bool served_is(struct fs *fs, struct node *node);
/**
 * served_stat() - attributes on disk of a node in such a lower
 *
 * Return: 0; -ESTALE; -EAGAIN: it is not there, or not any more; -errno.  names_lock is not held.
 */
int served_stat(struct fs *fs, struct node *node, struct stat *st);
/**
 * served_await_locked() - ask once about @node, which stands in @dir, with the lock of @dir let go, and drop the answer
 *
 * What was said is still known to the kernel, or, of a folder, here when it is asked for again.  What was found
 * in @dir before may have gone.
 * Return: the node, with a lookup counted, where that has to be kept for it; NULL.
 */
struct node *served_await_locked(struct fs *fs, struct dirnode *dir, struct node *node);
/**
 * served_await_name() - ask all that has to be known of what is about to lose its name
 *
 * No lock is held; errors are left for who does it.
 */
void served_await_name(struct fs *fs, struct dirnode *dir, const char *name);

#endif
