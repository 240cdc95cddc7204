/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_PLATFORM_H
#define NACRE_STORE_PLATFORM_H

/* For which machines an image is made: image-index.md's platform, in GOOS' and GOARCH's words. */

#include "store/base/diag.h"

#include <stdbool.h>

struct platform {
	char os[32], architecture[32];
	char variant[32]; /* "": not said */
	bool asked;	  /* somebody named it: nothing else will do */
};

/** platform_init() - from "os/arch[/variant]"; NULL: this machine's. -EINVAL. */
int platform_init(const char *text, struct diag *diag, struct platform *ret);

/** platform_score() - how well an image for these suits; 0: not at all. NULL: not said. */
int platform_score(const struct platform *platform, const char *os, const char *architecture, const char *variant);

/** platform_text() - "linux/arm64/v8" into @text */
enum { PLATFORM_TEXT_BYTES = 100 };
char *platform_text(const struct platform *platform, char text[PLATFORM_TEXT_BYTES]);

#endif
