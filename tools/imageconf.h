/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_IMAGECONF_H
#define NACRE_TOOLS_IMAGECONF_H

/* What an image's config (OCI image-spec config.md) says of how it was made. */

#include "store/image.h"
#include "tools/json.h"

struct history_step {
	const char *created, *created_by, *author, *comment; /* borrowed from the config; may be NULL */
	bool empty;					     /* it made no layer */
	ssize_t layer;					     /* index in image_info.layers, -1: none */
};

struct history {
	json_t *config;		    /* owned; NULL when the config is no JSON object */
	struct history_step *steps; /* owned, oldest first; each layer is in exactly one */
	size_t count;
};

/** history_read() - layers the history does not speak of get steps of their own at the end. */
void history_read(const struct image_info *image, struct history *ret);
void history_release(struct history *history);
/** history_of_layer() - the step that made layer @n; NULL: unknown. */
const struct history_step *history_of_layer(const struct history *history, size_t n);
/** history_made_by() - what made it, the comment where that is not said; "" for neither, or @step NULL. */
const char *history_made_by(const struct history_step *step);

/** image_label() - what people call it: its first name, else its short ID. @text: DIGEST_TEXT_BYTES. */
const char *image_label(const struct image_info *image, char *text);

static inline void image_info_releasep(struct image_info *info)
{
	image_info_release(info);
}

/**
 * image_open() - find an image and read its row; on failure says so
 * @action: what was to be done: "inspect"
 */
int image_open(struct store *store, const char *ref, const char *action, struct image_info *ret);
/**
 * image_find_at() - the same of "IMAGE@N": the image with its lowest N layers only
 *
 * @ret_limited: was there an @N?  NULL: nobody asks
 *
 * Says nothing; the reason is in @diag.  Return: 0; -ERANGE: it has fewer layers; else as image_find().
 */
int image_find_at(struct store *store, const char *ref, struct diag *diag, struct image_info *ret, bool *ret_limited);
/** image_open_at() - image_find_at(), and says on failure why @action cannot be done. */
int image_open_at(struct store *store, const char *ref, const char *action, struct image_info *ret);
/** image_hint() - what to do when a reference was not found. */
const char *image_hint(int err);

#endif
