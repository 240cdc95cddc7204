// SPDX-License-Identifier: Apache-2.0
#include "tools/json.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <string.h>

json_t *json_new_object(void)
{
	return ui_need(json_object());
}

json_t *json_new_array(void)
{
	return ui_need(json_array());
}

void json_put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) < 0)
		ui_out_of_memory();
}

void json_push(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) < 0)
		ui_out_of_memory();
}

/* @text as UTF-8; *@ret_whole: nothing had to be replaced. */
static char *utf8_of(const char *text, bool *ret_whole)
{
	struct buf buf = { 0 };
	uint32_t code;

	*ret_whole = true;
	for (size_t len = strlen(text), n; len > 0; text += n, len -= n) {
		n = ui_utf8_next(text, len, &code);
		if (n > 0) {
			buf_add(&buf, text, n);
			continue;
		}
		n = 1;
		*ret_whole = false;
		buf_adds(&buf, "\xef\xbf\xbd");
	}
	return buf.data ? ui_need(buf_take(&buf)) : ui_need(strdup(""));
}

json_t *json_text(const char *text)
{
	bool whole;

	if (!text)
		return json_null();
	AUTO(freep) char *utf8 = utf8_of(text, &whole);
	return ui_need(json_string(utf8));
}

void json_put_text(json_t *object, const char *key, const char *text)
{
	json_put(object, key, json_text(text));
}

void json_put_path(json_t *object, const char *key, const char *path)
{
	bool whole;
	AUTO(freep) char *utf8 = utf8_of(path, &whole);

	json_put(object, key, json_string(utf8));
	if (whole)
		return;
	struct buf hex = { 0 };
	AUTO(freep) char *hex_key = ui_format("%sHex", key);
	for (const unsigned char *p = (const unsigned char *)path; *p; p++)
		buf_addf(&hex, "%02x", *p);
	json_put(object, hex_key, json_string(buf_str(&hex)));
	buf_release(&hex);
}

void json_put_number(json_t *object, const char *key, uint64_t number)
{
	json_put(object, key, json_integer((json_int_t)number));
}

void json_put_bool(json_t *object, const char *key, bool value)
{
	json_put(object, key, json_boolean(value));
}

void json_put_time(json_t *object, const char *key, int64_t seconds, long ns)
{
	char text[UI_TIME_BYTES];

	json_put(object, key, json_string(ui_rfc3339(seconds, ns, text)));
}

void json_put_digest(json_t *object, const char *key, const struct digest *digest)
{
	char text[DIGEST_TEXT_BYTES];

	json_put(object, key, json_string(digest_format(digest, text)));
}

void json_print(const json_t *json)
{
	if (json_dumpf(json, stdout, JSON_INDENT(2)) < 0)
		ui_out_of_memory();
	putchar('\n');
}
