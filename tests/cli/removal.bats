#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# Containers that are removed while somebody does something with them.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/podman

setup_file() { container_store; }

setup() {
	export HOME=$BATS_TEST_TMPDIR/home
	mkdir -p "$HOME"
	cd "$BATS_TEST_TMPDIR" || exit
}

teardown() {
	exec 8>&- 9>&-
	containers_gone
}

# waits_for_lock PID ID: it has come as far as the container's lock, or has ended.
waits_for_lock() {
	[ ! -e "/proc/$1/exe" ] || find "/proc/$1/fd" -lname "*/$2/lock.commit" | grep -q .
}

# lock_container ID: as a commit under way has it, in descriptor 9.
lock_container() {
	exec 9<>"$NACRE_STORE/containers/$1/lock.commit"
	flock 9
}

@test "rm of one that is copied from waits until it is copied" {
	nacre run --name box base:1 sh -c 'head -c 3000000 /dev/urandom >/file; md5sum /file' >sum
	id=$(nacre ps -aq)
	mkfifo pipe
	nacre cp box:/file - >pipe 8>&- &
	copying=$!
	exec 8<pipe
	wait_until findmnt "$NACRE_STORE/containers/$id/rootfs"
	"$NACRE" rm box >removed 2>&1 3>&- 4>&- 8>&- &
	removing=$!
	wait_until waits_for_lock "$removing" "$id"
	tar -xf - <&8
	wait "$copying"
	wait "$removing" || fail "$(cat removed)"
	assert_equal "$(md5sum <file | cut -c 1-32)" "$(cut -c 1-32 sum)"
	assert_equal "$(nacre ps -aq)" ""
	assert_equal "$(ls "$NACRE_STORE/containers" "$NACRE_STORE/ingest" | grep -c "$id")" 0
	nacre import "$BATS_FILE_TMPDIR/base.tar" base:2
}

@test "one of run --rm stays until who has its lock is done, and its monitor answers meanwhile" {
	id=$(nacre run -d --rm --name gone base:1 sleep 1000)
	"$NACRE" wait gone >waited 3>&- 4>&- &
	waiting=$!
	wait_until sh -c 'ls -l "$0"/fd | grep -q socket:' "/proc/$waiting"
	lock_container "$id"
	nacre kill gone
	wait_until grep -q exited "$NACRE_STORE/containers/$id/state.json"
	assert_refused "it is not running" nacre kill gone
	sleep 1
	assert_equal "$(nacre ps -aq)" "$id"
	[ -d "$NACRE_STORE/containers/$id/upper" ]
	exec 9>&-
	wait "$waiting"
	assert_equal "$(cat waited)" 137
	assert_equal "$(nacre ps -aq)" ""
}

@test "rm -f of one that is being committed waits, rm of one that was removed meanwhile says so" {
	id=$(nacre run -d --name both base:1 sleep 1000)
	lock_container "$id"
	"$NACRE" rm -f both >one 2>&1 3>&- 4>&- 9>&- &
	first=$!
	wait_until waits_for_lock "$first" "$id"
	"$NACRE" rm both >two 2>&1 3>&- 4>&- 9>&- &
	second=$!
	wait_until waits_for_lock "$second" "$id"
	assert_equal "$(nacre ps -aq)" "$id"
	exec 9>&-
	failed=0
	wait "$first" || failed=$((failed + 1))
	wait "$second" || failed=$((failed + 1))
	assert_equal "$failed" 1
	assert_equal "$(cat one two | sort)" "both
nacre: cannot remove container both: no such container: $id ('nacre ps -a' lists the containers)"
}

@test "one that was started in the foreground can be committed" {
	nacre run --name front base:1 sh -c 'test -e /again || exit 0; exec sleep 1000'
	nacre cp "$BASH" front:/again
	nacre start -a front 3>&- &
	starting=$!
	wait_until nacre exec front true
	timeout 60 "$NACRE" commit -q --live front front:1 3>&- || fail "the commit waits for the end"
	nacre kill front
	wait "$starting" || assert_equal "$?" 137
}

@test "what cannot be removed of one stops no writer, and what is mounted there is left alone" {
	mkdir -p lower up work "$NACRE_STORE/ingest/container-dead/rootfs" "$NACRE_STORE/ingest/container-gone/upper"
	echo kept >lower/file
	nacrefs -o "lowerdir=lower,upperdir=up,workdir=work" \
		"$NACRE_STORE/ingest/container-dead/rootfs"
	nacre import "$BATS_FILE_TMPDIR/base.tar" base:3
	[ ! -e "$NACRE_STORE/ingest/container-gone" ]
	assert_equal "$(cat "$NACRE_STORE/ingest/container-dead/rootfs/file")" kept
	assert_refused "what crashes left in $NACRE_STORE cannot be removed: Device or resource busy" nacre gc
	assert_equal "$(ls up)" ""
	unmount "$NACRE_STORE/ingest/container-dead/rootfs"
	nacre gc
	assert_equal "$(ls "$NACRE_STORE/ingest")" ""
}
