// SPDX-License-Identifier: Apache-2.0
#include "tools/output.h"

#include "store/base/auto.h"
#include "tools/relay.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

/* Until both have ended, or nobody reads one of them: then the writer is to notice, by an end that is closed. */
static void pass_on(struct relay *relays, size_t count)
{
	struct pollfd fds[2];
	bool done = false;

	while (!done) {
		for (size_t i = 0; i < count; i++)
			fds[i] = relay_poll(&relays[i]);
		if (poll(fds, count, -1) < 0)
			continue;
		done = true;
		for (size_t i = 0; i < count; i++) {
			if (relay_step(&relays[i], fds[i].revents) < 0)
				return;
			done = done && relay_is_done(&relays[i]);
		}
	}
}

/* The thread's own, since who started it may be gone before it is. */
struct passing {
	struct relay relays[2];
	int done; /* owned */
};

static void passing_free(struct passing *passing)
{
	for (size_t i = 0; i < ARRAY_SIZE(passing->relays); i++) {
		relay_close(&passing->relays[i]);
		buf_release(&passing->relays[i].data);
	}
	closep(&passing->done);
	free(passing);
}

static void *passing_run(void *arg)
{
	struct passing *passing = arg;

	pass_on(passing->relays, ARRAY_SIZE(passing->relays));
	passing_free(passing);
	return NULL;
}

static int pipe_new(int *ret_from, int *ret_to)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	*ret_from = pair[0];
	*ret_to = pair[1];
	return 0;
}

static int passing_open(struct passing *passing, struct output *output)
{
	int r = pipe_new(&output->done, &passing->done);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(output->ends); i++) {
		r = pipe_new(&passing->relays[i].from, &output->ends[i]);
		if (r == 0 && fcntl(output->ends[i], F_SETFL, O_NONBLOCK) < 0)
			r = -errno;
	}
	return r;
}

/* Signals are our caller's; and of a pipe that nobody reads an error is enough. */
static int thread_start(pthread_t *ret, struct passing *passing)
{
	sigset_t all, kept;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &kept);
	r = -pthread_create(ret, NULL, passing_run, passing);
	pthread_sigmask(SIG_SETMASK, &kept, NULL);
	return r;
}

int output_start(struct output *output)
{
	struct passing *passing = malloc(sizeof(*passing));
	int r;

	if (!passing)
		return -ENOMEM;
	*passing = (struct passing){
		.relays = { { .from = -1, .to = STDOUT_FILENO, .log = -1 },
			    { .from = -1, .to = STDERR_FILENO, .log = -1 } },
		.done = -1,
	};
	r = passing_open(passing, output);
	if (r == 0)
		r = thread_start(&output->thread, passing);
	output->running = r == 0;
	if (r < 0)
		passing_free(passing);
	return r;
}

void output_given(struct output *output)
{
	for (size_t i = 0; i < ARRAY_SIZE(output->ends); i++) {
		closep(&output->ends[i]);
		output->ends[i] = -1;
	}
}

int output_done(const struct output *output)
{
	return output->running ? output->done : -1;
}

void output_close(struct output *output)
{
	struct pollfd done = { .fd = output_done(output) };

	if (output->running && poll(&done, 1, 0) > 0)
		pthread_join(output->thread, NULL);
	else if (output->running)
		pthread_detach(output->thread);
	output_given(output);
	closep(&output->done);
	*output = (struct output)OUTPUT_NONE;
}
