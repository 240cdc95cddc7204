#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# Several at once: writers beside writers, readers beside writers, and what a mount or a container holds.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	LOG=$BATS_TEST_TMPDIR/log
}

teardown() {
	[ -z "${HELD:-}" ] || kill "$HELD" 2>/dev/null || true
	unmount_all
}

# repeat COUNT COMMAND...: in the background; what fails is written to $LOG
repeat() {
	local count=$1 i out
	shift
	for ((i = 0; i < count; i++)); do
		out=$("${@//@/$i}" 2>&1) || printf '%s: %s\n' "${*//@/$i}" "$out" >>"$LOG"
	done
}

# Removes what the committer made, where it is there yet: that is no failure.
remove_some() {
	local i
	for ((i = 0; i < 12; i++)); do
		nacre rmi -f "change:$i" || return
	done >/dev/null
}

# gc says that somebody writes, or is done.
try_gc() {
	local out
	out=$(nacre gc 2>&1) || [[ $out == *"something is being written to the store"* ]] || { echo "$out"; return 1; }
}

@test "loads of the same image, commits, tags, removals and gc at once: all succeed" {
	mount_rw
	echo one >"$MNT/one"
	: >"$LOG"
	repeat 6 nacre load -q "$BATS_TEST_TMPDIR/oci" 3>&- &
	repeat 6 nacre load -q "$BATS_TEST_TMPDIR/oci" 3>&- &
	repeat 6 nacre import -q "$BATS_TEST_TMPDIR/second.tar" second:@ 3>&- &
	repeat 12 nacre commit "$MNT" change:@ 3>&- &
	repeat 12 nacre tag base:1 base:more-@ 3>&- &
	repeat 3 remove_some 3>&- &
	repeat 12 try_gc 3>&- &
	wait
	assert_equal "$(cat "$LOG")" ""
	nacre verify
	assert_equal "$(nacre cat two:1 etc/motd)" second
	assert_equal "$(nacre cat second:5 etc/motd)" second
	nacre rm -f "$CONTAINER"
	# shellcheck disable=SC2046
	nacre rmi -f $(nacre images -qa --no-trunc)
	nacre gc
	[ -z "$(find "$NACRE_STORE"/packs "$NACRE_STORE"/objects "$NACRE_STORE"/ingest -type f)" ]
}

# hold_index: another process in the middle of a write to the index; it ends with $HELD
hold_index() {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	sqlite3 "$NACRE_STORE/index.db" <"$BATS_TEST_TMPDIR/pipe" >"$BATS_TEST_TMPDIR/said" 3>&- &
	HELD=$!
	exec 8>"$BATS_TEST_TMPDIR/pipe"
	printf "BEGIN IMMEDIATE; UPDATE counter SET next = next; SELECT 'held';\n" >&8
	for _ in {1..1200}; do
		[ ! -s "$BATS_TEST_TMPDIR/said" ] || return 0
		sleep 0.05
	done
	fail "the index is not held"
}

@test "readers go on while somebody writes to the index" {
	mkdir "$BATS_TEST_TMPDIR/other"
	nacre mount base:1 "$BATS_TEST_TMPDIR/other"
	hold_index
	for call in "images" "inspect base:1" "ls -R base:1" "cat base:1 etc/motd" "layers base:1" "du" "ps -a" "verify" \
		"save -o $BATS_TEST_TMPDIR/saved base:1" "which base:1 etc/motd" "mount base:1 $MNT"; do
		# Far less than a writer would be waited for.
		# shellcheck disable=SC2086
		timeout 30 "$NACRE" $call >/dev/null 8>&- || fail "nacre $call"
	done
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	assert_equal "$(cat "$BATS_TEST_TMPDIR/other/etc/motd")" welcome
	# A writer waits until it is its turn.
	nacre tag base:1 later:1 8>&- 3>&- &
	writer=$!
	sleep 0.3
	assert_equal "$(nacre images --json | jq length)" 1
	printf 'COMMIT;\n' >&8
	exec 8>&-
	wait "$writer"
	assert_equal "$(nacre images --json | jq length)" 2
}

@test "an archive that comes slowly keeps nobody waiting, and is whole in the end" {
	mkfifo "$BATS_TEST_TMPDIR/slow"
	nacre import -q - slow:1 <"$BATS_TEST_TMPDIR/slow" 3>&- &
	slow=$!
	exec 8>"$BATS_TEST_TMPDIR/slow"
	head -c 300000 "$BASE_TAR" >&8
	timeout 30 "$NACRE" load -q "$BATS_TEST_TMPDIR/oci" 8>&-
	timeout 30 "$NACRE" import -q "$BASE_TAR" quick:1 8>&-
	assert_refused "something is being written to the store" timeout 30 "$NACRE" gc 8>&-
	nacre rmi base:1 8>&-
	tail -c +300001 "$BASE_TAR" >&8
	exec 8>&-
	wait "$slow"
	assert_equal "$(nacre cat slow:1 etc/motd)" welcome
	nacre verify
}

@test "what a mount has is kept until its driver is gone, however that ended" {
	nacre mount base:1 "$MNT"
	assert_refused_unchanged "the image is mounted on $MNT by process $(driver_pids "$MNT")" nacre rmi base:1
	run nacre rmi -f base:1
	assert_status 0
	assert_equal "$output" "Untagged: base:1"
	nacre gc
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	assert_refused_unchanged "$MNT" nacre rmi "$BASE_ID"
	pids=$(driver_pids "$MNT")
	# shellcheck disable=SC2086
	kill -KILL $pids
	wait_gone "$pids"
	run nacre rmi "$BASE_ID"
	assert_status 0
	assert_output_has "Deleted: $BASE_ID"
	nacre umount "$MNT"
	nacre gc
	assert_equal "$(find "$NACRE_STORE/leases" "$NACRE_STORE/objects" "$NACRE_STORE/packs" -type f | wc -l)" 0
}

@test "layers whose image is gone stay while they are leased" {
	nacre mount base:1 "$MNT"
	# As if rmi had been under way when the mount began.
	sqlite3 "$NACRE_STORE/index.db" 'DELETE FROM tag; DELETE FROM image_layer; DELETE FROM image'
	nacre gc
	assert_equal "$(cat "$MNT/etc/motd" "$MNT/etc/note")" $'welcome\nnoted'
	cmp <(head -c 1048576 "$MNT/usr/share/big" | sha256sum) <(tar -xOf "$BASE_TAR" usr/share/big | sha256sum)
	unmount "$MNT"
	for _ in {1..600}; do
		nacre gc
		[ "$(sqlite3 -readonly "$NACRE_STORE/index.db" 'SELECT count(*) FROM layer')" != 0 ] || break
		sleep 0.1
	done
	assert_equal "$(find "$NACRE_STORE/leases" "$NACRE_STORE/objects" "$NACRE_STORE/packs" -type f | wc -l)" 0
}

@test "a container that is not mounted holds its image, and is named" {
	mount_rw
	nacre umount "$MNT"
	assert_refused_unchanged "$CONTAINER" nacre rmi base:1
	run nacre rmi -f base:1
	assert_equal "$output" "Untagged: base:1"
	nacre gc
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	nacre umount --rm "$MNT"
	nacre rmi "$BASE_ID"
	assert_equal "$(find "$NACRE_STORE/objects" "$NACRE_STORE/packs" -type f | wc -l)" 0
}
