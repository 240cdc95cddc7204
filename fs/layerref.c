/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/layerref.h"

#include <string.h>

static int base64_value(char letter)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = letter ? strchr(letters, letter) : NULL;

	return at ? (int)(at - letters) : -1;
}

bool layerref_is(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:@+[]";
	size_t len = strcspn(name, "=");
	unsigned bits = 0, count = 0;
	bool has_mark = false;

	if (strlen(name) % 4 != 0 || len + 2 < strlen(name))
		return false;
	for (size_t i = 0; i < len; i++) {
		int value = base64_value(name[i]);
		char letter;

		if (value < 0)
			return false;
		bits = bits << 6 | (unsigned)value;
		count += 6;
		if (count < 8)
			continue;
		count -= 8;
		letter = (char)(bits >> count & 0xff);
		if (!letter || !strchr(allowed, letter))
			return false;
		has_mark |= strchr("/:@", letter) != NULL;
	}
	return has_mark;
}
