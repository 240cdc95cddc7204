// SPDX-License-Identifier: Apache-2.0
#include "tools/launch.h"

#include "store/base/auto.h"
#include "tools/bundle.h"
#include "tools/control.h"
#include "tools/monitor.h"
#include "tools/output.h"
#include "tools/runspec.h"
#include "tools/ui.h"

#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>

/* What the container is told of; others stop or end us as any program. */
static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH };

struct session {
	int control; /* owned */
	int signals; /* owned; -1 in the background */
	struct output output;
	bool raw; /* the terminal is the container's, and is put back from @kept */
	struct termios kept;
};

static void session_end(struct session *session)
{
	if (session->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &session->kept);
	session->raw = false;
	output_close(&session->output);
	closep(&session->control);
	closep(&session->signals);
}

/* From here on none is lost: they wait until the container can take them. */
static int catch_signals(struct session *session)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	session->signals = signalfd(-1, &set, SFD_CLOEXEC);
	return session->signals < 0 ? -errno : 0;
}

/* Keys go to the container as they are: it has a terminal of its own that knows what they mean. */
static void make_raw(struct session *session, const json_t *spec)
{
	struct termios raw;

	if (!runspec_is(spec, "Tty") || !runspec_is(spec, "OpenStdin") || tcgetattr(STDIN_FILENO, &session->kept) < 0)
		return;
	raw = session->kept;
	cfmakeraw(&raw);
	session->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void pass_signal(const struct session *session)
{
	struct signalfd_siginfo info;

	if (read(session->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		control_send(session->control, CONTROL_RESIZE, 0, NULL);
	else
		control_send(session->control, CONTROL_SIGNAL, (int)info.ssi_signo, NULL);
}

/* The next message that says how it goes on, signals passed on meanwhile. */
static int next_message(const struct session *session, struct control_message *ret)
{
	do {
		struct pollfd fds[] = {
			{ .fd = session->control, .events = POLLIN },
			{ .fd = session->signals, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			pass_signal(session);
		ret->verb = CONTROL_DONE;
		int r = fds[0].revents ? control_receive(session->control, ret) : 0;
		if (r < 0)
			return r;
	} while (ret->verb == CONTROL_DONE);
	return 0;
}

static int failed(struct session *session, const char *action, const char *hint, int status, const char *text)
{
	session_end(session);
	ui_error("cannot %s: %s%s%s%s", action, text, hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
	return status;
}

/* What it has written last is to be read; whoever does not wait for that sends a signal. */
static void await_output(const struct session *session)
{
	struct pollfd fds[] = {
		{ .fd = output_done(&session->output), .events = POLLIN },
		{ .fd = session->signals, .events = POLLIN },
	};
	struct signalfd_siginfo info = { 0 };

	while (fds[0].fd >= 0 && !fds[0].revents) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			fds[0].revents = 0;
		else if (fds[1].revents && read(session->signals, &info, sizeof(info)) == sizeof(info) &&
			 info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT)
			return;
	}
}

/* Until it has ended. Return: the status to exit with. */
static int accompany(struct session *session, const json_t *spec, const char *action)
{
	struct control_message message;

	make_raw(session, spec);
	int r = next_message(session, &message);
	await_output(session);
	if (r < 0)
		return failed(session, action, NULL, LAUNCH_FAILED,
			      "its monitor was killed, and the container with it");
	session_end(session);
	if (*message.text)
		ui_warn("%s", message.text);
	return message.value;
}

int launch(const struct container_info *container, const json_t *spec, bool detach, const char *action, int lock,
	   bool *ret_started)
{
	AUTO(session_end) struct session session = { .control = -1, .signals = -1, .output = OUTPUT_NONE };
	AUTO(closep) int until_started = lock;
	struct control_message message;
	struct diag diag = { 0 };
	int r = detach ? 0 : catch_signals(&session);

	*ret_started = false;
	if (r == 0 && !detach)
		r = output_start(&session.output);
	if (r == 0)
		r = monitor_spawn(container, spec, detach ? NULL : session.output.ends, &diag, &session.control);
	output_given(&session.output);
	if (r < 0)
		return failed(&session, action, NULL, LAUNCH_FAILED, diag_text(&diag, r));
	r = next_message(&session, &message);
	if (r < 0)
		return failed(&session, action, NULL, LAUNCH_FAILED, "its monitor has gone");
	if (message.verb == CONTROL_FAILED)
		return failed(&session, action, NULL, message.value, message.text);
	*ret_started = true;
	closep(&until_started);
	until_started = -1;
	return detach ? 0 : accompany(&session, spec, action);
}

/*
 * Ending one.
 */

int launch_signal(const char *dir, int signal)
{
	AUTO(closep) int control = control_connect(dir);

	return control < 0 ? control : control_ask(control, CONTROL_SIGNAL, signal);
}

/* Return: 1 when it has ended, with its status if its monitor could tell, 0 after the time. */
static int wait_for_end(int control, int timeout_ms, int *ret_status)
{
	struct control_message message = { 0 };
	struct pollfd wait = { .fd = control, .events = POLLIN };
	int r;

	do {
		r = poll(&wait, 1, timeout_ms);
		if (r == 0)
			return 0;
		if (r > 0 && control_receive(control, &message) < 0)
			return 1; /* killed: so has the container been */
	} while (message.verb != CONTROL_EXITED && message.verb != CONTROL_FAILED);
	*ret_status = message.value;
	return 1;
}

int launch_wait(const char *dir, int *ret_status)
{
	AUTO(closep) int control = control_connect(dir);
	int status = -1;
	int r = control < 0 ? control : control_send(control, CONTROL_WAIT, 0, NULL);

	if (r == 0)
		wait_for_end(control, -1, &status);
	*ret_status = status;
	return r == 0 && status < 0 ? -ESRCH : r;
}

int launch_stop(const char *dir, int signal, int seconds)
{
	AUTO(closep) int control = control_connect(dir);
	int r = control < 0 ? control : control_ask(control, CONTROL_SIGNAL, seconds == 0 ? SIGKILL : signal);
	int status;

	/* Its process may have ended, and its monitor not yet. */
	if (control < 0 || (r < 0 && r != -ESRCH))
		return r == -ESRCH ? 0 : r;
	r = control_send(control, CONTROL_WAIT, 0, NULL);
	if (r < 0 || wait_for_end(control, seconds > 0 ? seconds * 1000 : -1, &status) == 1)
		return 0;
	r = control_send(control, CONTROL_SIGNAL, SIGKILL, NULL);
	wait_for_end(control, -1, &status);
	return 0;
}

void launch_tidy(const char *id)
{
	AUTO(freep) char *cgroup = bundle_cgroup(id);
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/*" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		AUTO(freep) char *pattern = NULL;
		glob_t found = { 0 };

		if (asprintf(&pattern, "%s%s", places[i], cgroup) < 0)
			ui_out_of_memory();
		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t n = 0; n < found.gl_pathc; n++)
				rmdir(found.gl_pathv[n]);
		globfree(&found);
	}
}
