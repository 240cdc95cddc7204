/* SPDX-License-Identifier: Apache-2.0 */
#include "store/platform.h"

#include "store/image_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is meant where no variant is said (containerd's platforms, database.go); for amd64 v1 is as good as none. */
static void set_default_variant(struct platform *p)
{
	if (strcmp(p->architecture, "amd64") == 0 && strcmp(p->variant, "v1") == 0)
		p->variant[0] = '\0';
	if (p->variant[0])
		return;
	if (strcmp(p->architecture, "arm64") == 0)
		strcpy(p->variant, "v8");
	else if (strcmp(p->architecture, "arm") == 0)
		strcpy(p->variant, "v7");
}

/* uname's words for architectures are taken too. */
static void normalise(struct platform *p)
{
	if (strcmp(p->architecture, "x86_64") == 0)
		strcpy(p->architecture, "amd64");
	else if (strcmp(p->architecture, "aarch64") == 0)
		strcpy(p->architecture, "arm64");
	else if (strcmp(p->architecture, "armhf") == 0)
		strcpy(p->architecture, "arm");
	set_default_variant(p);
}

static int take_part(const char **at, char *ret, size_t room)
{
	size_t n = strcspn(*at, "/");

	if (n == 0 || n >= room || strspn(*at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") < n)
		return -EINVAL;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n;
	if (**at == '/')
		return *++*at ? 1 : -EINVAL;
	return 0;
}

int platform_init(const char *text, struct diag *diag, struct platform *ret)
{
	const char *at = text;
	int r;

	*ret = (struct platform){ .os = "linux" };
	if (!text) {
		const char *variant = platform_variant();

		snprintf(ret->architecture, sizeof(ret->architecture), "%s", platform_architecture());
		snprintf(ret->variant, sizeof(ret->variant), "%s", variant ? variant : "");
		return 0;
	}
	r = take_part(&at, ret->os, sizeof(ret->os));
	if (r > 0)
		r = take_part(&at, ret->architecture, sizeof(ret->architecture));
	else
		r = -EINVAL;
	if (r > 0)
		r = take_part(&at, ret->variant, sizeof(ret->variant));
	if (r != 0)
		return diag_set(diag, -EINVAL, "\"%s\" is no platform: OS/ARCHITECTURE[/VARIANT], as in linux/arm64",
				text);
	normalise(ret);
	ret->asked = true;
	return 0;
}

/* An arm machine of v7 also runs what was made for v6 and v5. */
static int variant_score(const struct platform *p, const char *variant)
{
	if (!variant || !*variant || (strcmp(p->architecture, "amd64") == 0 && strcmp(variant, "v1") == 0))
		return 2;
	if (strcmp(variant, p->variant) == 0)
		return 3;
	if (strcmp(p->architecture, "arm") == 0 && strcmp(variant, p->variant) < 0)
		return 1;
	return 0;
}

int platform_score(const struct platform *p, const char *os, const char *architecture, const char *variant)
{
	if (!os || !architecture || strcmp(os, p->os) != 0 || strcmp(architecture, p->architecture) != 0)
		return 0;
	return variant_score(p, variant);
}

char *platform_text(const struct platform *p, char text[PLATFORM_TEXT_BYTES])
{
	snprintf(text, PLATFORM_TEXT_BYTES, "%s/%s%s%s", p->os, p->architecture, p->variant[0] ? "/" : "", p->variant);
	return text;
}
