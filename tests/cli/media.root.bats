#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# What a store may lie on: a medium that cannot be written, a file system that other machines share, a tmpfs.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	MEDIUM=$BATS_TEST_TMPDIR/medium
	NACRE_FAULT_LIB=$NACRE_BUILD/tests/fault/libnacre_fault.so
}

teardown() {
	unmount_all
	! mountpoint -q "$MEDIUM" || umount "$MEDIUM"
}

# burn: the store as it is, on a medium that cannot be written; $NACRE_STORE is there
burn() {
	mkdir "$MEDIUM"
	mksquashfs "$NACRE_STORE" "$BATS_TEST_TMPDIR/store.squashfs" -quiet -no-progress >/dev/null
	mount -o loop,ro "$BATS_TEST_TMPDIR/store.squashfs" "$MEDIUM"
	export NACRE_STORE=$MEDIUM
}

# A program that was killed while it had written to the index; what it wrote is still in the log.
leave_log() {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	sqlite3 "$NACRE_STORE/index.db" <"$BATS_TEST_TMPDIR/pipe" >"$BATS_TEST_TMPDIR/said" 3>&- &
	local writer=$!
	exec 8>"$BATS_TEST_TMPDIR/pipe"
	printf "%s; SELECT 'written';\n" "$1" >&8
	for _ in {1..1200}; do
		[ ! -s "$BATS_TEST_TMPDIR/said" ] || break
		sleep 0.05
	done
	kill -KILL "$writer"
	wait "$writer" 2>/dev/null || true
	exec 8>&-
}

reading_works() {
	local sum
	assert_equal "$(nacre images --json two:1 | jq length)" 1
	assert_equal "$(nacre cat two:1 etc/motd)" second
	nacre ls -lR base:1 >/dev/null
	nacre history base:1
	nacre inspect base:1 >/dev/null
	nacre layers two:1
	nacre diff base:1 two:1
	nacre du
	nacre info
	nacre ps -a
	nacre verify
	nacre save -o "$BATS_TEST_TMPDIR/saved" two:1
	nacre --store "$BATS_TEST_TMPDIR/again" load -q "$BATS_TEST_TMPDIR/saved"
	nacre mount two:1 "$MNT"
	sum=$(sha256sum <"$MNT/usr/share/big")
	assert_equal "$sum" "$(tar -xOf "$BASE_TAR" usr/share/big | sha256sum)"
	nacre umount "$MNT"
}

writing_is_refused() {
	local call
	for call in "tag base:1 x" "rmi base:1" "gc" "import $BASE_TAR x" "load $BATS_TEST_TMPDIR/oci" "mount --rw base:1 $MNT"; do
		# shellcheck disable=SC2086
		assert_refused "read-only file system" nacre $call
	done
}

@test "a medium that cannot be written: reading works, writing says why not" {
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	burn
	reading_works
	writing_is_refused
}

@test "a medium that cannot be written, with a log that a dead program left" {
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	leave_log "PRAGMA wal_autocheckpoint = 0; INSERT INTO tag SELECT 'logged:1', image FROM tag WHERE name = 'base:1'"
	[ -s "$NACRE_STORE/index.db-wal" ]
	rm "$NACRE_STORE/index.db-shm"
	burn
	reading_works
	assert_equal "$(nacre cat logged:1 etc/motd)" welcome
	writing_is_refused
}

# The library is not there for the sanitizers' builds.
# bats test_tags=slow
@test "a medium that cannot be written, with an index in the middle of a write" {
	LD_PRELOAD=$NACRE_FAULT_LIB NACRE_FAULT_NFS=4 nacre tag base:1 more:1
	leave_log "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN;
		CREATE TABLE large(x); INSERT INTO large SELECT randomblob(60000) FROM entry, entry e LIMIT 200"
	[ -s "$NACRE_STORE/index.db-journal" ]
	cp -r "$NACRE_STORE" "$BATS_TEST_TMPDIR/copy"
	burn
	assert_refused "must be opened for writing once" nacre images
	# Where it can be written that is done.
	nacre --store "$BATS_TEST_TMPDIR/copy" gc
	nacre --store "$BATS_TEST_TMPDIR/copy" verify
	assert_equal "$(nacre --store "$BATS_TEST_TMPDIR/copy" cat more:1 etc/motd)" welcome
}

@test "a medium that cannot be written, with an index of an older version: of version 2 it is read as it is" {
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	sqlite3 "$NACRE_STORE/index.db" 'ALTER TABLE blob DROP COLUMN checksum;
		ALTER TABLE manifest DROP COLUMN digest; PRAGMA user_version = 2'
	burn
	reading_works
	assert_equal "$(nacre info --json | jq .Images)" 2
	umount "$MEDIUM"
	rm -r "$MEDIUM" "$BATS_TEST_TMPDIR/store.squashfs"
	export NACRE_STORE=$BATS_TEST_TMPDIR/store
	sqlite3 "$NACRE_STORE/index.db" 'DROP TABLE manifest; DROP TABLE blob; PRAGMA user_version = 1'
	burn
	assert_refused "of an older version: it must be opened for writing once, which was tried and failed: " nacre images
	assert_output_has "Read-only file system"
}

# There is no NFS without a server: a library says that everything is on one, and keeps to its rules for locks.
# bats test_tags=slow
@test "a file system that other machines share has no log, and everything works" {
	export LD_PRELOAD=$NACRE_FAULT_LIB NACRE_FAULT_NFS=4 NACRE_STORE=$BATS_TEST_TMPDIR/shared
	nacre import -q "$BASE_TAR" base:1
	nacre load -q "$BATS_TEST_TMPDIR/oci" 3>&- &
	nacre load -q "$BATS_TEST_TMPDIR/oci" 3>&- &
	nacre import -q "$BATS_TEST_TMPDIR/second.tar" second:1 3>&- &
	wait
	reading_works
	CONTAINER=$(nacre mount --rw two:1 "$MNT")
	echo changed >"$MNT/changed"
	for i in 1 2 3 4 5 6; do
		nacre commit "$MNT" "change:$i" >/dev/null 3>&- &
		nacre import -q "$BASE_TAR" "again:$i" 3>&- &
		nacre cat base:1 etc/motd >>"$BATS_TEST_TMPDIR/read" 3>&- &
	done
	wait
	assert_equal "$(sort "$BATS_TEST_TMPDIR/read" | uniq -c | tr -s ' ')" " 6 welcome"
	assert_refused "the image is used by container $CONTAINER" nacre rmi two:1
	ls -lR "$MNT" >/dev/null
	# While a mount has it open, too: nothing is mapped that another machine would not see.
	assert_equal "$(find "$NACRE_STORE" -name 'index.db-*')" ""
	nacre umount --rm "$MNT"
	for i in 1 2 3 4 5 6; do
		assert_equal "$(nacre cat "change:$i" changed)" changed
	done
	nacre gc
	nacre verify
	# Moved to a disk of one machine's own it has a log again; and back.
	unset LD_PRELOAD
	nacre tag base:1 local:1
	assert_equal "$(sqlite3 "$NACRE_STORE/index.db" 'PRAGMA journal_mode')" wal
	LD_PRELOAD=$NACRE_FAULT_LIB nacre tag base:1 shared:1
	assert_equal "$(sqlite3 "$NACRE_STORE/index.db" 'PRAGMA journal_mode')" delete
	assert_equal "$(nacre images --json | jq length)" 17
}

# syncs COMMAND...: how many requests to sync a file, and a folder, it makes of the driver of $MEDIUM
syncs() {
	local before after counts='.RequestsByOpcode | [.FSYNC, .FSYNCDIR]'
	before=$("$NACREFS" --stats --json "$MEDIUM" | jq -c "$counts")
	"$@" >/dev/null
	after=$("$NACREFS" --stats --json "$MEDIUM" | jq -c "$counts")
	jq -nr --argjson a "$before" --argjson b "$after" '[$b[0] - $a[0], $b[1] - $a[1]] | join(" ")'
}

# assert_all_synced FILES FOLDERS: at least; the index adds a few
assert_all_synced() {
	if [ "$1" -le "$(find "$NACRE_STORE/objects" -type f | wc -l)" ] ||
		[ "$2" -lt "$(find "$NACRE_STORE/objects" "$NACRE_STORE/packs" -type d | wc -l)" ]; then
		fail "$1 files and $2 folders were synced"
	fi
}

# The kernel passes syncfs() on to no driver of a plain FUSE mount, so that what relied on it would be lost with the machine.
@test "on FUSE each file of a layer is synced before its rows, and each folder, however many there are" {
	local dir=$BATS_TEST_TMPDIR i found
	mkdir -p "$MEDIUM" "$dir/lower" "$dir/upper" "$dir/work" "$dir/tree"
	for ((i = 0; i < 40; i++)); do
		head -c 200000 /dev/urandom >"$dir/tree/large$i"
		head -c 50000 /dev/urandom >"$dir/tree/small$i"
	done
	tar -cf "$dir/tree.tar" -C "$dir/tree" .
	"$NACREFS" -o "lowerdir=$dir/lower,upperdir=$dir/upper,workdir=$dir/work" "$MEDIUM"
	export NACRE_STORE=$MEDIUM/store
	found=$(syncs nacre import -q "$dir/tree.tar" tree:1)
	# shellcheck disable=SC2086 # two numbers
	assert_all_synced $found
	assert_equal "$(find "$NACRE_STORE/objects" -type f | wc -l)" 40
	# And where they take the place of what was lost.
	find "$NACRE_STORE/objects" -type f -delete
	found=$(syncs nacre import -q "$dir/tree.tar" tree:2)
	# shellcheck disable=SC2086
	assert_all_synced $found
	assert_equal "$(find "$NACRE_STORE/objects" -type f | wc -l)" 40
	nacre verify -q
}

@test "a store on a tmpfs" {
	mkdir "$MEDIUM"
	mount -t tmpfs tmpfs "$MEDIUM"
	export NACRE_STORE=$MEDIUM/store
	nacre import -q "$BASE_TAR" base:1
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	reading_works
	mount_rw
	echo changed >"$MNT/changed"
	nacre commit "$MNT" changed:1
	nacre umount --rm "$MNT"
	assert_equal "$(nacre cat changed:1 changed)" changed
	nacre rmi two:1
	nacre gc
	nacre verify
}
