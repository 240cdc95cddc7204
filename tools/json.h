/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_JSON_H
#define NACRE_TOOLS_JSON_H

/*
 * JSON of the listings.  Keys are written as docker writes them ("RepoTags");
 * sizes are bytes, times RFC 3339, IDs whole.  Without memory the program
 * leaves, as everywhere in tools/.
 */

#include "store/base/digest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline void json_freep(json_t **json)
{
	json_decref(*json);
}

json_t *json_new_object(void);
json_t *json_new_array(void);
/** json_put() - takes @value, which may be NULL when memory is out. */
void json_put(json_t *object, const char *key, json_t *value);
void json_push(json_t *array, json_t *value);

/** json_put_text() - a text; null for NULL. Bytes that are no UTF-8 become U+FFFD. */
void json_put_text(json_t *object, const char *key, const char *text);
/**
 * json_put_path() - a file name
 *
 * A name that is no UTF-8 cannot be said in JSON: then @key has it with U+FFFD
 * in it, and @key with "Hex" behind it has its bytes in hexadecimal.
 */
void json_put_path(json_t *object, const char *key, const char *path);
void json_put_number(json_t *object, const char *key, uint64_t number);
void json_put_bool(json_t *object, const char *key, bool value);
void json_put_time(json_t *object, const char *key, int64_t seconds, long ns);
void json_put_digest(json_t *object, const char *key, const struct digest *digest);

/** json_text() - a new string; null for NULL. */
json_t *json_text(const char *text);

/** json_print() - on stdout, indented, with a newline. */
void json_print(const json_t *json);

#endif
