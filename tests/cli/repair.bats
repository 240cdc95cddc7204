#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/registry

setup() {
	setup_store
	unset REGISTRY_AUTH_FILE DOCKER_CONFIG XDG_RUNTIME_DIR XDG_CONFIG_HOME
	cd "$BATS_TEST_TMPDIR" || return
	serve_app
}
teardown() {
	unmount_all
	stop_registries
}
teardown_file() { stop_faults; }

pull_app() {
	start_faults
	nacre pull -q "$REGISTRY/app:1" >/dev/null
	nacre ls -lR "$REGISTRY/app:1" / >tree
}

# flip_in TEXT: one byte of the content that has TEXT in it.
flip_in() {
	local file offset
	IFS=: read -r file offset _ < <(cd "$NACRE_STORE" && grep -abor -- "$1" packs objects | head -n 1)
	printf 'X' | dd of="$NACRE_STORE/$file" bs=1 seek="$offset" conv=notrunc status=none
}

# Whole, with all that was there before.
assert_whole() {
	nacre verify -q
	diff tree <(nacre ls -lR "$REGISTRY/app:1" /)
	nacre export --layer "$(nacre layers --json "$REGISTRY/app:1" | jq -r '.[0].DiffId')" | cmp - base.tar
	nacre export --layer "$(nacre layers --json "$REGISTRY/app:1" | jq -r '.[1].DiffId')" | cmp - second.tar
	nacre gc >/dev/null
	nacre verify -q
	refute_leftovers
}

refute_leftovers() {
	run nacre verify --json
	assert_equal "$(json .Leftovers)" 0
}

@test "a sound store is left alone, and no registry asked" {
	pull_app
	: >"$LOG"
	run nacre verify --repair
	assert_status 0
	[[ $output == "Verified: "* ]] || fail "$output"
	assert_equal "$(requests .)" 0
}

@test "flipped bytes and a missing object are fetched again; only the damaged layer is" {
	pull_app
	flip_in welcome
	rm "$(find "$NACRE_STORE/objects" -type f)"
	: >"$LOG"
	run --separate-stderr nacre verify --repair
	assert_status 0
	[ -z "$stderr" ] || fail "$stderr"
	assert_output_has "/etc/motd"
	assert_output_has "/usr/share/big"
	assert_output_has ": fetched again"
	[[ $output =~ Repaired:\ layer\ [0-9a-f]{12}:\ fetched\ again\ from\ $REGISTRY/app ]] || fail "$output"
	assert_equal "$(requests /blobs/)" 1
	assert_whole
	run nacre verify --repair -q
	assert_status 0
	[ -z "$output" ]
}

# damage_rows SQL: and what repairs them is at hand
damage_rows() {
	sqlite3 "$NACRE_STORE/index.db" "$1"
	run nacre verify
	assert_status 1
	run --separate-stderr nacre verify --repair
	assert_status 0
	assert_output_has ": its rows in the index, from its stream"
	assert_whole
}

@test "wrong, missing and surplus rows of the index are made anew from the layer's stream" {
	pull_app
	: >"$LOG"
	damage_rows "UPDATE entry SET mode = mode | 2048 WHERE name = CAST('tool' AS BLOB)"
	damage_rows "UPDATE entry SET name = CAST('zool' AS BLOB) WHERE name = CAST('tool' AS BLOB)"
	damage_rows "UPDATE entry SET nlink = 1, mtime_ns = 5, uid = 9"
	damage_rows "DELETE FROM xattr"
	damage_rows "INSERT INTO entry SELECT layer, dir, CAST('more' AS BLOB), no, mode, uid, gid, rdev, mtime_ns, size,
		content, target, nlink, flags FROM entry WHERE name = CAST('motd' AS BLOB)"
	damage_rows "UPDATE layer SET entries = 5, content_bytes = 7, has_xattrs = 0"
	damage_rows "UPDATE layer SET tar_bytes = 5"
	damage_rows "UPDATE layer SET framing = NULL, tar_bytes = 1"
	# Which file has which content, only the row says; but what nothing names any more can be tried.
	damage_rows "DELETE FROM entry WHERE name = CAST('motd' AS BLOB)"
	damage_rows "UPDATE entry SET content = NULL WHERE name IN (CAST('motd' AS BLOB), CAST('big' AS BLOB))"
	damage_rows "UPDATE entry SET no = no + 3 WHERE name = CAST('motd' AS BLOB)"
	damage_rows "UPDATE entry SET dir = dir + 1, no = 99999999999 WHERE name = CAST('big' AS BLOB)"
	damage_rows "UPDATE entry SET content = (SELECT content FROM entry WHERE name = CAST('big' AS BLOB))
		WHERE name = CAST('motd' AS BLOB)"
	assert_equal "$(requests .)" 0
}

@test "the row of a layer itself comes back, from its images and its stream; without it the image is not shown" {
	pull_app
	: >"$LOG"
	# Which of them came first nobody knows.
	low=$(sqlite3 "$NACRE_STORE/index.db" "SELECT layer FROM image_layer WHERE position = 0")
	sqlite3 "$NACRE_STORE/index.db" "DELETE FROM layer WHERE id <> $low"
	assert_refused "the index has lost 1 of the image's layers" nacre ls "$REGISTRY/app:1" /
	assert_refused "the index has lost 1 of the image's layers" nacre save -o out.tar "$REGISTRY/app:1"
	run nacre verify
	assert_output_has "layer 2 of image $REGISTRY/app:1 is lost"
	damage_rows "DELETE FROM entry WHERE name = CAST('motd' AS BLOB)"
	damage_rows "DELETE FROM layer"
	for sql in "UPDATE image_layer SET layer = 55 WHERE position = 1" "UPDATE layer SET diff_id = zeroblob(32) WHERE id = 1" \
		"UPDATE image_layer SET layer = 3 - layer"; do
		sqlite3 "$NACRE_STORE/index.db" "$sql"
		run nacre verify --repair
		assert_status 0
		assert_output_has "Repaired: layer"
		assert_whole
	done
	assert_equal "$(requests .)" 0
	# Nobody has it: what is told to do helps.
	sqlite3 "$NACRE_STORE/index.db" "DELETE FROM layer WHERE id = $low; DELETE FROM blob"
	rm "$(find "$NACRE_STORE/objects" -type f)"
	run nacre verify --repair
	assert_status 1
	assert_output_has "Not repaired: layer"
	assert_output_has "bring the image in once more"
	nacre load -q served/app
	nacre verify -q --repair >/dev/null
	assert_whole
}

@test "rows that belong to nothing are removed, names of nothing are told" {
	pull_app
	: >"$LOG"
	sqlite3 "$NACRE_STORE/index.db" "INSERT INTO entry SELECT 77, dir, name, no, mode, uid, gid, rdev, mtime_ns, size, content,
		target, nlink, flags FROM entry WHERE layer = 1; INSERT INTO xattr VALUES(78, 1, 'user.a', 'b');
		INSERT INTO manifest VALUES(99, 'a', 'b', 'c'); INSERT INTO image_layer VALUES(99, 0, 1);
		INSERT INTO blob VALUES(NULL, 66, zeroblob(32), 1, 'a', NULL, x'')"
	run nacre verify
	assert_status 1
	run nacre verify --repair --json
	assert_status 0
	assert_equal "$(json '[.Repairs[] | select(.Subject == "the index" and .Whole)] | length')" 5
	assert_whole
	sqlite3 "$NACRE_STORE/index.db" "INSERT INTO tag VALUES('lost:1', 88)"
	run nacre verify --repair
	assert_status 1
	assert_output_has "Not repaired: tag lost:1: its image is lost"
	run nacre rmi lost:1
	assert_status 0
	assert_whole
	assert_equal "$(requests .)" 0
}

@test "a layer that the store does not have the rows of is fetched again, under its own id" {
	pull_app
	nacre mount "$REGISTRY/app:1" "$MNT"
	for sql in "DELETE FROM entry; UPDATE content SET refs = 7" "DELETE FROM content" \
		"DELETE FROM layer; DELETE FROM content" \
		"DELETE FROM pack; DELETE FROM counter; UPDATE entry SET content = 1"; do
		sqlite3 "$NACRE_STORE/index.db" "$sql"
		run nacre verify --repair
		assert_status 0
		assert_output_has "fetched again from $REGISTRY/app"
		assert_whole
	done
	cat "$MNT/etc/motd"
	unmount_all
	stop_registries
	sqlite3 "$NACRE_STORE/index.db" "DELETE FROM entry; UPDATE content SET refs = 7"
	run nacre verify --repair --retry 0
	assert_status 1
	assert_output_has "Not repaired: layer"
	# What a lost row may have had stays.
	[ "$(sqlite3 "$NACRE_STORE/index.db" "SELECT count(*) FROM content")" -gt 5 ]
}

@test "what is counted wrong is counted anew" {
	pull_app
	: >"$LOG"
	sqlite3 "$NACRE_STORE/index.db" "UPDATE content SET refs = refs + id; UPDATE pack SET live = 3, bytes = 5;
		UPDATE counter SET next = 1; INSERT INTO content VALUES(900, x'00112233445566778899aabbccddeeff', 5, NULL, 0, 1)"
	run nacre verify
	assert_status 1
	run nacre verify --repair
	assert_status 0
	assert_output_has "Repaired: counts of the index"
	assert_equal "$(requests .)" 0
	assert_whole
	nacre import -q base.tar more:1
	assert_whole
}

@test "packs that are gone, framings with them" {
	pull_app
	rm "$NACRE_STORE"/packs/*
	run nacre verify
	assert_status 1
	assert_output_has "its tar framing: "
	run nacre verify --repair --json
	assert_status 0
	assert_equal "$(json '.Repairs | map(.Whole) | all')" true
	assert_equal "$(json '.Repairs | length')" 2
	assert_equal "$(json '.Faults | length')" 0
	assert_whole
}

@test "a pack that was cut off, and one whose bytes are all others" {
	pull_app
	for pack in "$NACRE_STORE"/packs/*; do
		truncate -s 100 "$pack"
	done
	nacre verify -q --repair >/dev/null
	assert_whole
	for pack in "$NACRE_STORE"/packs/*; do
		head -c "$(stat -c %s "$pack")" /dev/zero >zeros
		cat zeros >"$pack"
	done
	nacre verify -q --repair >/dev/null
	assert_whole
}

@test "what another image brought again needs no registry" {
	pull_app
	stop_registries
	object=$(find "$NACRE_STORE/objects" -type f)
	printf 'X' | dd of="$object" bs=1 seek=77777 conv=notrunc status=none
	# The same file once more: it is not taken for the damaged one.
	mkdir tree2
	tar -x -C tree2 -f base.tar usr/share/big
	tar -c -C tree2 . | nacre import -q - copy:1
	run nacre verify --repair --retry 0
	assert_status 0
	assert_output_has "from equal files in the store"
	[ ! -e "$object" ] || fail "the damaged file is still there"
	assert_whole
}

@test "layers that share what is damaged are whole with one of them" {
	pull_app
	mkdir other
	tar -x -C other -f base.tar usr/share/big etc/motd
	tar -c -C other . | nacre import -q - other:1
	rm "$(find "$NACRE_STORE/objects" -type f)"
	run nacre verify
	assert_output_has "other:1"
	run nacre verify --repair
	assert_status 0
	assert_equal "$(grep -c '^Repaired' <<<"$output")" 1
	nacre cat other:1 usr/share/big | cmp - other/usr/share/big
	assert_whole
}

@test "a damaged config comes back" {
	pull_app
	sqlite3 "$NACRE_STORE/index.db" "UPDATE image SET config = CAST(replace(config, 'amd64', 'amd65') AS BLOB)"
	run nacre verify
	assert_status 1
	assert_output_has "its config is damaged"
	run nacre verify --repair
	assert_status 0
	assert_output_has "Repaired: config of image"
	nacre verify -q
}

@test "a damaged manifest comes back; where nobody has it, it is forgotten" {
	pull_app
	nacre load -q served/app
	sqlite3 "$NACRE_STORE/index.db" "UPDATE manifest SET body = CAST(replace(body, 'sha256', 'sha257') AS BLOB)"
	run nacre verify
	assert_status 1
	assert_output_has "the manifest that it came with is damaged"
	assert_refused "the manifest that it came with is damaged" nacre save --format oci-archive -o out.tar "$REGISTRY/app:1"
	run nacre verify --repair
	assert_status 0
	assert_output_has "Repaired: manifest of image"
	assert_output_has "fetched again from $REGISTRY/app"
	assert_equal "$(nacre push --json "$REGISTRY/app:1" "$REGISTRY/more:1" | jq .SameManifest)" true
	sqlite3 "$NACRE_STORE/index.db" "UPDATE manifest SET media_type = 'application/json'"
	run nacre verify --repair
	assert_status 0
	assert_output_has "its media type, from its text"
	nacre verify -q
	sqlite3 "$NACRE_STORE/index.db" "UPDATE manifest SET body = x'41'; DELETE FROM blob"
	run nacre verify --repair
	assert_status 0
	assert_output_has "so it is forgotten"
	nacre save --format oci-archive -o out.tar "$REGISTRY/app:1"
}

@test "an image that has lost its row gets it again; its names wait until a registry has it" {
	pull_app
	image=$(nacre images --json "$REGISTRY/app:1" | jq -r '.[0].Id')
	nacre images --json --no-trunc >before
	sqlite3 "$NACRE_STORE/index.db" "DELETE FROM image"
	stop_registries
	run nacre verify --repair --retry 0
	assert_status 1
	assert_output_has "Not repaired: config of image ${image:7:12}: $REGISTRY/app: "
	assert_output_has "Not repaired: tag $REGISTRY/app:1: its image is lost"
	start_faults
	run nacre verify --repair
	assert_status 0
	assert_output_has "Repaired: config of image ${image:7:12}: fetched again from $REGISTRY/app"
	nacre images --json --no-trunc | diff before -
	nacre save --format oci-archive -o out.tar "$REGISTRY/app:1"
	assert_whole
	# It came in once more: no registry is needed.
	sqlite3 "$NACRE_STORE/index.db" "INSERT INTO container SELECT 'c', id, NULL, NULL, 0, 1 FROM image; DELETE FROM image"
	stop_registries
	nacre load -q served/app
	run nacre verify --repair --retry 0
	assert_output_has "Repaired: config of image ${image:7:12}: the store has it under another number"
	assert_equal "$(sqlite3 "$NACRE_STORE/index.db" "SELECT image = (SELECT id FROM image) FROM container")" 1
	sqlite3 "$NACRE_STORE/index.db" "DELETE FROM container"
	assert_whole
}

# flip_row TEXT: one byte in the index, where this stands in a row of blob (and not in the manifest, or beside the row)
flip_row() {
	python3 - "$NACRE_STORE/index.db" "$1" <<-'END'
		import sys
		with open(sys.argv[1], "r+b") as file:
		    data = file.read()
		    wanted = bytes.fromhex(sys.argv[2])
		    types = b"application/"
		    at = [i for i in range(len(data)) if data.startswith(wanted, i) and types in data[i + 32 : i + 52]]
		    file.seek(at[0])
		    file.write(bytes([data[at[0]] ^ 4]))
	END
}

@test "what is known of a layer's blob in a registry: a flipped bit is found, and it is forgotten" {
	pull_app
	layer=$(nacre layers --json "$REGISTRY/app:1" | jq -r '.[0].DiffId')
	low=$(sqlite3 "$NACRE_STORE/index.db" "SELECT layer FROM image_layer WHERE position = 0")
	# So that nothing stands there twice.
	sqlite3 "$NACRE_STORE/index.db" 'VACUUM; PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
	flip_row "$(sqlite3 -readonly "$NACRE_STORE/index.db" "SELECT hex(digest) FROM blob WHERE layer = $low")"
	run nacre verify
	assert_status 1
	assert_output_has "$REGISTRY/app:1   ${layer:7:12}   -      what is known of its blob sha256:"
	assert_output_has "in a registry is damaged"
	flip_in welcome
	: >"$LOG"
	run nacre verify --repair
	assert_status 1
	assert_output_has "Repaired: the index: removed: what was known of blobs in a registry, and is damaged (1 rows)"
	assert_output_has "no registry is known that has it"
	assert_equal "$(requests .)" 0
	# Whoever brings the layer from a registry once more makes that good.
	nacre pull -q "$REGISTRY/app:1" >/dev/null
	nacre verify -q --repair >/dev/null
	assert_whole
	for sql in "bytes = bytes + 1" "media_type = 'a'" "source = 'b'" "source = NULL" "layer = 3 - layer" "no = no + 8"; do
		sqlite3 "$NACRE_STORE/index.db" "UPDATE blob SET $sql WHERE layer = 1"
		run nacre verify --repair
		assert_status 0
		assert_output_has "(1 rows)"
		nacre pull -q "$REGISTRY/app:1" >/dev/null
		assert_equal "$(sqlite3 "$NACRE_STORE/index.db" 'SELECT count(*) FROM blob')" 2
		# Not by whoever keeps what is damaged.
		sqlite3 "$NACRE_STORE/index.db" "UPDATE blob SET bytes = 1"
		nacre pull -q "$REGISTRY/app:1" >/dev/null
		nacre verify -q
	done
}

@test "wrong bytes, a missing blob, a registry that is gone: nothing is worse, and the reason is told" {
	pull_app
	flip_in welcome
	before=$(store_state)
	for fault in flip short "status:blobs:404:9"; do
		stop_registries
		start_faults "$fault"
		run nacre verify --repair --retry 0
		assert_status 1
		assert_output_has "Not repaired: layer"
		assert_output_has "the store is damaged: 1 fault"
		diff <(printf '%s\n' "$before") <(store_state)
	done
	stop_registries
	run nacre verify --repair --retry 0
	assert_status 1
	assert_output_has "Not repaired: layer"
	diff <(printf '%s\n' "$before") <(store_state)
	start_faults
	nacre verify -q --repair >/dev/null
	assert_whole
}

@test "what no registry has is told as that; what one has is repaired all the same" {
	pull_app
	echo by hand >lone
	tar -c lone | nacre import -q - lone:1
	flip_in "by hand"
	flip_in welcome
	run nacre verify --repair
	assert_status 1
	assert_output_has "Repaired: layer"
	assert_output_has "no registry is known that has it"
	assert_output_has "the store is damaged: 1 fault is left"
	nacre verify -q "$REGISTRY/app:1"
}

@test "a file of a live mount is sound again" {
	pull_app
	rm "$(find "$NACRE_STORE/objects" -type f)"
	nacre mount "$REGISTRY/app:1" "$MNT"
	run cat "$MNT/usr/share/big"
	assert_status 1
	nacre verify -q --repair >/dev/null
	cmp "$MNT/usr/share/big" <(nacre cat "$REGISTRY/app:1" usr/share/big)
	unmount_all
}

# bats test_tags=slow
@test "killed at any of its writes, or without disk, it leaves nothing worse; the next one makes all whole" {
	pull_app
	flip_in welcome
	rm "$(find "$NACRE_STORE/objects" -type f)"
	sqlite3 "$NACRE_STORE/index.db" "DELETE FROM entry WHERE layer = 2 AND name <> x''; UPDATE content SET refs = 7 WHERE pack = 2"
	faults=$(nacre verify --json | jq '.Faults | length') || true
	template=$NACRE_STORE
	export NACRE_STORE=$BATS_TEST_TMPDIR/copy
	for kind in kill ENOSPC; do
		for ((at = 2, status = 1; status != 0; at += 17)); do
			rm -rf "$NACRE_STORE"
			cp -a "$template" "$NACRE_STORE"
			run env LD_PRELOAD="$NACRE_BUILD/tests/fault/libnacre_fault.so" NACRE_FAULT="$kind" NACRE_FAULT_AT="$at" \
				"$NACRE" verify --repair --retry 0
			broken=$status
			left=$(nacre verify --json | jq '.Faults | length') || true
			[ "$left" -le "$faults" ] || fail "$kind at $at: $left faults"
			[ "$broken" != 0 ] || [ "$left" = 0 ] || fail "$kind at $at: done, but it is not"
			nacre verify -q --repair >/dev/null
			assert_whole
			status=$broken
		done
		[ "$at" -gt 20 ] || fail "there were but $at writes"
	done
}
