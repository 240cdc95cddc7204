/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "fs/options.h"

static struct mount_options parsed;
static struct diag diag;

static int parse(const char *options)
{
	char *argv[] = { (char *)"nacrefs", (char *)"-o", (char *)options, (char *)"mnt", NULL };

	memset(&diag, 0, sizeof(diag));
	return options_parse(4, argv, &parsed, &diag);
}

/* realpath() of a folder of the scratch directory. */
static void assert_folder(const char *path, const char *name)
{
	char *real = realpath(name, NULL);

	assert_string_equal(path, real);
	free(real);
}

static int folders(void **state)
{
	static const char *const names[] = { "mnt", "a", "b", "u", "w", "with:colon", "with,comma", "back\\slash" };
	int r = scratch_setup(state);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = mkdir(names[i], 0755);
	return r;
}

static void lowers_come_topmost_first(void **state)
{
	assert_int_equal(parse("lowerdir=a:b,upperdir=u,workdir=w"), 0);
	assert_int_equal(parsed.fs.lower_count, 2);
	assert_folder(parsed.fs.lowers[0], "a");
	assert_folder(parsed.fs.lowers[1], "b");
	assert_folder(parsed.fs.upper, "u");
	assert_folder(parsed.fs.work, "w");
	assert_false(parsed.read_only);
	options_release(&parsed);
}

static void special_characters_are_escaped(void **state)
{
	assert_int_equal(parse("lowerdir=with\\:colon:with\\,comma:back\\\\slash"), 0);
	assert_int_equal(parsed.fs.lower_count, 3);
	assert_folder(parsed.fs.lowers[0], "with:colon");
	assert_folder(parsed.fs.lowers[1], "with,comma");
	assert_folder(parsed.fs.lowers[2], "back\\slash");
	options_release(&parsed);
}

static void lowers_can_be_added_one_by_one(void **state)
{
	assert_int_equal(parse("lowerdir+=b,lowerdir+=with:colon,datadir+=a"), 0);
	assert_int_equal(parsed.fs.lower_count, 3);
	assert_int_equal(parsed.fs.data_lower_count, 1);
	assert_folder(parsed.fs.lowers[1], "with:colon");
	assert_folder(parsed.fs.lowers[2], "a");
	options_release(&parsed);
	assert_int_equal(parse("lowerdir=b,lowerdir=a"), 0);
	assert_int_equal(parsed.fs.lower_count, 1);
	assert_folder(parsed.fs.lowers[0], "a");
	options_release(&parsed);
}

static void lowers_after_two_colons_are_data_only(void **state)
{
	assert_int_equal(parse("lowerdir=a:b::u::w"), 0);
	assert_int_equal(parsed.fs.lower_count, 4);
	assert_int_equal(parsed.fs.data_lower_count, 2);
	assert_folder(parsed.fs.lowers[3], "w");
	assert_int_equal(parsed.fs.metacopy_from, FS_METACOPY_FROM);
	options_release(&parsed);
}

static void podman_s_empty_option_and_quotes_are_taken(void **state)
{
	assert_int_equal(parse("lowerdir=a,upperdir=u,workdir=w,,volatile,context=\"s:o:t:s0:c1,c2\","), 0);
	assert_true(parsed.fs.volatile_upper);
	if (access("/sys/fs/selinux/enforce", F_OK) == 0) {
		assert_string_equal(buf_str(&parsed.kernel), "context=\"s:o:t:s0:c1\\,c2\"");
		assert_int_equal(parsed.ignored.len, 0);
	} else {
		assert_int_equal(parsed.kernel.len, 0);
		assert_string_equal(buf_str(&parsed.ignored), "context");
	}
	options_release(&parsed);
}

static void mappings_have_a_leading_colon_or_not(void **state)
{
	assert_int_equal(parse("lowerdir=a,uidmapping=:0:100000:65536:70000:5:1,gidmapping=0:1000:1"), 0);
	assert_int_equal(parsed.fs.uid_map_count, 2);
	assert_int_equal(parsed.fs.uid_maps[0].shown, 100000);
	assert_int_equal(parsed.fs.uid_maps[1].disk, 70000);
	assert_int_equal(parsed.fs.gid_maps[0].count, 1);
	options_release(&parsed);
}

static void squash_to_root_counts_least(void **state)
{
	assert_int_equal(parse("lowerdir=a,squash_to_uid=5,squash_to_root"), 0);
	assert_int_equal(parsed.fs.squash_uid, 5);
	assert_int_equal(parsed.fs.squash_gid, 0);
	options_release(&parsed);
}

static void fakeroot_is_for_others_where_the_kernel_checks_them(void **state)
{
	assert_int_equal(parse("lowerdir=a,fakeroot,allow_other,default_permissions"), 0);
	assert_true(parsed.fs.fakeroot);
	assert_true(parsed.allow_other);
	options_release(&parsed);
}

static void unknown_options_are_named_and_ignored(void **state)
{
	assert_int_equal(parse("lowerdir=a,plugins=x,never_heard_of,x-systemd.automount"), 0);
	assert_string_equal(buf_str(&parsed.ignored), "plugins, never_heard_of");
	options_release(&parsed);
}

static void one_thread_can_be_asked_for(void **state)
{
	assert_int_equal(parse("lowerdir=a,threaded=1"), 0);
	assert_int_equal(parsed.threads, 0);
	options_release(&parsed);
	assert_int_equal(parse("lowerdir=a,threaded=0"), 0);
	assert_int_equal(parsed.threads, 1);
	options_release(&parsed);
}

static void options_of_others_mean_the_same(void **state)
{
	assert_int_equal(
		parse("lowerdir=a,upperdir=u,workdir=w,noxattrs=0,fast_ino=1,xino=auto,index=on,nfs_export=off,"
		      "uuid=null,verity=off,override_creds,splice_read,kernel_cache,max_write=4096,clone_fd,"
		      "max_threads=3,max_idle_threads=2,ino32_t,defaults,nofail,user=me,relatime,noexec"),
		0);
	assert_false(parsed.fs.noxattrs);
	assert_true(parsed.fs.ino32);
	assert_int_equal(parsed.threads, 3);
	assert_string_equal(buf_str(&parsed.kernel), "noexec");
	assert_int_equal(parsed.ignored.len, 0);
	options_release(&parsed);
	assert_int_equal(parse("lowerdir=a,upperdir=u,workdir=w,noxattrs=1,sync=0,debug"), 0);
	assert_true(parsed.fs.noxattrs);
	assert_true(parsed.fs.volatile_upper);
	assert_true(parsed.debug);
	options_release(&parsed);
	assert_int_equal(parse("lowerdir=a,noxattrs,sync"), 0);
	assert_true(parsed.fs.noxattrs);
	assert_false(parsed.fs.volatile_upper);
	assert_string_equal(buf_str(&parsed.kernel), "sync");
	options_release(&parsed);
}

static void redirects_can_be_switched_off(void **state)
{
	assert_int_equal(parse("lowerdir=a,upperdir=u,workdir=w"), 0);
	assert_int_equal(parsed.fs.redirect, FS_REDIRECT_ON);
	assert_int_equal(parsed.fs.metacopy_from, FS_METACOPY_FROM);
	options_release(&parsed);
	assert_int_equal(parse("lowerdir=a,upperdir=u,workdir=w,redirect_dir=off"), 0);
	assert_int_equal(parsed.fs.redirect, FS_REDIRECT_FOLLOW);
	assert_int_equal(parsed.fs.metacopy_from, 0);
	options_release(&parsed);
	assert_int_equal(parse("lowerdir=a,redirect_dir=nofollow"), 0);
	assert_int_equal(parsed.fs.redirect, FS_REDIRECT_NOFOLLOW);
	options_release(&parsed);
}

static void limits_have_suffixes(void **state)
{
	assert_int_equal(parse("lowerdir=a,upperdir=u,workdir=w,size=3M,inodes=1000"), 0);
	assert_int_equal(parsed.fs.size_limit, 3 << 20);
	assert_int_equal(parsed.fs.inode_limit, 1000);
	options_release(&parsed);
	assert_int_equal(parse("lowerdir=a,upperdir=u,workdir=w,size=5"), 0);
	assert_int_equal(parsed.fs.size_limit, 5);
	options_release(&parsed);
}

/* The manual names every option. */
static void options_are_in_the_manual(void **state)
{
	AUTO(fclosep) FILE *page = fopen(NACREFS_MAN, "r");
	AUTO(freep) char *text = calloc(1, 1 << 20);
	const char *name;

	assert_non_null(page);
	assert_true(fread(text, 1, (1 << 20) - 1, page) > 0);
	for (size_t i = 0; (name = options_name(i)); i++) {
		size_t len = strlen(name);
		bool found = false;

		/* As a macro's argument: nothing of a word before it or behind. */
		for (const char *p = text; !found && (p = strstr(p, name)); p += len)
			found = (p[-1] == ' ' || p[-1] == '\n') && strchr(" =\n", p[len]);
		if (!found)
			fail_msg("not in nacrefs(1): %s", name);
	}
}

static void mount_names_a_source_first(void **state)
{
	char *argv[] = { (char *)"nacrefs", (char *)"overlay",	     (char *)"mnt",
			 (char *)"-o",	    (char *)"lowerdir=a,ro", NULL };

	assert_int_equal(options_parse(5, argv, &parsed, &diag), 0);
	assert_folder(parsed.mountpoint, "mnt");
	assert_true(parsed.read_only);
	options_release(&parsed);
}

static void misuse_is_refused_by_name(void **state)
{
	static const struct {
		const char *options, *message;
	} cases[] = {
		{ "lowerdir=a,upperdir=u", "upperdir and workdir go together" },
		{ "upperdir=u,workdir=w", "no lowerdir" },
		{ "lowerdir=missing", "lowerdir missing: No such file or directory" },
		{ "lowerdir=", "lowerdir needs a path" },
		{ "lowerdir=:a", "lowerdir needs a path" },
		{ "lowerdir=a:", "lowerdir needs a path" },
		{ "lowerdir=a:::b", "lowerdir needs a path" },
		{ "lowerdir=a::b:u", "a data-only lower can only be followed by others" },
		{ "lowerdir=a::b,lowerdir+=u", "a data-only lower can only be followed by others" },
		{ "datadir+=a", "data-only lowers need a lowerdir" },
		{ "lowerdir=a::b,metacopy=off", "data-only lowers and metacopy=off" },
		{ "lowerdir=a,store=b,image=c", "lowerdir and store cannot be combined" },
		{ "store=b", "store and image go together" },
		{ "lowerdir=a,uidmapping=0:1", "uidmapping: not DISK:SHOWN:COUNT" },
		{ "lowerdir=a,squash_to_uid=root", "squash_to_uid: not an ID: root" },
		{ "lowerdir=a,xattr_permissions=7", "xattr_permissions=7: not 0, 1 or 2" },
		{ "lowerdir=a,io=magic", "io=magic" },
		{ "lowerdir=a,io=passthrough,writeback=1", "io=passthrough" },
		{ "lowerdir=a,allow_root", "use allow_other" },
		{ "lowerdir=a,nfs_export=on", "cannot be exported" },
		{ "lowerdir=a,verity=require", "fs-verity" },
		{ "lowerdir=a,uuid=on", "uuid=on" },
		{ "lowerdir=a,nooverride_creds", "rights of who mounts" },
		{ "lowerdir=a,xino=maybe", "not one of: on off auto" },
		{ "lowerdir=a,index=o", "not one of: on off" },
		{ "lowerdir=a,redirect_dir=yes", "redirect_dir=yes" },
		{ "lowerdir=a,upperdir=u,workdir=w,redirect_dir=off,metacopy=on", "metacopy=on needs redirect_dir=on" },
		{ "lowerdir=a,upperdir=u,workdir=w,size=big", "size: not a number of bytes" },
		{ "lowerdir=a,upperdir=u,workdir=w,size=0", "size: not a number of bytes" },
		{ "lowerdir=a,upperdir=u,workdir=w,size=1kk", "size: not a number of bytes" },
		{ "lowerdir=a,upperdir=u,workdir=w,size=9999999999t", "size: not a number of bytes" },
		{ "lowerdir=a,upperdir=u,workdir=w,inodes=-1", "inodes: not a number" },
		{ "lowerdir=a,size=1g", "there is none" },
		{ "lowerdir=a,max_threads=0", "max_threads: not a number" },
		{ "lowerdir=a,threaded=2", "threaded: not on or off: 2" },
		{ "lowerdir=a,timeout=soon", "timeout: not a number of seconds: soon" },
		{ "lowerdir=a,fakeroot,allow_other", "cannot be combined with allow_other" },
		{ "lowerdir=a,fakeroot,allow_other,uidmapping=0:1:1", "ID mappings cannot be combined" },
		{ "lowerdir", "option lowerdir needs a value" },
		{ "lowerdir=a,ro=1", "option ro takes no value" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(parse(cases[i].options) < 0);
		if (!strstr(diag.text, cases[i].message))
			fail_msg("%s: %s", cases[i].options, diag.text);
		options_release(&parsed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowers_come_topmost_first),
		cmocka_unit_test(special_characters_are_escaped),
		cmocka_unit_test(lowers_can_be_added_one_by_one),
		cmocka_unit_test(lowers_after_two_colons_are_data_only),
		cmocka_unit_test(podman_s_empty_option_and_quotes_are_taken),
		cmocka_unit_test(mappings_have_a_leading_colon_or_not),
		cmocka_unit_test(squash_to_root_counts_least),
		cmocka_unit_test(fakeroot_is_for_others_where_the_kernel_checks_them),
		cmocka_unit_test(unknown_options_are_named_and_ignored),
		cmocka_unit_test(one_thread_can_be_asked_for),
		cmocka_unit_test(options_of_others_mean_the_same),
		cmocka_unit_test(redirects_can_be_switched_off),
		cmocka_unit_test(limits_have_suffixes),
		cmocka_unit_test(options_are_in_the_manual),
		cmocka_unit_test(mount_names_a_source_first),
		cmocka_unit_test(misuse_is_refused_by_name),
	};

	return cmocka_run_group_tests_name("options", tests, folders, scratch_teardown);
}
