// SPDX-License-Identifier: Apache-2.0
#include "tools/runlog.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/base/io.h"
#include "tools/control.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

int runlog_add(int fd, const char *stream, const char *data, size_t bytes)
{
	AUTO(buf_release) struct buf text = { 0 };
	char time[UI_TIME_BYTES];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	/* Nine digits always: what is 0 would be left out. */
	ui_rfc3339(now.tv_sec, now.tv_nsec ? now.tv_nsec : 1, time);
	for (size_t at = 0, len; at < bytes; at += len) {
		const char *end = memchr(data + at, '\n', bytes - at);

		len = end ? (size_t)(end - data) + 1 - at : bytes - at;
		buf_addf(&text, "%s %s %c ", time, stream, end ? 'F' : 'P');
		buf_add(&text, data + at, len - (end != NULL));
		buf_adds(&text, "\n");
	}
	return buf_error(&text) < 0 ? buf_error(&text) : io_write_full(fd, text.data, text.len);
}

/*
 * Reading.
 */

/* One line of the log without its end. What is no such line is left out. */
static void print_line(const struct runlog_reader *reader, const char *line, size_t len)
{
	const char *stream = memchr(line, ' ', len);
	const char *end = line + len;
	const char *tag = stream ? memchr(stream + 1, ' ', (size_t)(end - stream - 1)) : NULL;

	if (!tag || end - tag < 3 || tag[2] != ' ')
		return;
	FILE *out = strncmp(stream + 1, "stderr", 6) == 0 ? stderr : stdout;
	if (reader->timestamps)
		fwrite(line, 1, (size_t)(stream - line) + 1, out);
	fwrite(tag + 3, 1, (size_t)(end - tag - 3), out);
	if (tag[1] == 'F')
		fputc('\n', out);
}

static bool ends_line(const char *line, size_t len)
{
	const char *stream = memchr(line, ' ', len);
	const char *tag = stream ? memchr(stream + 1, ' ', (size_t)(line + len - stream - 1)) : NULL;

	return tag && tag + 1 < line + len && tag[1] == 'F';
}

/* Where the last @tail lines begin. */
static int find_tail(FILE *log, long tail)
{
	AUTO(freep) char *line = NULL;
	AUTO(freep) off_t *starts = ui_need(calloc((size_t)tail + 1, sizeof(*starts)));
	size_t room = 0, ring = (size_t)tail + 1, count = 0;
	ssize_t n;

	/* starts[]: of the lines that are complete, and of the one that follows them */
	while ((n = getline(&line, &room, log)) > 0)
		if (ends_line(line, (size_t)n))
			starts[++count % ring] = ftello(log);
	if (ferror(log))
		return -EIO;
	/* A line that has no end yet is one more. */
	size_t lines = count + (ftello(log) > starts[count % ring]);
	size_t skip = lines > (size_t)tail ? lines - (size_t)tail : 0;
	return fseeko(log, skip ? starts[skip % ring] : 0, SEEK_SET) < 0 ? -errno : 0;
}

/* Until the log's end; what is not a whole line yet waits for the next time. */
static int print_new(const struct runlog_reader *reader, FILE *log)
{
	AUTO(freep) char *line = NULL;
	size_t room = 0;
	off_t at = ftello(log);
	ssize_t n;

	clearerr(log);
	while ((n = getline(&line, &room, log)) > 0 && line[n - 1] == '\n') {
		print_line(reader, line, (size_t)n - 1);
		at = ftello(log);
	}
	if (ferror(log) || fseeko(log, at, SEEK_SET) < 0)
		return -EIO;
	fflush(stderr);
	return fflush(stdout) < 0 ? -errno : 0;
}

static int follow(const struct runlog_reader *reader, FILE *log, const char *path)
{
	AUTO(closep) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	AUTO(closep) int control = -1;
	struct control_message message;
	char events[4096];
	int r = 0;

	if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0)
		return -errno;
	control = control_connect(reader->dir);
	if (control >= 0)
		control_send(control, CONTROL_WAIT, 0, NULL);
	/* Looked at once more after the end was seen: nothing is written later. */
	for (bool live = true; r == 0 && live;) {
		struct pollfd fds[] = { { .fd = control, .events = POLLIN }, { .fd = watch, .events = POLLIN } };

		r = print_new(reader, log);
		live = control >= 0;
		if (r < 0 || !live || poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents) {
			/* Not the end, but that it has too many to tell of it. */
			if (control_receive(control, &message) == 0 && message.verb == CONTROL_DONE)
				r = message.value;
			close(control);
			control = -1;
		}
		if (fds[1].revents && read(watch, events, sizeof(events)) < 0 && errno != EAGAIN)
			r = -errno;
	}
	return r;
}

int runlog_print(const struct runlog_reader *reader)
{
	AUTO(freep) char *path = NULL;

	if (asprintf(&path, "%s/log", reader->dir) < 0)
		ui_out_of_memory();
	AUTO(fclosep) FILE *log = fopen(path, "re");
	if (!log)
		return errno == ENOENT ? 0 : -errno;
	int r = reader->tail >= 0 ? find_tail(log, reader->tail) : 0;
	if (r == 0)
		r = reader->follow ? follow(reader, log, path) : print_new(reader, log);
	return r;
}
