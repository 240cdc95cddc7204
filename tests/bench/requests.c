/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/requests.h"

#include "fs/stats.h"

#include "store/base/auto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_waited_for(const char *name)
{
	static const char *const others[] = { "FORGET", "BATCH_FORGET", "INTERRUPT", "NOTIFY_REPLY" };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(name, others[i]) == 0)
			return false;
	return true;
}

static void add(struct requests *requests, const char *name, int64_t sent)
{
	size_t i = 0;

	while (i < requests->count && strcmp(requests->kinds[i].name, name) != 0)
		i++;
	if (i == REQUEST_KINDS)
		return;
	if (i == requests->count) {
		snprintf(requests->kinds[i].name, REQUEST_NAME_BYTES, "%s", name);
		requests->kinds[i].sent = 0;
		requests->count++;
	}
	requests->kinds[i].sent += sent;
}

int requests_ask(int root_fd, int sign, struct requests *requests)
{
	char text[STATS_ROOM + 1], name[REQUEST_NAME_BYTES];
	int length = ioctl(root_fd, STATS_IOC_JSON, text), used;
	uint64_t sent;
	const char *at;

	if (length < 0)
		return -errno;
	text[length < STATS_ROOM ? length : STATS_ROOM] = 0;
	at = strstr(text, "\"RequestsByOpcode\": {");
	if (!at)
		return -EBADMSG;
	for (at = strchr(at, '{') + 1; sscanf(at, " \"%23[A-Z0-9_]\": %" SCNu64 "%n", name, &sent, &used) == 2; at++) {
		if (is_waited_for(name))
			add(requests, name, sign * (int64_t)sent);
		at += used;
		if (*at != ',')
			break;
	}
	/* The driver counts a question before it answers it: of two, the second one only is in what lies between. */
	if (sign > 0)
		add(requests, "IOCTL", -1);
	return 0;
}

static int more_first(const void *a, const void *b)
{
	const struct request_kind *kind_a = a, *kind_b = b;

	return (kind_a->sent < kind_b->sent) - (kind_a->sent > kind_b->sent);
}

void requests_print(struct requests *requests, uint64_t ops, FILE *out)
{
	double each = 1.0 / (double)(ops ? ops : 1), all = 0;

	qsort(requests->kinds, requests->count, sizeof(requests->kinds[0]), more_first);
	for (size_t i = 0; i < requests->count; i++)
		all += (double)requests->kinds[i].sent * each;
	fprintf(out, "%.4f\t", all);
	for (size_t i = 0; i < requests->count && requests->kinds[i].sent > 0; i++)
		fprintf(out, "%s%s %.4f", i ? " " : "", requests->kinds[i].name,
			(double)requests->kinds[i].sent * each);
	fprintf(out, "\n");
}
