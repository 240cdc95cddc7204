#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }
teardown() { unmount_all; }

@test "a store from a newer version is refused by every command, and stays as it is" {
	sqlite3 "$NACRE_STORE/index.db" 'PRAGMA user_version = 1000000; PRAGMA wal_checkpoint(TRUNCATE);' >/dev/null
	sum=$(sha256sum <"$NACRE_STORE/index.db")
	mkdir -p "$MNT"
	for call in "images" "inspect base:1" "history base:1" "layers base:1" "ls base:1" "cat base:1 etc/motd" "ps" \
		"info" "gc" "verify" "du" "tag base:1 x" "rmi base:1" "rm x" "import $BASE_TAR x" "load $BASE_TAR" "diff x" "commit x" \
		"mount base:1 $MNT" "mount --rw base:1 $MNT"; do
		# shellcheck disable=SC2086
		assert_refused "cannot open store $NACRE_STORE: " nacre $call
		assert_output_has "update nacre"
	done
	assert_equal "$(sha256sum <"$NACRE_STORE/index.db")" "$sum"
}

@test "a damaged index is refused" {
	sqlite3 "$NACRE_STORE/index.db" 'PRAGMA wal_checkpoint(TRUNCATE);' >/dev/null
	rm -f "$NACRE_STORE"/index.db-*
	head -c 4096 /dev/urandom | dd of="$NACRE_STORE/index.db" conv=notrunc status=none
	assert_refused "cannot open store $NACRE_STORE: " nacre images
	assert_refused "cannot open store $NACRE_STORE: " nacre import "$BASE_TAR" x
}

@test "a file where the store should be" {
	: >"$BATS_TEST_TMPDIR/file"
	assert_refused "cannot open store $BATS_TEST_TMPDIR/file: " nacre --store "$BATS_TEST_TMPDIR/file" images
	assert_refused "cannot open store $BATS_TEST_TMPDIR/file: " nacre --store "$BATS_TEST_TMPDIR/file" import "$BASE_TAR"
}

@test "--store goes before \$NACRE_STORE" {
	nacre --store "$BATS_TEST_TMPDIR/other" import "$BASE_TAR" other:1
	assert_equal "$(nacre images --json | jq -r '.[].Repository')" base
	assert_equal "$(nacre --store "$BATS_TEST_TMPDIR/other" images --json | jq -r '.[].Repository')" other
	cd "$BATS_TEST_TMPDIR"
	assert_equal "$(nacre --store other images --json | jq -r '.[].Repository')" other
}

@test "gc on a store in use removes nothing" {
	before=$(store_state)
	run nacre gc
	assert_status 0
	assert_output_has "Removed: 0 layers"
	assert_equal "$(store_state)" "$before"
	run nacre gc --json
	assert_equal "$(json 'keys | join(" ")')" "Bytes Contents Layers"
}

@test "info says where things are" {
	run nacre info
	assert_status 0
	assert_output_has "Store:       $NACRE_STORE"
	assert_output_has "Images:      1"
	run nacre info --json
	assert_equal "$(json .Store)" "$NACRE_STORE"
	assert_equal "$(json .Images)" 1
	assert_equal "$(json .Containers)" 0
	assert_equal "$(json .StoreExists)" true
	[[ $(json .Driver) == */nacrefs ]]
}

@test "two imports at once" {
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	for n in 1 2 3 4; do
		nacre import "$BASE_TAR" "a:$n" >/dev/null &
		nacre import "$BATS_TEST_TMPDIR/second.tar" "b:$n" >/dev/null &
	done
	wait
	assert_equal "$(nacre images --json | jq length)" 9
}

# make_old VERSION: as a program of that time left it
make_old() {
	sqlite3 "$NACRE_STORE/index.db" 'ALTER TABLE blob DROP COLUMN checksum; PRAGMA user_version = 3'
	[ "$1" = 3 ] || sqlite3 "$NACRE_STORE/index.db" 'ALTER TABLE manifest DROP COLUMN digest; PRAGMA user_version = 2'
	[ "$1" != 1 ] || sqlite3 "$NACRE_STORE/index.db" 'DROP TABLE manifest; DROP TABLE blob; PRAGMA user_version = 1'
}

@test "an index of an older version is brought up to date by who only reads, and by a mount" {
	make_old 1
	run nacre images -q
	assert_status 0
	assert_equal "$(sqlite3 "$NACRE_STORE/index.db" 'PRAGMA user_version')" 4
	nacre verify -q
	make_old 1
	nacrefs -o ro,store="$NACRE_STORE",image=base:1 "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	unmount_all
	nacre verify -q
}

# The library is not there for the sanitizers' builds.
# bats test_tags=slow
@test "manifests of an index of version 2 get their digests in one step, which an end in the middle leaves undone" {
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR"
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	nacre save --format oci-archive -o "$BATS_TEST_TMPDIR/before.tar" two:1
	make_old 2
	LD_PRELOAD=$NACRE_BUILD/tests/fault/libnacre_fault.so NACRE_FAULT=kill NACRE_FAULT_AT=4 run "$NACRE" tag two:1 x
	[ "$status" != 0 ]
	[ "$(sqlite3 "$NACRE_STORE/index.db" 'PRAGMA user_version')" = 2 ]
	nacre tag two:1 more:1
	assert_equal "$(sqlite3 "$NACRE_STORE/index.db" 'SELECT hex(digest) FROM manifest' | tr A-F a-f)" \
		"$(jq -r '.manifests[0].digest[7:]' "$BATS_TEST_TMPDIR/oci/index.json")"
	nacre verify -q
	nacre save --format oci-archive -o "$BATS_TEST_TMPDIR/after.tar" two:1
	cmp "$BATS_TEST_TMPDIR/before.tar" "$BATS_TEST_TMPDIR/after.tar"
}
