#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Two files never show one st_ino, also when a lower has changed between two mounts and its file system has given a number again.
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	setup_store
	cd "$BATS_TEST_TMPDIR" || exit
	mkdir -p "$UPPER" "$WORK" lower/d lower/in/deep
	echo old >lower/a
	echo old >lower/d/a
	echo old >lower/in/deep/a
}
teardown() {
	cd / || exit
	unmount_all
}

mount_lower() { nacrefs -o "lowerdir=lower,upperdir=$UPPER,workdir=$WORK${1:+,$1}" "$MNT"; }
again() {
	unmount
	mount_lower "$@"
}

# give_again KIND OLD [FOLDER]: OLD is removed, and a file (or folder) "new" in FOLDER, or in the lower, gets its number.  Somebody
# else on the machine may be given it first, and have it for a while; where he keeps it, "new" has another one.
give_again() {
	python3 - "$@" <<-'END'
		import os, shutil, sys, time
		kind, old, folder = (sys.argv[1:] + ["lower"])[:3]
		number = os.lstat(old).st_ino
		make, remove = (os.mkdir, os.rmdir) if kind == "dir" else (lambda name: open(name, "x").close(), os.unlink)

		def is_given():
		    made = []
		    for i in range(20000):
		        made.append(f"{folder}/try{i}")
		        make(made[-1])
		        if os.lstat(made[-1]).st_ino == number:
		            os.rename(made.pop(), f"{folder}/new")
		            break
		    for name in made:
		        remove(name)
		    return os.path.exists(f"{folder}/new")

		shutil.rmtree(old) if kind == "dir" else os.unlink(old)
		end = time.monotonic() + 10
		while not is_given():
		    if time.monotonic() > end:
		        print("# nobody is given", number, "again")
		        make(f"{folder}/new")
		        break
	END
}

# No two of the mount have one number, and listings say the same as stat(2).
all_differ() {
	in_python <<-'END'
		seen = {}
		for top, folders, files in os.walk("."):
		    same_listing(top)
		    for name in [os.path.join(top, n) for n in folders + files]:
		        st = os.lstat(name)
		        other = seen.setdefault(st.st_ino, name)
		        assert other == name or (st.st_nlink > 1 and not stat.S_ISDIR(st.st_mode)), (name, other, st.st_ino)
	END
}

# number NAME...: of files in the mount.
numbers() { (cd "$MNT" && stat -c '%n %i' "$@"); }

@test "a copy does not share its number with a new file of the lower" {
	local i before
	mount_lower
	echo more >>"$MNT/a"
	unmount
	give_again file lower/a
	mount_lower
	all_differ
	before=$(numbers a new d/a)
	for i in 1 2; do
		again
		assert_equal "$(numbers a new d/a)" "$before"
	done
	echo more >>"$MNT/new"
	assert_equal "$(numbers a new d/a)" "$before"
	again
	all_differ
	assert_equal "$(numbers a new d/a)" "$before"
}

@test "nor does a copy that was renamed, or has got a second name" {
	local way
	for way in 'mv a b' 'mv a d/b' 'mv a d/a' 'ln a b && rm a' 'ln a d/b' 'mv d e && mv a e/b && rm e/a'; do
		mount_lower
		(cd "$MNT" && chmod 600 a && eval "$way")
		unmount
		give_again file lower/a
		mount_lower
		all_differ
		unmount
		clear_upper
		mkdir -p "$UPPER" "$WORK"
		mv lower/new lower/a
	done
}

@test "nor does a copy of which only the attributes are in the upper" {
	truncate -s 100000 lower/a
	mount_lower metacopy=on
	mv "$MNT/a" "$MNT/b"
	echo more >>"$MNT/b"
	mkdir "$MNT/e"
	mv "$MNT/d/a" "$MNT/e"
	unmount
	give_again file lower/a
	mount_lower metacopy=on
	all_differ
}

@test "nor does the copy of a folder" {
	mount_lower
	chmod 700 "$MNT/in/deep" "$MNT/d"
	mv "$MNT/d" "$MNT/moved"
	unmount
	give_again dir lower/in/deep
	mount_lower
	all_differ
	unmount
	give_again dir lower/d lower/in
	mount_lower
	all_differ
}

@test "nor does a new file of the upper get the number of a copy" {
	local before
	mount_lower
	chmod 600 "$MNT/a"
	mv "$MNT/d/a" "$MNT/moved"
	before=$(stat -c %i lower/a lower/d/a | sort)
	unmount
	rm lower/a lower/d/a
	mount_lower
	all_differ
	in_python "$MNT" "$before" <<-'END'
		wanted = {int(n) for n in sys.argv[1].split()}
		for i in range(20000):
		    with open(f"try{i}", "w"):
		        pass
		    wanted.discard(os.lstat("../upper/" + f"try{i}").st_ino)
		    if not wanted:
		        break
	END
	again
	all_differ
}

@test "a copy of one of several names does not take the number of those that the index has no more" {
	ln lower/a lower/b
	ln lower/a lower/c
	mount_lower
	echo more >>"$MNT/a"
	all_differ
	unmount
	rm -r "$WORK"
	mkdir "$WORK"
	mount_lower
	all_differ
	assert_equal "$(cat "$MNT/a" "$MNT/b" | xargs)" "old more old"
}

# What every program may count on where the lower is what it was.
@test "as long as the lower has what was copied, numbers stay: renamed, exchanged, linked, in folders that were renamed" {
	local before after i
	ln lower/in/deep/a lower/in/twice
	truncate -s 100000 lower/large
	mkdir -p lower/x lower/y
	echo x >lower/x/f
	echo y >lower/y/f
	mount_lower
	in_python <<-'END'
		import ctypes, json
		def number(name):
		    return os.lstat(name).st_ino
		def exchange(a, b):
		    libc = ctypes.CDLL(None, use_errno=True)
		    eq(libc.renameat2(-100, a.encode(), -100, b.encode(), 2), 0)
		want = {}
		for old, new in (("a", "moved"), ("d", "in/e"), ("in/deep/a", "once"), ("large", "d2")):
		    want[new] = number(old)
		    os.rename(old, new)
		append("d2", b"!")
		want["in/e/a"] = number("in/e/a")
		append("in/e/a", b"!")
		for _ in range(3):
		    os.rename("in/e/a", "in/e/b")
		    os.rename("in/e/b", "in/e/a")
		want["x/f"], want["y/f"] = number("y/f"), number("x/f")
		exchange("x/f", "y/f")
		want["x"], want["y"] = number("y"), number("x")
		exchange("x", "y")
		want["x/f"], want["y/f"] = want["y/f"], want["x/f"]
		os.link("moved", "linked")
		want["linked"] = want["moved"]
		want["in/twice"] = number("in/twice")
		for name, ino in want.items():
		    eq((name, number(name)), (name, ino))
		with open("../want", "w") as file:
		    json.dump(want, file)
	END
	for i in 1 2; do
		again
		[ "$i" = 1 ] || (cd "$MNT" && mv moved in/e/moved && mv in/e/moved moved && mv in f && mv f in)
		in_python "$MNT" "$i" <<-'END'
			import json
			with open("../want") as file:
			    want = json.load(file)
			for name, ino in sorted(want.items(), reverse=sys.argv[1] == "2"):
			    eq((name, os.lstat(name).st_ino), (name, ino))
		END
		all_differ
	done
}
