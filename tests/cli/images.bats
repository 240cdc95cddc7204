#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }
teardown() { unmount_all; }

# Two layers, under the name of $1.
load_two() {
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" "$1" "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci" >/dev/null
}

@test "images: the columns" {
	run nacre images
	assert_status 0
	[[ ${lines[0]} =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE\ +LAYERS$ ]] || fail "${lines[0]}"
	short=${BASE_ID#sha256:}
	[[ ${lines[1]} =~ ^base\ +1\ +${short:0:12}\ +.*\ +1\.05MB\ +1$ ]] || fail "${lines[1]}"
}

@test "images --json: keys and types" {
	run --separate-stderr nacre images --json
	assert_status 0
	[ -z "$stderr" ]
	assert_equal "$(json '.[0] | keys | join(" ")')" "Created Id Layers Repository Size Tag"
	assert_equal "$(json '.[0].Repository')" base
	assert_equal "$(json '.[0].Tag')" 1
	assert_equal "$(json '.[0].Id')" "$BASE_ID"
	assert_equal "$(json '.[0].Layers')" 1
	assert_equal "$(json '.[0].Size | type')" number
	[[ $(json '.[0].Created') =~ ^20[0-9-]+T[0-9:]+Z$ ]]
}

@test "images -q: each ID once" {
	nacre tag base:1 other:2
	run nacre images -q
	short=${BASE_ID#sha256:}
	assert_equal "$output" "${short:0:12}"
	run nacre images -q --no-trunc
	assert_equal "$output" "$BASE_ID"
}

@test "images NAME lists that name only" {
	nacre tag base:1 other:2
	nacre tag base:1 base:3
	assert_equal "$(nacre images --json base | jq -r '[.[].Tag] | sort | join(" ")')" "1 3"
	assert_equal "$(nacre images --json base:3 | jq length)" 1
	assert_equal "$(nacre images --json bas | jq length)" 0
}

@test "an image without a name that another stands on is listed with -a only" {
	load_two two:1
	nacre rmi base:1
	id=$(nacre import -m "below" "$BASE_TAR")
	run nacre images -q --no-trunc
	refute_output_has "$id"
	run nacre images -qa --no-trunc
	assert_output_has "$id"
	run nacre images -a
	assert_output_has "<none>"
}

@test "no store yet is an empty list; one that was named must be there" {
	(
		unset NACRE_STORE
		export XDG_DATA_HOME=$BATS_TEST_TMPDIR/none
		if ! is_root; then
			run nacre images
			assert_status 0
			assert_equal "${#lines[@]}" 1
			run nacre images --json
			assert_equal "$output" "[]"
			[ ! -e "$XDG_DATA_HOME" ]
		fi
	)
	assert_refused "cannot open store $BATS_TEST_TMPDIR/none" nacre --store "$BATS_TEST_TMPDIR/none" images
	[ ! -e "$BATS_TEST_TMPDIR/none" ]
}

@test "inspect: what docker's users look for" {
	run nacre inspect base:1
	assert_status 0
	assert_equal "$(json length)" 1
	assert_equal "$(json '.[0].Id')" "$BASE_ID"
	assert_equal "$(json '.[0].RootFS.Type')" layers
	assert_equal "$(json '.[0].Os')" linux
	assert_equal "$(json '.[0].Nacre.Layers | length')" 1
	assert_equal "$(json '.[0].Nacre.Store')" "$NACRE_STORE"
	for key in RepoTags Created Author Architecture Config Size; do
		assert_equal "$(json ".[0] | has(\"$key\")")" true
	done
	assert_equal "$(json '.[0].Nacre.Layers[0].TarSize')" "$(stat -c %s "$BASE_TAR")"
}

@test "inspect by prefix of the ID, of several, and of one that is not there" {
	short=${BASE_ID#sha256:}
	assert_equal "$(nacre inspect "${short:0:6}" | jq -r '.[0].Id')" "$BASE_ID"
	assert_equal "$(nacre inspect "sha256:${short:0:6}" | jq -r '.[0].Id')" "$BASE_ID"
	assert_equal "$(nacre inspect base:1 "$BASE_ID" | jq length)" 2
	run --separate-stderr nacre inspect base:1 none:1
	assert_status 1
	assert_equal "$(json length)" 1
	[[ $stderr == "nacre: cannot inspect none:1: "* ]] || fail "$stderr"
}

@test "history: newest first, its columns, --no-trunc and -q" {
	load_two two:1
	run nacre history two:1
	assert_status 0
	[[ ${lines[0]} =~ ^IMAGE\ +CREATED\ +CREATED\ BY\ +SIZE\ +COMMENT$ ]] || fail "${lines[0]}"
	[[ ${lines[1]} =~ CMD.*\ 0B ]] || fail "${lines[1]}"
	[[ ${lines[2]} == "<missing>"*"step 1"* ]] || fail "${lines[2]}"
	[[ ${lines[3]} == "<missing>"*"step 0"*"1.05MB"* ]] || fail "${lines[3]}"
	run nacre history -q --no-trunc two:1
	assert_equal "${lines[0]}" "$(nacre inspect two:1 | jq -r '.[0].Id')"
}

@test "history --json: keys" {
	run nacre history --json base:1
	assert_equal "$(json '.[0] | keys | join(" ")')" "Author Comment Created CreatedBy DiffId EmptyLayer Id Size"
	assert_equal "$(json '.[0].Id')" "$BASE_ID"
}

@test "tag gives a name, moves a name, and takes latest by default" {
	load_two two:1
	nacre tag base:1 name
	assert_equal "$(nacre inspect name:latest | jq -r '.[0].Id')" "$BASE_ID"
	nacre tag two:1 name
	assert_equal "$(nacre inspect name | jq -r '.[0].RepoTags | join(" ")')" "name:latest two:1"
	assert_equal "$(nacre inspect base:1 | jq -r '.[0].RepoTags | join(" ")')" "base:1"
}

@test "tag of what is not there, and with a name that is none" {
	assert_refused_unchanged "cannot tag none:1 as x: " nacre tag none:1 x
	assert_refused_unchanged "cannot tag base:1 as UPPER/../x: " nacre tag base:1 UPPER/../x
}

@test "rmi removes a name, and with the last one the image and its content" {
	nacre tag base:1 other:2
	run nacre rmi base:1
	assert_status 0
	assert_equal "$output" "Untagged: base:1"
	run nacre rmi other:2
	assert_output_has "Untagged: other:2"
	assert_output_has "Deleted: $BASE_ID"
	assert_equal "$(nacre images -a --json)" "[]"
	assert_equal "$(sqlite3 -readonly "$NACRE_STORE/index.db" 'SELECT count(*) FROM layer')" 0
	assert_equal "$(find "$NACRE_STORE/objects" -type f | wc -l)" 0
}

@test "rmi of an ID with several names needs -f" {
	nacre tag base:1 other:2
	assert_refused_unchanged "cannot remove $BASE_ID: " nacre rmi "$BASE_ID"
	run nacre rmi -f "$BASE_ID"
	assert_status 0
	assert_equal "$(nacre images -a --json)" "[]"
}

@test "rmi of what is not there: a failure, but not with -f" {
	assert_refused_unchanged "cannot remove none:1: " nacre rmi none:1
	run nacre rmi -f none:1
	assert_status 0
}

@test "rmi of all images" {
	load_two two:1
	# shellcheck disable=SC2046
	run nacre rmi -f $(nacre images -qa)
	assert_status 0
	assert_equal "$(nacre images -a --json)" "[]"
}

@test "rmi keeps the layers that another image has" {
	load_two two:1
	nacre rmi base:1
	assert_equal "$(nacre layers --json two:1 | jq length)" 2
	assert_equal "$(nacre cat two:1 /etc/note)" noted
}

@test "rmi refuses an image that a mount or a container uses" {
	mount_rw
	assert_refused_unchanged "cannot remove base:1: " nacre rmi base:1
	nacre umount "$MNT"
	assert_refused_unchanged "nacre ps -a" nacre rmi base:1
	nacre rm "$CONTAINER"
	run nacre rmi base:1
	assert_status 0
}

@test "docker.io and its library are where names without a host are at home" {
	setup_base
	nacre tag base:1 docker.io/library/alpine:3
	nacre tag base:1 docker.io/team/app
	assert_equal "$(nacre inspect base:1 | jq -c '.[0].RepoTags')" '["alpine:3","base:1","team/app:latest"]'
	for name in alpine:3 library/alpine:3 docker.io/alpine:3 index.docker.io/library/alpine:3; do
		assert_equal "$(nacre inspect "$name" | jq -r '.[0].Id')" "$BASE_ID"
	done
	nacre tag base:1 docker.io/library/more/deep
	assert_equal "$(nacre inspect library/more/deep | jq -r '.[0].Id')" "$BASE_ID"
}
