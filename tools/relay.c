// SPDX-License-Identifier: Apache-2.0
#include "tools/relay.h"

#include "store/base/auto.h"
#include "tools/runlog.h"

#include <unistd.h>

/* More than a pipe can be made to hold, but by root. */
enum { HOARD_BYTES = 4 << 20 };

static size_t unwritten(const struct relay *relay)
{
	return relay->data.len - relay->at;
}

struct pollfd relay_poll(const struct relay *relay)
{
	if (unwritten(relay) > 0 && !relay->hoards)
		return (struct pollfd){ .fd = relay->to, .events = POLLOUT };
	return (struct pollfd){ .fd = relay->from, .events = POLLIN };
}

static int relay_read(struct relay *relay)
{
	char piece[RELAY_BYTES];
	ssize_t n = read(relay->from, piece, sizeof(piece));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* A terminal whose last user has gone is an I/O error. */
	if (n <= 0) {
		relay_close(relay);
		return 0;
	}
	if (relay->log >= 0)
		(void)runlog_add(relay->log, relay->stream, piece, (size_t)n);
	if (relay->to >= 0)
		buf_add(&relay->data, piece, (size_t)n);
	if (unwritten(relay) >= HOARD_BYTES)
		relay_close(relay);
	return buf_error(&relay->data);
}

int relay_step(struct relay *relay, short events)
{
	if (!events)
		return 0;
	if (unwritten(relay) == 0 || relay->hoards)
		return relay_read(relay);
	ssize_t n = write(relay->to, relay->data.data + relay->at, unwritten(relay));
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		int r = -errno;
		relay_drop(relay);
		return r;
	}
	relay->at += (size_t)n;
	if (unwritten(relay) == 0)
		relay_drop(relay);
	return 0;
}

void relay_hoard(struct relay *relay, bool hoards)
{
	relay->hoards = hoards;
}

bool relay_has_ended(const struct relay *relay)
{
	return relay->from < 0;
}

bool relay_is_done(const struct relay *relay)
{
	return relay_has_ended(relay) && unwritten(relay) == 0;
}

void relay_close(struct relay *relay)
{
	closep(&relay->from);
	relay->from = -1;
}

void relay_drop(struct relay *relay)
{
	relay->data.len = 0;
	relay->at = 0;
}
