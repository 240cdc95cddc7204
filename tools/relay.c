// SPDX-License-Identifier: Apache-2.0
#include "tools/relay.h"

#include "store/base/auto.h"
#include "tools/runlog.h"

#include <unistd.h>

struct pollfd relay_poll(const struct relay *relay)
{
	if (relay->len > 0)
		return (struct pollfd){ .fd = relay->to, .events = POLLOUT };
	return (struct pollfd){ .fd = relay->from, .events = POLLIN };
}

static void relay_read(struct relay *relay)
{
	ssize_t n = read(relay->from, relay->data, sizeof(relay->data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A terminal whose last user has gone is an I/O error. */
	if (n <= 0) {
		relay_close(relay);
		return;
	}
	relay->at = 0;
	relay->len = (size_t)n;
	if (relay->log >= 0)
		(void)runlog_add(relay->log, relay->stream, relay->data, relay->len);
}

int relay_step(struct relay *relay, short events)
{
	if (!events)
		return 0;
	if (relay->len == 0) {
		relay_read(relay);
		return 0;
	}
	ssize_t n = write(relay->to, relay->data + relay->at, relay->len);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		int r = -errno;
		relay->len = 0;
		return r;
	}
	relay->at += (size_t)n;
	relay->len -= (size_t)n;
	return 0;
}

bool relay_is_done(const struct relay *relay)
{
	return relay->from < 0 && relay->len == 0;
}

void relay_close(struct relay *relay)
{
	closep(&relay->from);
	relay->from = -1;
}
