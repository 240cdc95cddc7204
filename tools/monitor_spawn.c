// SPDX-License-Identifier: Apache-2.0
#include "tools/monitor.h"

#include "store/base/auto.h"
#include "tools/control.h"
#include "tools/launch.h"
#include "tools/monitor_priv.h"
#include "tools/runspec.h"
#include "tools/ui.h"
#include "tools/userns.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Where the monitor has its end of the pair, and of what takes the container's output; all above is closed. */
enum { CONTROL_FD = 3, OUTPUT_FD, ERROR_FD, FDS_END };

static void fail(const struct diag *diag, int err)
{
	control_send(CONTROL_FD, CONTROL_FAILED, LAUNCH_FAILED, diag_text(diag, err));
	_exit(1);
}

/*
 * crun refuses a machine that has both kinds of control groups. Where we may, the
 * newer kind goes; else all of them are hidden, and the runtime does without.
 */
static void hide_cgroups(bool user)
{
	if (access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) < 0)
		return;
	if (user || umount2("/sys/fs/cgroup/unified", MNT_DETACH) < 0)
		(void)mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "size=0");
}

/* In the new namespaces: mounts of the host still come, none of ours goes there. */
static int make_mounts(bool user, bool crun, struct diag *diag)
{
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return diag_errno(diag, -errno, "cannot change the mounts of its namespace");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return diag_errno(diag, -errno, "cannot mount /proc in its namespace");
	/* runc takes them as they are, and does without those that it may not change. */
	if (crun)
		hide_cgroups(user);
	return 0;
}

static int become_root(void)
{
	/* Whoever made the namespace may come in later. */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		return -errno;
	return 0;
}

static int make_namespaces(bool user, struct diag *diag)
{
	struct control_message answer;

	if (unshare(CLONE_NEWNS | CLONE_NEWPID | (user ? CLONE_NEWUSER : 0)) < 0)
		return diag_errno(diag, -errno, "the kernel gives it no %snamespaces", user ? "user " : "");
	if (!user)
		return 0;
	int r = control_send(CONTROL_FD, CONTROL_MAP, 0, NULL);
	if (r == 0)
		r = control_receive(CONTROL_FD, &answer);
	if (r == 0)
		r = become_root();
	return r < 0 ? diag_errno(diag, r, "cannot become root in its namespace") : 0;
}

/* It goes to the container's folder: a driver named relative to ours would not be found. */
static void keep_driver(void)
{
	const char *named = getenv("NACREFS");
	AUTO(freep) char *path = named && strchr(named, '/') ? realpath(named, NULL) : NULL;

	if (path)
		setenv("NACREFS", path, 1);
}

/* One that is not kept would be worse than none. */
static int check_limits(const struct monitor *m, struct diag *diag)
{
	bool memory = runspec_number(m->spec, "Memory"), pids = runspec_number(m->spec, "PidsLimit");
	const char *missing = runtime_limit_missing(memory, pids);

	if (!memory && !pids)
		return 0;
	if (!m->runtime.cgroups)
		return diag_set(diag, -EPERM,
				"no control groups may be made in /sys/fs/cgroup: there can be neither --memory nor "
				"--pids-limit here");
	if (missing)
		return diag_set(
			diag, -EOPNOTSUPP,
			"%s cannot be kept: this machine has no control group controller '%s' in /sys/fs/cgroup",
			strcmp(missing, "pids") == 0 ? "--pids-limit" : "--memory", missing);
	return 0;
}

/* The first process of its namespace. */
static int monitor_process(const struct container_info *container, const json_t *spec, bool attach, bool user)
{
	AUTO(freep) char *rootfs = NULL;
	struct monitor m = {
		.container = container,
		.spec = spec,
		.runtime = { .program = runspec_text(spec, "Runtime"), .id = container->id },
		.user = user,
		.attached = attach,
		.lock = -1,
		.log = -1,
		.listen = -1,
		.signals = -1,
		.terminal = -1,
		.held = -1,
	};
	struct diag diag = { 0 };
	umask(022); /* others in the container read what is put there */
	keep_driver();
	int r = make_mounts(user, runtime_is_crun(m.runtime.program), &diag);

	if (asprintf(&rootfs, "%s/rootfs", container->dir) < 0)
		ui_out_of_memory();
	m.rootfs = rootfs;
	m.runtime.cgroups = !user && runtime_has_cgroups();
	for (size_t i = 0; i < PEERS_MAX; i++)
		m.peers[i].fd = i == PEER_STARTER ? CONTROL_FD : -1;
	for (size_t i = 0; i < RELAYS; i++)
		m.relays[i] = (struct relay){ .from = -1, .to = -1, .log = -1 };
	m.relays[RELAY_OUT].to = attach ? OUTPUT_FD : -1;
	m.relays[RELAY_OUT].stream = "stdout";
	m.relays[RELAY_ERR].to = attach ? ERROR_FD : -1;
	m.relays[RELAY_ERR].stream = "stderr";
	if (r == 0)
		r = check_limits(&m, &diag);
	if (r < 0)
		fail(&diag, r);
	return monitor_main(&m);
}

/* Between: it lives only to have its child born into the new namespaces, and to leave it to nobody. */
static void between(const struct container_info *container, const json_t *spec, bool attach)
{
	bool user = geteuid() != 0;
	struct diag diag = { 0 };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	int r = make_namespaces(user, &diag);
	pid_t pid = r == 0 ? fork() : 0;
	if (pid < 0)
		r = diag_errno(&diag, -errno, "cannot make its process");
	if (r < 0)
		fail(&diag, r);
	_exit(pid > 0 ? 0 : monitor_process(container, spec, attach, user));
}

/* Above where they go to, so that none is in another's place. */
static int lift(int fd)
{
	int lifted = fcntl(fd, F_DUPFD_CLOEXEC, FDS_END);

	if (lifted < 0)
		_exit(1);
	return lifted;
}

/* Its own descriptors are our standard ones, one end of the pair, and those that take the output. */
static void keep_descriptors(int control, const int *outputs)
{
	int null = outputs ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
	int from[] = { lift(control), outputs ? lift(outputs[0]) : -1, outputs ? lift(outputs[1]) : -1 };

	/* Standard error stays for warnings until it runs. */
	if (null >= 0 && (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0))
		_exit(1);
	close_range(CONTROL_FD, FDS_END - 1, 0);
	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		if (from[i] >= 0 && dup3(from[i], CONTROL_FD + (int)i, O_CLOEXEC) < 0)
			_exit(1);
	close_range(FDS_END, ~0U, 0);
}

/* Its user namespace gets its numbers from outside. */
static int give_numbers(pid_t pid, int control, struct diag *diag)
{
	struct control_message message;
	int r = control_receive(control, &message);

	if (r < 0)
		return diag_errno(diag, r, "its monitor has gone");
	if (message.verb == CONTROL_FAILED)
		return diag_set(diag, -EPERM, "%s", message.text);
	r = userns_map(pid, diag);
	return r < 0 ? r : control_send(control, CONTROL_MAPPED, 0, NULL);
}

int monitor_spawn(const struct container_info *container, const json_t *spec, const int *outputs, struct diag *diag,
		  int *ret_control)
{
	AUTO(closep) int ours = -1;
	int pair[2], r = 0, status;

	fflush(NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return diag_errno(diag, -errno, "cannot make a socket");
	pid_t pid = fork();
	if (pid == 0) {
		keep_descriptors(pair[1], outputs);
		between(container, spec, outputs != NULL);
	}
	ours = pair[0];
	close(pair[1]);
	if (pid < 0)
		return diag_errno(diag, -errno, "cannot make its process");
	if (geteuid() != 0)
		r = give_numbers(pid, ours, diag);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0)
		*ret_control = TAKE_FD(ours);
	return r;
}
