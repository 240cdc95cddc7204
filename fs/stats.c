/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stats.h"

#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/base/auto.h"

enum { CACHE_LINE_BYTES = 128, MAX_SHARDS = 256 }; /* processors fetch lines in pairs */

/* Of one processor, or of several where there are very many. */
struct shard {
	_Alignas(CACHE_LINE_BYTES) _Atomic uint64_t counts[STAT_COUNT];
};

struct stats {
	struct shard *shards; /* owned */
	unsigned shard_count;
	uint64_t start_ns;
};

/* By number; the kernel's header may be older than the kernel. */
static const char *const opcodes[STATS_OPCODES] = {
	[1] = "LOOKUP",	       [2] = "FORGET",	       [3] = "GETATTR",
	[4] = "SETATTR",       [5] = "READLINK",       [6] = "SYMLINK",
	[8] = "MKNOD",	       [9] = "MKDIR",	       [10] = "UNLINK",
	[11] = "RMDIR",	       [12] = "RENAME",	       [13] = "LINK",
	[14] = "OPEN",	       [15] = "READ",	       [16] = "WRITE",
	[17] = "STATFS",       [18] = "RELEASE",       [20] = "FSYNC",
	[21] = "SETXATTR",     [22] = "GETXATTR",      [23] = "LISTXATTR",
	[24] = "REMOVEXATTR",  [25] = "FLUSH",	       [26] = "INIT",
	[27] = "OPENDIR",      [28] = "READDIR",       [29] = "RELEASEDIR",
	[30] = "FSYNCDIR",     [31] = "GETLK",	       [32] = "SETLK",
	[33] = "SETLKW",       [34] = "ACCESS",	       [35] = "CREATE",
	[36] = "INTERRUPT",    [37] = "BMAP",	       [38] = "DESTROY",
	[39] = "IOCTL",	       [40] = "POLL",	       [41] = "NOTIFY_REPLY",
	[42] = "BATCH_FORGET", [43] = "FALLOCATE",     [44] = "READDIRPLUS",
	[45] = "RENAME2",      [46] = "LSEEK",	       [47] = "COPY_FILE_RANGE",
	[48] = "SETUPMAPPING", [49] = "REMOVEMAPPING", [50] = "SYNCFS",
	[51] = "TMPFILE",      [52] = "STATX",	       [53] = "COPY_FILE_RANGE_64",
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct stats *stats_new(void)
{
	long processors = sysconf(_SC_NPROCESSORS_CONF);
	struct stats *stats = calloc(1, sizeof(*stats));

	if (!stats)
		return NULL;
	if (processors < 1)
		processors = 1;
	stats->shard_count = processors > MAX_SHARDS ? MAX_SHARDS : (unsigned)processors;
	stats->shards = aligned_alloc(CACHE_LINE_BYTES, stats->shard_count * sizeof(struct shard));
	if (!stats->shards) {
		free(stats);
		return NULL;
	}
	for (unsigned i = 0; i < stats->shard_count; i++) {
		for (unsigned id = 0; id < STAT_COUNT; id++)
			atomic_init(&stats->shards[i].counts[id], 0);
	}
	stats->start_ns = now_ns();
	return stats;
}

void stats_free(struct stats *stats)
{
	if (!stats)
		return;
	free(stats->shards);
	free(stats);
}

void stats_add(struct stats *stats, enum stat_id id, int64_t n)
{
	int cpu = sched_getcpu(); /* read from memory; where that is not so the first shard serves for all */
	struct shard *shard = &stats->shards[cpu < 0 ? 0 : (unsigned)cpu % stats->shard_count];

	atomic_fetch_add_explicit(&shard->counts[id], (uint64_t)n, memory_order_relaxed);
}

void stats_request(struct stats *stats, uint32_t opcode)
{
	stats_add(stats, STAT_REQUESTS + (opcode < STATS_OPCODES ? opcode : STATS_OPCODES), 1);
}

/* --- telling --- */

uint64_t stats_count(const struct stats *stats, unsigned id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < stats->shard_count; i++)
		sum += atomic_load_explicit(&stats->shards[i].counts[id], memory_order_relaxed);
	return sum;
}

struct totals {
	uint64_t counts[STAT_COUNT];
	uint64_t requests, other_requests;
	uint64_t ns;
};

static void totals_take(const struct stats *stats, struct totals *ret)
{
	ret->requests = ret->other_requests = 0;
	for (unsigned id = 0; id < STAT_COUNT; id++)
		ret->counts[id] = stats_count(stats, id);
	for (unsigned i = 0; i <= STATS_OPCODES; i++) {
		ret->requests += ret->counts[STAT_REQUESTS + i];
		if (i == STATS_OPCODES || !opcodes[i])
			ret->other_requests += ret->counts[STAT_REQUESTS + i];
	}
	ret->ns = now_ns() - stats->start_ns;
}

static void format_json(const struct totals *t, const struct stats_descriptors *fds, struct buf *ret)
{
	const uint64_t *n = t->counts;

	buf_addf(ret, "{\n  \"Version\": \"%s\",\n  \"UptimeSeconds\": %" PRIu64 ".%03u,\n", NACRE_VERSION,
		 t->ns / 1000000000, (unsigned)(t->ns / 1000000 % 1000));
	buf_addf(ret,
		 "  \"Requests\": %" PRIu64 ",\n  \"RequestsByIoUring\": %" PRIu64 ",\n  \"RequestsByOpcode\": {\n",
		 t->requests, n[STAT_RING_REQUESTS]);
	for (unsigned i = 0; i < STATS_OPCODES; i++) {
		if (opcodes[i])
			buf_addf(ret, "    \"%s\": %" PRIu64 ",\n", opcodes[i], n[STAT_REQUESTS + i]);
	}
	buf_addf(ret, "    \"OTHER\": %" PRIu64 "\n  },\n", t->other_requests);
	buf_addf(ret, "  \"BytesRead\": %" PRIu64 ",\n  \"BytesWritten\": %" PRIu64 ",\n", n[STAT_BYTES_READ],
		 n[STAT_BYTES_WRITTEN]);
	buf_addf(ret,
		 "  \"CopyUps\": {\n    \"Files\": %" PRIu64 ",\n    \"Bytes\": %" PRIu64
		 ",\n    \"Metadata\": %" PRIu64 ",\n    \"Directories\": %" PRIu64 "\n  },\n",
		 n[STAT_COPYUP_FILES], n[STAT_COPYUP_BYTES], n[STAT_COPYUP_METADATA], n[STAT_COPYUP_DIRS]);
	buf_addf(ret, "  \"WhiteoutsMade\": %" PRIu64 ",\n", n[STAT_WHITEOUTS]);
	buf_addf(ret, "  \"ListingsAhead\": {\n    \"Made\": %" PRIu64 ",\n    \"Found\": %" PRIu64 "\n  },\n",
		 n[STAT_AHEAD_MADE], n[STAT_AHEAD_FOUND]);
	buf_addf(ret,
		 "  \"Cache\": {\n    \"Nodes\": %" PRIu64 ",\n    \"Directories\": %" PRIu64
		 ",\n    \"Names\": %" PRIu64 ",\n    \"Descriptors\": %u,\n    \"DescriptorLimit\": %u\n  },\n",
		 n[STAT_NODES], n[STAT_TABLES], n[STAT_NAMES], fds->open, fds->limit);
	buf_addf(ret, "  \"Threads\": %" PRIu64 "\n}\n", n[STAT_THREADS]);
}

static void row(struct buf *ret, const char *name, uint64_t value, const char *unit)
{
	buf_addf(ret, "%-28s %12" PRIu64 "%s%s\n", name, value, *unit ? " " : "", unit);
}

static void format_text(const struct totals *t, const struct stats_descriptors *fds, struct buf *ret)
{
	const uint64_t *n = t->counts;

	row(ret, "served for", t->ns / 1000000000, "s");
	row(ret, "requests", t->requests, "");
	if (n[STAT_RING_REQUESTS])
		row(ret, "  by io_uring", n[STAT_RING_REQUESTS], "");
	for (unsigned i = 0; i < STATS_OPCODES; i++) {
		if (opcodes[i] && n[STAT_REQUESTS + i])
			buf_addf(ret, "  %-26s %12" PRIu64 "\n", opcodes[i], n[STAT_REQUESTS + i]);
	}
	if (t->other_requests)
		row(ret, "  others", t->other_requests, "");
	row(ret, "read", n[STAT_BYTES_READ], "bytes");
	row(ret, "written", n[STAT_BYTES_WRITTEN], "bytes");
	row(ret, "copied up: files", n[STAT_COPYUP_FILES], "");
	row(ret, "  their data", n[STAT_COPYUP_BYTES], "bytes");
	row(ret, "  metadata only", n[STAT_COPYUP_METADATA], "");
	row(ret, "  directories", n[STAT_COPYUP_DIRS], "");
	row(ret, "whiteouts made", n[STAT_WHITEOUTS], "");
	row(ret, "listings made ahead", n[STAT_AHEAD_MADE], "");
	row(ret, "  of use", n[STAT_AHEAD_FOUND], "");
	row(ret, "known to the kernel: nodes", n[STAT_NODES], "");
	row(ret, "merged directories", n[STAT_TABLES], "");
	row(ret, "  names in them", n[STAT_NAMES], "");
	row(ret, "open descriptors", fds->open, "");
	row(ret, "  at most", fds->limit, "");
	row(ret, "threads", n[STAT_THREADS], "");
}

void stats_format(const struct stats *stats, const struct stats_descriptors *fds, enum stats_form form, struct buf *ret)
{
	struct totals totals;

	totals_take(stats, &totals);
	if (form == STATS_JSON)
		format_json(&totals, fds, ret);
	else
		format_text(&totals, fds, ret);
}
