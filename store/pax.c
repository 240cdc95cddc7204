/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pax.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NS_PER_SECOND = 1000000000 };

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself too. */
int pax_next(char **at, char *end, struct pax_record *ret)
{
	char *key, *equals, *last;
	size_t bytes;

	if (*at == end)
		return 0;
	bytes = strtoul(*at, &key, 10);
	if (*key != ' ' || bytes > (size_t)(end - *at) || *at + bytes <= key + 1)
		return -EBADMSG;
	key++;
	last = *at + bytes - 1;
	equals = memchr(key, '=', (size_t)(last - key));
	if (!equals || *last != '\n')
		return -EBADMSG;
	*equals = *last = '\0';
	*ret = (struct pax_record){ .key = key, .value = equals + 1, .bytes = (size_t)(last - equals - 1) };
	*at += bytes;
	return 1;
}

bool pax_is_time(const char *text)
{
	const char *p = text + (*text == '-');
	size_t digits = strspn(p, "0123456789");

	p += digits;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	return digits > 0 && !*p;
}

int64_t pax_time_ns(const char *text)
{
	bool negative = *text == '-';
	int64_t unit = NS_PER_SECOND, sign = negative ? -1 : 1, ns;
	char *end;
	long long seconds = strtoll(text, &end, 10);

	if (__builtin_mul_overflow(seconds, NS_PER_SECOND, &ns))
		return negative ? INT64_MIN : INT64_MAX;
	if (*end != '.')
		return ns;
	for (end++; *end >= '0' && *end <= '9' && unit > 1; end++) {
		unit /= 10;
		if (__builtin_add_overflow(ns, sign * (*end - '0') * unit, &ns))
			return negative ? INT64_MIN : INT64_MAX;
	}
	return ns;
}

bool pax_xattr_is_escaped(const char *name)
{
	for (const char *p = strchr(name, '%'); p; p = strchr(p + 1, '%')) {
		const char *end = p + 1;

		while (strncmp(end, "25", 2) == 0)
			end += 2;
		if (strncmp(end, "3D", 2) == 0)
			return true;
	}
	return false;
}

void pax_xattr_unescape(char *name)
{
	char *to = name;

	if (!pax_xattr_is_escaped(name))
		return;
	for (const char *from = name; *from; to++) {
		bool equals = strncmp(from, "%3D", 3) == 0, percent = strncmp(from, "%25", 3) == 0;

		*to = equals ? '=' : *from;
		from += equals || percent ? 3 : 1;
	}
	*to = '\0';
}
