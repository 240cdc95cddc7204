/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_CONFIG_CHANGE_H
#define NACRE_STORE_CONFIG_CHANGE_H

/* What the instructions of image_config_change() share. Not for others. */

#include "store/image_config.h"

/* One instruction under way. */
struct change {
	json_t *run;   /* borrowed: the object "config" of the image's config */
	bool *cmd_set; /* borrowed */
	struct diag *diag;
};

const char *change_skip_blanks(const char *p);

/** change_set() - @value becomes member @key; it is consumed. NULL is -ENOMEM. */
int change_set(json_t *object, const char *key, json_t *value);

/** change_string() - a string of the instruction, which need not be UTF-8 as JSON wants it. @ret: owned. */
int change_string(struct change *c, const char *text, json_t **ret);

/** change_exec_form() - ["a", "b"], all strings. Return: owned; NULL: it is not that, so it is a command for the
 * shell, as docker has it. */
json_t *change_exec_form(const char *args);

/** change_healthcheck() - config_health.c */
int change_healthcheck(struct change *c, const char *args);

#endif
