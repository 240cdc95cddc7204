/* SPDX-License-Identifier: Apache-2.0 */
#include "store/uppertar.h"

#include "store/base/auto.h"
#include "store/ring.h"

#include <pthread.h>

/*
 * A folder comes in by upper_tar(), a ring, and ingest_tar() at its other end: the way
 * every layer comes in.  So each changed file is read once, and memory is the
 * ring's whatever the size of the change.
 *
 * Most changes are smaller than the ring.  Then one end follows the other, since threads that hand each other a few
 * kilobytes at a time wait longer for each other than they work.  The first time that the ring is full, its other end
 * becomes a thread, and hashing and packing go on while the upper is read.
 */

/* The ring and what takes from it. */
struct intake {
	struct writer *writer; /* borrowed */
	struct ring *ring;     /* borrowed */
	struct ingest_options options;
	pthread_t thread;
	bool started; /* there is the thread, and what is below is its own until it was joined */
	struct ingest_result layer;
	struct diag diag;
	int result;
};

static void *take_in(void *arg)
{
	struct intake *in = arg;

	in->result = ingest_tar(in->writer, ring_source(in->ring), &in->options, &in->diag, &in->layer);
	ring_cancel(in->ring);
	return NULL;
}

static int write_to_ring(const void *bytes, size_t count, void *arg)
{
	struct intake *in = arg;

	if (!in->started && count > ring_room(in->ring)) {
		int r = pthread_create(&in->thread, NULL, take_in, in);

		if (r != 0)
			return -r;
		in->started = true;
	}
	return ring_write(in->ring, bytes, count);
}

/* Either end may fail first; then the other one fails for it, and the first one's reason is the reason. */
static int run_intake(struct intake *in, struct view *view, const char *upper, bool whole, struct diag *diag)
{
	struct diag why = { 0 };
	int r = upper_tar(writer_store(in->writer), view, upper, whole, write_to_ring, in, &why);

	ring_finish(in->ring, r);
	if (in->started)
		pthread_join(in->thread, NULL);
	if (r < 0 && r != -ECANCELED)
		return diag_set(diag, r, "%s", diag_text(&why, r));
	if (!in->started) {
		if (in->options.own)
			in->options.at_hand = ring_whole(in->ring, &in->options.at_hand_bytes);
		take_in(in);
	}
	return in->result < 0 ? diag_set(diag, in->result, "%s", diag_text(&in->diag, in->result)) : 0;
}

int upper_ingest(struct writer *writer, struct view *view, const char *upper, bool whole,
		 const struct ingest_options *options, struct diag *diag, struct ingest_result *ret)
{
	AUTO(ring_freep) struct ring *ring = ring_new(INGEST_AT_HAND_BYTES);
	struct intake in = { .writer = writer, .ring = ring, .options = *options };
	int r = ring ? run_intake(&in, view, upper, whole, diag) : -ENOMEM;

	*ret = in.layer;
	return r;
}
