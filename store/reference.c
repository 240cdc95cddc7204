/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reference.h"

#include "store/image.h"

#include <ctype.h>
#include <string.h>

enum { NAME_MAX_BYTES = 255, TAG_MAX_BYTES = 128, ID_MIN_DIGITS = 4 };

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* Between two letters or digits of a name: ".", "_", "__" or any number of "-". Return: its length, 0: none. */
static size_t separator_len(const char *p, const char *end)
{
	size_t n = 0;

	if (p < end && *p == '.')
		return 1;
	if (p < end && *p == '_')
		return p + 1 < end && p[1] == '_' ? 2 : 1;
	while (p + n < end && p[n] == '-')
		n++;
	return n;
}

static bool component_valid(const char *p, const char *end)
{
	if (p == end || !is_lower_alnum(*p))
		return false;
	while (p < end) {
		if (is_lower_alnum(*p)) {
			p++;
			continue;
		}
		p += separator_len(p, end);
		if (p >= end || !is_lower_alnum(*p))
			return false;
	}
	return true;
}

/* "[::1]". Return: what is behind it; NULL: it is none. */
static const char *skip_ipv6(const char *p, const char *end)
{
	const char *close = memchr(p, ']', (size_t)(end - p));
	size_t n = close ? (size_t)(close - p) - 1 : 0;

	return n >= 2 && strspn(p + 1, "0123456789abcdefABCDEF:") == n ? close + 1 : NULL;
}

/* host[:port]: what comes before the first '/', if it looks like one. */
static bool domain_valid(const char *p, const char *end)
{
	if (p < end && *p == '[') {
		p = skip_ipv6(p, end);
		if (!p || (p < end && *p != ':'))
			return false;
	} else if (p == end || !is_alnum(*p)) {
		return false;
	}
	for (; p < end && *p != ':'; p++) {
		if (!is_alnum(*p) && *p != '.' && *p != '-')
			return false;
	}
	if (p == end)
		return true;
	for (p++; p < end; p++) {
		if (!isdigit((unsigned char)*p))
			return false;
	}
	return end[-1] != ':';
}

static bool name_valid(const char *name, const char *end)
{
	const char *slash = memchr(name, '/', (size_t)(end - name));
	bool first = true;

	if (name == end || end - name > NAME_MAX_BYTES)
		return false;
	for (;;) {
		const char *stop = slash ? slash : end;

		/* The first part of several may be a host, which takes capitals and a port. */
		if (!component_valid(name, stop) && !(first && slash && domain_valid(name, stop)))
			return false;
		if (!slash)
			return true;
		first = false;
		name = slash + 1;
		slash = memchr(name, '/', (size_t)(end - name));
	}
}

static bool tag_valid(const char *tag)
{
	size_t len = strlen(tag);

	if (len == 0 || len > TAG_MAX_BYTES || (!is_alnum(*tag) && *tag != '_'))
		return false;
	for (; *tag; tag++) {
		if (!is_alnum(*tag) && *tag != '_' && *tag != '.' && *tag != '-')
			return false;
	}
	return true;
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/*
 * docker.io is where names without a host are at home, and library/ is its namespace of
 * names of one word: docker.io/library/alpine, library/alpine and alpine are the same.
 */
static const char *short_form(const char *name)
{
	const char *rest = begins(name, "docker.io/") ? name + 10 : begins(name, "index.docker.io/") ? name + 16 : name;
	size_t first = strcspn(rest, "/");

	/* Without docker.io before it this would be another registry's. */
	if (rest != name && rest[first] == '/' &&
	    (memchr(rest, '.', first) || memchr(rest, ':', first) || (first == 9 && begins(rest, "localhost"))))
		return name;
	return begins(rest, "library/") && !strchr(rest + 8, '/') ? rest + 8 : rest;
}

int reference_check(const char *text, struct diag *diag, char **ret)
{
	const char *slash = strrchr(text, '/');
	const char *colon = strchr(slash ? slash : text, ':');
	const char *end = colon ? colon : text + strlen(text);
	const char *tag = colon ? colon + 1 : "latest";

	if (!name_valid(text, end) || !tag_valid(tag))
		return diag_set(diag, -EINVAL, "\"%s\" is not a valid image name: NAME[:TAG], the name in lower case",
				text);
	text = short_form(text);
	return asprintf(ret, "%.*s:%s", (int)(end - text), text, tag) < 0 ? -ENOMEM : 0;
}

/* "sha256:HEX" or HEX of 4 to 64 digits. Return: the digits, or NULL. */
static const char *id_digits(const char *ref, bool *ret_explicit)
{
	size_t n;

	*ret_explicit = strncmp(ref, "sha256:", 7) == 0;
	if (*ret_explicit)
		ref += 7;
	n = strspn(ref, "0123456789abcdef");
	return ref[n] == '\0' && n >= ID_MIN_DIGITS && n <= 2 * DIGEST_BYTES ? ref : NULL;
}

static int find_tag(struct db *db, const char *tag, struct image_id *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT image FROM tag WHERE name = ?", &stmt);

	if (r < 0)
		return r;
	db_bind_text(stmt, 1, tag);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	ret->value = sqlite3_column_int64(stmt, 0);
	return 0;
}

static int find_id(struct db *db, const char *digits, struct diag *diag, struct image_id *ret)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	int r = db_stmt(db, "SELECT id FROM image WHERE substr(lower(hex(digest)), 1, length(?1)) = ?1 LIMIT 2", &stmt);

	if (r < 0)
		return r;
	db_bind_text(stmt, 1, digits);
	r = db_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	ret->value = sqlite3_column_int64(stmt, 0);
	r = db_step(stmt);
	return r > 0 ? diag_set(diag, -ENOTUNIQ, "\"%s\" is the beginning of several image IDs", digits) : r;
}

int reference_find(struct db *db, const char *ref, struct diag *diag, struct image_id *ret,
		   enum reference_kind *ret_kind, char **ret_tag)
{
	AUTO(freep) char *tag = NULL;
	bool is_id;
	const char *digits = id_digits(ref, &is_id);
	int r = is_id ? -EINVAL : reference_check(ref, digits ? NULL : diag, &tag);

	*ret_tag = NULL;
	if (is_id && !digits)
		return diag_set(diag, -EINVAL, "\"%s\" is not a valid image ID", ref);
	if (r < 0 && !digits)
		return r;
	if (r == 0)
		r = find_tag(db, tag, ret);
	if (r == 0) {
		*ret_kind = REFERENCE_NAME;
		*ret_tag = TAKE(tag);
		return 0;
	}
	*ret_kind = REFERENCE_ID;
	if (digits && (r == -ENOENT || is_id || r == -EINVAL))
		r = find_id(db, digits, diag, ret);
	return r == -ENOENT ? diag_set(diag, r, "no such image: %s", ref) : r;
}
