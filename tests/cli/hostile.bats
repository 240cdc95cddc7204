#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# Archives from strangers.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }

import_odd() {
	make_archive odd "$BATS_TEST_TMPDIR/odd.tar"
	run --separate-stderr nacre import "$BATS_TEST_TMPDIR/odd.tar" odd:1
	assert_status 0
}

@test "what is refused, with the entry's name and the reason, and leaves no trace" {
	for kind in "symlink-as-folder:away/escaped:is a symbolic link" "hardlink-later:link:not in the archive before" \
		"hardlink-folder:link:which is a directory" "hardlink-through-symlink:link:not in the archive" \
		"root-as-file:.:replace the root" "nameless::empty" "long-path:nnnn:longer than" "owner:owner:out of range" \
		"whiteout:.wh.:no possible name" "whiteout-of-parent:.wh...:no possible name" "negative-size::" \
		"huge-size:size:the allowed" "long-comment::header too large" \
		'mtime-word:dated:its time is no number: "yesterday"' 'mtime-rest:dated:its time is no number: "1600000000s"' \
		'mtime-sign:dated:its time is no number: "-"' 'mtime-fraction:dated:its time is no number: ".5"' \
		"xattr-value:overfull:its xattr user.large has 65537 bytes, more than 65536" \
		"xattr-name:overlong:its xattr user.lll"; do
		IFS=: read -r kind entry reason <<<"$kind"
		make_archive bad "$kind" "$BATS_TEST_TMPDIR/bad.tar"
		assert_refused_unchanged "$entry" nacre import "$BATS_TEST_TMPDIR/bad.tar" bad
		assert_output_has "$reason"
		refute_output_has "byte -"
	done
	[ ! -e /tmp/escaped ]
}

@test "names are bytes: kept as they are, shown escaped" {
	import_odd
	run nacre ls odd:1
	refute_output_has $'\e'
	assert_output_has 'new\nline'
	assert_output_has 'esc\x1b[31m'
	assert_output_has 'latin\xe9'
	assert_equal "$(nacre cat odd:1 $'new\nline')" 1
	assert_equal "$(nacre cat odd:1 $'esc\e[31m')" 2
	assert_equal "$(nacre cat odd:1 $'latin\xe9')" 3
	assert_equal "$(nacre cat odd:1 a/b/c)" deep
}

@test "of two entries of one name the later one is seen" {
	import_odd
	assert_equal "$(nacre cat odd:1 twice)" second
	assert_equal "$(nacre ls --json odd:1 | jq -r '.[] | select(.Path == "twice") | .Mode')" \
		"$(nacre ls --json odd:1 | jq -r '.[] | select(.Path == "before-1970") | .Mode' | sed 's/644/600/; s/rw-r--r--/rw-------/')"
}

@test "devices, setuid, strange times and owners are rows and no files" {
	import_odd
	run nacre ls -l odd:1
	[[ $output =~ crw-rw-rw-.*null ]]
	[[ $output =~ brw-rw----.*disk ]]
	[[ $output =~ prw-r--r--.*pipe ]]
	[[ $output =~ -rwsr-sr-x.*su ]]
	[[ $output =~ 4294967294.*owner ]]
	[[ $output =~ 1969-12-31.*before-1970 ]]
	# Nothing in the store is a device or has setuid.
	[ -z "$(find "$NACRE_STORE" \( -type b -o -type c -o -type p -o -perm /6000 \) -print)" ]
	nacre verify
}

@test "an image's overlay marks are kept out, and that is told" {
	import_odd
	[[ $stderr == *"warning: $BATS_TEST_TMPDIR/odd.tar: 5 xattrs were left out"* ]] || fail "$stderr"
	assert_equal "$(sqlite3 "$NACRE_STORE/index.db" "SELECT group_concat(name) FROM xattr JOIN layer ON layer = id
		WHERE diff_id <> (SELECT min(diff_id) FROM layer WHERE id = 1)")" user.kept
	make_archive layout "$BATS_TEST_TMPDIR/oci" odd:2 "$BATS_TEST_TMPDIR/odd.tar"
	nacre rmi odd:1
	run --separate-stderr nacre load -q "$BATS_TEST_TMPDIR/oci"
	assert_status 0
	[[ $stderr == *"5 xattrs were left out"* ]] || fail "$stderr"
}

# kaniko writes both into every image, and docker and podman take them so.
@test "the root directory is \"/\", and hard links have their target from there" {
	make_archive slashes "$BATS_TEST_TMPDIR/slashes.tar"
	nacre import "$BATS_TEST_TMPDIR/slashes.tar" slashes:1
	assert_equal "$(nacre cat slashes:1 usr/bin/perl5)" perl
	nacre export --layer "$(nacre layers -q slashes:1)" | cmp - "$BATS_TEST_TMPDIR/slashes.tar"
	nacre export slashes:1 | tar -tvf - >list
	grep -q '^drwx--x--x .* \./\?$' list || fail "$(<list)"
	grep -q 'perl5 link to .*perl$' list || fail "$(<list)"
	nacre verify
}

@test "sparse files, in the forms of GNU and pax" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 50M holes
	printf 'middle' | dd of=holes bs=1 seek=20000000 conv=notrunc status=none
	for form in --format=gnu "--format=pax --sparse-version=0.0" "--format=pax --sparse-version=0.1" \
		"--format=pax --sparse-version=1.0"; do
		# shellcheck disable=SC2086
		tar --sparse $form -cf sparse.tar holes
		[ "$(stat -c %s sparse.tar)" -lt 1000000 ]
		nacre import sparse.tar sparse:1
		nacre cat sparse:1 holes | cmp - holes
	done
	[ "$(du -sk "$NACRE_STORE/objects" | cut -f 1)" -lt 5000 ]
	nacre verify
}

@test "a bomb is refused when it has reached a limit, and by options later or sooner" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 30M zeros
	tar -cf bomb.tar zeros
	gzip -k bomb.tar
	zstd -q bomb.tar
	nacre import bomb.tar.gz small:1
	for file in bomb.tar bomb.tar.gz bomb.tar.zst; do
		assert_refused_unchanged "more than the allowed 10485760 bytes" \
			nacre import --max-size 10M "$file" bomb
		assert_output_has "--max-size"
	done
	tar --sparse -cf sparse.tar zeros
	assert_refused_unchanged "files have more than the allowed 10485760 bytes" \
		nacre import --max-size 10M sparse.tar bomb
	assert_refused_unchanged "more than the allowed 5 entries" nacre import --max-entries 5 "$BASE_TAR" bomb
	nacre import --max-entries 100 --max-size 100M --max-ratio 5000 bomb.tar.gz large:1
	nacre import --max-entries 0 --max-size 0 --max-ratio 0 bomb.tar.gz large:2
	nacre commit --help >/dev/null
}

@test "what unpacks to too many times its size" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 1100M zeros
	tar -c zeros | zstd -q -1 >bomb.tar.zst
	assert_refused_unchanged "unpacks to more than the allowed 200 times its size" nacre import bomb.tar.zst bomb
	make_archive docker docker.tar base:2 "$BASE_TAR"
	# Around an image archive too, which is unpacked to disk first.
	truncate -s 1100M padding
	cat docker.tar padding | zstd -q -1 >docker.tar.zst
	assert_refused_unchanged "unpacks to more than the allowed 200 times its size" nacre load docker.tar.zst
}

@test "limits on load, and options that are no numbers" {
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR"
	nacre rmi base:1
	assert_refused_unchanged "more than the allowed 3 entries" nacre load --max-entries 3 "$BATS_TEST_TMPDIR/oci"
	for bad in "" -1 1X 1.5 99999999999999999999 20000000T; do
		assert_misused nacre load --max-size "$bad" "$BATS_TEST_TMPDIR/oci"
	done
	assert_misused nacre load --max-ratio 1K "$BATS_TEST_TMPDIR/oci"
	assert_misused nacre import --max-entries x "$BASE_TAR"
	nacre load -q --max-size 2m "$BATS_TEST_TMPDIR/oci"
}

@test "indexes of indexes that do not say what they are for are not all looked through" {
	python3 - layout <<-'END'
		import hashlib, json, os, sys
		os.makedirs(sys.argv[1] + "/blobs/sha256")
		os.chdir(sys.argv[1])
		def blob(data, media):
		    data = data if isinstance(data, bytes) else json.dumps(data).encode()
		    digest = hashlib.sha256(data).hexdigest()
		    open("blobs/sha256/" + digest, "wb").write(data)
		    return {"mediaType": "application/vnd.oci.image." + media, "digest": "sha256:" + digest, "size": len(data)}
		def index(one, times):
		    return {"schemaVersion": 2, "manifests": [one] * times}
		layer = blob(bytes(10240), "layer.v1.tar")
		config = blob({"os": "linux", "architecture": "riscv64", "rootfs": {"type": "layers",
		              "diff_ids": [layer["digest"]]}}, "config.v1+json")
		one = blob({"schemaVersion": 2, "config": config, "layers": [layer]}, "manifest.v1+json")
		for _ in range(3):
		    one = blob(index(one, 200), "index.v1+json")
		open("index.json", "w").write(json.dumps(index(one, 1)))
		open("oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')
	END
	run timeout 60 "$NACRE" load --platform linux/amd64 layout
	assert_status 1
	assert_output_has "more than 1000 images that do not say what they are for"
}
