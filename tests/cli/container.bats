#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }
teardown() { unmount_all; }

@test "ps lists what is mounted, ps -a all" {
	mount_rw --name work
	run nacre ps
	[[ ${lines[0]} =~ ^CONTAINER\ ID\ +IMAGE\ +COMMAND\ +CREATED\ +STATUS\ +MOUNTED\ ON\ +NAME$ ]] || fail "${lines[0]}"
	[[ ${lines[1]} =~ ^$CONTAINER\ +base:1\ +-\ +.*\ +Mounted\ +$MNT\ +work$ ]] || fail "${lines[1]}"
	nacre umount "$MNT"
	run nacre ps
	assert_equal "${#lines[@]}" 1
	run nacre ps -a
	[[ ${lines[1]} =~ ^$CONTAINER\ +base:1\ +-\ +.*\ +-\ +-\ +work$ ]] || fail "${lines[1]}"
	assert_equal "$(nacre ps -aq)" "$CONTAINER"
}

@test "ps --json: keys" {
	mount_rw --name work
	run nacre ps --json
	assert_equal "$(json '.[0] | keys | join(" ")')" "Command Created ExitCode Id Image ImageId MountPoint Mounted Name State UpperDir"
	assert_equal "$(json '.[0].ImageId')" "$BASE_ID"
	assert_equal "$(json '.[0].Mounted')" true
	assert_equal "$(json '.[0].Name')" work
	assert_equal "$(json '.[0].State')" null
	[ -d "$(json '.[0].UpperDir')" ]
}

@test "inspect of a container" {
	mount_rw --name work
	run nacre inspect work
	assert_status 0
	assert_equal "$(json '.[0].Id')" "$CONTAINER"
	assert_equal "$(json '.[0].Image')" "$BASE_ID"
	assert_equal "$(json '.[0].Mounted')" true
	is_root || assert_equal "$(json '.[0].Fakeroot')" true
}

@test "a name is given once" {
	mount_rw --name work
	mkdir "$BATS_TEST_TMPDIR/two"
	assert_refused_unchanged "cannot mount base:1 on $BATS_TEST_TMPDIR/two: " \
		nacre mount --rw --name work base:1 "$BATS_TEST_TMPDIR/two"
	assert_output_has work
}

@test "rm refuses what is mounted, and removes what is not" {
	mount_rw
	echo new >"$MNT/new"
	assert_refused_unchanged "cannot remove container $CONTAINER: it is mounted on $MNT" nacre rm "$CONTAINER"
	nacre umount "$MNT"
	run nacre rm "$CONTAINER"
	assert_status 0
	assert_equal "$output" "$CONTAINER"
	assert_equal "$(nacre ps -a --json)" "[]"
	[ ! -e "$NACRE_STORE/containers/$CONTAINER" ]
}

@test "rm -f unmounts first" {
	mount_rw
	run nacre rm -f "$CONTAINER"
	assert_status 0
	assert_equal "$(mounts_below "$BATS_TEST_TMPDIR")" ""
	assert_equal "$(nacre ps -a --json)" "[]"
}

@test "rm of several, by name and by the first digits, and one that is not there" {
	mount_rw --name work
	nacre umount "$MNT"
	first=$CONTAINER
	mount_rw
	nacre umount "$MNT"
	run nacre rm work none "${CONTAINER:0:8}"
	assert_status 1
	assert_output_has "nacre: cannot remove container none: "
	assert_equal "$(nacre ps -a --json)" "[]"
	[ ! -e "$NACRE_STORE/containers/$first" ]
	run nacre rm -f none
	assert_status 0
}

@test "diff and commit of what is not there" {
	assert_refused_unchanged "cannot list the changes in none: " nacre diff none
	assert_output_has "nacre ps -a"
	assert_refused_unchanged "cannot list the changes in $MNT: nothing of nacre is mounted there" nacre diff "$MNT"
	assert_refused_unchanged "cannot list the changes in $MNT/none: " nacre diff "$MNT/none"
	assert_refused_unchanged "cannot commit none: " nacre commit none x
	nacre mount base:1 "$MNT"
	assert_refused "it is mounted read-only" nacre diff "$MNT"
	assert_refused "it is mounted read-only" nacre commit "$MNT" x
}
