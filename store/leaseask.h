/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LEASEASK_H
#define NACRE_STORE_LEASEASK_H

/*
 * Asking those who have leases of an image's layers to give up those that they do not need: a file is made in STORE/leases/
 * and removed at once, and its name says which image it is about.  Any who can read that folder hear it, on this machine.
 */

#include "store/image.h"

#define LEASE_ASK_PREFIX ".asked."

/** lease_ask() - nobody may be there to hear it. Return: 0 or -errno. */
int lease_ask(struct store *store, struct image_id image);

struct lease_asks;
/** lease_asks_open() - hear it from now on. */
int lease_asks_open(struct store *store, struct lease_asks **ret);
void lease_asks_free(struct lease_asks *asks);
/** lease_asks_fd() - to be polled for input: then there is something to be read. */
int lease_asks_fd(const struct lease_asks *asks);
/** lease_asks_read() - @fn for each that has come. Does not wait. */
void lease_asks_read(struct lease_asks *asks, void (*fn)(struct image_id image, void *arg), void *arg);

#endif
