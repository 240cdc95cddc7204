/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_ENTRYTEXT_H
#define NACRE_TOOLS_ENTRYTEXT_H

/* A file's attributes in words, as ls(1) has them. */

#include <stdint.h>
#include <sys/stat.h>

enum { ENTRY_MODE_BYTES = 12, ENTRY_DATE_BYTES = 32 };

/** entry_type() - "file", "dir", "symlink", "char", "block", "fifo" or "socket". */
const char *entry_type(mode_t mode);
/** entry_mode() - "-rwxr-xr-x" into @text of ENTRY_MODE_BYTES. Returns @text. */
const char *entry_mode(mode_t mode, char *text);
/** entry_time() - nanoseconds since the epoch as seconds and the nanoseconds after them, 0 to 999,999,999. */
void entry_time(int64_t mtime_ns, int64_t *ret_seconds, long *ret_ns);
/** entry_date() - "2024-02-29 12:00", local time, into @text of ENTRY_DATE_BYTES; "" where there is none. Returns @text. */
const char *entry_date(int64_t mtime_ns, char *text);

#endif
