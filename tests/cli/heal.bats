#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016
#
# A damaged store, and somebody who has what is damaged: in an archive, or in a registry that the store knows nothing of.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/registry

setup() {
	setup_store
	cd "$BATS_TEST_TMPDIR" || return
	make_archive base base.tar
	make_archive second second.tar
	make_archive layout oci two:1 base.tar second.tar
	make_archive docker docker.tar two:1 base.tar second.tar
	gzip docker.tar
	nacre load -q oci >/dev/null
	nacre ls -lR two:1 / >tree
	nacre export two:1 >export.tar
	TEMPLATE=$NACRE_STORE
	NACRE_STORE=$BATS_TEST_TMPDIR/damaged
}
teardown() {
	unmount_all
	stop_registries
}
teardown_file() { stop_faults; }

# Each damages the store in its own way; a load sees it without reading the contents.
FAULTS=('rm $(find $NACRE_STORE/objects -type f)' 'rm $NACRE_STORE/packs/*' 'truncate -s 99 $NACRE_STORE/packs/*'
	"sql \"DELETE FROM entry WHERE name = CAST('motd' AS BLOB)\"" 'sql "DELETE FROM entry"' 'sql "DELETE FROM content"'
	'rm $NACRE_STORE/packs/1; sql "DELETE FROM entry WHERE content IN (1, 2, 9)"'
	'sql "DELETE FROM xattr"' 'sql "UPDATE layer SET framing = NULL"' 'sql "DELETE FROM layer"'
	"sql \"UPDATE entry SET content = (SELECT content FROM entry WHERE name = CAST('big' AS BLOB)) WHERE content = 1\""
	'sql "DELETE FROM image_layer"' "sql \"UPDATE image SET config = x'7B7D'\"")

sql() { sqlite3 "$NACRE_STORE/index.db" "$1"; }

damage() {
	rm -rf "$NACRE_STORE"
	cp -a "$TEMPLATE" "$NACRE_STORE"
	eval "$1"
	run nacre verify -q
	assert_status 1
}

# assert_whole FAULT
assert_whole() {
	run nacre verify
	[ "$status" = 0 ] || fail "after $1: $output"
	diff tree <(nacre ls -lR two:1 /)
	nacre export two:1 | cmp - export.tar
	nacre gc >/dev/null
	nacre verify -q
}

@test "load brings back what is lost of layers that are there: files, rows, configs" {
	for fault in "${FAULTS[@]}"; do
		damage "$fault"
		run nacre load docker.tar.gz
		assert_status 0
		assert_whole "$fault"
	done
	damage "${FAULTS[0]}"
	run nacre load oci
	assert_equal "$(grep -c ': repaired$' <<<"$output")" 1
	assert_equal "$(grep -c ': already exists$' <<<"$output")" 1
	run nacre load oci
	assert_equal "$(grep -c ': already exists$' <<<"$output")" 2
}

@test "pull likewise, from a registry that has never been asked for it; only what is damaged is fetched" {
	serve_app
	start_faults
	for fault in "${FAULTS[0]}" "${FAULTS[4]}"; do
		damage "$fault"
		: >"$LOG"
		run nacre pull "$REGISTRY/app:1"
		assert_status 0
		assert_output_has ": repaired"
		assert_whole "$fault"
	done
	: >"$LOG"
	run nacre pull "$REGISTRY/app:1"
	assert_status 0
	assert_equal "$(requests "/blobs/")" 1
}

@test "import reads its layer anyway: a flipped bit goes too; layers that share the file are whole, and so is a mount" {
	mkdir other
	tar -x -C other -f base.tar usr/share/big etc/motd
	tar -c -C other . | NACRE_STORE=$TEMPLATE nacre import -q - other:1
	flip='printf X | dd of="$(find "$NACRE_STORE/objects" -type f)" bs=1 seek=7777 conv=notrunc status=none'
	# With rows of the layer gone, the file gets another number.
	for fault in "$flip" "$flip; sql \"DELETE FROM entry WHERE layer = 1 AND name = CAST('motd' AS BLOB)\""; do
		damage "$fault"
		nacre mount two:1 "$MNT"
		nacre import -q base.tar base:1
		cmp "$MNT/usr/share/big" other/usr/share/big || [ "$fault" != "$flip" ]
		unmount_all
		cmp <(nacre cat other:1 usr/share/big) other/usr/share/big
		assert_whole "$fault"
	done
	damage "$flip"
	nacre load oci | grep -c ': already exists$' | grep -qx 2
	run nacre verify -q
	assert_status 1
}

@test "an archive that is damaged itself heals nothing, and is no worse" {
	damage "${FAULTS[0]}"
	before=$(store_state)
	for blob in oci/blobs/sha256/*; do
		[ "$(stat -c %s "$blob")" -lt 4000 ] || printf X | dd of="$blob" bs=1 seek=3000 conv=notrunc status=none
	done
	run nacre load oci
	assert_status 1
	run nacre verify --repair --from oci
	assert_status 1
	assert_output_has "Not repaired: layer"
	diff <(printf '%s\n' "$before") <(store_state)
}

@test "verify --repair --from: every kind of archive, every kind of fault" {
	tar -C oci -cf oci.tar .
	for fault in "${FAULTS[@]}" 'for f in $(find $NACRE_STORE/packs $NACRE_STORE/objects -type f); do
		printf X | dd of="$f" bs=1 seek=9 conv=notrunc status=none; done' 'sql "DELETE FROM image"' \
		'sql "UPDATE manifest SET body = 1"'; do
		damage "$fault"
		run nacre verify --repair --from oci.tar
		[ "$status" = 0 ] || fail "after $fault: $output"
		assert_whole "$fault"
	done
	for from in "--from docker.tar.gz" "--from oci" "--from base.tar --from second.tar" "--from oci --from docker.tar.gz"; do
		damage 'rm $NACRE_STORE/packs/*'
		# shellcheck disable=SC2086
		run nacre verify --repair $from
		assert_status 0
		[[ $output =~ Repaired:\ layer\ [0-9a-f]{12}:\ read\ again\ from\ (oci|docker.tar.gz|base.tar) ]] || fail "$output"
		assert_whole "$from"
	done
	damage 'rm $NACRE_STORE/packs/*'
	gzip -c second.tar | nacre verify -q --repair --from base.tar --from - >/dev/null
	assert_whole "standard input"
	damage 'rm $NACRE_STORE/packs/*'
	run nacre verify --repair --from base.tar
	assert_status 1
	assert_output_has "neither an archive given by --from nor a registry that is known has it"
}

@test "of an index for several platforms all images count, and those that are not there are left out" {
	one=$(jq -c '.manifests[0] + {platform: {os: "linux", architecture: "s390x"}}' oci/index.json)
	other=$(jq -c '.digest = "sha256:" + "0" * 64 | .platform.architecture = "arm64"' <<<"$one")
	jq -cn --argjson one "$one" --argjson other "$other" '{schemaVersion: 2, manifests: [$other, $one]}' >list
	digest=$(sha256sum list | cut -c 1-64)
	jq -n --arg digest "sha256:$digest" --argjson size "$(stat -c %s list)" '{schemaVersion: 2, manifests:
		[{mediaType: "application/vnd.oci.image.index.v1+json", digest: $digest, size: $size}]}' >oci/index.json
	mv list "oci/blobs/sha256/$digest"
	damage 'rm $NACRE_STORE/packs/*'
	run nacre verify --repair --from oci
	assert_status 0
	assert_whole platforms
}

@test "--from is refused without --repair, and for what is no archive" {
	damage "${FAULTS[0]}"
	assert_misused nacre verify --from oci
	assert_refused_unchanged "cannot open nowhere.tar" nacre verify --repair --from nowhere.tar
	assert_refused_unchanged "neither an OCI image layout" nacre verify --repair --from .
}

# bats test_tags=slow
@test "a load that is killed while it brings things back leaves nothing worse; the next one makes all whole" {
	damage "${FAULTS[0]}; sql \"DELETE FROM entry WHERE layer = 2 AND name <> x''\""
	faults=$(nacre verify --json | jq '.Faults | length') || true
	TEMPLATE=$NACRE_STORE
	export NACRE_STORE=$BATS_TEST_TMPDIR/copy
	for ((at = 3, status = 1; status != 0; at += 13)); do
		rm -rf "$NACRE_STORE"
		cp -a "$TEMPLATE" "$NACRE_STORE"
		run env LD_PRELOAD="$NACRE_BUILD/tests/fault/libnacre_fault.so" NACRE_FAULT=kill NACRE_FAULT_AT="$at" \
			"$NACRE" load -q oci
		broken=$status
		left=$(nacre verify --json | jq '.Faults | length') || true
		[ "$left" -le "$faults" ] || fail "killed at $at: $left faults"
		nacre load -q oci >/dev/null
		assert_whole "a kill at $at"
		status=$broken
	done
	[ "$at" -gt 20 ] || fail "there were but $at writes"
}
