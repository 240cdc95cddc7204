#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Layers that come to a container that runs, and leave it.
# shellcheck disable=SC2154,SC2016
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/podman

setup() {
	setup_store
	make_base_tree "$BATS_TEST_TMPDIR/base"
	echo image >"$BATS_TEST_TMPDIR/base/etc/hosts"
	tar -C "$BATS_TEST_TMPDIR/base" --owner=0 --group=0 -cf "$BATS_TEST_TMPDIR/base.tar" .
	nacre import "$BATS_TEST_TMPDIR/base.tar" base:1 >/dev/null
	EXTRA=$BATS_TEST_TMPDIR/extra
	mkdir -p "$EXTRA/opt/tool" "$BATS_TEST_TMPDIR/hosts/etc"
	echo added >"$EXTRA/opt/tool/file"
	echo other >"$BATS_TEST_TMPDIR/hosts/etc/hosts"
}

teardown() { containers_gone; }

@test "a container goes on with one layer more, and one less" {
	nacre run -d --name try base:1 sh -c 'while :; do sleep 1; done' >/dev/null
	assert_equal "$(nacre layer ls --json try | jq length)" 1
	run nacre exec try cat /opt/tool/file
	[ "$status" != 0 ]
	nacre layer add try "$EXTRA"
	assert_equal "$(nacre exec try cat /opt/tool/file)" added
	assert_equal "$(nacre layer ls --format '{{.Layer}} {{.Added}}' try | head -n 1)" "$EXTRA true"
	hosts=$(nacre exec try cat /etc/hosts)
	nacre exec -d -w /opt/tool try sleep 100
	for _ in $(seq 100); do
		run nacre layer remove try "$EXTRA"
		[ "$status" = 0 ] || break # it had not begun
		nacre layer add try "$EXTRA"
		sleep 0.1
	done
	assert_status 1
	assert_output_has "/opt/tool of it is in use"
	assert_refused "on which something is mounted" nacre layer add try "$BATS_TEST_TMPDIR/hosts"
	assert_equal "$(nacre exec try cat /etc/hosts)" "$hosts"
	nacre stop -t 1 try >/dev/null
	nacre start try >/dev/null
	assert_equal "$(nacre layer ls --json try | jq length)" 1
	nacre layer add try "$EXTRA"
	nacre layer remove try "$EXTRA"
	run nacre exec try cat /opt/tool/file
	[ "$status" != 0 ]
}
