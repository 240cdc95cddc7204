// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <sys/ioctl.h>
#include <time.h>

enum { BAR_DELAY_MS = 1000, BAR_STEP_MS = 100, LINE_STEP_MS = 10000, BAR_CELLS_MAX = 40 };

int64_t progress_now_ms(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total_bytes, bool quiet)
{
	*progress = (struct progress){
		.what = what,
		.total_bytes = total_bytes,
		.begun_ms = progress_now_ms(),
		.quiet = quiet,
		.terminal = isatty(STDERR_FILENO),
	};
	progress->shown_ms = progress->begun_ms;
}

static int terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

char *progress_numbers(uint64_t bytes, uint64_t total_bytes, int64_t ms)
{
	char done[UI_SIZE_BYTES], total[UI_SIZE_BYTES], rate[UI_SIZE_BYTES];

	ui_size(bytes, done);
	ui_size(total_bytes, total);
	ui_size(ms > 0 ? bytes * 1000 / (uint64_t)ms : 0, rate);
	if (total_bytes)
		return ui_format("%s/%s  %s/s", done, total, rate);
	return ui_format("%s  %s/s", done, rate);
}

void progress_draw_line(const char *label, uint64_t bytes, uint64_t total_bytes, int64_t ms)
{
	AUTO(freep) char *text = progress_numbers(bytes, total_bytes, ms);
	AUTO(freep) char *what = ui_format("%s", label);
	char bar[BAR_CELLS_MAX + 1];
	int columns = terminal_columns();
	int cells = columns - 60 > BAR_CELLS_MAX ? BAR_CELLS_MAX : columns - 60;

	if (!total_bytes || cells < 10)
		cells = 0;
	int full = cells ? (int)((double)bytes / (double)total_bytes * cells) : 0;
	for (int i = 0; i < cells; i++)
		bar[i] = i < full ? '=' : i == full ? '>' : ' ';
	bar[cells] = '\0';
	/* Cut to one line: a bar that wraps cannot be drawn over. */
	fprintf(stderr, "\r\033[K%.*s  %s%s%s%s", columns > 70 ? columns - 70 + 16 : 16, what, cells ? "[" : "", bar,
		cells ? "] " : "", text);
}

static void draw_bar(struct progress *progress, uint64_t bytes, int64_t now)
{
	progress_draw_line(progress->what, bytes, progress->total_bytes, now - progress->begun_ms);
	progress->drawn = true;
}

void progress_update(uint64_t bytes, void *arg)
{
	struct progress *progress = arg;
	int64_t now = progress_now_ms();

	if (progress->quiet)
		return;
	if (progress->terminal) {
		if (now - progress->begun_ms < BAR_DELAY_MS || now - progress->shown_ms < BAR_STEP_MS)
			return;
		draw_bar(progress, bytes, now);
	} else {
		if (now - progress->shown_ms < LINE_STEP_MS)
			return;
		AUTO(freep)
		char *text = progress_numbers(bytes, progress->total_bytes, now - progress->begun_ms);
		AUTO(freep) char *line = ui_format("%s: %s", progress->what, text);
		fprintf(stderr, "%s\n", line);
	}
	progress->shown_ms = now;
}

void progress_end(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = false;
}
