// SPDX-License-Identifier: Apache-2.0
#include "tools/imageconf.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static struct history_step step_of(const json_t *line)
{
	return (struct history_step){
		.created = text_of(line, "created"),
		.created_by = text_of(line, "created_by"),
		.author = text_of(line, "author"),
		.comment = text_of(line, "comment"),
		.empty = json_is_true(json_object_get(line, "empty_layer")),
		.layer = -1,
	};
}

void history_read(const struct image_info *image, struct history *ret)
{
	json_t *config = json_loadb(image->config, image->config_bytes, 0, NULL);
	json_t *lines = json_object_get(config, "history");
	size_t layer = 0, i;
	json_t *line;

	*ret = (struct history){ .config = config };
	ret->steps = ui_need(calloc(json_array_size(lines) + image->layer_count + 1, sizeof(*ret->steps)));
	json_array_foreach(lines, i, line)
	{
		struct history_step step = step_of(line);

		if (!step.empty && layer < image->layer_count)
			step.layer = (ssize_t)layer++;
		ret->steps[ret->count++] = step;
	}
	while (layer < image->layer_count)
		ret->steps[ret->count++] = (struct history_step){ .layer = (ssize_t)layer++ };
}

void history_release(struct history *history)
{
	json_decref(history->config);
	free(history->steps);
	*history = (struct history){ 0 };
}

const struct history_step *history_of_layer(const struct history *history, size_t n)
{
	for (size_t i = 0; i < history->count; i++)
		if (history->steps[i].layer == (ssize_t)n)
			return &history->steps[i];
	return NULL;
}

const char *history_made_by(const struct history_step *step)
{
	if (step && step->created_by && *step->created_by)
		return step->created_by;
	return step && step->comment ? step->comment : "";
}

const char *image_label(const struct image_info *image, char *text)
{
	return image->tag_count ? image->tags[0] : ui_id(&image->digest, false, text);
}

const char *image_hint(int err)
{
	if (err == -ENOENT)
		return "'nacre images' lists them";
	if (err == -ENOTUNIQ)
		return "give more digits of the ID";
	if (err == -ERANGE)
		return "'nacre layers' lists them; IMAGE@1 is the lowest alone";
	if (err == -EINVAL)
		return "a reference is NAME[:TAG], or an image ID";
	return NULL;
}

/* "NAME@sha256:HEX" has an @ too: behind ours are digits only.  Return: the number; SIZE_MAX: there is none. */
static size_t split_layers(const char *ref, char **ret_image)
{
	const char *at = strrchr(ref, '@');
	size_t digits = at ? strspn(at + 1, "0123456789") : 0;
	bool limited = digits > 0 && digits < 10 && !at[1 + digits];

	*ret_image = ui_need(limited ? strndup(ref, (size_t)(at - ref)) : strdup(ref));
	return limited ? strtoul(at + 1, NULL, 10) : SIZE_MAX;
}

int image_find_at(struct store *store, const char *ref, struct diag *diag, struct image_info *ret, bool *ret_limited)
{
	AUTO(freep) char *image = NULL;
	size_t layers = split_layers(ref, &image);
	struct image_id id = { 0 };
	int r = image_find(store, image, diag, &id);

	if (ret_limited)
		*ret_limited = layers != SIZE_MAX;
	if (r == 0)
		r = image_info(store, id, diag, ret);
	if (r < 0 || layers == SIZE_MAX)
		return r;
	if (layers < 1 || layers > ret->layer_count)
		return diag_set(diag, -ERANGE, "the image has %zu layer%s", ret->layer_count,
				ret->layer_count == 1 ? "" : "s");
	ret->layer_count = layers;
	return 0;
}

int image_open_at(struct store *store, const char *ref, const char *action, struct image_info *ret)
{
	struct diag diag = { 0 };
	int r = image_find_at(store, ref, &diag, ret, NULL);

	if (r < 0)
		ui_fail(r, &diag, image_hint(r), "cannot %s %s", action, ref);
	return r;
}

int image_open(struct store *store, const char *ref, const char *action, struct image_info *ret)
{
	struct diag diag = { 0 };
	struct image_id id = { 0 };
	int r = image_find(store, ref, &diag, &id);

	if (r == 0)
		r = image_info(store, id, &diag, ret);
	if (r < 0)
		ui_fail(r, &diag, image_hint(r), "cannot %s %s", action, ref);
	return r;
}
