/* SPDX-License-Identifier: Apache-2.0 */
/* References, digests, the names of whiteouts and of overlay's xattrs. */
#include "fuzz.h"

#include "store/base/digest.h"
#include "store/image.h"
#include "store/ovl.h"

/* What is accepted is normal already the second time. */
static void check_reference(const char *text)
{
	struct diag diag = { 0 };
	char *once = NULL, *twice = NULL;

	if (reference_check(text, &diag, &once) < 0) {
		MUST(diag.text[0]);
		return;
	}
	MUST(reference_check(once, NULL, &twice) == 0 && strcmp(once, twice) == 0);
	free(once);
	free(twice);
}

static void check_digest(const char *text)
{
	struct digest a, b;
	char again[DIGEST_TEXT_BYTES];

	if (digest_parse(text, &a) < 0)
		return;
	MUST(digest_parse(digest_format(&a, again), &b) == 0 && digest_eq(&a, &b));
}

static void check_overlay(const char *text)
{
	char disk[OVL_XATTR_NAME_BYTES], back[OVL_XATTR_NAME_BYTES];
	const char *hidden = ovl_whiteout_name(text), *escaped = ovl_xattr_escape(text, disk);

	MUST(!hidden || (*hidden && strcmp(hidden, ".") != 0 && strcmp(hidden, "..") != 0));
	/* What a mount shows under a name comes back under that name. */
	if (escaped) {
		const char *shown = ovl_xattr_unescape(escaped, back);

		MUST(shown && strcmp(shown, text) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(freep) char *text = strndup((const char *)data, size);

	MUST(text != NULL);
	check_reference(text);
	check_digest(text);
	check_overlay(text);
	return 0;
}
