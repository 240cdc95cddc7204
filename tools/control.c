// SPDX-License-Identifier: Apache-2.0
#include "tools/control.h"

#include "store/base/auto.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { BACKLOG = 8 };

/* A socket's name has room for 107 bytes only: the folder goes by a descriptor. */
static int address_of(int dirfd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/control", dirfd);
	return 0;
}

static int new_socket(const char *dir, struct sockaddr_un *ret_address, int *ret_dirfd)
{
	*ret_dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dirfd < 0)
		return -errno;
	address_of(*ret_dirfd, ret_address);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* When a monitor ends, its peers see that by any of these, as it had taken their connection and message or not. */
static int gone_or(int err)
{
	return err == ENOENT || err == ECONNREFUSED || err == ECONNRESET || err == EPIPE ? -ESRCH : -err;
}

int control_connect(const char *dir)
{
	AUTO(closep) int dirfd = -1;
	struct sockaddr_un address;
	AUTO(closep) int fd = new_socket(dir, &address, &dirfd);

	if (fd < 0)
		return gone_or(-fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return gone_or(errno);
	return TAKE_FD(fd);
}

int control_listen(const char *dir)
{
	AUTO(closep) int dirfd = -1;
	struct sockaddr_un address;
	AUTO(closep) int fd = new_socket(dir, &address, &dirfd);

	if (fd < 0)
		return fd;
	if (unlinkat(dirfd, "control", 0) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int control_send(int fd, enum control_verb verb, int value, const char *text)
{
	struct control_message message = { .verb = verb, .value = value };

	snprintf(message.text, sizeof(message.text), "%s", text ? text : "");
	return send(fd, &message, sizeof(message), MSG_NOSIGNAL) < 0 ? gone_or(errno) : 0;
}

int control_receive(int fd, struct control_message *ret)
{
	ssize_t n;

	do
		n = recv(fd, ret, sizeof(*ret), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return gone_or(errno);
	if (n != sizeof(*ret))
		return -ESRCH;
	ret->text[sizeof(ret->text) - 1] = '\0';
	return 0;
}

int control_ask(int fd, enum control_verb verb, int value)
{
	struct control_message answer;
	int r = control_send(fd, verb, value, NULL);

	if (r == 0)
		r = control_receive(fd, &answer);
	return r < 0 ? r : answer.value;
}

int control_peer(int fd, pid_t *ret)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
		return -errno;
	*ret = peer.pid;
	return 0;
}
