/* SPDX-License-Identifier: Apache-2.0 */
#include "store/config_change.h"

#include "store/base/auto.h"
#include "store/dockerfile.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* HEALTHCHECK, the one instruction with options. Durations are nanoseconds in the config. */

static const struct health_option {
	const char *name;
	const char *key;
	bool duration; /* else a count */
} health_options[] = {
	{ "--interval=", "Interval", true },	    { "--timeout=", "Timeout", true },
	{ "--start-period=", "StartPeriod", true }, { "--start-interval=", "StartInterval", true },
	{ "--retries=", "Retries", false },
};

static int parse_count(const char *text, int64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*ret = strtol(text, &end, 10);
	return errno || *end || *ret > INT32_MAX ? -EINVAL : 0;
}

static int health_option(struct change *c, json_t *check, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(health_options); i++) {
		const struct health_option *o = &health_options[i];
		const char *value = word + strlen(o->name);
		int64_t number;
		int r;

		if (strncmp(word, o->name, strlen(o->name)) != 0)
			continue;
		r = o->duration ? dockerfile_duration(value, &number) : parse_count(value, &number);
		/* docker refuses what its health monitor could not keep up with */
		if (r < 0 || (o->duration && number != 0 && number < 1000000))
			return diag_set(c->diag, -EINVAL, "%s: not a %s", word,
					o->duration ? "duration of 1ms or more" : "count");
		return change_set(check, o->key, json_integer(number));
	}
	return diag_set(c->diag, -EINVAL, "unknown option %s", word);
}

static int health_command(struct change *c, const char *args, json_t **ret)
{
	AUTO(json_decrefp) json_t *list = change_exec_form(args);
	json_t *string;
	int r;

	if (!*args || (list && json_array_size(list) == 0))
		return diag_set(c->diag, -EINVAL, "CMD needs a command");
	if (list) {
		if (json_array_insert_new(list, 0, json_string("CMD")) < 0)
			return -ENOMEM;
		*ret = TAKE(list);
		return 0;
	}
	r = change_string(c, args, &string);
	if (r < 0)
		return r;
	*ret = json_pack("[s,o]", "CMD-SHELL", string);
	return *ret ? 0 : -ENOMEM;
}

int change_healthcheck(struct change *c, const char *args)
{
	AUTO(json_decrefp) json_t *check = json_object();
	json_t *test = NULL;
	size_t len;
	int r = 0;

	while (r == 0 && strncmp(args, "--", 2) == 0) {
		AUTO(freep) char *word = strndup(args, len = strcspn(args, " \t"));

		r = word ? health_option(c, check, word) : -ENOMEM;
		args = change_skip_blanks(args + len);
	}
	len = strcspn(args, " \t");
	if (r < 0)
		return r;
	if (len == 4 && strncasecmp(args, "NONE", 4) == 0 && !*change_skip_blanks(args + len))
		test = json_pack("[s]", "NONE");
	else if (len == 3 && strncasecmp(args, "CMD", 3) == 0)
		r = health_command(c, change_skip_blanks(args + len), &test);
	else
		r = diag_set(c->diag, -EINVAL, "it needs NONE, or CMD and a command");
	if (r == 0)
		r = change_set(check, "Test", test);
	return r < 0 ? r : change_set(c->run, "Healthcheck", TAKE(check));
}
