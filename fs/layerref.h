/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FS_LAYERREF_H
#define NACRE_FS_LAYERREF_H

#include <stdbool.h>

/** layerref_is() - is it the reference of an image, HOST/NAME:TAG or with a digest, in base64 (layerstore.c)? */
bool layerref_is(const char *name);

#endif
