#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }

# flip_in TEXT: one bit of the content that has TEXT in it.
flip_in() {
	local file offset
	IFS=: read -r file offset _ < <(cd "$NACRE_STORE" && grep -abor -- "$1" packs objects | head -n 1)
	printf 'X' | dd of="$NACRE_STORE/$file" bs=1 seek="$offset" conv=notrunc status=none
}

@test "a sound store: says how much was read, exit 0" {
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	run nacre verify
	assert_status 0
	[[ $output == "Verified: 2 images, 2 layers, "*" contents, "* ]]
	run nacre verify base:1
	assert_status 0
	[[ $output == "Verified: 1 images, 1 layers, "* ]]
	run nacre verify -q
	assert_status 0
	[ -z "$output" ]
	run nacre verify --json
	assert_equal "$(json '.Faults | length')" 0
	assert_equal "$(json .Layers)" 2
}

@test "a changed byte is found, with image, layer and path" {
	layer=$(nacre layers --json base:1 | jq -r '.[0].DiffId')
	nacre tag base:1 also:1
	flip_in "welcome"
	run --separate-stderr nacre verify
	assert_status 1
	assert_equal "$stderr" "nacre: the store is damaged: 1 fault; 'nacre verify --repair' brings back what it can"
	[[ ${lines[0]} =~ ^IMAGE\ +LAYER\ +PATH\ +FAULT$ ]]
	assert_equal "$(echo ${lines[1]})" "also:1 ${layer:7:12} /etc/motd its content is damaged"
	run --separate-stderr nacre verify --json base:1
	assert_status 1
	assert_equal "$(json '.Faults | length')" 1
	assert_equal "$(json '.Faults[0] | .Images[0], .Layer, .Path, .Fault' | paste -sd ' ')" \
		"also:1 $layer etc/motd its content is damaged"
}

@test "damage to a large file, and a file that is gone" {
	object=$(find "$NACRE_STORE/objects" -type f | head -n 1)
	printf 'X' | dd of="$object" bs=1 seek=77777 conv=notrunc status=none
	run nacre verify
	assert_status 1
	assert_output_has "/usr/share/big   its content is damaged"
	rm "$object"
	run nacre verify
	assert_status 1
	assert_output_has "/usr/share/big   its file objects/"
	assert_output_has "is not there"
}

@test "a changed row of the index is found" {
	sqlite3 "$NACRE_STORE/index.db" "UPDATE entry SET mode = mode | 2048 WHERE name = CAST('tool' AS BLOB)"
	run nacre verify
	assert_status 1
	assert_output_has "/usr/bin/tool   the index has wrong values: mode"
}

@test "a changed declaration of a table is found" {
	sqlite3 -cmd '.dbconfig defensive off' "$NACRE_STORE/index.db" "PRAGMA writable_schema=ON;
		UPDATE sqlite_schema SET sql = replace(sql, 'fakeroot', 'fakeroo4') WHERE name = 'container'"
	run nacre verify
	assert_status 1
	assert_output_has "the index: container is declared otherwise than it was made"
}

@test "strange names in what is found are shown escaped" {
	flip_in "odd"
	run nacre verify
	assert_status 1
	assert_output_has '/usr/share/doc/x/line\nbreak'
}

@test "what a crash left is told and is no fault" {
	echo nobody >"$NACRE_STORE/packs/ffff"
	run nacre verify
	assert_status 0
	assert_output_has "Left over: 1 files, "
	nacre gc
	run nacre verify
	refute_output_has "Left over"
}

@test "verify while the store is written to" {
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	for n in 1 2 3 4 5 6; do
		nacre import "$BATS_TEST_TMPDIR/second.tar" "b:$n" >/dev/null
		[ "$n" != 3 ] || nacre rmi b:1 b:2 >/dev/null
	done &
	for n in 1 2 3 4 5 6; do
		run nacre verify
		assert_status 0
	done
	wait
	run nacre verify
	assert_status 0
}

@test "an image, and a store, that are not there" {
	assert_refused "cannot verify none:1: " nacre verify none:1
	assert_refused "cannot open store " nacre --store "$BATS_TEST_TMPDIR/none" verify
}

# NACRE_FLIP_SEED and NACRE_FLIPS for others and more.
# bats test_tags=slow
@test "one flipped bit, wherever: verify finds it, or nothing is another" {
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	# With annotations, which nothing else in the store is made of.
	python3 - "$BATS_TEST_TMPDIR/oci" <<-'END'
		import hashlib, json, pathlib, sys
		root = pathlib.Path(sys.argv[1])
		index = json.loads((root / "index.json").read_text())
		entry = index["manifests"][0]
		manifest = json.loads((root / "blobs/sha256" / entry["digest"][7:]).read_text())
		manifest["annotations"] = {f"org.example.{i}": "x" * 100 for i in range(20)}
		text = json.dumps(manifest).encode()
		name = hashlib.sha256(text).hexdigest()
		(root / "blobs/sha256" / name).write_bytes(text)
		entry.update(digest="sha256:" + name, size=len(text))
		(root / "index.json").write_text(json.dumps(index))
	END
	nacre load -q "$BATS_TEST_TMPDIR/oci"
	run python3 "$NACRE_TOP/tests/lib/flips.py" "$NACRE" "$NACRE_STORE" "${NACRE_FLIP_SEED:-1}" "${NACRE_FLIPS:-60}"
	assert_status 0
	echo "$output"
}
