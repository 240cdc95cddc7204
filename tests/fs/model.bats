#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Random operations against a plain directory as the model (model.py), seeded: a failure prints its seed.
# More by hand: NACRE_SEEDS="1 2 3" NACRE_OPERATIONS=100000 bats tests/fs/model.bats
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# A tree to begin with, in two layers, with something of it hidden.
lowest() {
	mkdir -p a/b/c e/file dd gone
	printf 1 >a/file
	printf 22 >a/b/link
	head -c 20000 /dev/zero | tr '\0' 3 >a/b/c/e
	printf 4 >file
	ln file a/b/file
	ln file e/e
	ln -s file link
	printf 5 >dd/a
	printf 6 >gone/b
	setfattr -n user.x -v 1 a/file
	chmod 711 a/b
}
topmost() {
	mkdir -p a/b b
	printf 7 >a/dd
	printf 8 >b/a
	ln b/a b/b
	: >.wh.gone
	: >a/b/.wh.link
}

setup_file() { make_lowers lowest topmost; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

model() { python3 -B "$NACRE_TOP/tests/fs/model.py" "$@"; }

# The model begins as a copy of the mounted tree.
begin() {
	rm -rf "$BATS_TEST_TMPDIR/model"
	mkdir "$BATS_TEST_TMPDIR/model"
	(cd "$MNT" && tar -c --xattrs .) | (cd "$BATS_TEST_TMPDIR/model" && tar -x --xattrs)
}

# run_seeds COUNT SEED...
run_seeds() {
	local seed count=${NACRE_OPERATIONS:-$1}
	shift
	for seed in ${NACRE_SEEDS:-"$@"}; do
		KINDS_DONE=0
		while fresh_mount; do
			begin
			model run "$seed" "$count" "$MNT" "$BATS_TEST_TMPDIR/model"
			remount
			model compare "$MNT" "$BATS_TEST_TMPDIR/model"
		done
	done
}

@test "5,000 operations give the same as on a plain directory, and after a remount" {
	KINDS="dirs store"
	run_seeds 5000 1 2
}

@test "shorter runs of many seeds" {
	KINDS=dirs
	run_seeds 300 101 102 103 104 105 106 107 108 109 110
}
