#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Lowers and uppers on file systems of their own.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	setup_store
	cd "$BATS_TEST_TMPDIR" || exit
	mkdir -p "$UPPER" "$WORK"
}
teardown() {
	cd / || exit
	unmount_all
}

# ext4_at FOLDER [OPTIONS]: a small file system of its own there.
ext4_at() {
	mkdir -p "$1"
	truncate -s 8M "$1.img"
	mkfs.ext4 -q "${@:2}" "$1.img"
	mount -o loop "$1.img" "$1"
}

@test "lowers on tmpfs and on ext4 images, where different files have the same number: each is itself" {
	local i ino
	for i in 1 2 3; do
		ext4_at "ext$i"
		mkdir "ext$i/d"
		echo "content $i" >"ext$i/d/file$i"
		ln "ext$i/d/file$i" "ext$i/d/link$i"
	done
	mkdir tmp
	mount -t tmpfs tmpfs tmp
	mkdir tmp/d
	echo "content 4" >tmp/d/file4
	assert_equal "$(stat -c %i ext1/d/file1)" "$(stat -c %i ext2/d/file2)"
	nacrefs -o "lowerdir=ext1:ext2:tmp:ext3,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(ls "$MNT/d" | xargs)" "file1 file2 file3 file4 link1 link2 link3"
	for i in 1 2 3 4; do
		assert_equal "$(cat "$MNT/d/file$i")" "content $i"
	done
	assert_equal "$(stat -c %i "$MNT"/d/file* | sort -u | wc -l)" 4
	assert_equal "$(stat -c %d "$MNT"/d/* "$MNT/d" | sort -u | wc -l)" 1
	for i in 1 2 3; do
		assert_equal "$(stat -c %h:%i "$MNT/d/file$i")" "$(stat -c %h:%i "$MNT/d/link$i")"
	done
	ino=$(stat -c %i "$MNT"/d/*)
	echo more >>"$MNT/d/file2"
	chmod 600 "$MNT/d/file4"
	assert_equal "$(cat "$MNT/d/link2" | xargs)" "content 2 more"
	assert_equal "$(cat "$MNT/d/link1")" "content 1"
	assert_equal "$(stat -c %i "$MNT"/d/*)" "$ino"
	unmount
	nacrefs -o "lowerdir=ext1:ext2:tmp:ext3,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(stat -c %i "$MNT"/d/*)" "$ino"
}

@test "a file system that is mounted inside a lower shows, as through any directory" {
	mkdir -p low/sub
	echo below >low/sub/below
	mount -t tmpfs tmpfs low/sub
	echo above >low/sub/above
	nacrefs -o "lowerdir=low,upperdir=$UPPER,workdir=$WORK" "$MNT"
	ls -R "$MNT"
	echo more >>"$MNT/sub/above"
	assert_equal "$(xargs <"$MNT/sub/above")" "above more"
	assert_equal "$(cat low/sub/above)" above
}

@test "what is mounted in the upperdir is no part of it, and may be a lower; the upperdir by another path may not" {
	mkdir -p low "$UPPER/low" other
	echo low >low/file
	mount --bind low "$UPPER/low"
	nacrefs -o "lowerdir=$UPPER/low,upperdir=$UPPER,workdir=$WORK" "$MNT"
	echo more >>"$MNT/file"
	assert_equal "$(cat low/file "$UPPER/file" | xargs)" "low low more"
	unmount
	umount "$UPPER/low"
	mount --bind "$UPPER" other
	run nacrefs -o "lowerdir=other,upperdir=$UPPER,workdir=$WORK" "$MNT"
	umount other
	assert_equal "$status:$output" "1:nacrefs: lowerdir $PWD/other is the folder of upperdir $UPPER"
}

@test "a lower on a read-only file system of its own is free at once after the unmount" {
	local i
	ext4_at ext
	echo x >ext/file
	umount ext
	for i in 1 2 3 4 5; do
		mount -o loop,ro ext.img ext
		nacrefs -o "lowerdir=ext,upperdir=$UPPER,workdir=$WORK" "$MNT"
		cat "$MNT/file" >/dev/null
		echo more >>"$MNT/file"
		unmount
		umount ext
	done
}

# A file of two names is copied up through one; in its place comes another, of the same number.
@test "a number that ext4 gives again at once is that of another file" {
	local number
	ext4_at ext
	echo old >ext/a
	ln ext/a ext/b
	number=$(stat -c %i ext/a)
	nacrefs -o "lowerdir=ext,upperdir=$UPPER,workdir=$WORK" "$MNT"
	echo changed >>"$MNT/a"
	unmount
	rm ext/a ext/b
	echo new >ext/x
	ln ext/x ext/y
	assert_equal "$(stat -c %i ext/x)" "$number"
	nacrefs -o "lowerdir=ext,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(cat "$MNT"/[axy] | xargs)" "old changed new new"
	echo changed too >>"$MNT/y"
	unmount
	nacrefs -o "lowerdir=ext,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(cat "$MNT"/[axy] | xargs)" "old changed new changed too new changed too"
	assert_equal "$(stat -c %h "$MNT/x")" 2
}

@test "a file system without birth times: a lower's hard links stay one over remounts, copied up or not" {
	local i
	ext4_at ext -I 128
	for i in a b c; do
		echo old >"ext/$i"
		ln "ext/$i" "ext/$i-too"
		ln "ext/$i" "ext/$i-three"
	done
	assert_equal "$(stat -c %W ext/a)" 0
	nacrefs -o "lowerdir=ext,upperdir=$UPPER,workdir=$WORK" "$MNT"
	echo changed >>"$MNT/a"
	rm "$MNT/b-too"
	for i in 1 2; do
		unmount
		nacrefs -o "lowerdir=ext,upperdir=$UPPER,workdir=$WORK" "$MNT"
		assert_equal "$(cd "$MNT" && cat a-three b-three | xargs)" "old changed old"
		assert_equal "$(cd "$MNT" && stat -c %h a-too b c | xargs)" "3 2 3"
	done
}

@test "the lower moved to another device: what was copied up stays, its other names are the lower's again" {
	ext4_at one
	ext4_at two
	echo old >one/a
	ln one/a one/b
	cp -a one/. two/
	nacrefs -o "lowerdir=one,upperdir=$UPPER,workdir=$WORK" "$MNT"
	echo changed >>"$MNT/a"
	unmount
	nacrefs -o "lowerdir=two,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(cat "$MNT/a" "$MNT/b" | xargs)" "old changed old"
	unmount
	nacrefs -o "lowerdir=one,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(cat "$MNT/a" "$MNT/b" | xargs)" "old changed old changed"
}
