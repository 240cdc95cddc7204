/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "store/dockerfile.h"
#include "store/image_config.h"

#define ID1 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ID2 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static json_t *parse(const char *text)
{
	struct diag diag = { 0 };
	json_t *json = NULL;

	assert_int_equal(image_json_parse(text, strlen(text), "config", &diag, &json), 0);
	return json;
}

static void expect_json(const json_t *json, const char *expected)
{
	AUTO(json_decrefp) json_t *other = parse(expected);

	if (!json_equal(json, other)) {
		char *text = json_dumps(json, JSON_COMPACT);

		print_error("%s\n", text);
		free(text);
		fail();
	}
}

/* @changes on a config whose "config" is @before; @after is what it must be then. */
static void expect_change(const char *before, const char *after, const char *const *changes)
{
	AUTO(json_decrefp) json_t *config = json_object();
	bool cmd_set = false;

	json_object_set_new(config, "config", parse(before));
	for (; *changes; changes++) {
		struct diag diag = { 0 };
		int r = image_config_change(config, *changes, &cmd_set, &diag);

		if (r < 0)
			print_error("%s\n", diag.text);
		assert_int_equal(r, 0);
	}
	expect_json(json_object_get(config, "config"), after);
}

#define CHANGE(before, after, ...) expect_change(before, after, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_refusal(const char *change)
{
	AUTO(json_decrefp) json_t *config = parse("{\"config\":{\"Env\":[\"A=1\"]}}");
	bool cmd_set = false;
	struct diag diag = { 0 };

	assert_int_equal(image_config_change(config, change, &cmd_set, &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "change \""));
}

static void commands_have_an_exec_and_a_shell_form(void **state)
{
	CHANGE("{}", "{\"Cmd\":[\"a\",\"b c\"]}", "CMD [\"a\", \"b c\"]");
	CHANGE("{}", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"echo $HOME 'x'\"]}", "cmd   echo $HOME 'x'  ");
	CHANGE("{}", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"[1, 2]\"]}", "CMD [1, 2]");
	CHANGE("{\"Shell\":[\"/bin/bash\",\"-lc\"]}",
	       "{\"Shell\":[\"/bin/bash\",\"-lc\"],\"Cmd\":[\"/bin/bash\",\"-lc\",\"x\"]}", "CMD x");
	CHANGE("{}", "{\"Cmd\":[]}", "CMD []");
}

static void an_entry_point_drops_the_bases_command_only(void **state)
{
	CHANGE("{\"Cmd\":[\"x\"]}", "{\"Entrypoint\":[\"e\"]}", "ENTRYPOINT [\"e\"]");
	CHANGE("{\"Cmd\":[\"x\"]}", "{\"Entrypoint\":[\"e\"],\"Cmd\":[\"y\"]}", "CMD [\"y\"]", "ENTRYPOINT [\"e\"]");
	CHANGE("{\"Cmd\":[\"x\"]}", "{\"Entrypoint\":[\"e\"],\"Cmd\":[\"y\"]}", "ENTRYPOINT [\"e\"]", "CMD [\"y\"]");
}

static void variables_are_set_replaced_and_expanded(void **state)
{
	CHANGE("{}", "{\"Env\":[\"A=1\",\"B=x y\"]}", "ENV A=1 B=\"x y\"");
	CHANGE("{\"Env\":[\"A=1\",\"B=2\"]}", "{\"Env\":[\"A=3\",\"B=2\",\"C=\"]}", "ENV A=3 C=");
	CHANGE("{\"Env\":[\"PATH=/bin\"]}", "{\"Env\":[\"PATH=/opt:/bin\"]}", "ENV PATH=/opt:$PATH");
	CHANGE("{\"Env\":[\"A=old\"]}", "{\"Env\":[\"A=new\",\"B=old\"]}", "ENV A=new B=$A");
	CHANGE("{}", "{\"Env\":[\"A=one two  three\"]}", "ENV A one two  three");
	CHANGE("{}", "{\"Env\":[\"A=a b\",\"B=$X\",\"C=\\\"\"]}", "ENV A=a\\ b B='$X' C=\\\"");
	CHANGE("{\"Env\":[\"X=v\"]}", "{\"Env\":[\"X=v\",\"A=v-dyes\",\"B=\"]}",
	       "ENV A=${X}-${Y:-d}${X:+yes} B=${Y:+no}");
}

static void labels_join_the_bases(void **state)
{
	CHANGE("{\"Labels\":{\"a\":\"1\"}}", "{\"Labels\":{\"a\":\"2\",\"b c\":\"d=e\"}}", "LABEL a=2 \"b c\"=\"d=e\"");
	CHANGE("{\"Labels\":null}", "{\"Labels\":{\"a\":\"b\"}}", "LABEL a b");
}

static void ports_have_a_protocol(void **state)
{
	CHANGE("{}", "{\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}}}", "EXPOSE 80 53/UDP");
	CHANGE("{\"Env\":[\"P=8000\"]}", "{\"Env\":[\"P=8000\"],\"ExposedPorts\":{\"8000/tcp\":{},\"8001/tcp\":{}}}",
	       "EXPOSE $P-8001");
}

static void single_values_are_set(void **state)
{
	CHANGE("{\"User\":\"root\"}", "{\"User\":\"1000:1000\"}", "USER 1000:1000");
	CHANGE("{}", "{\"StopSignal\":\"SIGQUIT\"}", "STOPSIGNAL SIGQUIT");
	CHANGE("{}", "{\"StopSignal\":\"9\"}", "STOPSIGNAL 9");
	CHANGE("{}", "{\"StopSignal\":\"SIGRTMIN+3\"}", "STOPSIGNAL SIGRTMIN+3");
}

static void a_relative_folder_starts_at_the_bases(void **state)
{
	CHANGE("{}", "{\"WorkingDir\":\"/srv\"}", "WORKDIR srv");
	CHANGE("{\"WorkingDir\":\"/a/b\"}", "{\"WorkingDir\":\"/a/c\"}", "WORKDIR ../c/.");
	CHANGE("{\"WorkingDir\":\"/a\"}", "{\"WorkingDir\":\"/x y\"}", "WORKDIR /x y");
	CHANGE("{\"WorkingDir\":\"/a\"}", "{\"WorkingDir\":\"/\"}", "WORKDIR ../../..");
}

static void volumes_come_as_words_or_as_a_list(void **state)
{
	CHANGE("{}", "{\"Volumes\":{\"/a\":{},\"/b\":{}}}", "VOLUME /a /b");
	CHANGE("{\"Volumes\":{\"/a\":{}}}", "{\"Volumes\":{\"/a\":{},\"/b c\":{}}}", "VOLUME [\"/b c\"]");
}

static void triggers_are_appended(void **state)
{
	CHANGE("{\"OnBuild\":[\"RUN a\"]}", "{\"OnBuild\":[\"RUN a\",\"RUN b $C\"]}", "ONBUILD RUN b $C");
}

static void health_checks_are_set(void **state)
{
	CHANGE("{}", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}", "HEALTHCHECK NONE");
	CHANGE("{}",
	       "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl -f localhost || exit 1\"],\"Interval\":90000000000,"
	       "\"Timeout\":500000000,\"Retries\":3}}",
	       "HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl -f localhost || exit 1");
	CHANGE("{}", "{\"Healthcheck\":{\"Test\":[\"CMD\",\"/check\"]}}", "HEALTHCHECK CMD [\"/check\"]");
}

static void wrong_instructions_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"RUN true",
		"CMD",
		"ENV",
		"ENV A",
		"ENV A=1 B",
		"ENV =1",
		"ENV A=\"x",
		"ENV A=${X",
		"ENV A=${X:?y}",
		"LABEL x",
		"EXPOSE 0",
		"EXPOSE 65536",
		"EXPOSE 80/icmp",
		"EXPOSE 9-8",
		"EXPOSE x",
		"STOPSIGNAL SIGFOO",
		"STOPSIGNAL 65",
		"ONBUILD FROM x",
		"ONBUILD onbuild RUN x",
		"HEALTHCHECK",
		"HEALTHCHECK CMD",
		"HEALTHCHECK MAYBE",
		"HEALTHCHECK NONE x",
		"HEALTHCHECK --interval=1 CMD x",
		"HEALTHCHECK --interval=1us CMD x",
		"HEALTHCHECK --foo=1 CMD x",
		"HEALTHCHECK --retries=-1 CMD x",
		"USER $NOTHING",
		"WORKDIR $NOTHING",
		"VOLUME \"\"",
		"LABEL a=\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refusal(bad[i]);
}

static void a_config_of_wrong_types_is_refused(void **state)
{
	AUTO(json_decrefp) json_t *config = parse("{\"config\":{\"Env\":{}}}");
	AUTO(json_decrefp) json_t *other = parse("{\"config\":[]}");
	bool cmd_set = false;
	struct diag diag = { 0 };

	assert_int_equal(image_config_change(config, "ENV A=1", &cmd_set, &diag), -EBADMSG);
	assert_int_equal(image_config_change(other, "ENV A=1", &cmd_set, &diag), -EBADMSG);
}

static void durations_are_gos(void **state)
{
	int64_t ns;

	assert_int_equal(dockerfile_duration("1h2m3.5s", &ns), 0);
	assert_int_equal(ns, 3723500000000);
	assert_int_equal(dockerfile_duration("0", &ns), 0);
	assert_int_equal(dockerfile_duration("1.5us", &ns), 0);
	assert_int_equal(ns, 1500);
	assert_int_equal(dockerfile_duration("", &ns), -EINVAL);
	assert_int_equal(dockerfile_duration("5", &ns), -EINVAL);
	assert_int_equal(dockerfile_duration("s", &ns), -EINVAL);
	assert_int_equal(dockerfile_duration("-1s", &ns), -EINVAL);
	assert_int_equal(dockerfile_duration("infs", &ns), -EINVAL);
	assert_int_equal(dockerfile_duration("9999999999h", &ns), -EINVAL);
}

static void a_layer_is_added_and_unknown_keys_are_kept(void **state)
{
	AUTO(json_decrefp)
	json_t *config = parse("{\"zzz\":{\"k\":[1,null]},\"created\":\"old\",\"rootfs\":"
			       "{\"type\":\"layers\",\"diff_ids\":[\"" ID1 "\"]},\"os\":\"linux\"}");
	struct image_history history = { .created = 1700000000, .created_by = "test", .author = "me", .comment = "why" };
	struct diag diag = { 0 };
	struct digest digest;

	assert_int_equal(digest_parse(ID2, &digest), 0);
	assert_int_equal(image_config_add_layer(config, &digest, &history, &diag), 0);
	expect_json(
		config,
		"{\"zzz\":{\"k\":[1,null]},\"created\":\"2023-11-14T22:13:20Z\",\"rootfs\":{\"type\":\"layers\","
		"\"diff_ids\":[\"" ID1 "\",\"" ID2 "\"]},\"os\":\"linux\",\"author\":\"me\",\"history\":"
		"[{\"created\":\"2023-11-14T22:13:20Z\",\"author\":\"me\",\"created_by\":\"test\",\"comment\":\"why\"}]}");
}

static void keys_keep_their_order(void **state)
{
	static const char text[] = "{\"z\":1,\"a\":{\"y\":2,\"b\":\"\\u0000\"},\"m\":[]}";
	AUTO(json_decrefp) json_t *config = parse(text);
	AUTO(freep) char *out = NULL;
	size_t bytes;

	assert_int_equal(image_config_text(config, &out, &bytes), 0);
	assert_string_equal(out, text);
	assert_int_equal(bytes, strlen(text));
}

static void diff_ids_are_checked(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"rootfs\":[]}",
		"{\"rootfs\":{\"diff_ids\":{}}}",
		"{\"rootfs\":{\"diff_ids\":[1]}}",
		"{\"rootfs\":{\"diff_ids\":[\"sha256:12\"]}}",
		"{\"rootfs\":{\"diff_ids\":[\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"]}}",
	};
	struct digest *ids = NULL;
	size_t count;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO(json_decrefp) json_t *config = parse(bad[i]);
		struct diag diag = { 0 };

		assert_int_equal(image_config_diff_ids(config, "config", &diag, &ids, &count), -EBADMSG);
		assert_non_null(strstr(diag.text, "diff_ids"));
	}
}

static void what_is_no_json_object_is_refused(void **state)
{
	struct diag diag = { 0 };
	json_t *json;

	assert_int_equal(image_json_parse("{\"a\":", 5, "the file", &diag, &json), -EBADMSG);
	assert_non_null(strstr(diag.text, "the file: not JSON: line 1"));
	diag = (struct diag){ 0 };
	assert_int_equal(image_json_parse("{} {}", 5, "the file", &diag, &json), -EBADMSG);
}

static void an_import_gets_this_machines_platform(void **state)
{
	AUTO(json_decrefp) json_t *config = NULL;

	assert_int_equal(image_config_new(&config), 0);
	assert_string_equal(json_string_value(json_object_get(config, "os")), "linux");
	assert_string_equal(json_string_value(json_object_get(config, "architecture")), platform_architecture());
	assert_string_not_equal(platform_architecture(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_have_an_exec_and_a_shell_form),
		cmocka_unit_test(an_entry_point_drops_the_bases_command_only),
		cmocka_unit_test(variables_are_set_replaced_and_expanded),
		cmocka_unit_test(labels_join_the_bases),
		cmocka_unit_test(ports_have_a_protocol),
		cmocka_unit_test(single_values_are_set),
		cmocka_unit_test(a_relative_folder_starts_at_the_bases),
		cmocka_unit_test(volumes_come_as_words_or_as_a_list),
		cmocka_unit_test(triggers_are_appended),
		cmocka_unit_test(health_checks_are_set),
		cmocka_unit_test(wrong_instructions_are_refused),
		cmocka_unit_test(a_config_of_wrong_types_is_refused),
		cmocka_unit_test(durations_are_gos),
		cmocka_unit_test(a_layer_is_added_and_unknown_keys_are_kept),
		cmocka_unit_test(keys_keep_their_order),
		cmocka_unit_test(diff_ids_are_checked),
		cmocka_unit_test(what_is_no_json_object_is_refused),
		cmocka_unit_test(an_import_gets_this_machines_platform),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
