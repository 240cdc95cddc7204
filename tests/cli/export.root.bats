#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/podman

setup_file() { setup_podman; }
setup() { setup_base; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

@test "podman import takes it, and what it saves is the same tree" {
	nacre export "$BASE_ID" | podman import -q - flat:1
	podman save -q -o "$BATS_TEST_TMPDIR/saved.tar" flat:1
	nacre load -q "$BATS_TEST_TMPDIR/saved.tar"
	diff <(nacre ls -lR "$BASE_ID" /) <(nacre ls -lR localhost/flat:1 /)
	nacre export localhost/flat:1 | cmp - <(nacre export "$BASE_ID")
}
