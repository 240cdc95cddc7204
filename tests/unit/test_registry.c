/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/platform.h"
#include "store/registry/challenge.h"
#include "store/registry/name.h"

#include <string.h>

/* "HOST REPOSITORY TAG LOCAL", "-" for what is not there; "" for what is no name. */
static const char *parsed(const char *text)
{
	static char all[512];
	struct remote_name name;

	if (remote_name_parse(text, NULL, &name) < 0)
		return "";
	snprintf(all, sizeof(all), "%s %s %s %s%s", name.host, name.repository, name.tag ? name.tag : "-",
		 name.local ? name.local : "-", name.has_digest ? " @" : "");
	remote_name_release(&name);
	return all;
}

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void names_are_docker_s(void **state)
{
	assert_string_equal(parsed("alpine"), "docker.io library/alpine latest alpine:latest");
	assert_string_equal(parsed("library/alpine:3"), "docker.io library/alpine 3 alpine:3");
	assert_string_equal(parsed("docker.io/alpine:3"), "docker.io library/alpine 3 alpine:3");
	assert_string_equal(parsed("docker://index.docker.io/library/alpine"),
			    "docker.io library/alpine latest alpine:latest");
	assert_string_equal(parsed("team/app"), "docker.io team/app latest team/app:latest");
	assert_string_equal(parsed("localhost/app"), "localhost app latest localhost/app:latest");
	assert_string_equal(parsed("localhost:5000/a/b:1"), "localhost:5000 a/b 1 localhost:5000/a/b:1");
	assert_string_equal(parsed("r.example/app@sha256:" HEX), "r.example app - - @");
	assert_string_equal(parsed("r.example:1/app:2@sha256:" HEX), "r.example:1 app 2 r.example:1/app:2 @");
	assert_string_equal(parsed("app@sha256:" HEX), "docker.io library/app - - @");
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {
		"",	  "UPPER", "a:b:c", "a@sha256:12", "a@" HEX, "a@md5:" HEX,  "http://a/b",
		"a/../b", "a b",   "a:\n",  "-a",	   "a/",     "localhost:/", "a@sha256:" HEX "0"
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(parsed(bad[i]), "");
}

static void check_challenge(const char *header, enum challenge_kind kind, const char *realm, const char *service,
			    const char *scope)
{
	struct challenge c;

	assert_int_equal(challenge_parse(header, &c), 0);
	assert_int_equal(c.kind, kind);
	assert_string_equal(c.realm ? c.realm : "-", realm);
	assert_string_equal(c.service ? c.service : "-", service);
	assert_string_equal(c.scope ? c.scope : "-", scope);
	challenge_release(&c);
}

static void challenges_are_read(void **state)
{
	check_challenge("Bearer realm=\"https://a/token\",service=\"s\",scope=\"repository:x:pull,push\"",
			CHALLENGE_BEARER, "https://a/token", "s", "repository:x:pull,push");
	check_challenge("bearer realm = https://a , SERVICE=\"with \\\"quotes\\\"\"", CHALLENGE_BEARER, "https://a",
			"with \"quotes\"", "-");
	check_challenge("Basic realm=\"r, with a comma\"", CHALLENGE_BASIC, "r, with a comma", "-", "-");
	check_challenge("Negotiate, Digest realm=\"d\", Basic realm=\"b\"", CHALLENGE_BASIC, "b", "-", "-");
	check_challenge("Negotiate abc==, Bearer realm=\"x\"", CHALLENGE_BEARER, "x", "-", "-");
	check_challenge("Basic", CHALLENGE_BASIC, "-", "-", "-");
	check_challenge("Bearer service=\"no realm\"", CHALLENGE_NONE, "-", "-", "-");
	check_challenge("Bearer realm=\"not ended", CHALLENGE_BEARER, "not ended", "-", "-");
	check_challenge("", CHALLENGE_NONE, "-", "-", "-");
	check_challenge(", ,=\"\\", CHALLENGE_NONE, "-", "-", "-");
}

static void addresses_have_an_origin(void **state)
{
	char *origin = url_origin("https://a.example/x?y");
	char *joined = url_join("https://a.example/v2/x/uploads/", "../y?z=1");

	assert_string_equal(origin, "https://a.example:443");
	assert_string_equal(joined, "https://a.example/v2/x/y?z=1");
	assert_null(url_origin("file:///etc/passwd"));
	assert_null(url_origin("no address"));
	assert_true(host_is_loopback("localhost:5000"));
	assert_true(host_is_loopback("127.1.2.3"));
	assert_false(host_is_loopback("127.0.0.1.example.org"));
	assert_false(host_is_loopback("localhost.example.org"));
	free(origin);
	free(joined);
}

static void platforms_suit(void **state)
{
	struct platform p;

	assert_int_equal(platform_init("linux/arm64", NULL, &p), 0);
	assert_int_equal(platform_score(&p, "linux", "arm64", "v8"), 3);
	assert_int_equal(platform_score(&p, "linux", "arm64", NULL), 2);
	assert_int_equal(platform_score(&p, "linux", "amd64", NULL), 0);
	assert_int_equal(platform_init("linux/arm/v7", NULL, &p), 0);
	assert_int_equal(platform_score(&p, "linux", "arm", "v6"), 1);
	assert_int_equal(platform_score(&p, "linux", "arm", "v8"), 0);
	assert_int_equal(platform_score(&p, "windows", "arm", "v7"), 0);
	assert_int_equal(platform_init("linux", NULL, &p), -EINVAL);
	assert_int_equal(platform_init("linux/", NULL, &p), -EINVAL);
	assert_int_equal(platform_init("/arm", NULL, &p), -EINVAL);
	assert_int_equal(platform_init("linux/arm/v7/x", NULL, &p), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_docker_s),  cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(challenges_are_read), cmocka_unit_test(addresses_have_an_origin),
		cmocka_unit_test(platforms_suit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
