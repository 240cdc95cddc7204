// SPDX-License-Identifier: Apache-2.0
#include "tools/bars.h"

#include "store/base/auto.h"
#include "tools/progress.h"
#include "tools/ui.h"

#include <string.h>

enum { STEP_MS = 100, LINE_STEP_MS = 10000 };

struct bar {
	size_t no;
	char label[UI_SHORT_ID + 1];
	uint64_t bytes, total_bytes;
	struct bar *next; /* owned */
};

struct bars {
	const char *verb; /* borrowed */
	bool quiet, terminal;
	unsigned drawn; /* lines on the screen */
	int64_t begun_ms, shown_ms;
	struct bar *first; /* owned: those under way, in the order of their beginning */
};

struct bars *bars_new(const char *verb, bool quiet)
{
	struct bars *bars = ui_need(calloc(1, sizeof(*bars)));

	bars->verb = verb;
	bars->quiet = quiet;
	bars->terminal = isatty(STDERR_FILENO);
	bars->begun_ms = bars->shown_ms = progress_now_ms();
	return bars;
}

static void wipe(struct bars *bars)
{
	if (bars->drawn)
		fprintf(stderr, "\033[%uA\r\033[J", bars->drawn);
	bars->drawn = 0;
}

void bars_free(struct bars *bars)
{
	if (!bars)
		return;
	wipe(bars);
	while (bars->first) {
		struct bar *bar = bars->first;

		bars->first = bar->next;
		free(bar);
	}
	free(bars);
}

void bars_freep(struct bars **bars)
{
	bars_free(*bars);
}

static struct bar **find(struct bars *bars, size_t no)
{
	struct bar **at = &bars->first;

	while (*at && (*at)->no != no)
		at = &(*at)->next;
	return at;
}

static void draw(struct bars *bars, int64_t now)
{
	wipe(bars);
	for (const struct bar *bar = bars->first; bar; bar = bar->next) {
		AUTO(freep) char *what = ui_format("%s: %s", bar->label, bars->verb);

		progress_draw_line(what, bar->bytes, bar->total_bytes, now - bars->begun_ms);
		fputc('\n', stderr);
		bars->drawn++;
	}
	bars->shown_ms = now;
}

void bars_begin(struct bars *bars, size_t no, const char *digest, uint64_t bytes)
{
	const char *hex = strchr(digest, ':');
	struct bar **at = find(bars, no);
	struct bar *bar = *at ? *at : ui_need(calloc(1, sizeof(*bar)));

	bar->no = no;
	bar->bytes = 0;
	bar->total_bytes = bytes;
	snprintf(bar->label, sizeof(bar->label), "%s", hex ? hex + 1 : digest);
	*at = bar;
}

void bars_progress(struct bars *bars, size_t no, uint64_t bytes)
{
	struct bar *bar = *find(bars, no);
	int64_t now = progress_now_ms();

	if (!bar)
		return;
	bar->bytes = bytes;
	if (bars->quiet || now - bars->shown_ms < (bars->terminal ? STEP_MS : LINE_STEP_MS))
		return;
	if (bars->terminal) {
		draw(bars, now);
		return;
	}
	bars->shown_ms = now;
	for (bar = bars->first; bar; bar = bar->next) {
		AUTO(freep) char *text = progress_numbers(bar->bytes, bar->total_bytes, now - bars->begun_ms);

		fprintf(stderr, "%s: %s %s\n", bar->label, bars->verb, text);
	}
}

void bars_end(struct bars *bars, size_t no, const char *word)
{
	struct bar **at = find(bars, no), *bar = *at;

	if (!bar)
		return;
	wipe(bars);
	*at = bar->next;
	if (!bars->quiet) {
		printf("%s: %s\n", bar->label, word);
		fflush(stdout);
	}
	free(bar);
	if (bars->terminal && !bars->quiet && bars->first)
		draw(bars, progress_now_ms());
}
