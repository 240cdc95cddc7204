#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }

@test "import prints the ID, and the image is listed" {
	[[ $BASE_ID =~ ^sha256:[0-9a-f]{64}$ ]]
	run nacre images --no-trunc
	assert_status 0
	assert_output_has "$BASE_ID"
}

@test "import keeps the message and has one layer with the archive's diff ID" {
	run nacre history --json base:1
	assert_equal "$(json '.[0].Comment')" "the base"
	run nacre inspect base:1
	assert_equal "$(json '.[0].RootFS.Layers | join(" ")')" "sha256:$(sha256sum "$BASE_TAR" | cut -d ' ' -f 1)"
	assert_equal "$(json '.[0].RepoTags | join(" ")')" "base:1"
}

@test "import -c: what docker's import takes for the config, and nothing is imported where one is wrong" {
	nacre import -c 'CMD ["/bin/sh", "-l"]' --change 'ENV A=b' "$BASE_TAR" changed:1
	run nacre inspect changed:1
	assert_equal "$(json '.[0].Config | [.Cmd, .Env] | tostring')" '[["/bin/sh","-l"],["A=b"]]'
	assert_refused_unchanged "RUN" nacre import -c 'RUN true' "$BASE_TAR" changed:2
}

@test "every compression gives the same layer" {
	gzip -k "$BASE_TAR"
	bzip2 -k "$BASE_TAR"
	xz -k "$BASE_TAR"
	zstd -q "$BASE_TAR"
	want=$(nacre layers --json base:1 | jq -r '.[].DiffId')
	for suffix in gz bz2 xz zst; do
		nacre import "$BASE_TAR.$suffix" "packed:$suffix"
		assert_equal "$(nacre layers --json "packed:$suffix" | jq -r '.[].DiffId')" "$want"
	done
}

@test "an archive from standard input" {
	run nacre import - piped <"$BASE_TAR"
	assert_status 0
	assert_equal "$(nacre layers --json piped:latest | jq -r '.[].DiffId')" \
		"$(nacre layers --json base:1 | jq -r '.[].DiffId')"
}

@test "an image without a name is known by its ID" {
	id=$(nacre import -m "no name" "$BASE_TAR")
	run nacre inspect "$id"
	assert_status 0
	assert_equal "$(json '.[0].RepoTags | length')" 0
}

@test "the same content is kept once" {
	before=$(du -s --apparent-size "$NACRE_STORE/packs" "$NACRE_STORE/objects" | awk '{ n += $1 } END { print n }')
	nacre import -m "again" "$BASE_TAR" again
	after=$(du -s --apparent-size "$NACRE_STORE/packs" "$NACRE_STORE/objects" | awk '{ n += $1 } END { print n }')
	assert_equal "$after" "$before"
}

@test "no progress is printed where there is no terminal" {
	run --separate-stderr nacre import "$BASE_TAR" quiet
	assert_status 0
	[ -z "$stderr" ]
}

@test "a file that is not there" {
	assert_refused_unchanged "cannot import $BATS_TEST_TMPDIR/none.tar: " nacre import "$BATS_TEST_TMPDIR/none.tar"
	assert_output_has "No such file"
}

@test "a folder: all that is in it, the same layer each time, within the limits" {
	cd "$BATS_TEST_TMPDIR"
	mkdir -p "root fs/etc/empty" "root fs/usr"
	echo hello >"root fs/etc/motd"
	ln "root fs/etc/motd" "root fs/usr/again"
	ln -s ../etc/motd "root fs/usr/link"
	chmod 4750 "root fs/usr/again"
	mkfifo "root fs/usr/fifo"
	head -c 3000000 /dev/urandom >"root fs/usr/large"
	setfattr -n user.a -v b "root fs/usr/large"
	touch -d 2001-02-03T04:05:06.789 "root fs/etc"
	nacre import -q "root fs" folder:1
	run nacre history --json folder:1
	assert_equal "$(json '.[0].Comment')" "Imported from root fs"
	nacre export folder:1 | tar -d -C "root fs"
	assert_equal "$(nacre export folder:1 | tar -t | wc -l)" "$(find "root fs" | wc -l)"
	(cd "root fs" && nacre import -q . folder:2)
	assert_equal "$(nacre layers --json folder:1 | jq -r '.[0].DiffId')" "$(nacre layers --json folder:2 | jq -r '.[0].DiffId')"
	nacre verify -q
	for limit in "--max-size 1M" "--max-entries 3"; do
		# shellcheck disable=SC2086
		assert_refused_unchanged "than the allowed" nacre import $limit "root fs" x
	done
}

@test "a file that is no archive" {
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/noise"
	assert_refused_unchanged "cannot import $BATS_TEST_TMPDIR/noise: " nacre import "$BATS_TEST_TMPDIR/noise" x
}

@test "the image of a disk, which begins as an empty archive does" {
	cd "$BATS_TEST_TMPDIR"
	head -c 1024 /dev/zero >empty.tar
	nacre import -q empty.tar empty:1
	{ cat empty.tar && printf 'superblock' && head -c 1M /dev/zero; } >disk
	gzip -k disk
	for file in disk disk.gz; do
		assert_refused_unchanged "$file: it is not a tar archive" nacre import "$file" disk:1
	done
}

@test "an empty file" {
	: >"$BATS_TEST_TMPDIR/empty"
	assert_refused_unchanged "cannot import $BATS_TEST_TMPDIR/empty: " nacre import "$BATS_TEST_TMPDIR/empty" x
}

@test "a name that is none" {
	assert_refused_unchanged "cannot import $BASE_TAR: " nacre import "$BASE_TAR" "Not A Name"
}

@test "a truncated archive, cut at many places, plain and compressed" {
	gzip -k "$BASE_TAR"
	zstd -q "$BASE_TAR"
	for file in "$BASE_TAR" "$BASE_TAR.gz" "$BASE_TAR.zst"; do
		size=$(stat -c %s "$file")
		# The middle of a header, of a file's content, and just before the end.
		for cut in 700 $((size / 3)) $((size / 2)) $((size * 9 / 10)); do
			head -c "$cut" "$file" >"$BATS_TEST_TMPDIR/cut"
			assert_refused_unchanged "cannot import $BATS_TEST_TMPDIR/cut: " nacre import "$BATS_TEST_TMPDIR/cut" cut
		done
	done
	run nacre images
	refute_output_has cut
}

@test "a damaged compressed archive" {
	gzip -k "$BASE_TAR"
	size=$(stat -c %s "$BASE_TAR.gz")
	printf '\x55\xaa\x55\xaa' | dd of="$BASE_TAR.gz" bs=1 seek=$((size - 8)) conv=notrunc status=none
	assert_refused_unchanged "cannot import $BASE_TAR.gz: " nacre import "$BASE_TAR.gz" x
}

@test "an entry with .. in its name" {
	make_archive bad dotdot "$BATS_TEST_TMPDIR/bad.tar"
	assert_refused_unchanged "a/../../escaped" nacre import "$BATS_TEST_TMPDIR/bad.tar" bad
	[ ! -e "$BATS_TEST_TMPDIR/escaped" ]
}

@test "an entry with an absolute name" {
	make_archive bad absolute "$BATS_TEST_TMPDIR/bad.tar"
	assert_refused_unchanged "/etc/escaped" nacre import "$BATS_TEST_TMPDIR/bad.tar" bad
	[ ! -e /etc/escaped ]
}

@test "hard links out of the layer, and to what is not there" {
	for kind in hardlink hardlink-absolute hardlink-missing; do
		make_archive bad "$kind" "$BATS_TEST_TMPDIR/$kind.tar"
		assert_refused_unchanged "link" nacre import "$BATS_TEST_TMPDIR/$kind.tar" bad
	done
}

@test "a name over 255 bytes" {
	make_archive bad long-name "$BATS_TEST_TMPDIR/bad.tar"
	assert_refused_unchanged "nnnn" nacre import "$BATS_TEST_TMPDIR/bad.tar" bad
}

@test "an error shows no control characters" {
	printf 'x' >"$BATS_TEST_TMPDIR/a"$'\e'"[31mb"
	run nacre import "$BATS_TEST_TMPDIR/a"$'\e'"[31mb"
	assert_status 1
	refute_output_has $'\e'
	assert_output_has 'a\x1b[31mb'
}

@test "a layer of more entries than are kept in memory is the same as a small one" {
	mkdir "$BATS_TEST_TMPDIR/many"
	for ((i = 0; i < 3000; i++)); do echo "$i" >"$BATS_TEST_TMPDIR/many/f$i"; done
	ln "$BATS_TEST_TMPDIR/many/f0" "$BATS_TEST_TMPDIR/many/z"
	tar -C "$BATS_TEST_TMPDIR/many" --sort=name -cf "$BATS_TEST_TMPDIR/many.tar" .
	nacre import -q "$BATS_TEST_TMPDIR/many.tar" many:1
	assert_equal "$(nacre ls --json many:1 / | jq length)" 3001
	assert_equal "$(nacre cat many:1 z f2999 | paste -sd ' ')" "0 2999"
	nacre verify -q
	nacre export --layer "$(nacre layers --json many:1 | jq -r '.[0].DiffId')" | cmp - "$BATS_TEST_TMPDIR/many.tar"
	[ -z "$(ls "$NACRE_STORE/ingest")" ] || fail "the staging folder is still there"
}

@test "a layer of more xattrs than are kept in memory is the same as a small one" {
	python3 - "$BATS_TEST_TMPDIR/xattrs.tar" <<-'END'
		import sys, tarfile
		with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as tar:
		    for i in range(100):
		        entry = tarfile.TarInfo("f%d" % i)
		        entry.pax_headers = {"SCHILY.xattr.user.much": "%d " % i * 12000}
		        tar.addfile(entry)
	END
	nacre import -q "$BATS_TEST_TMPDIR/xattrs.tar" xattrs:1
	assert_equal "$(nacre ls --json xattrs:1 / | jq length)" 100
	nacre verify -q
	nacre export --layer "$(nacre layers --json xattrs:1 | jq -r '.[0].DiffId')" | cmp - "$BATS_TEST_TMPDIR/xattrs.tar"
}
