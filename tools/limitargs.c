// SPDX-License-Identifier: Apache-2.0
#include "tools/limitargs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A number, with K, M, G or T behind it in powers of 1024 if @units. */
static bool parse_number(const char *text, bool units, uint64_t *ret)
{
	static const char letters[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t value;

	/* strtoull() takes blanks and signs. */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return false;
	unit = units && *end ? strchr(letters, *end & ~0x20) : NULL;
	if (unit) {
		end++;
		for (const char *p = letters; p <= unit; p++)
			if (__builtin_mul_overflow(value, UINT64_C(1024), &value))
				return false;
	}
	*ret = value;
	return *end == '\0';
}

int size_arg(const struct args *args, const char *name, uint64_t *ret)
{
	const char *text = args_get(args, name);

	if (text && !parse_number(text, true, ret))
		return args_misused(args->command, "--%s is no size: %s", name, text);
	return DONE;
}

int limit_args(const struct args *args, struct store_limits *ret)
{
	struct store_limits limits = STORE_LIMITS_DEFAULT;
	const struct {
		const char *name;
		bool units;
		uint64_t *value;
	} options[] = {
		{ "max-size", true, &limits.bytes },
		{ "max-entries", false, &limits.entries },
		{ "max-ratio", false, &limits.ratio },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *text = args_get(args, options[i].name);

		if (text && !parse_number(text, options[i].units, options[i].value))
			return args_misused(args->command, "--%s is no %s: %s", options[i].name,
					    options[i].units ? "size" : "number", text);
	}
	*ret = limits;
	return DONE;
}

const char *limit_hint(int err)
{
	return err == -EFBIG ? "if you trust it, allow more with --max-size, --max-entries or --max-ratio" : NULL;
}
