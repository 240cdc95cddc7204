#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# Indexes, manifests and configs from strangers, whose digests all fit.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
}

teardown() { unmount_all; }

hostile_image() { python3 "$NACRE_TOP/tests/lib/hostile_image.py" "$1" "$2" "$BATS_TEST_TMPDIR/second.tar"; }

@test "what is refused, with the reason, and leaves no trace" {
	cd "$BATS_TEST_TMPDIR"
	while IFS=: read -r kind reason; do
		hostile_image "$kind" "$kind"
		assert_refused_unchanged "cannot load $kind: " timeout 60 "$NACRE" load "$kind"
		assert_output_has "$reason"
		[ "${#output}" -lt 600 ] || fail "a message of ${#output} bytes"
	done <<-'END'
		deep-index:maximum parsing depth
		deep-config:maximum parsing depth
		loop:its content has the digest
		chain:more than 4 indexes within each other
		sha512:an algorithm that is not known
		no-algorithm:has no digest
		negative-size:its size is not a number
		huge-size:instead of 9223372036854775807
		larger-size:too big integer
		many-layers:the manifest has 10000 layers
		layers-object:layers is no list
		diff-ids:rootfs.diff_ids[0] is no sha256 digest
		outside:not a digest
	END
}

@test "a config with values of wrong types ends no command but with a message" {
	local key number call
	cd "$BATS_TEST_TMPDIR"
	mkdir at
	for key in history config Cmd Env Labels; do
		for number in 1 5 10; do
			hostile_image "config-$key-$number" layout
			nacre load -q layout >/dev/null
			for call in "inspect hostile:1" "history hostile:1" "layers hostile:1" \
				"mount --rw --name hostile hostile:1 $BATS_TEST_TMPDIR/at" \
				"commit -c CMD=x -c ENV=A=b -c LABEL=a=b -c EXPOSE=80 hostile again:1"; do
				# shellcheck disable=SC2086
				run "$NACRE" $call 3>&-
				[ "$status" = 0 ] || [[ $status = 1 && $output == "nacre: "* ]] || fail "$key $number: $call: $status $output"
			done
			nacre rm -f hostile >/dev/null
			rm -rf layout
		done
	done
	nacre verify
}
