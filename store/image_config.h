/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_IMAGE_CONFIG_H
#define NACRE_STORE_IMAGE_CONFIG_H

/*
 * The config JSON of an image (OCI image-spec config.md, and docker's keys in
 * it): made for an import, read for a load, one layer added for a commit.
 * Keys that are not known here are kept as they are.
 */

#include "store/base/diag.h"
#include "store/base/digest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** No config or manifest is larger; real ones have some kilobytes. */
enum { IMAGE_JSON_MAX_BYTES = 4 * 1024 * 1024 };

/** image_json_parse() - a JSON object; @what names the text in messages. -EBADMSG. @ret: owned. */
int image_json_parse(const char *text, size_t bytes, const char *what, struct diag *diag, json_t **ret);

/** image_config_created() - seconds since 1970, as far as a listing needs it; 0: it does not say */
int64_t image_config_created(const json_t *config);

/**
 * image_config_diff_ids() - rootfs.diff_ids, checked
 * @ret: owned; free() it
 *
 * Return: 0; -EBADMSG: missing, of a wrong type or no digest.
 */
int image_config_diff_ids(const json_t *config, const char *what, struct diag *diag, struct digest **ret,
			  size_t *ret_count);

struct image_history {
	int64_t created;	/* seconds */
	const char *created_by; /* may be NULL */
	const char *author;	/* may be NULL; is set for the whole image too */
	const char *comment;	/* may be NULL */
};

/** image_config_new() - a config without layers for this machine's platform. @ret: owned. */
int image_config_new(json_t **ret);

/** image_config_add_layer() - one more diff ID and its history; created and author are set. */
int image_config_add_layer(json_t *config, const struct digest *diff_id, const struct image_history *history,
			   struct diag *diag);

/** image_config_drop_layers() - neither a diff ID nor a line of history is left; all else stays. */
int image_config_drop_layers(json_t *config, struct diag *diag);

/** image_config_text() - @ret: owned; compact JSON, keys in their order. */
int image_config_text(const json_t *config, char **ret, size_t *ret_bytes);

/**
 * image_config_change() - one Dockerfile instruction, as docker commit --change
 *
 * CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR;
 * variables of ENV are expanded where docker does.
 * @cmd_set: whether CMD came before in this row of changes; false at first.  ENTRYPOINT without
 *           it drops the base's Cmd, as docker has it.
 * Return: 0; -EINVAL: diag quotes the instruction.
 */
int image_config_change(json_t *config, const char *instruction, bool *cmd_set, struct diag *diag);

/** image_config_changes() - a row of them, NULL at its end; NULL: none. Return: as image_config_change(). */
int image_config_changes(json_t *config, const char *const *changes, struct diag *diag);

/** The OCI words for this machine (GOARCH, GOOS is linux); @variant is NULL where there is none. */
const char *platform_architecture(void);
const char *platform_variant(void);

#endif
