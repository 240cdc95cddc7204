# SPDX-License-Identifier: Apache-2.0
# What a container started from, mounted beside it as podman does for a diff: one device for both, and one number for what
# has not changed, so that containers/storage passes over it.

load ../lib/common

setup() {
	H=$BATS_TEST_TMPDIR/overlay
	mkdir -p "$H"/{base,low,ctr}/{diff,work,merged}
	touch "$H"/{base,low,ctr}/link
	python3 - "$H/low/diff" "$H/base/diff" <<-'END'
		import os, sys
		low, base = sys.argv[1:]
		for top, count in (low, 12), (base, 6):
		    for folder in "", "a", "a/b", "a/b/c", "same", "same/deep", "gone", "redone", "moved":
		        os.makedirs(f"{top}/{folder}", exist_ok=True)
		        for i in range(count):
		            with open(f"{top}/{folder}/{os.path.basename(top[:-5])}{i}", "w") as file:
		                file.write("x" * (i + 1))
	END
}
teardown() { unmount_all; }

container() { nacrefs -o "lowerdir=$H/base/diff:$H/low/diff,upperdir=$H/ctr/diff,workdir=$H/ctr/work${1:+,$1}" "$H/ctr/merged"; }
base() { nacrefs -o "lowerdir=$H/base/diff:$H/low/diff${1:+,$1}" "$H/base/merged"; }
device() { stat -c %d "$1"; }
stopped() { nacrefs -o "lowerdir=$H/ctr/diff:$H/base/diff:$H/low/diff,ro${1:+,$1}" "$H/ctr/merged"; }
is_shared() { [ "$(device "$H/ctr/merged")" = "$(device "$H/base/merged")" ]; }

# Writes that go by the driver, or come to it in more than one queue, it cannot tell in time: then each is a mount of its own,
# and what changed is to be found all the same.
can_share() { [[ ${NACRE_MOUNT_OPTIONS:-} != *@(passthrough|io_uring)* ]]; }
assert_shared() {
	if can_share; then
		is_shared
	else
		! is_shared
	fi
}

# What a walk over both finds, passing over entries as containers/storage does, and what it finds without: the same.
assert_same_changes() {
	python3 - "$H/ctr/merged" "$H/base/merged" "$(! can_share || echo shared)" <<-'END'
		import os, stat, sys

		def entries(path):
		    with os.scandir(path) as found:
		        return {entry.name: entry.inode() for entry in found}

		def facts(path):
		    st = os.lstat(path)
		    data = os.readlink(path) if stat.S_ISLNK(st.st_mode) else b""
		    if stat.S_ISREG(st.st_mode):
		        with open(path, "rb") as file:
		            data = file.read()
		    size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
		    return (st.st_mode, st.st_uid, st.st_gid, st.st_rdev, st.st_mtime_ns, size, data)

		def is_folder(path):
		    return os.path.isdir(path) and not os.path.islink(path)

		def walk(one, two, passing, changes, visits):
		    a = entries(one) if is_folder(one) else {}
		    b = entries(two) if is_folder(two) else {}
		    one_device = a and b and os.lstat(one).st_dev == os.lstat(two).st_dev
		    for name in sorted({*a, *b}):
		        x, y = os.path.join(one, name), os.path.join(two, name)
		        if passing and one_device and a.get(name) == b.get(name):
		            continue
		        visits.append(x)
		        if name not in a or name not in b or facts(x) != facts(y):
		            changes.append(os.path.relpath(x, sys.argv[1]))
		        walk(x if name in a else os.devnull, y if name in b else os.devnull, passing, changes, visits)

		found, visited, wanted, everything = [], [], [], []
		walk(sys.argv[1], sys.argv[2], True, found, visited)
		walk(sys.argv[1], sys.argv[2], False, wanted, everything)
		print(len(visited), "of", len(everything), *found, sep="\n")
		assert found == wanted, sorted({*found} ^ {*wanted})
		assert found and (2 * len(visited) < len(everything) or not sys.argv[3])
	END
}

@test "a base beside a fresh container: one device, and nothing to look at" {
	container
	base
	assert_shared
	[ "$(find "$H/ctr/merged" -mindepth 1 -printf '%i %P\n' | sort)" = "$(find "$H/base/merged" -mindepth 1 -printf '%i %P\n' | sort)" ]
	[ "$(find "$H/base/merged" | wc -l)" -gt 100 ]
	# It is read-only, and its name is nowhere.
	run touch "$H/base/merged/new"
	assert_status 1
	run touch -d @0 "$H/base/merged/same/low1"
	assert_status 1
	run bash -c "ls -a '$H/ctr/merged' | grep nacre-base"
	assert_status 1
}

@test "a walk that passes over what has one number finds each change" {
	container
	(
		cd "$H/ctr/merged"
		echo more >>a/b/low1
		chmod 600 a/b/c/low2
		touch -d @0 a/low3
		rm a/b/base1
		rm -r gone
		rm -r redone
		mkdir redone
		echo new >redone/low1
		mv moved elsewhere
		mkdir moved
		echo x >moved/low0
		ln a/low4 a/linked
		ln -s low5 a/symlink
		mkfifo a/fifo
		cp -p a/low6 a/tmp
		mv a/tmp a/low6
	)
	base
	assert_shared
	assert_same_changes
	# And again, when that one is gone and more has changed.
	unmount "$H/base/merged"
	echo more >>"$H/ctr/merged/same/low1"
	base
	assert_shared
	run assert_same_changes
	assert_status 0
	assert_output_has same/low1
	unmount "$H/base/merged"
	# And on a new mount of the same upper.
	unmount "$H/ctr/merged"
	container
	base
	assert_shared
	run assert_same_changes
	assert_status 0
	assert_output_has same/low1
}

# Newer containers/storage mounts both read-only.
@test "a container that does not run, and its base: one device, and each change is found" {
	container
	(
		cd "$H/ctr/merged"
		echo more >>a/b/low1
		chmod 600 a/b/c/low2
		rm a/b/base1
		rm -r gone redone
		mkdir redone
		echo new >redone/low1
		touch -d @0 a/low3 same
		ln -s low5 a/symlink
	)
	unmount "$H/ctr/merged"
	stopped
	base ro
	assert_shared
	run assert_same_changes
	assert_status 0
	assert_output_has a/b/c/low2
	run touch "$H/ctr/merged/new" "$H/base/merged/new"
	assert_status 1
	unmount "$H/base/merged"
	base ro
	assert_shared
	# Where files are known to have no xattrs the kernel soon asks for none, in either.
	case $(stat -f -c %t "$H") in
	ef53 | 58465342 | 9123683e | 1021994)
		python3 - "$H/ctr/merged" "$H/base/merged" <<-'END'
			import errno, os, sys
			names = [os.path.join(folder, name) for top in sys.argv[1:] for folder, _, names in os.walk(top) for name in names]
			for name in names * 2:
			    try:
			        assert os.listxattr(name, follow_symlinks=False) == []
			    except OSError as error:
			        assert error.errno == errno.ENOTSUP, error
			        sys.exit(0)
			sys.exit("the kernel still asks")
		END
		;;
	esac
	# The names of other layers than those below it: a mount of its own.
	unmount "$H/base/merged"
	nacrefs -o "lowerdir=$H/low/diff,ro" "$H/base/merged"
	! is_shared
}

@test "a container that does not run shows a change under all names of a file" {
	ln "$H/low/diff/same/low1" "$H/low/diff/a/other"
	container
	echo more >>"$H/ctr/merged/same/low1"
	[ "$(cat "$H/ctr/merged/a/other")" = xxmore ]
	unmount "$H/ctr/merged"
	mkdir -p "$H/ctr/work/work/being-written"
	stopped
	[ "$(cat "$H/ctr/merged/a/other")" = xxmore ]
	[ "$(stat -c %h "$H/ctr/merged/same/low1")" = 2 ]
	run touch "$H/ctr/merged/new"
	assert_status 1
	assert_output_has "Read-only file system"
	# What another mount that can be written to has there stays.
	[ -d "$H/ctr/work/work/being-written" ]
	base ro
	! is_shared
	[ "$(cat "$H/base/merged/a/other")" = xx ]
}

@test "what the kernel has not written back yet is a change too" {
	container
	python3 - "$H/ctr/merged/a/b/low" "$H/base/merged" "$NACREFS" "lowerdir=$H/base/diff:$H/low/diff" \
		"$(! can_share || echo shared)" <<-'END'
		import mmap, os, subprocess, sys
		names = [sys.argv[1] + str(i) for i in range(12)]
		files = [open(name, "r+b") for name in names]
		maps = [mmap.mmap(file.fileno(), 0) for file in files[:6]]
		for each in maps:
		    each[0] = ord("y")
		for file in files[6:]:
		    file.write(b"y")
		    file.flush()
		subprocess.run([sys.argv[3], "-o", sys.argv[4], sys.argv[2]], check=True)
		base = sys.argv[2] + "/a/b/low"
		assert (os.stat(base + "0").st_dev == os.stat(names[0]).st_dev) == bool(sys.argv[5])
		for i, name in enumerate(names):
		    assert os.stat(name).st_ino != os.stat(base + str(i)).st_ino or not sys.argv[5], name
		    with open(base + str(i), "rb") as file:
		        assert file.read(1) == b"x"
	END
}

@test "a copy that shows under names in folders the upper does not have: a mount of its own" {
	ln "$H/low/diff/same/low1" "$H/low/diff/a/other"
	container
	echo more >>"$H/ctr/merged/same/low1"
	base
	! is_shared
	[ "$(cat "$H/base/merged/a/other")" = xx ]
}

@test "other lowers or options: a mount of its own" {
	container
	nacrefs -o "lowerdir=$H/low/diff" "$H/base/merged"
	! is_shared
	unmount "$H/base/merged"
	base squash_to_root
	! is_shared
	unmount "$H/base/merged"
	# A container of its own, although nobody may write to it.
	mkdir -p "$H"/second/{diff,work,merged}
	touch "$H"/second/{link,diff/own}
	nacrefs -o "lowerdir=$H/base/diff:$H/low/diff,upperdir=$H/second/diff,workdir=$H/second/work,ro" "$H/second/merged"
	[ -e "$H/second/merged/own" ]
	mkdir "$BATS_TEST_TMPDIR/mnt"
	nacrefs -o "lowerdir=$H/base/diff:$H/low/diff" "$BATS_TEST_TMPDIR/mnt"
	[ "$(device "$BATS_TEST_TMPDIR/mnt")" != "$(device "$H/ctr/merged")" ]
}

@test "the newest of several containers is asked, and a base outlives it" {
	local pids
	mkdir -p "$H"/second/{diff,work,merged}
	touch "$H/second/link"
	container
	nacrefs -o "lowerdir=$H/base/diff:$H/low/diff,upperdir=$H/second/diff,workdir=$H/second/work" "$H/second/merged"
	base
	! can_share || [ "$(device "$H/base/merged")" = "$(device "$H/second/merged")" ]
	pids=$(driver_pids "$H/second/merged")
	umount "$H/second/merged"
	[ "$(cat "$H/base/merged/a/low1")" = xx ]
	umount "$H/base/merged"
	wait_gone "$pids"
	[ -z "$(driver_pids "$H/base/merged")" ]
}

@test "many bases in turn, each of what is there then" {
	local i
	container
	for i in $(seq 40); do
		echo "$i" >>"$H/ctr/merged/same/low$((i % 12))"
		base
		assert_shared
		! can_share || [ "$(stat -c %i "$H/ctr/merged/same/low$((i % 12))")" != "$(stat -c %i "$H/base/merged/same/low$((i % 12))")" ]
		[ "$(cat "$H/base/merged/same/base1")" = xx ]
		umount "$H/base/merged"
	done
}

# The kernel asks when it may not use what it was told, as where it has forgotten something else meanwhile.
@test "a number that is asked for again is the one that was told" {
	container
	echo more >>"$H/ctr/merged/same/low1"
	base
	assert_shared
	python3 - "$H/base/merged" <<-'END'
		import os, subprocess, sys
		count = 0
		for folder, names, files in os.walk(sys.argv[1]):
		    with os.scandir(folder) as found:
		        for entry in found:
		            count += 1
		            for form in "%i", "%i %W": # with the birth time it is another request
		                out = subprocess.check_output(["stat", "--cached=never", "-c", form, entry.path])
		                assert int(out.split()[0]) == entry.inode(), entry.path
		assert count > 100
	END
}

@test "who is in another mount namespace is given none" {
	container
	# shellcheck disable=SC2016
	run unshare --mount --propagation=private sh -c '"$1" -o "lowerdir=$2/base/diff:$2/low/diff" "$2/base/merged" &&
		stat -c %d "$2/base/merged" && umount "$2/base/merged"' sh "$NACREFS" "$H" 3>&- 4>&-
	assert_status 0
	[ "$output" != "$(device "$H/ctr/merged")" ]
}

@test "a base with no layer below it, to which podman gives an empty folder as a lower" {
	mkdir "$H/base/empty"
	nacrefs -o "lowerdir=$H/base/diff,upperdir=$H/ctr/diff,workdir=$H/ctr/work" "$H/ctr/merged"
	echo more >>"$H/ctr/merged/same/base1"
	nacrefs -o "lowerdir=$H/base/diff:$H/base/empty" "$H/base/merged"
	assert_shared
	run assert_same_changes
	assert_status 0
	assert_output_has same/base1
	unmount "$H/base/merged"
	# What is in it counts.
	touch "$H/base/empty/file"
	nacrefs -o "lowerdir=$H/base/diff:$H/base/empty" "$H/base/merged"
	! is_shared
	[ -e "$H/base/merged/file" ]
}
