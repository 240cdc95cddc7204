#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_store; }

# tar_of OUT NAME=BYTES...: an archive of files of so many bytes, which are the name's first letter.
tar_of() {
	local out=$1 dir=$BATS_TEST_TMPDIR/tree word
	shift
	rm -rf "$dir"
	mkdir "$dir"
	for word; do
		head -c "${word#*=}" /dev/zero | tr '\0' "${word:0:1}" >"$dir/${word%%=*}"
	done
	tar -C "$dir" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$out" .
}

@test "contents in several images are shared, and removal gives back what was alone" {
	tar_of "$BATS_TEST_TMPDIR/one.tar" a=100000 b=20000
	tar_of "$BATS_TEST_TMPDIR/two.tar" a=100000 c=3000000 again=100000
	nacre import "$BATS_TEST_TMPDIR/one.tar" one:1
	nacre import "$BATS_TEST_TMPDIR/two.tar" two:1
	run nacre du --json
	assert_status 0
	assert_equal "$(json '.Images | map(.Name) | join(" ")')" "two:1 one:1"
	assert_equal "$(json '.Images | map(.Size) | join(" ")')" "3200000 120000"
	# Each has its framing alone too, which is small.
	assert_equal "$(json '.Images | map(.Alone / 1000 | floor * 1000) | join(" ")')" "3000000 20000"
	assert_equal "$(json '.Images | map(.Shared) | join(" ")')" "100000 100000"
	assert_equal "$(json '.Layers | map(.Shared) | join(" ")')" "100000 100000"
	assert_equal "$(json '.Layers | map(.Images) | join(" ")')" "1 1"
	# a is stored once and is there three times.
	assert_equal "$(json .Saved)" 200000
	assert_equal "$(json '.Unshared - .Stored')" 200000
	assert_equal "$(json .Contents)" 5
	alone=$(json '.Images[0].Alone')
	stored=$(json .Stored)
	nacre rmi two:1
	run nacre du --json
	assert_equal "$(json .Stored)" $((stored - alone))
	assert_equal "$(json '.Images[0].Shared')" 0
	assert_equal "$(json .Saved)" 0
}

@test "a layer in two images costs neither of them alone" {
	tar_of "$BATS_TEST_TMPDIR/base.tar" a=50000
	tar_of "$BATS_TEST_TMPDIR/top.tar" t=7000
	nacre import "$BATS_TEST_TMPDIR/base.tar" base:1
	make_archive layout "$BATS_TEST_TMPDIR/oci" both:1 "$BATS_TEST_TMPDIR/base.tar" "$BATS_TEST_TMPDIR/top.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	run nacre du --json
	assert_equal "$(json '.Images[] | select(.Name == "base:1") | .Alone')" 0
	assert_equal "$(json '.Images[] | select(.Name == "both:1") | .Alone / 1000 | floor')" 7
	# As a layer it is nobody else's.
	assert_equal "$(json '.Layers[0] | .Images, .Shared' | paste -sd ' ')" "2 0"
	assert_equal "$(json .Saved)" 0
}

@test "du for people" {
	tar_of "$BATS_TEST_TMPDIR/one.tar" a=100000
	nacre import "$BATS_TEST_TMPDIR/one.tar" one:1
	run nacre du
	assert_status 0
	[[ ${lines[0]} =~ ^IMAGE\ +IMAGE\ ID\ +LAYERS\ +SIZE\ +ALONE\ +SHARED$ ]]
	[[ ${lines[1]} =~ ^one:1\ .*\ 100kB\ .*\ 0B$ ]]
	assert_output_has "DIFF ID"
	assert_output_has "Stored:  100kB in 2 contents, and "
	assert_output_has "Saved:   0B of "
}

@test "du of no store is empty" {
	unset NACRE_STORE
	XDG_DATA_HOME=$BATS_TEST_TMPDIR/none run nacre --store "$BATS_TEST_TMPDIR/none" du
	assert_status 1
	NACRE_STORE=$BATS_TEST_TMPDIR/empty nacre gc >/dev/null
	NACRE_STORE=$BATS_TEST_TMPDIR/empty run nacre du --json
	assert_status 0
	assert_equal "$(json '.Images | length')" 0
	assert_equal "$(json .Stored)" 0
}
