// SPDX-License-Identifier: Apache-2.0
#include "tools/browse.h"

#include "store/base/auto.h"
#include "store/trace.h"
#include "tools/entrytext.h"
#include "tools/treediff.h"
#include "tools/ui.h"

#include <string.h>
#include <sys/sysmacros.h>

static struct browse_page *open_page(struct browse *browse, const char *title)
{
	browse_page_free(browse->page);
	browse->page = browse_page_new(title);
	browse->page_top = browse->page_left = 0;
	return browse->page;
}

static const char *made_by(const struct browse *browse, size_t layer)
{
	return history_made_by(history_of_layer(&browse->history, layer));
}

/*
 * Help.
 */

void browse_show_help(struct browse *browse)
{
	static const char *const lines[] = {
		"Everywhere",
		"  q, ^C              leave; on a page like this one q and ESC go back",
		"  TAB                switch between the layers and the tree",
		"  arrows, k j        move; PgUp, PgDn, Home, End (g, G) move further",
		"  /                  search: in the tree for a name, on a page for text",
		"  n, N               the next one, the one before",
		"  ^F                 filter: show only paths that match a regular expression; ESC shows all again",
		"  ^L                 mark the changes of the layer alone",
		"  h                  history: which layers have the path, hide it or take it away",
		"  w                  all files that upper layers hide: wasted space",
		"",
		"Layers",
		"  ^A                 mark all changes since the lowest layer",
		"  ENTER, i           all about the layer",
		"",
		"Tree",
		"  SPACE, LEFT, RIGHT open or shut a folder",
		"  ^SPACE, e          open or shut all folders",
		"  ENTER              look into a file; x shows it as text or in hexadecimal",
		"  i                  all about a file or a folder",
		"  ^A, a              show added files or not",
		"  ^R, r              show removed files or not",
		"  m                  show modified files or not",
		"  ^U, u              show unmodified files or not",
		"  ^B, b              show mode, owner and size or not",
		"",
		"Marks",
		"  A  added           C  changed (a folder: something in it)",
		"  D  removed         M  changed in mode, owner, time or extended attributes only",
		"  *  before a layer: the marks speak of it",
	};
	struct browse_page *page = open_page(browse, "Help");

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		browse_page_add(page, "%s", lines[i]);
}

/*
 * A file.
 */

static void add_differences(struct browse_page *page, const struct browse_node *node)
{
	static const struct {
		unsigned what;
		const char *name;
	} names[] = {
		{ TREE_TYPE, "type" },	 { TREE_CONTENT, "content" }, { TREE_TARGET, "target" }, { TREE_MODE, "mode" },
		{ TREE_OWNER, "owner" }, { TREE_TIME, "time" },	      { TREE_XATTRS, "xattrs" },
	};
	AUTO(buf_release) struct buf line = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (node->what & names[i].what)
			buf_addf(&line, "%s%s", line.len ? ", " : "", names[i].name);
	if (line.len > 0)
		browse_page_add(page, "Changed:  %s", buf_str(&line));
}

static void add_size(struct browse_page *page, const struct browse_node *node)
{
	const struct layer_entry *entry = browse_entry(node), *old = node->old ? view_entry(node->old) : NULL;
	char size[UI_SIZE_BYTES];

	if (S_ISLNK(entry->mode))
		browse_page_add(page, "Target:   %s", entry->target);
	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		browse_page_add(page, "Device:   %u,%u", major(entry->rdev), minor(entry->rdev));
	if (!S_ISREG(entry->mode))
		return;
	if (node->what & TREE_CONTENT && old && S_ISREG(old->mode))
		browse_page_add(page, "Size:     %s (%llu bytes; %llu before)", ui_size(entry->size, size),
				(unsigned long long)entry->size, (unsigned long long)old->size);
	else
		browse_page_add(page, "Size:     %s (%llu bytes)", ui_size(entry->size, size),
				(unsigned long long)entry->size);
}

static int add_xattr(const char *name, const void *value, size_t bytes, void *arg)
{
	const char *text = value;
	bool printable = true;

	for (size_t i = 0; i < bytes && printable; i++)
		printable = text[i] >= 0x20 && text[i] < 0x7f;
	if (printable)
		browse_page_add(arg, "Xattr:    %s = %.*s", name, (int)bytes, text);
	else
		browse_page_add(arg, "Xattr:    %s, %zu bytes", name, bytes);
	return 0;
}

static int add_link(const char *path, void *arg)
{
	browse_page_add(arg, "Name:     /%s", path);
	return 0;
}

static void add_attributes(struct browse *browse, struct browse_page *page, const struct browse_node *node)
{
	const struct layer_entry *entry = browse_entry(node);
	struct layer_id layer = browse->layers[browse_node_layer(node)].id;
	char mode[ENTRY_MODE_BYTES], date[ENTRY_DATE_BYTES];
	int r = 0;

	browse_page_add(page, "Type:     %s, %s, owner %u:%u", entry_type(entry->mode), entry_mode(entry->mode, mode),
			entry->uid, entry->gid);
	add_size(page, node);
	browse_page_add(page, "Modified: %s", entry_date(entry->mtime_ns, date));
	browse_page_add(page, "Layer:    %zu  %s", browse_node_layer(node) + 1,
			made_by(browse, browse_node_layer(node)));
	add_differences(page, node);
	if (!node->new)
		browse_page_add(page, "Removed:  it is not there any more; this is what it was before");
	if (entry->flags & LAYER_XATTRS)
		r = layer_xattrs(browse->store, layer, entry->no, add_xattr, page);
	if (r == 0 && !S_ISDIR(entry->mode) && entry->nlink > 1)
		r = layer_names(browse->store, layer, entry->no, add_link, page);
	if (r < 0)
		browse_page_add(page, "Its names and attributes cannot be read: %s", strerror(-r));
}

void browse_show_node(struct browse *browse, const struct browse_node *node)
{
	AUTO(freep) char *path = browse_path(node), *title = NULL;
	const struct layer_entry *entry = browse_entry(node);

	if (asprintf(&title, "/%s", path) < 0)
		ui_out_of_memory();
	struct browse_page *page = open_page(browse, title);
	add_attributes(browse, page, node);
	if (!S_ISREG(entry->mode))
		return;
	browse_page_add(page, "%s", entry->size > 0 ? "" : "It is empty.");
	int r = browse_page_content(page, browse->store, entry);
	if (r < 0)
		browse_page_add(page, "Its content cannot be read: %s ('nacre verify' tells what is damaged)",
				strerror(-r));
}

/*
 * A path's history.
 */

struct history_page {
	struct browse *browse;
	struct browse_page *page;
};

static int add_step(const struct trace_step *step, void *arg)
{
	const struct history_page *h = arg;
	const struct layer_entry *entry = step->entry;
	char mode[ENTRY_MODE_BYTES], size[UI_SIZE_BYTES], date[ENTRY_DATE_BYTES];

	if (entry)
		browse_page_add(h->page, "%5zu  %-7s  %s %4u:%-4u %7s  %s  %s", step->layer + 1,
				trace_kind_text(step->kind), entry_mode(entry->mode, mode), entry->uid, entry->gid,
				S_ISREG(entry->mode) ? ui_size(entry->size, size) : "-",
				entry_date(entry->mtime_ns, date), made_by(h->browse, step->layer));
	else
		browse_page_add(h->page, "%5zu  %-7s  by /%s  %s", step->layer + 1, trace_kind_text(step->kind),
				step->at, made_by(h->browse, step->layer));
	return 0;
}

void browse_show_history(struct browse *browse, const struct browse_node *node)
{
	AUTO(freep) char *path = browse_path(node), *title = NULL;

	if (asprintf(&title, "Layers that have /%s, the highest first", path) < 0)
		ui_out_of_memory();
	struct history_page h = { browse, open_page(browse, title) };
	browse_page_add(h.page, "Layer  State    Mode          Owner       Size  Modified          Command");
	int r = path_trace(browse->store, browse->image, path, add_step, &h);
	if (r < 0)
		browse_page_add(h.page, "It cannot be read: %s", strerror(-r));
}

/*
 * A layer, and what is wasted.
 */

static const struct browse_totals *totals_of(const struct browse *browse)
{
	const struct browse_totals *totals = browse->sum ? browse_sum_totals(browse->sum) : NULL;

	return totals && !totals->error ? totals : NULL;
}

void browse_show_layer(struct browse *browse)
{
	size_t n = browse_model_layer(browse->model);
	const struct history_step *step = history_of_layer(&browse->history, n);
	const struct browse_totals *totals = totals_of(browse);
	const struct layer_info *layer = &browse->layers[n];
	char digest[DIGEST_TEXT_BYTES], size[UI_SIZE_BYTES], tar[UI_SIZE_BYTES], title[64];

	snprintf(title, sizeof(title), "Layer %zu of %zu", n + 1, browse->image->layer_count);
	struct browse_page *page = open_page(browse, title);
	browse_page_add(page, "Digest:   %s", ui_id(&layer->diff_id, true, digest));
	browse_page_add(page, "Size:     %s in files (%llu bytes), %s as an archive",
			ui_size(layer->content_bytes, size), (unsigned long long)layer->content_bytes,
			ui_size(layer->tar_bytes, tar));
	browse_page_add(page, "Entries:  %llu", (unsigned long long)layer->entries);
	if (totals) {
		browse_page_add(page, "Files:    %llu added, %llu changed, %llu removed",
				(unsigned long long)totals->uses[n].added, (unsigned long long)totals->uses[n].changed,
				(unsigned long long)totals->uses[n].removed);
		browse_page_add(page, "Wasted:   %s, which upper layers hide",
				ui_size(totals->uses[n].wasted_bytes, size));
	}
	browse_page_add(page, "Created:  %s", step && step->created ? step->created : "-");
	browse_page_add(page, "Author:   %s", step && step->author ? step->author : "-");
	browse_page_add(page, "Comment:  %s", step && step->comment ? step->comment : "-");
	browse_page_add(page, "Command:  %s", step && step->created_by ? step->created_by : "-");
}

void browse_show_waste(struct browse *browse)
{
	const struct browse_totals *totals = totals_of(browse);
	char size[UI_SIZE_BYTES];

	if (!totals) {
		browse_say(browse, "It is still being summed up what is wasted");
		return;
	}
	struct browse_page *page = open_page(browse, "Wasted space: files that upper layers replace or remove");
	browse_page_add(page, "Count  Wasted  Path");
	for (size_t i = 0; i < totals->waste_count; i++)
		browse_page_add(page, "%5u %7s  /%s", totals->waste[i].versions, ui_size(totals->waste[i].bytes, size),
				totals->waste[i].path);
	if (totals->waste_count == 0)
		browse_page_add(page, "Nothing is wasted.");
}
