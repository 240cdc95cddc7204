/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/transfer.h"

enum { JOBS = 3, JOBS_MAX = 16 };

void transfers_init(struct transfers *t, const struct registry_options *options, const struct transfer_events *events)
{
	*t = (struct transfers){ .options = options, .events = events };
	pthread_mutex_init(&t->lock, NULL);
}

void transfers_release(struct transfers *t)
{
	pthread_mutex_destroy(&t->lock);
}

/* ---- events ---- */

void transfers_begin(struct transfers *t, size_t no, const struct digest *digest, uint64_t bytes)
{
	char text[DIGEST_TEXT_BYTES];

	if (!t->events || !t->events->begin)
		return;
	pthread_mutex_lock(&t->lock);
	t->events->begin(no, digest_format(digest, text), bytes, t->events->arg);
	pthread_mutex_unlock(&t->lock);
}

void transfers_progress(struct transfers *t, size_t no, uint64_t bytes)
{
	if (!t->events || !t->events->progress)
		return;
	pthread_mutex_lock(&t->lock);
	t->events->progress(no, bytes, t->events->arg);
	pthread_mutex_unlock(&t->lock);
}

void transfers_end(struct transfers *t, size_t no, enum transfer_result result)
{
	if (!t->events || !t->events->end)
		return;
	pthread_mutex_lock(&t->lock);
	t->events->end(no, result, t->events->arg);
	pthread_mutex_unlock(&t->lock);
}

/* ---- threads ---- */

static bool take(struct transfer *transfer)
{
	struct transfers *t = transfer->all;
	bool found = false;

	pthread_mutex_lock(&t->lock);
	while (!found && t->result == 0 && t->next < t->count) {
		transfer->no = t->next++;
		found = t->wanted(transfer->no, t->arg);
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

static void fail(struct transfers *t, int err, const struct diag *why)
{
	pthread_mutex_lock(&t->lock);
	if (t->result == 0) {
		t->result = err;
		t->why = *why;
		atomic_store(&t->stop, true);
	}
	pthread_mutex_unlock(&t->lock);
}

static void *work(void *arg)
{
	struct transfer *transfer = arg;
	struct transfers *t = transfer->all;

	while (take(transfer)) {
		enum transfer_result result = TRANSFER_DONE;
		struct diag why = { 0 };
		int r = t->move(transfer, &why, &result, t->arg);

		if (r < 0)
			fail(t, r, &why);
		else
			transfers_end(t, transfer->no, result);
	}
	return NULL;
}

static int start(struct transfers *t, struct transfer *transfer, struct diag *diag)
{
	int r;

	*transfer = (struct transfer){ .all = t };
	r = http_new(t->options, &t->stop, diag, &transfer->http);
	if (r == 0)
		r = -pthread_create(&transfer->thread, NULL, work, transfer);
	if (r < 0)
		http_free(transfer->http);
	return r;
}

int transfers_run(struct transfers *t, size_t count, size_t jobs_max, struct diag *diag)
{
	struct transfer running[JOBS_MAX];
	size_t jobs = t->options->jobs ? t->options->jobs : JOBS, started = 0;
	struct diag why = { 0 };
	int r = 0;

	t->count = count;
	if (jobs > JOBS_MAX)
		jobs = JOBS_MAX;
	if (jobs > jobs_max)
		jobs = jobs_max;
	while (r == 0 && started < jobs) {
		r = start(t, &running[started], &why);
		started += r == 0;
	}
	if (r < 0)
		fail(t, r, &why);
	for (size_t i = 0; i < started; i++) {
		pthread_join(running[i].thread, NULL);
		http_free(running[i].http);
	}
	return t->result < 0 ? diag_set(diag, t->result, "%s", diag_text(&t->why, t->result)) : 0;
}
