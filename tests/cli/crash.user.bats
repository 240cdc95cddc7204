#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# nacre killed, out of space and with failing disks, at the calls by which it changes files (crash.py says what must hold
# then).  NACRE_CRASH_POINTS: at how many of them for each operation and kind of fault; 0 means all, which takes minutes.
bats_require_minimum_version 1.5.0
# bats file_tags=slow
load ../lib/common
load ../lib/cli
load ../lib/registry

points=${NACRE_CRASH_POINTS:-5}

# A store with two images, one of them with a layer of its own, and a changed container.
setup() {
	# Memory: so many stores are copied, and synced.
	CRASH_DIR=$(mktemp -d /dev/shm/nacre-crash.XXXXXX)
	export CRASH_DIR SOURCE_DATE_EPOCH=1600000000
	export NACRE_BIN=$NACRE_BUILD/tools/nacre NACRE_FAULT_LIB=$NACRE_BUILD/tests/fault/libnacre_fault.so
	setup_store
	TEMPLATE=$CRASH_DIR/template
	export NACRE_STORE=$TEMPLATE
	BASE_TAR=$BATS_TEST_TMPDIR/base.tar
	SECOND_TAR=$BATS_TEST_TMPDIR/second.tar
	make_archive base "$BASE_TAR"
	make_archive second "$SECOND_TAR"
	nacre import "$BASE_TAR" base:1 >/dev/null
	nacre import "$SECOND_TAR" second:1 >/dev/null
}

teardown() {
	unmount_all
	stop_registries
	[ -z "$CRASH_DIR" ] || rm -rf -- "$CRASH_DIR"
}

teardown_file() { stop_faults; }

# make_box: a container "box" with changes, not mounted.
make_box() {
	mount_rw --name box
	echo new >"$MNT/etc/new"
	head -c 300000 /dev/zero | tr '\0' x >"$MNT/large"
	rm "$MNT/etc/motd"
	nacre umount "$MNT"
}

# survives COMMAND...: with every kind of fault.
survives() {
	local kind
	for kind in kill torn ENOSPC EIO; do
		run python3 "$NACRE_TOP/tests/cli/crash.py" "$TEMPLATE" "$kind" "$points" -- "$@"
		assert_status 0
		[[ $output == *" points, 0 bad" ]] || fail "$output"
	done
}

@test "import survives every fault" {
	nacre rmi second:1
	survives nacre import "$SECOND_TAR" new:1
}

@test "the first import, which makes the store" {
	rm -rf "$TEMPLATE"
	mkdir "$TEMPLATE"
	CRASH_MADE=0 survives nacre import "$BASE_TAR" base:1
}

@test "load of an OCI layout survives every fault" {
	nacre rmi second:1
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$SECOND_TAR"
	survives nacre load -q "$BATS_TEST_TMPDIR/oci"
}

@test "load of a compressed docker archive survives every fault" {
	nacre rmi second:1
	make_archive docker "$BATS_TEST_TMPDIR/docker.tar" two:1 "$BASE_TAR" "$SECOND_TAR"
	gzip "$BATS_TEST_TMPDIR/docker.tar"
	survives nacre load -q "$BATS_TEST_TMPDIR/docker.tar.gz"
}

@test "pull survives every fault" {
	cd "$BATS_TEST_TMPDIR"
	serve_app
	start_faults
	nacre rmi second:1
	survives nacre pull -q --retry 0 "$REGISTRY/app:1"
}

@test "commit survives every fault" {
	make_box
	survives nacre commit -q box app:1
}

@test "tag survives every fault" {
	survives nacre tag base:1 other:1
}

@test "rmi survives every fault" {
	CRASH_AGAIN=0 survives nacre rmi second:1
}

@test "gc survives every fault" {
	# A writer keeps rmi from doing gc's work.
	flock -s "$NACRE_STORE/lock" "$NACRE_BIN" rmi second:1
	[ "$(nacre gc --json | jq .Layers)" = 1 ]
	nacre import "$SECOND_TAR" second:1
	flock -s "$NACRE_STORE/lock" "$NACRE_BIN" rmi second:1
	survives nacre gc
}

@test "rm of a container survives every fault" {
	make_box
	CRASH_AGAIN=0 survives nacre rm box
}

@test "a container whose mount fails survives every fault" {
	mkdir -p "$MNT"
	NACREFS=/bin/false CRASH_STATUS=1 CRASH_AGAIN=0 CRASH_BOXES=0 survives nacre mount --rw --name box base:1 "$MNT"
}

@test "the faults are there: a command that is killed is not done" {
	run env LD_PRELOAD="$NACRE_FAULT_LIB" NACRE_FAULT=kill NACRE_FAULT_AT=5 "$NACRE_BIN" import "$SECOND_TAR" x:1
	assert_status 137
	run env LD_PRELOAD="$NACRE_FAULT_LIB" NACRE_FAULT=EIO NACRE_FAULT_AT=20 "$NACRE_BIN" import "$BASE_TAR" x:1
	assert_status 1
	assert_output_has "Input/output error"
}
