#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where lowers and the upper may lie, and how they are named.
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

# lower NAME...: a folder with a file of its name in it.
lower() {
	local name
	for name; do
		mkdir -p "$name"
		echo "$name" >"$name/in ${name##*/}"
		echo "$name" >"$name/same"
	done
}

escaped() {
	local path=${1//\\/\\\\}
	path=${path//:/\\:}
	printf %s "${path//,/\\,}"
}

@test "every special character, in lowers, upper, workdir and mount point" {
	local names=('a:b' 'a::b' ':' 'a,b' 'a\b' 'a\:b' '\' 'a"b' "a'b" 'a b' 'a=b' $'a\nb' '-a' 'a%b' 'ä') name list=''
	lower "${names[@]/#/./}"
	mkdir -p 'up:p,e\r' 'wo:r,k\' 'm:n,t\ o'
	for name in "${names[@]}"; do
		list+=${list:+:}$(escaped "./$name")
	done
	nacrefs -o "lowerdir=$list,upperdir=$(escaped 'up:p,e\r'),workdir=$(escaped 'wo:r,k\')" 'm:n,t\ o'
	for name in "${names[@]}"; do
		assert_equal "$(cat "m:n,t\\ o/in $name")" "./$name"
	done
	assert_equal "$(cat 'm:n,t\ o/same')" "./a:b"
	echo new >'m:n,t\ o/new'
	unmount "$PWD/m:n,t\\ o"
	assert_equal "$(cat 'up:p,e\r/new')" new
}

@test "lowerdir+ takes colons as they are, and adds below" {
	lower 'x:y' 'x,y' z
	nacrefs -o 'lowerdir+=x:y,lowerdir+=x\,y,lowerdir+=z' mnt
	assert_equal "$(cat 'mnt/in x:y' 'mnt/in x,y' mnt/in\ z mnt/same | xargs)" "x:y x,y z x:y"
}

@test "500 lowers, with a small limit of open files" {
	local i list=''
	for ((i = 1; i <= 500; i++)); do
		mkdir -p "l/$i/d"
		echo "$i" >"l/$i/f$i"
		echo "$i" >"l/$i/d/f$i"
		echo "$i" >"l/$i/top"
		list=l/$i${list:+:$list}
	done
	(
		ulimit -Sn 700
		nacrefs -o "lowerdir=$list,upperdir=$UPPER,workdir=$WORK" "$MNT"
	)
	assert_equal "$(cat "$MNT/top")" 500
	assert_equal "$(find "$MNT/d" -type f | wc -l)" 500
	assert_equal "$(cat "$MNT"/d/f* | sort -n | md5sum)" "$(seq 500 | md5sum)"
	echo more >>"$MNT/d/f1"
	rm "$MNT/f2"
	mv "$MNT/d" "$MNT/moved"
	unmount
	nacrefs -o "lowerdir=$list,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(xargs <"$MNT/moved/f1")" "1 more"
	[ ! -e "$MNT/f2" ]
	assert_equal "$(find "$MNT/moved" -type f | wc -l)" 500
}

@test "more lowers than files may be open: refused by name, and nothing is mounted" {
	local i list=''
	for ((i = 1; i <= 100; i++)); do
		mkdir -p "l/$i"
		list=l/$i${list:+:$list}
	done
	run bash -c 'ulimit -n 64; "$1" -o "lowerdir=$2" "$3" 3>&-' - "$NACREFS" "$list" "$MNT"
	assert_status 1
	assert_output_has "Too many open files"
	run ! mountpoint -q "$MNT"
}

@test "a mount over one of its own lowers" {
	lower top low
	nacrefs -o "lowerdir=top:low,upperdir=$UPPER,workdir=$WORK" low
	assert_equal "$(cat "low/in top" "low/in low" low/same | xargs)" "top low top"
	mkdir low/new
	echo more >>"low/in low"
	rm low/same
	timeout 30 find low | wc -l
	unmount "$PWD/low"
	assert_equal "$(cat "low/in low" low/same | xargs)" "low low"
	assert_equal "$(xargs <"$UPPER/in low")" "low more"
}

@test "a mount over its only lower, and over the upper" {
	lower one
	nacrefs -o "lowerdir=one,upperdir=$UPPER,workdir=$WORK" one
	echo more >>one/same
	unmount "$PWD/one"
	assert_equal "$(cat one/same)" one
	nacrefs -o "lowerdir=one,upperdir=$UPPER,workdir=$WORK" "$UPPER"
	assert_equal "$(xargs <"$UPPER/same")" "one more"
	echo again >"$UPPER/again"
	mv "$UPPER/same" "$UPPER/moved"
	unmount "$UPPER"
	assert_equal "$(ls "$UPPER" | grep -v '^\.wh\.' | grep -vx same | xargs)" "again moved"
}

@test "a mount over the folder that holds its lowers, its upper and its workdir" {
	mkdir -p p/upper p/work
	lower p/low
	nacrefs -o "lowerdir=p/low,upperdir=p/upper,workdir=p/work" p
	assert_equal "$(ls p | xargs -d '\n' | xargs)" "in low same"
	echo new >p/new
	echo more >>p/same
	mkdir p/dir
	mv p/dir p/moved
	[ ! -e p/upper ]
	unmount "$PWD/p"
	assert_equal "$(cat p/upper/new)" new
	[ -d p/upper/moved ]
	assert_equal "$(cat p/low/same)" p/low
}

@test "a lower named by a symlink and .. is the one that the kernel finds" {
	mkdir -p store/l store/over/real store/l/wrong
	lower store/over/diff1 store/diff1
	ln -s ../over/real store/l/LINK
	nacrefs -o "lowerdir=$PWD/store/l/LINK/../diff1" "$MNT"
	assert_equal "$(cat "$MNT/same")" store/over/diff1
}

@test "the same lower twice, and one inside another" {
	lower a a/inner
	nacrefs -o "lowerdir=a/inner:a:a,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(cat "$MNT/same" "$MNT/in a" "$MNT/in inner" "$MNT/inner/same" | xargs)" "a/inner a a/inner a/inner"
	echo more >>"$MNT/same"
	assert_equal "$(cat "$MNT/inner/same")" a/inner
}

# replace KIND FOLDER: what has the names a, b and c there goes, and a new file of the names x, y and z gets its number.
replace() {
	local status=0
	python3 - "$@" <<-'END' || status=$?
		import os, sys
		kind, folder = sys.argv[1:]
		os.chdir(folder)
		number = os.lstat("a").st_ino
		for name in "abc":
		    os.unlink(name)
		for i in range(20000):
		    name = f"new{i}"
		    if kind == "symlink":
		        os.symlink("new", name)
		    else:
		        with open(name, "w") as file:
		            file.write("new\n")
		    if os.lstat(name).st_ino == number:
		        break
		else:
		    sys.exit(3)
		for other in "xyz":
		    os.link(name, other, follow_symlinks=False)
		for j in range(i + 1):
		    os.unlink(f"new{j}")
	END
	[ "$status" != 3 ] || skip "this file system gives no number twice"
	[ "$status" = 0 ]
}

# several_names KIND FOLDER: a file of the names a, b and c.
several_names() {
	mkdir "$2"
	if [ "$1" = symlink ]; then
		ln -s old "$2/a"
	else
		echo old >"$2/a"
	fi
	[ "$(stat -c %W "$2/a")" != 0 ] || skip "this file system keeps no birth times"
	ln "$2/a" "$2/b"
	ln "$2/a" "$2/c"
}

mount_lower() { nacrefs -o "lowerdir=$1,upperdir=$UPPER,workdir=$WORK" "$MNT"; }

@test "a lower's new file that has got the number of one that was copied up is not taken for it" {
	local i
	several_names file lower
	mount_lower lower
	echo changed >>"$MNT/a"
	unmount
	replace file lower
	for i in 1 2; do
		mount_lower lower
		assert_equal "$(cd "$MNT" && cat x y z | uniq -c | xargs)" "3 new"
		assert_equal "$(stat -c %h "$MNT/y")" 3
		assert_equal "$(cat "$MNT/a" | xargs)" "old changed"
		unmount
	done
	mount_lower lower
	echo changed too >>"$MNT/x"
	rm "$MNT/a"
	for i in 1 2; do
		assert_equal "$(cat "$MNT/z" | xargs)" "new changed too"
		assert_equal "$(stat -c %h:%i "$MNT/y")" "3:$(stat -c %i "$MNT/x")"
		[ ! -e "$MNT/a" ]
		unmount
		mount_lower lower
	done
}

@test "a lower's new symlink that has got the number of one that was copied up is not taken for it" {
	several_names symlink lower
	mount_lower lower
	touch -h "$MNT/a"
	unmount
	replace symlink lower
	mount_lower lower
	assert_equal "$(cd "$MNT" && readlink x y z a | xargs)" "new new new old"
}

@test "a lower's new file that has got the number of one whose names were removed has all its names" {
	several_names file lower
	mount_lower lower
	rm "$MNT/b" "$MNT/c"
	unmount
	replace file lower
	mount_lower lower
	assert_equal "$(stat -c %h "$MNT/x")" 3
	echo changed >>"$MNT/x"
	assert_equal "$(cat "$MNT/y" | xargs)" "new changed"
}

# as_before [BIRTH]: the index is as older drivers have left it: copies and counts by device and number alone.  Such a
# copy had its birth time recorded by all but the oldest.
as_before() {
	python3 - "$WORK/links" lower/a trusted "$@" <<-'END'
		import os, sys
		index, lower, space, *birth = sys.argv[1:]
		space = space if os.geteuid() == 0 else "user"
		lower = os.lstat(lower)
		name = f"d{lower.st_dev:x}-{lower.st_ino:x}"
		for entry in os.listdir(index):
		    if entry.endswith(".names"):
		        os.rename(f"{index}/{entry}", f"{index}/{name}.names")
		        continue
		    os.rename(f"{index}/{entry}", f"{index}/{name}")
		    names = os.getxattr(f"{index}/{name}", f"{space}.overlay.nacre.index").split()[-1]
		    os.setxattr(f"{index}/{name}", f"{space}.overlay.nacre.index", name.encode() + b" " + names)
		    number = os.getxattr(f"{index}/{name}", f"{space}.overlay.nacre.ino").split()
		    if not birth:
		        os.setxattr(f"{index}/{name}", f"{space}.overlay.nacre.ino", number[0])
	END
}

@test "the copies and counts of an older driver's index are found, and go on counting" {
	local birth
	for birth in '' birth; do
		several_names file lower
		mount_lower lower
		echo changed >>"$MNT/a"
		unmount
		as_before $birth
		mount_lower lower
		assert_equal "$(cat "$MNT/c" | xargs)" "old changed"
		rm "$MNT/c"
		assert_equal "$(stat -c %h "$MNT/b")" 2
		unmount
		mount_lower lower
		assert_equal "$(stat -c %h "$MNT/b")" 2
		rm "$MNT/a" "$MNT/b"
		assert_equal "$(ls "$WORK/links")" ''
		unmount
		rm -r lower
		clear_upper
		mkdir "$UPPER" "$WORK"
	done
	several_names file lower
	mount_lower lower
	rm "$MNT/c"
	unmount
	as_before
	mount_lower lower
	assert_equal "$(stat -c %h "$MNT/b")" 2
	rm "$MNT/b"
	unmount
	mount_lower lower
	assert_equal "$(stat -c %h "$MNT/a")" 1
}

@test "a copy in an older driver's index is not taken for that of a new file where its birth time was recorded" {
	several_names file lower
	mount_lower lower
	echo changed >>"$MNT/a"
	unmount
	as_before birth
	replace file lower
	mount_lower lower
	assert_equal "$(cd "$MNT" && cat x y z | uniq -c | xargs)" "3 new"
	echo changed too >>"$MNT/x"
	assert_equal "$(cat "$MNT/z" | xargs)" "new changed too"
	assert_equal "$(cat "$MNT/a" | xargs)" "old changed"
}
