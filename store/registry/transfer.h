/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_REGISTRY_TRANSFER_H
#define NACRE_STORE_REGISTRY_TRANSFER_H

/*
 * The layers of an image on their way, several at a time: threads with a
 * connection each, which take one layer after the other.  The first that fails stops all.
 */

#include "store/registry/http.h"

#include <pthread.h>

struct transfers;

/* A thread at its layer. */
struct transfer {
	struct transfers *all; /* borrowed */
	struct http *http;     /* owned */
	size_t no;	       /* of the layer */
	pthread_t thread;
};

struct transfers {
	const struct registry_options *options; /* borrowed */
	const struct transfer_events *events;	/* borrowed; may be NULL */
	/** Is there something to be done for this layer? Asked once for each, under the lock. */
	bool (*wanted)(size_t no, void *arg);
	/** Do it, and tell that it begins; its end is told when this returns 0 with *@ret_result. */
	int (*move)(struct transfer *transfer, struct diag *why, enum transfer_result *ret_result, void *arg);
	void *arg;

	atomic_bool stop; /* one failed: for http_new() */
	pthread_mutex_t lock;
	/* Under @lock: */
	size_t next, count; /* layers */
	int result;	    /* the first failure */
	struct diag why;    /* of it */
};

void transfers_init(struct transfers *transfers, const struct registry_options *options,
		    const struct transfer_events *events);
void transfers_release(struct transfers *transfers);

/* The events, one at a time. */
void transfers_begin(struct transfers *transfers, size_t no, const struct digest *digest, uint64_t bytes);
void transfers_progress(struct transfers *transfers, size_t no, uint64_t bytes);
void transfers_end(struct transfers *transfers, size_t no, enum transfer_result result);

/**
 * transfers_run() - all that is wanted of @count layers
 * @jobs_max: no more threads than this, nor than the options say
 * Return: 0, or the first failure, with its reason in @diag.
 */
int transfers_run(struct transfers *transfers, size_t count, size_t jobs_max, struct diag *diag);

#endif
