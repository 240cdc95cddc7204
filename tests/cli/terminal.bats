#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# What is printed on a terminal only: colours, bars, hints.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	export TERM=xterm
	unset NO_COLOR
}
teardown() { unmount_all; }

# Run a shell command on a terminal of its own; what it printed is in $output.
on_terminal() {
	run script -qec "$1" /dev/null </dev/null
	output=${output//$'\r\n'/$'\n'}
}

@test "colours: on a terminal, not with NO_COLOR, not in a pipe, not on a dumb terminal" {
	mount_rw
	touch "$MNT/new"
	on_terminal "$NACRE diff $MNT"
	assert_status 0
	assert_output_has $'\e[32mA /new'
	on_terminal "NO_COLOR=1 $NACRE diff $MNT"
	refute_output_has $'\e'
	on_terminal "TERM=dumb $NACRE diff $MNT"
	refute_output_has $'\e'
	on_terminal "$NACRE diff $MNT | cat"
	refute_output_has $'\e'
	on_terminal "$NACRE images --json"
	refute_output_has $'\e'
}

@test "a bar for work of more than a second, wiped away at the end" {
	# More than a pipe holds, so that the time runs from when it reads.
	on_terminal "{ head -c 300000 $BASE_TAR; sleep 1.5; tail -c +300001 $BASE_TAR; } | $NACRE import - slow"
	assert_status 0
	assert_output_has $'\r\e[K-  '
	assert_output_has "B/s"
	# What stays is the last line: the ID.
	[[ ${output##*$'\e[K'} =~ ^sha256:[0-9a-f]{64} ]] || fail "$output"
}

@test "no bar for work that is done at once, nor with -q" {
	SECONDS=0
	on_terminal "$NACRE import $BASE_TAR quick"
	# On a busy machine it may take its second after all.
	[ "$SECONDS" -ge 1 ] || refute_output_has $'\e'
	on_terminal "{ head -c 300000 $BASE_TAR; sleep 1.5; tail -c +300001 $BASE_TAR; } | $NACRE import -q - slow"
	refute_output_has $'\e'
}

@test "a hint where the changes are after umount, for people only" {
	mount_rw
	on_terminal "$NACRE umount $MNT"
	assert_output_has "nacre mount --container $CONTAINER DIR"
	nacre mount --container "$CONTAINER" "$MNT"
	run nacre umount "$MNT"
	assert_equal "$output" ""
}

@test "names of an image cannot steer the terminal" {
	mount_rw
	touch "$MNT/"$'red\e[31m'
	on_terminal "NO_COLOR=1 $NACRE diff $MNT"
	refute_output_has $'\e'
	assert_output_has 'A /red\x1b[31m'
}

@test "listings fit the terminal, and are whole with --no-trunc and elsewhere" {
	local tag=a-tag-that-says-more-than-one-would-like-to-read name=a-name-that-is-long
	nacre tag base:1 "registry.example.org/some/team/application:$tag"
	mount_rw --name "$name"
	on_terminal "stty cols 80; NO_COLOR=1 $NACRE ps -a; NO_COLOR=1 $NACRE layers base:1; NO_COLOR=1 $NACRE history base:1"
	assert_status 0
	awk 'length > 80 { print; bad = 1 } END { exit bad }' <<<"$output"
	assert_output_has "$CONTAINER"
	assert_output_has "..."
	on_terminal "stty cols 80; NO_COLOR=1 $NACRE ps -a --no-trunc"
	assert_output_has "$MNT"
	assert_output_has "$name"
	run nacre ps -a
	assert_output_has "$MNT"
	assert_output_has "$name"
	# A column without anything in it is kept where there is room.
	nacre umount "$MNT"
	on_terminal "stty cols 80; NO_COLOR=1 $NACRE ps -a"
	refute_output_has "MOUNTED ON"
	on_terminal "stty cols 200; NO_COLOR=1 $NACRE ps -a"
	assert_output_has "MOUNTED ON"
}
