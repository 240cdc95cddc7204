/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_STATS_H
#define NACRE_FS_STATS_H

/*
 * What the driver counts of its own work.
 *
 * Each processor has counters of its own, so that counting takes nothing from
 * anybody's cache; asking adds them up.
 */

#include "store/base/buf.h"

#include <stdint.h>
#include <sys/ioctl.h>

struct stats;

enum { STATS_OPCODES = 64 }; /* those from here on are counted as one */

enum stat_id {
	STAT_BYTES_READ,      /* answers to READ */
	STAT_BYTES_WRITTEN,   /* WRITE */
	STAT_COPYUP_FILES,    /* with their data; completed metacopies too */
	STAT_COPYUP_BYTES,    /* of data: holes count as what they show */
	STAT_COPYUP_METADATA, /* all that is copied without data but directories */
	STAT_COPYUP_DIRS,
	STAT_WHITEOUTS,	    /* made */
	STAT_NODES,	    /* that the kernel knows, now */
	STAT_TABLES,	    /* merged directories, now */
	STAT_NAMES,	    /* in them, now */
	STAT_THREADS,	    /* that serve requests, now */
	STAT_RING_REQUESTS, /* of all, those by io_uring */
	STAT_AHEAD_MADE,    /* listings that nobody had asked for yet (ahead.c) */
	STAT_AHEAD_FOUND,   /* and those of them that were asked for then */
	STAT_REQUESTS,	    /* of opcode 0; the others follow */
	STAT_COUNT = STAT_REQUESTS + STATS_OPCODES + 1,
};

enum stats_form { STATS_TEXT, STATS_JSON };

/** stats_new() - NULL: out of memory. */
struct stats *stats_new(void);
void stats_free(struct stats *stats);
/** stats_add() - any thread; @n may be negative where the counter is of what is there now. */
void stats_add(struct stats *stats, enum stat_id id, int64_t n);
void stats_request(struct stats *stats, uint32_t opcode);
/** stats_count() - what a counter says now. */
uint64_t stats_count(const struct stats *stats, unsigned id);

/* What is known elsewhere. */
struct stats_descriptors {
	uint32_t open, limit;
};
/** stats_format() - all of it, for people or as one JSON object, with a newline at its end. */
void stats_format(const struct stats *stats, const struct stats_descriptors *fds, enum stats_form form,
		  struct buf *ret);

/*
 * How another process asks: with one of these on the root of the mount, as the user who mounted it or as root.  The
 * answer is text, and the result its length.
 */
enum { STATS_ROOM = 8192 };
#define STATS_IOC_TEXT _IOR('N', 0x70, char[STATS_ROOM])
#define STATS_IOC_JSON _IOR('N', 0x71, char[STATS_ROOM])

#endif
