#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The random operations of model.bats while the kernel forgets its names and inodes all the time.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

lowest() {
	mkdir -p a/b/c e/file dd
	printf 1 >a/file
	printf 22 >a/b/link
	head -c 20000 /dev/zero | tr '\0' 3 >a/b/c/e
	printf 4 >file
	ln file a/b/file
	ln file e/e
	ln -s file link
	printf 5 >dd/a
}

setup_file() { make_lowers lowest; }
setup() { setup_store; }
teardown() {
	[ -z "${DROPPER:-}" ] || kill "$DROPPER" 2>/dev/null || true
	unmount_all
}
teardown_file() { lowers_unchanged; }

@test "nothing changes when the kernel forgets" {
	(while :; do
		drop_caches
		sleep 0.02
	done) 3>&- &
	DROPPER=$!
	for seed in ${NACRE_SEEDS:-7 8}; do
		KINDS_DONE=0
		while fresh_mount; do
			rm -rf "$BATS_TEST_TMPDIR/model"
			cp -a "$MNT" "$BATS_TEST_TMPDIR/model"
			python3 -B "$NACRE_TOP/tests/fs/model.py" run "$seed" "${NACRE_OPERATIONS:-2500}" "$MNT" "$BATS_TEST_TMPDIR/model"
			remount
			python3 -B "$NACRE_TOP/tests/fs/model.py" compare "$MNT" "$BATS_TEST_TMPDIR/model"
		done
	done
	kill "$DROPPER"
	wait "$DROPPER" || true
}
