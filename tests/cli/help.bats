#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_store; }

@test "the overview lists every command, on stdout" {
	run --separate-stderr nacre --help
	assert_status 0
	[ -z "$stderr" ]
	for name in $(command_names); do
		[[ $output == *$'\n'"  $name "* ]] || fail "not in the overview: $name"
	done
	run nacre help
	assert_status 0
	assert_output_has "COMMAND"
}

@test "every command has help, by help, --help and -h, and they are the same" {
	for name in $(command_names); do
		run --separate-stderr nacre help "$name"
		assert_status 0
		[ -z "$stderr" ]
		help=$output
		[[ $help == "Usage: nacre $name"* ]] || fail "no usage: $help"
		for form in --help -h; do
			run nacre "$name" "$form"
			assert_status 0
			assert_equal "$output" "$help"
		done
	done
}

@test "no line of help is wider than 80 columns" {
	for name in $(command_names); do
		nacre help "$name"
	done | awk 'length > 80 { print; bad = 1 } END { exit bad }'
	nacre --help | awk 'length > 80 { print; bad = 1 } END { exit bad }'
}

@test "help needs no store and makes none" {
	run nacre help
	assert_status 0
	[ ! -e "$NACRE_STORE" ]
}

@test "a wrong call is exit 2, with the usage on stderr" {
	assert_misused nacre
	assert_misused nacre nonsense
	assert_misused nacre --nonsense images
	assert_misused nacre --store
	assert_misused nacre --store "" images
	assert_misused nacre help nonsense
	assert_misused nacre completion tcsh
	assert_misused nacre completion
	assert_misused nacre images --json=1
	assert_misused nacre images one two
	assert_misused nacre import
	assert_misused nacre import ""
	assert_misused nacre import -m
	assert_misused nacre load a b
	assert_misused nacre load -i a b
	assert_misused nacre inspect
	assert_misused nacre history
	assert_misused nacre tag base:1
	assert_misused nacre rmi
	assert_misused nacre mount --rw
	assert_misused nacre mount --json base:1 dir
	assert_misused nacre mount base:1
	assert_misused nacre mount --name n base:1 dir
	assert_misused nacre mount --container c base:1 dir
	assert_misused nacre mount --rw -o ro base:1 dir
	assert_misused nacre umount
	assert_misused nacre diff
	assert_misused nacre commit
	assert_misused nacre ps now
	assert_misused nacre rm
	assert_misused nacre layers
	assert_misused nacre ls
	assert_misused nacre cat base:1
	assert_misused nacre gc now
	for name in $(command_names); do
		assert_misused nacre "$name" --no-such-option
	done
	[ ! -e "$NACRE_STORE" ]
}

@test "the message of a wrong call names what is wrong" {
	run nacre images --jso --nonsense
	assert_output_has "nacre images: unknown or ambiguous option --nonsense"
	run nacre images -x
	assert_output_has "nacre images: unknown option -x"
	run nacre import -m
	assert_output_has "nacre import: option --message needs an argument (TEXT)"
	run nacre ps now
	assert_output_has "nacre ps: too many operands: now"
}

@test "libcurl and libarchive are loaded by commands that need them, and missed by no other" {
	local file
	mkdir "$BATS_TEST_TMPDIR/broken"
	for file in libcurl.so.4 libarchive.so.13; do : >"$BATS_TEST_TMPDIR/broken/$file"; done
	if ldd "$NACRE" | grep -qE 'libcurl|libarchive'; then skip "they are linked here"; fi
	make_archive base base.tar
	nacre import -q base.tar base:1
	mkdir upper
	echo new >upper/new
	export LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/broken
	run nacre images -q
	assert_status 0
	assert_refused_unchanged "libarchive.so.13: file too short" nacre import base.tar other:1
	assert_refused_unchanged "libcurl.so.4: file too short" nacre pull localhost:1/none
	assert_refused_unchanged "libcurl.so.4: file too short" nacre push base:1 localhost:1/none
	assert_refused_unchanged "libcurl.so.4: file too short" nacre search localhost:1/none
}

@test "what follows -- is no option" {
	run nacre import -- --no-such-file
	assert_status 1
	assert_output_has "--no-such-file"
}

@test "the version" {
	run nacre --version
	assert_status 0
	[[ $output =~ ^nacre\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	version=$output
	run nacre version
	assert_equal "$output" "$version"
	run nacre version --json
	assert_equal "nacre $(json .Version)" "$version"
	assert_equal "$(json '.StoreVersion | type')" number
}

# The options that a page has in its list, one a line: "-m", "--message".
page_options() {
	sed -n 's/^\.It \(Fl .*\)/\1/p' "$1" | grep -o 'Fl [^ ]*' | sed 's/^Fl /-/' | sort -u
}

@test "every command has a man page that agrees with the table" {
	table=$(nacre help --json)
	for name in $(command_names); do
		page=$NACRE_TOP/man/nacre-$name.1
		[ -f "$page" ] || fail "no man page: nacre-$name.1"
		grep -qxF "'nacre-$name.1'," <(tr -d '\t' <"$NACRE_TOP/man/meson.build") || fail "not installed: nacre-$name.1"
		grep -qxF ".Nd $(jq -r --arg n "$name" '.Commands[] | select(.Name == $n).Summary' <<<"$table")" "$page" ||
			fail "nacre-$name.1 has another summary"
		diff <(page_options "$page") <(
			{
				echo -h
				echo --help
				jq -r --arg n "$name" '.Commands[] | select(.Name == $n).Options[] |
					"--" + .Name, (.Letter // empty | "-" + .)' <<<"$table"
			} | sort -u
		) || fail "the options of nacre-$name.1 are not those of the table"
	done
}

@test "no man page is left of a command that is gone" {
	for page in "$NACRE_TOP"/man/nacre-*.1; do
		name=${page##*/nacre-}
		run nacre help "${name%.1}"
		assert_status 0
	done
	for name in $(command_names); do
		grep -qF ".It Xr nacre-$name 1" "$NACRE_TOP/man/nacre.1" || fail "not in nacre.1: $name"
	done
}

@test "a man page with JSON is one of a command that prints it" {
	for name in $(command_names); do
		if nacre help "$name" | grep -q -- --json; then
			grep -qx '.Sh JSON' "$NACRE_TOP/man/nacre-$name.1" || fail "nacre-$name.1 does not say what its JSON has"
		fi
	done
}
