/* SPDX-License-Identifier: Apache-2.0 */
#include "store/image_config.h"

#include "store/base/auto.h"

#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static const struct platform {
	const char *machine; /* as uname(2) has it */
	const char *architecture;
	const char *variant;
} platforms[] = {
	{ "x86_64", "amd64", NULL },	{ "i386", "386", NULL },	{ "i486", "386", NULL },
	{ "i586", "386", NULL },	{ "i686", "386", NULL },	{ "aarch64", "arm64", "v8" },
	{ "armv8l", "arm", "v7" },	{ "armv7l", "arm", "v7" },	{ "armv6l", "arm", "v6" },
	{ "armv5tel", "arm", "v5" },	{ "ppc64le", "ppc64le", NULL }, { "ppc64", "ppc64", NULL },
	{ "s390x", "s390x", NULL },	{ "riscv64", "riscv64", NULL }, { "loongarch64", "loong64", NULL },
#if defined(__mips__) && defined(__MIPSEL__)
	{ "mips64", "mips64le", NULL }, { "mips", "mipsle", NULL },
#else
	{ "mips64", "mips64", NULL }, { "mips", "mips", NULL },
#endif
};

static const struct platform *this_platform(void)
{
	static const struct platform unknown = { "unknown", "unknown", NULL };
	struct utsname name;

	if (uname(&name) < 0)
		return &unknown;
	for (size_t i = 0; i < ARRAY_SIZE(platforms); i++)
		if (strcmp(platforms[i].machine, name.machine) == 0)
			return &platforms[i];
	return &unknown;
}

const char *platform_architecture(void)
{
	return this_platform()->architecture;
}

const char *platform_variant(void)
{
	return this_platform()->variant;
}

int image_json_parse(const char *text, size_t bytes, const char *what, struct diag *diag, json_t **ret)
{
	json_error_t error;
	json_t *json;

	if (bytes > IMAGE_JSON_MAX_BYTES)
		return diag_set(diag, -EBADMSG, "%s: larger than %d bytes", what, IMAGE_JSON_MAX_BYTES);
	json = json_loadb(text, bytes, JSON_ALLOW_NUL, &error);
	if (!json)
		return diag_set(diag, -EBADMSG, "%s: not JSON: line %d, column %d: %s", what, error.line, error.column,
				error.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return diag_set(diag, -EBADMSG, "%s: not a JSON object", what);
	}
	*ret = json;
	return 0;
}

/* RFC 3339, as far as a listing needs it. Return: seconds, 0 if it is none. */
static int64_t parse_time(const char *text)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int hours = 0, minutes = 0;
	char sign = '+';

	if (!end)
		return 0;
	if (*end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (*end != 'Z' && sscanf(end, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
		return 0;
	return timegm(&tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

int64_t image_config_created(const json_t *config)
{
	return parse_time(json_string_value(json_object_get(config, "created")));
}

int image_config_diff_ids(const json_t *config, const char *what, struct diag *diag, struct digest **ret,
			  size_t *ret_count)
{
	const json_t *list = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	size_t count = json_array_size(list);
	AUTO(freep) struct digest *ids = calloc(count + 1, sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	if (!json_is_array(list))
		return diag_set(diag, -EBADMSG, "%s: has no list rootfs.diff_ids", what);
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || !strchr(text, ':') || digest_parse(text, &ids[i]) < 0)
			return diag_set(diag, -EBADMSG, "%s: rootfs.diff_ids[%zu] is no sha256 digest: %s", what, i,
					text ? text : "not a string");
	}
	*ret = TAKE(ids);
	*ret_count = count;
	return 0;
}

int image_config_new(json_t **ret)
{
	json_t *config = json_pack("{s:s, s:s, s:s*, s:{}, s:{s:s, s:[]}, s:[]}", "architecture",
				   platform_architecture(), "os", "linux", "variant", platform_variant(), "config",
				   "rootfs", "type", "layers", "diff_ids", "history");

	*ret = config;
	return config ? 0 : -ENOMEM;
}

static int time_text(int64_t seconds, char *text, size_t room)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(text, room, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return -EOVERFLOW;
	return 0;
}

/* Strings from the command line need not be UTF-8, which JSON must be. */
static json_t *checked_string(const char *text, const char *what, struct diag *diag)
{
	json_t *string = json_string(text);

	if (!string)
		diag_set(diag, -EINVAL, "the %s is not UTF-8", what);
	return string;
}

static int set_text(json_t *object, const char *key, const char *value, struct diag *diag)
{
	if (!value)
		return 0;
	return json_object_set_new(object, key, checked_string(value, key, diag)) < 0 ? -EINVAL : 0;
}

static int add_history(json_t *config, const struct image_history *history, const char *created, struct diag *diag)
{
	json_t *list = json_object_get(config, "history");
	AUTO(json_decrefp) json_t *entry = json_object();
	int r = set_text(entry, "created", created, diag);

	/* The key may be missing, or null; both mean none. */
	if (!json_is_array(list) && (!list || json_is_null(list))) {
		list = json_array();
		if (json_object_set_new(config, "history", list) < 0)
			return -ENOMEM;
	}
	if (!json_is_array(list))
		return diag_set(diag, -EBADMSG, "the image's config: history is no list");
	if (r == 0)
		r = set_text(entry, "author", history->author, diag);
	if (r == 0)
		r = set_text(entry, "created_by", history->created_by, diag);
	if (r == 0)
		r = set_text(entry, "comment", history->comment, diag);
	if (r < 0)
		return r;
	return json_array_append(list, entry) < 0 ? -ENOMEM : 0;
}

int image_config_add_layer(json_t *config, const struct digest *diff_id, const struct image_history *history,
			   struct diag *diag)
{
	json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	char digest[DIGEST_TEXT_BYTES], created[40];
	int r = time_text(history->created, created, sizeof(created));

	if (r < 0)
		return diag_set(diag, -EINVAL, "the time of creation cannot be written as a date");
	if (!json_is_array(ids))
		return diag_set(diag, -EBADMSG, "the image's config has no list rootfs.diff_ids");
	if (json_array_append_new(ids, json_string(digest_format(diff_id, digest))) < 0)
		return -ENOMEM;
	r = add_history(config, history, created, diag);
	if (r == 0)
		r = set_text(config, "created", created, diag);
	if (r == 0)
		r = set_text(config, "author", history->author, diag);
	return r;
}

int image_config_drop_layers(json_t *config, struct diag *diag)
{
	json_t *rootfs = json_object_get(config, "rootfs");

	if (!json_is_object(rootfs))
		return diag_set(diag, -EBADMSG, "the image's config has no rootfs");
	if (json_object_set_new(rootfs, "diff_ids", json_array()) < 0 ||
	    json_object_set_new(config, "history", json_array()) < 0)
		return -ENOMEM;
	return 0;
}

int image_config_text(const json_t *config, char **ret, size_t *ret_bytes)
{
	char *text = json_dumps(config, JSON_COMPACT | JSON_PRESERVE_ORDER);

	if (!text)
		return -ENOMEM;
	*ret = text;
	*ret_bytes = strlen(text);
	return 0;
}
