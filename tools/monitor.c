// SPDX-License-Identifier: Apache-2.0
#include "tools/monitor.h"

#include "fs/control.h"
#include "store/base/auto.h"
#include "store/base/io.h"
#include "store/frozen.h"
#include "tools/bundle.h"
#include "tools/control.h"
#include "tools/driver.h"
#include "tools/launch.h"
#include "tools/monitor_priv.h"
#include "tools/rootdir.h"
#include "tools/runspec.h"
#include "tools/runstate.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

/* How long what a container wrote last may take to get through when it has ended. */
enum { DRAIN_MS = 2000, ERROR_TEXT_MS = 200, LEAVE_MS = 5000, LOCK_RETRY_US = 5000, TURN_AWAY_MS = 100 };

/*
 * Mounting and unmounting its root.
 */

static int mount_root(struct monitor *m, struct diag *diag)
{
	struct digest image;
	struct driver_mount mount = {
		.store_dir = runspec_text(m->spec, "Store"),
		.image = &image,
		.upper = m->container->upper,
		.work = m->container->work,
		.fakeroot = m->container->fakeroot,
		/* In a user namespace all that are in it may come, and the kernel checks what each may do. */
		.user_options = m->user ? "allow_other,default_permissions,suid,dev" : NULL,
		.mountpoint = m->rootfs,
	};

	if (mkdir(m->rootfs, 0755) < 0 && errno != EEXIST)
		return diag_errno(diag, -errno, "cannot make %s", m->rootfs);
	if (digest_parse(runspec_text(m->spec, "Image"), &image) < 0)
		return diag_set(diag, -EBADMSG, "its run.json names no image");
	return driver_start(&mount, diag);
}

static int write_bundle(struct monitor *m, struct diag *diag)
{
	AUTO(closep) int rootfd = open(m->rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bundle bundle = {
		.dir = m->container->dir,
		.spec = m->spec,
		.rootfd = rootfd,
		.user = m->user,
		.cgroups = m->runtime.cgroups,
		.id = m->container->id,
		.etc = &m->etc,
	};

	if (rootfd < 0)
		return diag_errno(diag, -errno, "cannot open %s", m->rootfs);
	etc_files_place(rootfd, m->container->upper, m->spec, &m->etc);
	return bundle_write(&bundle, diag);
}

static void unmount_root(struct monitor *m, struct diag *diag)
{
	int rootfd = open(m->rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (rootfd >= 0)
		etc_files_remove(rootfd, &m->etc);
	closep(&rootfd);
	int r = driver_stop(m->rootfs, diag);
	if (r < 0)
		diag_errno(diag, r, "its root cannot be unmounted");
}

/*
 * Starting it.
 */

static int listen_for_console(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = RUNTIME_CONSOLE };
	AUTO(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(RUNTIME_CONSOLE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* The terminal's other end, which the runtime has sent to @console. */
static int receive_terminal(int console)
{
	AUTO(closep) int from = accept4(console, NULL, NULL, SOCK_CLOEXEC);
	char data[256];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { data, sizeof(data) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int fd;

	if (from < 0 || recvmsg(from, &message, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len < CMSG_LEN(sizeof(int)))
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

/* What the runtime said on its way out, on one line. */
static void quote_runtime(struct monitor *m, int status, struct diag *diag)
{
	char text[768];
	size_t len = 0;
	struct pollfd wait = { .fd = m->relays[RELAY_ERR].from, .events = POLLIN };
	ssize_t n = 1;

	while (n > 0 && len < sizeof(text) - 1 && poll(&wait, 1, ERROR_TEXT_MS) > 0) {
		n = read(wait.fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	runtime_say(text);
	if (len > 0)
		diag_set(diag, -EIO, "%s", text);
	else
		diag_set(diag, -EIO, "%s ended with status %d and said nothing", m->runtime.program, status);
}

/* docker's statuses: the runtime tells in words only whether it was the program's fault. */
static int failed_status(const char *text)
{
	if (!strstr(text, "exec"))
		return LAUNCH_FAILED;
	return strstr(text, "not found") || strstr(text, "o such file") ? LAUNCH_NOT_FOUND : LAUNCH_NOT_RUNNABLE;
}

static int read_pid(pid_t *ret)
{
	AUTO(freep) char *text = NULL;
	size_t bytes;
	int r = io_read_file(AT_FDCWD, RUNTIME_PID_FILE, 64, &text, &bytes);

	*ret = r == 0 ? atoi(text) : 0;
	return r == 0 && *ret <= 0 ? -EBADMSG : r;
}

/* The ends of pipes and terminals that the container gets. */
struct ends {
	int in, out, err; /* owned */
	int console;	  /* owned */
};

static void ends_close(struct ends *ends)
{
	closep(&ends->in);
	closep(&ends->out);
	closep(&ends->err);
	closep(&ends->console);
}

static int make_pipe(struct relay *relay, int *ret_end)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	relay->from = pair[0];
	*ret_end = pair[1];
	return 0;
}

/* With -i it reads our own standard input, and in the background one that nobody ever writes to. */
static int make_input(struct monitor *m, int *ret)
{
	int pair[2];

	if (!runspec_is(m->spec, "OpenStdin") || runspec_is(m->spec, "Tty"))
		*ret = open("/dev/null", O_RDONLY | O_CLOEXEC);
	else if (m->attached)
		*ret = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (pipe2(pair, O_CLOEXEC) == 0) {
		*ret = pair[0];
		m->held = pair[1];
	}
	return *ret < 0 ? -errno : 0;
}

static int make_ends(struct monitor *m, struct ends *ends)
{
	int r = make_input(m, &ends->in);

	if (r == 0)
		r = make_pipe(&m->relays[RELAY_OUT], &ends->out);
	if (r == 0)
		r = make_pipe(&m->relays[RELAY_ERR], &ends->err);
	if (r == 0 && runspec_is(m->spec, "Tty")) {
		ends->console = listen_for_console();
		r = ends->console < 0 ? ends->console : 0;
	}
	return r;
}

void monitor_resize(const struct monitor *m)
{
	struct winsize size;

	if (m->terminal >= 0 &&
	    (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0))
		ioctl(m->terminal, TIOCSWINSZ, &size);
}

static int take_terminal(struct monitor *m, int console)
{
	int fd = receive_terminal(console);

	if (fd < 0)
		return fd;
	m->terminal = fd;
	monitor_resize(m);
	relay_close(&m->relays[RELAY_OUT]);
	m->relays[RELAY_OUT].from = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	m->relays[RELAY_IN].to = fd;
	if (m->attached && runspec_is(m->spec, "OpenStdin"))
		m->relays[RELAY_IN].from = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	unlink(RUNTIME_CONSOLE);
	return 0;
}

static int start_container(struct monitor *m, struct diag *diag, int *ret_status)
{
	AUTO(ends_close) struct ends ends = { -1, -1, -1, -1 };
	int r = make_ends(m, &ends);

	*ret_status = LAUNCH_FAILED;
	if (r < 0)
		return diag_errno(diag, r, "cannot make its standard input and output");
	int stdio[3] = { ends.in, ends.out, ends.err };
	runtime_delete(&m->runtime); /* what one before left that was killed */
	r = runtime_run(&m->runtime, runspec_is(m->spec, "Tty"), stdio);
	/* Ours would keep the pipes from ending. */
	closep(&ends.out);
	closep(&ends.err);
	ends.out = ends.err = -1;
	if (r < 0)
		return diag_errno(diag, r, "cannot run %s", m->runtime.program);
	if (r > 0) {
		quote_runtime(m, r, diag);
		*ret_status = failed_status(diag->text);
		return -EIO;
	}
	r = read_pid(&m->init);
	if (r == 0 && ends.console >= 0)
		r = take_terminal(m, ends.console);
	return r < 0 ? diag_errno(diag, r, "%s started it, but did not say all about it", m->runtime.program) : 0;
}

/*
 * What is asked of it while it runs.
 */

void monitor_detach(struct monitor *m)
{
	AUTO(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	relay_close(&m->relays[RELAY_IN]);
	for (size_t i = RELAY_OUT; i <= RELAY_ERR; i++) {
		closep(&m->relays[i].to);
		m->relays[i].to = -1;
		relay_drop(&m->relays[i]);
	}
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	m->attached = false;
}

static int send_signal(const struct monitor *m, int number)
{
	if (m->init <= 0)
		return -ESRCH;
	return kill(m->init, number) < 0 ? -errno : 0;
}

/* A message has less room than the driver's answer: of a list it gets as many lines as go into it. */
static bool serve_layers(const struct monitor *m, struct peer *peer, const struct control_message *message)
{
	struct control_layer layer = { .number = (uint64_t)message->value };
	size_t used = 0, len;
	int lines = 0, r;

	snprintf(layer.text, sizeof(layer.text), "%s", message->text);
	r = driver_layers(m->rootfs, message->verb, &layer);
	if (r == 0 && message->verb == CONTROL_LIST_LAYERS) {
		while ((len = strcspn(layer.text + used, "\n")),
		       layer.text[used] && used + len + 1 < sizeof(message->text)) {
			used += len + 1;
			lines++;
		}
		layer.text[used] = '\0';
		r = lines;
	}
	return control_send(peer->fd, CONTROL_DONE, r, layer.text) == 0;
}

/* Return: false when the peer has nothing more to say, or is gone. */
static bool serve(struct monitor *m, struct peer *peer)
{
	struct control_message message;

	if (control_receive(peer->fd, &message) < 0)
		return false;
	if (m->ended && message.verb != CONTROL_WAIT)
		return control_send(peer->fd, CONTROL_DONE, -ESRCH, NULL) == 0;
	switch (message.verb) {
	case CONTROL_SIGNAL:
		return control_send(peer->fd, CONTROL_DONE, send_signal(m, message.value), NULL) == 0;
	case CONTROL_SYNC:
		return control_send(peer->fd, CONTROL_DONE, driver_sync(m->rootfs), NULL) == 0;
	case CONTROL_SWITCH:
		return control_send(peer->fd, CONTROL_DONE, driver_switch_upper(m->rootfs), NULL) == 0;
	case CONTROL_ADD_LAYER:
	case CONTROL_REMOVE_LAYER:
	case CONTROL_LIST_LAYERS:
		return serve_layers(m, peer, &message);
	case CONTROL_WAIT:
		peer->waits = true;
		return true;
	case CONTROL_RESIZE:
		monitor_resize(m);
		return true;
	default:
		return false;
	}
}

static void peer_close(struct monitor *m, struct peer *peer)
{
	if (peer == &m->peers[PEER_STARTER])
		monitor_detach(m);
	closep(&peer->fd);
	*peer = (struct peer){ .fd = -1 };
}

/* There are too many.  What was not read of a peer would take with it what it was told. */
static void turn_away(int fd)
{
	struct pollfd asks = { .fd = fd, .events = POLLIN };
	struct control_message message;

	if (poll(&asks, 1, TURN_AWAY_MS) > 0 && control_receive(fd, &message) == 0)
		control_send(fd, CONTROL_DONE, -EBUSY, NULL);
}

static void accept_peer(struct monitor *m)
{
	int fd = accept4(m->listen, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = PEER_STARTER + 1; fd >= 0 && i < PEERS_MAX; i++)
		if (m->peers[i].fd < 0) {
			m->peers[i] = (struct peer){ .fd = fd };
			return;
		}
	if (fd >= 0)
		turn_away(fd);
	closep(&fd);
}

/* Children that have ended: the container's first process, and what the driver and the runtime left. */
static void reap(struct monitor *m)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(m->signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGCHLD)
		send_signal(m, (int)runspec_number(m->spec, "StopSignal"));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == m->init) {
			m->init = 0;
			m->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* One round of waiting, for at most @timeout_ms (-1: any time). */
static void turn(struct monitor *m, int timeout_ms)
{
	enum { AT_SIGNALS, AT_LISTEN, AT_PEERS, AT_RELAYS = AT_PEERS + PEERS_MAX, AT_END = AT_RELAYS + RELAYS };
	struct pollfd fds[AT_END] = {
		[AT_SIGNALS] = { .fd = m->signals, .events = POLLIN },
		[AT_LISTEN] = { .fd = m->listen, .events = POLLIN },
	};

	for (size_t i = 0; i < PEERS_MAX; i++)
		fds[AT_PEERS + i] = (struct pollfd){ .fd = m->peers[i].fd, .events = POLLIN };
	for (size_t i = 0; i < RELAYS; i++)
		fds[AT_RELAYS + i] = relay_poll(&m->relays[i]);
	if (poll(fds, AT_END, timeout_ms) < 0)
		return;
	for (size_t i = 0; i < RELAYS; i++)
		if (relay_step(&m->relays[i], fds[AT_RELAYS + i].revents) < 0 && i != RELAY_IN)
			monitor_detach(m); /* nobody reads us any more */
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (fds[AT_PEERS + i].revents && !serve(m, &m->peers[i]))
			peer_close(m, &m->peers[i]);
	if (fds[AT_LISTEN].revents)
		accept_peer(m);
	if (fds[AT_SIGNALS].revents)
		reap(m);
}

static bool outputs_have_ended(const struct monitor *m)
{
	return relay_has_ended(&m->relays[RELAY_OUT]) && relay_has_ended(&m->relays[RELAY_ERR]);
}

static void watch(struct monitor *m)
{
	while (m->init)
		turn(m, -1);
	/* Who waits for the end does not wait for whoever reads what was written. */
	relay_hoard(&m->relays[RELAY_OUT], true);
	relay_hoard(&m->relays[RELAY_ERR], true);
	/* A process outside may have been given a pipe: it cannot hold up the end for ever. */
	int64_t end = now_ms() + DRAIN_MS, left;
	while (!outputs_have_ended(m) && (left = end - now_ms()) > 0)
		turn(m, (int)left);
}

/* All else is done: what was written last goes to who started it, however long that takes. */
static void write_rest(struct monitor *m)
{
	struct relay *relays[] = { &m->relays[RELAY_OUT], &m->relays[RELAY_ERR] };
	struct pollfd fds[ARRAY_SIZE(relays)];

	for (size_t i = 0; i < ARRAY_SIZE(relays); i++)
		relay_hoard(relays[i], false);
	while (!relay_is_done(relays[0]) || !relay_is_done(relays[1])) {
		for (size_t i = 0; i < ARRAY_SIZE(relays); i++)
			fds[i] = relay_poll(relays[i]);
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(relays); i++)
			(void)relay_step(relays[i], fds[i].revents);
	}
	for (size_t i = 0; i < ARRAY_SIZE(relays); i++)
		closep(&relays[i]->to);
}

/*
 * Its life.
 */

static int watch_signals(struct monitor *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE); /* a write that fails says so itself */
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	sigdelset(&set, SIGPIPE);
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signals < 0 ? -errno : 0;
}

/* An earlier one says how all has ended a moment before it leaves. */
static int lock_in_time(int fd)
{
	int64_t end = now_ms() + LEAVE_MS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || now_ms() >= end)
			return -errno;
		usleep(LOCK_RETRY_US);
	}
	return 0;
}

static int open_files(struct monitor *m, struct diag *diag)
{
	m->lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (m->lock < 0)
		return diag_errno(diag, -errno, "cannot make its lock in %s", m->container->dir);
	int r = lock_in_time(m->lock);
	if (r == -EWOULDBLOCK)
		return diag_set(diag, -EBUSY, "it is running already");
	if (r < 0)
		return diag_errno(diag, r, "cannot lock it in %s", m->container->dir);
	m->log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	m->listen = control_listen(m->container->dir);
	for (size_t i = RELAY_OUT; i <= RELAY_ERR; i++)
		m->relays[i].log = m->log;
	if (m->log < 0 || m->listen < 0)
		return diag_errno(diag, m->log < 0 ? -errno : m->listen, "cannot make its files in %s",
				  m->container->dir);
	return 0;
}

/* Who has the lock, since he commits it, may be waiting for an answer of ours. */
static void remove_container(struct monitor *m)
{
	AUTO(store_closep) struct store *store = NULL;
	AUTO(closep) int lock = -1;
	struct diag ignored = { 0 };
	int r = store_open(runspec_text(m->spec, "Store"), STORE_WRITE, &ignored, &store);

	while (r == 0 && (r = container_try_lock(store, m->container->id, &ignored, &lock)) == -EBUSY) {
		turn(m, LOCK_RETRY_US / 1000);
		r = 0;
	}
	if (r == 0)
		container_remove(store, m->container->id, &ignored);
}

/* From the first mount to where all is as before. Return: the exit status; *@ret_failed: it is ours. */
static int live(struct monitor *m, struct diag *diag, bool *ret_failed)
{
	struct run_state state = { .status = RUN_RUNNING };
	int status = LAUNCH_FAILED;
	int r = mount_root(m, diag);

	*ret_failed = true;
	if (r < 0)
		return status;
	r = watch_signals(m);
	if (r == 0)
		r = write_bundle(m, diag);
	if (r == 0)
		r = start_container(m, diag, &status);
	state.started = time(NULL);
	if (r == 0)
		r = run_state_write(m->container->dir, &state);
	if (r < 0)
		diag_errno(diag, r, "its monitor cannot go on");
	if (r == 0) {
		*ret_failed = false;
		if (!m->attached)
			monitor_detach(m);
		control_send(m->peers[PEER_STARTER].fd, CONTROL_STARTED, 0, NULL);
		watch(m);
		status = m->status;
	}
	runtime_delete(&m->runtime);
	for (size_t i = 0; i < RELAYS; i++)
		relay_close(&m->relays[i]);
	relay_drop(&m->relays[RELAY_IN]);
	closep(&m->terminal);
	m->terminal = -1;
	unmount_root(m, diag);
	m->ended = true;
	state.status = *ret_failed ? RUN_CREATED : RUN_EXITED;
	state.exit_code = status;
	state.finished = time(NULL);
	if (*ret_failed)
		state.started = state.finished = 0;
	run_state_write(m->container->dir, &state);
	return status;
}

static void tell_end(const struct monitor *m, size_t peer, bool failed, int status, const struct diag *diag)
{
	if (m->peers[peer].fd >= 0)
		control_send(m->peers[peer].fd, failed ? CONTROL_FAILED : CONTROL_EXITED, status, diag->text);
}

int monitor_main(struct monitor *m)
{
	struct diag diag = { 0 };
	bool failed = true;
	int status = LAUNCH_FAILED;
	int r = chdir(m->container->dir) < 0 ? diag_errno(&diag, -errno, "cannot enter %s", m->container->dir)
					     : open_files(m, &diag);

	if (r == 0) {
		status = live(m, &diag, &failed);
		/* Who started it has the lock until he knows that it runs: what never did he removes himself. */
		if (runspec_is(m->spec, "Remove") && !failed)
			remove_container(m);
		/* Who is told may start it anew at once. */
		unlink("control");
		closep(&m->listen);
		closep(&m->lock);
	}
	for (size_t i = PEER_STARTER + 1; i < PEERS_MAX; i++) {
		if (m->peers[i].waits)
			tell_end(m, i, failed, status, &diag);
		peer_close(m, &m->peers[i]);
	}
	write_rest(m);
	tell_end(m, PEER_STARTER, failed, status, &diag);
	return 0;
}
