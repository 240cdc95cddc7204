// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include "store/base/auto.h"
#include "tools/browse.h"
#include "tools/ui.h"

#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

/*
 * Signals are held back but for the moments of waiting, so that none comes
 * between a look at what it did and the wait.  SIGWINCH has only to end it.
 */

static volatile sig_atomic_t last_signal, stop_asked;

static void on_signal(int number)
{
	last_signal = number;
}

static void on_stop(int number)
{
	stop_asked = 1;
}

static void nothing(int number)
{
}

static const int ending[] = { SIGINT, SIGTERM, SIGHUP };

/* One that was ignored stays so: nohup(1). */
static void catch_signal(int number, void (*handler)(int number))
{
	struct sigaction action = { .sa_handler = handler }, before;

	sigemptyset(&action.sa_mask);
	if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

static void hold_signals(sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++) {
		catch_signal(ending[i], on_signal);
		sigaddset(&set, ending[i]);
	}
	catch_signal(SIGWINCH, nothing);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, ret_before);
}

/* As if nobody had caught it. Ctrl-C is a way to leave like 'q'. */
static void die_of_signal(const sigset_t *before)
{
	int number = last_signal;

	if (number == 0 || number == SIGINT)
		return;
	signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, before, NULL);
	raise(number);
}

/* As if nobody had caught it, but with the terminal as it was before; what is drawn next is seen again. */
static void stop(struct browse *browse, const sigset_t *mask)
{
	sigset_t held;

	stop_asked = 0;
	screen_suspend(browse->screen);
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	sigprocmask(SIG_SETMASK, mask, &held); /* here it stops */
	sigprocmask(SIG_SETMASK, &held, NULL);
	catch_signal(SIGTSTP, on_stop);
}

/* Return: false: the terminal is gone. */
static bool wait_for_key(struct browse *browse, const sigset_t *mask)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = browse->sum ? browse_sum_fd(browse->sum) : -1, .events = POLLIN },
		{ .fd = browse->sizes ? browse_sizes_fd(browse->sizes) : -1, .events = POLLIN },
	};

	uint64_t count;

	if (ppoll(fds, ARRAY_SIZE(fds), NULL, mask) < 0)
		return errno == EINTR;
	/* What was worked out is drawn now, and told once. */
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		if (fds[i].revents && read(fds[i].fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			return false;
	return !(fds[0].revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* Return: DONE or FAILED. */
static int loop(struct browse *browse, const sigset_t *mask)
{
	while (!browse->leaves && last_signal == 0) {
		int key;

		browse_settle(browse);
		screen_measure(browse->screen);
		browse_draw(browse);
		screen_flush(browse->screen);
		if (!wait_for_key(browse, mask))
			return FAILED;
		if (stop_asked)
			stop(browse, mask);
		while (!browse->leaves && (key = screen_key(browse->screen)) != SCREEN_NONE)
			browse_key(browse, key);
	}
	return DONE;
}

static int read_layers(struct browse *browse)
{
	int r = 0;

	browse->layers = ui_need(calloc(browse->image->layer_count + 1, sizeof(*browse->layers)));
	for (size_t i = 0; r == 0 && i < browse->image->layer_count; i++) {
		r = layer_info(browse->store, browse->image->layers[i], &browse->layers[i]);
		browse->bytes += browse->layers[i].content_bytes;
	}
	return r;
}

static void browse_release(struct browse *browse)
{
	browse_sum_free(browse->sum);
	browse_sizes_free(browse->sizes);
	browse_page_free(browse->page);
	browse_model_free(browse->model);
	history_release(&browse->history);
	buf_release(&browse->typed);
	free(browse->layers);
	free(browse->searched);
	free(browse->message);
}

static int browse_start(struct browse *browse, struct diag *diag)
{
	int r;

	history_read(browse->image, &browse->history);
	r = read_layers(browse);
	if (r == 0)
		r = browse_model_new(browse->store, browse->image, diag, &browse->model);
	if (r == 0)
		r = screen_open(diag, &browse->screen);
	return r;
}

static void lease_dropp(struct lease **lease)
{
	lease_drop(*lease);
}

static int run(struct browse *browse, struct diag *diag, int *ret_status)
{
	AUTO(lease_dropp) struct lease *lease = NULL;
	AUTO(freep) char *what = NULL;
	sigset_t before;
	int r;

	if (asprintf(&what, "browsed by process %d", (int)getpid()) < 0)
		ui_out_of_memory();
	r = lease_take(browse->store, browse->image->id, what, diag, &lease);
	if (r < 0)
		return r;
	hold_signals(&before);
	r = browse_start(browse, diag);
	/* Without it only the sums are missing. */
	if (r == 0 && browse_sum_start(browse->store, browse->image, &browse->sum) < 0)
		browse->sum = NULL;
	if (r == 0) {
		/* Curses has taken it for itself, with a handler that changes errno and forgets keys. */
		catch_signal(SIGTSTP, on_stop);
		browse_measure(browse);
		*ret_status = loop(browse, &before);
	}
	screen_closep(&browse->screen);
	lease_dropp(&lease);
	lease = NULL;
	die_of_signal(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

int cmd_browse(struct cli *cli, const struct args *args)
{
	AUTO(image_info_releasep) struct image_info image = { 0 };
	const char *ref = args_operand(args, 0);
	char label[DIGEST_TEXT_BYTES];
	struct diag diag = { 0 };
	int status = DONE;

	/* Only the character type, and only here: finding and mapping it takes a tenth of a millisecond. */
	setlocale(LC_CTYPE, "");
	if (cli_open(cli, STORE_READ) < 0 || image_open_at(cli->store, ref, "browse", &image) < 0)
		return FAILED;
	struct browse browse = { .store = cli->store,
				 .image = &image,
				 .label = strchr(ref, '@') ? ref : image_label(&image, label) };
	int r = run(&browse, &diag, &status);
	browse_release(&browse);
	if (r < 0)
		return ui_fail(r, &diag,
			       r == -ENOTTY   ? "'nacre layers', 'nacre ls' and 'nacre diff' are for scripts"
			       : r == -ENOSYS ? "set TERM to what your terminal is: TERM=xterm"
					      : NULL,
			       "cannot browse %s", ref);
	return status;
}
