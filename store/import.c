/* SPDX-License-Identifier: Apache-2.0 */
#include "store/oci.h"

#include "store/base/auto.h"
#include "store/image_config.h"
#include "store/uppertar.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

/*
 * The variable is read here and not in the command, so that it holds for whoever imports:
 * https://reproducible-builds.org/specs/source-date-epoch/
 */
static int creation_time(struct diag *diag, int64_t *ret)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;

	if (!text || !*text) {
		*ret = (int64_t)time(NULL);
		return 0;
	}
	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno || *end || *ret < 0)
		return diag_set(diag, -EINVAL, "SOURCE_DATE_EPOCH is not a number of seconds: %s", text);
	return 0;
}

static int open_source(const char *path, struct diag *diag, int *ret, uint64_t *ret_bytes, bool *ret_folder)
{
	bool is_stdin = strcmp(path, "-") == 0;
	AUTO(closep) int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return diag_errno(diag, -errno, "cannot open %s", is_stdin ? "standard input" : path);
	*ret_folder = S_ISDIR(st.st_mode);
	*ret_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Before anything is read: a change may be wrong. */
static int make_config(const struct import_options *options, struct diag *diag, json_t **ret)
{
	int r = image_config_new(ret);

	return r < 0 ? r : image_config_changes(*ret, options->changes, diag);
}

static int config_text(json_t *config, const struct digest *diff_id, const char *source, const char *message,
		       int64_t created, struct diag *diag, char **ret, size_t *ret_bytes)
{
	AUTO(freep) char *imported = NULL;
	struct image_history history = { .created = created, .created_by = "nacre import", .comment = message };
	int r;

	if (!message) {
		/* The name without its folders: the same archive gives the same image wherever it lies. */
		size_t end = strlen(source), start;

		while (end > 1 && source[end - 1] == '/')
			end--;
		for (start = end; start > 0 && source[start - 1] != '/';)
			start--;
		if (asprintf(&imported, "Imported from %.*s", (int)(end - start), source + start) < 0) {
			imported = NULL;
			return -ENOMEM;
		}
		history.comment = imported;
	}
	r = image_config_add_layer(config, diff_id, &history, diag);
	return r < 0 ? r : image_config_text(config, ret, ret_bytes);
}

static int ingest_source(struct writer *writer, const char *path, const struct load_events *events, struct diag *diag,
			 struct ingest_result *ret)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	char diff_id[DIGEST_TEXT_BYTES];
	AUTO(closep) int fd = -1;
	uint64_t bytes = 0;
	bool folder = false;
	struct ingest_options options = {
		.name = name,
		.blob_bytes = -1,
		.progress = events ? events->layer_progress : NULL,
		.progress_arg = events ? events->arg : NULL,
	};
	int r = open_source(path, diag, &fd, &bytes, &folder);

	if (r < 0)
		return r;
	if (events && events->layer_begin)
		events->layer_begin(name, bytes, events->arg);
	if (folder)
		r = upper_ingest(writer, NULL, path, true, &options, diag, ret);
	else
		r = ingest_tar(writer, byte_source_fd(&fd), &options, diag, ret);
	if (r == 0 && ret->left_out && events && events->left_out)
		events->left_out(name, ret->left_out, events->arg);
	if (r == 0 && events && events->layer_end)
		events->layer_end(digest_format(&ret->diff_id, diff_id), ingest_outcome(ret), events->arg);
	return r;
}

static int add_image(struct writer *writer, json_t *config, const struct ingest_result *layer, const char *path,
		     const char *tag, const char *message, int64_t created, const struct load_events *events,
		     struct diag *diag, struct image_id *ret)
{
	AUTO(freep) char *text = NULL;
	size_t bytes;
	struct digest id;
	int r = config_text(config, &layer->diff_id, path, message, created, diag, &text, &bytes);

	if (r == 0)
		r = image_add(writer, text, bytes, &layer->layer, 1, tag, diag, ret);
	if (r == 0)
		r = digest_of(text, bytes, &id);
	if (r == 0 && events && events->image)
		events->image(tag ? tag : "", &id, events->arg);
	return r;
}

int image_import(struct store *store, const char *path, const struct import_options *options,
		 const struct load_events *events, struct diag *diag, struct image_id *ret)
{
	AUTO(json_decrefp) json_t *config = NULL;
	AUTO(freep) char *full_tag = NULL;
	AUTO(writer_closep) struct writer *writer = NULL;
	struct ingest_result layer = { 0 };
	int64_t created = 0;
	int r = options->tag ? reference_check(options->tag, diag, &full_tag) : 0;

	if (r == 0)
		r = make_config(options, diag, &config);
	if (r == 0)
		r = creation_time(diag, &created);
	if (r == 0)
		r = writer_open(store, diag, &writer);
	if (r == 0)
		r = ingest_source(writer, path, events, diag, &layer);
	if (r < 0)
		return r;
	r = add_image(writer, config, &layer, path, full_tag, options->message, created, events, diag, ret);
	if (r < 0 && !layer.existed) {
		/* The layer came in, its image did not: nobody will ask for it. */
		struct gc_result removed;

		writer_close(TAKE(writer));
		(void)store_gc(store, NULL, &removed);
	}
	return r;
}
