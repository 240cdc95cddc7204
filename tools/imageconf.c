// SPDX-License-Identifier: Apache-2.0
#include "tools/imageconf.h"

#include "store/base/auto.h"
#include "tools/ui.h"

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
	if (err == -EINVAL)
		return "a reference is NAME[:TAG], or an image ID";
	return NULL;
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
