#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Faults that other union file systems were found to have, each of which changes images or loses data.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

lowest() {
	base_tree
	mkdir -p pkg/doc
	printf x >pkg/old
	printf x >pkg/doc/old
	head -c 100000 /dev/zero | tr '\0' L >database
}
middle() {
	: >.wh.pkg
}
topmost() {
	mkdir pkg
	printf new >pkg/new
}

setup_file() { make_lowers lowest middle topmost; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "after rm -rf and mkdir, a walk on a fresh mount that looks up old names finds none of them" {
	while fresh_mount; do
		rm -rf "$MNT/tree"
		mkdir "$MNT/tree"
		for as in upper lower; do
			unmount
			if [ "$as" = upper ]; then
				mount_kind "$KIND"
			else
				# The committed layer: what was the upper is a lower of the next mount.
				[[ $KIND == *store ]] && continue 2
				local options="lowerdir=$UPPER:$LOWERS"
				is_fake && options+=,fakeroot
				nacrefs -o "$options" "$MNT"
			fi
			in_python <<-'END'
				# As a walk over both trees does it: names of the lower, asked one by one, before any listing.
				for p in "tree/1", "tree/x", "tree/x/2", "tree/x/y", "tree/x/y/3":
				    fails(errno.ENOENT, os.lstat, p)
				eq(names("tree"), [])
				for p in "tree/1", "tree/x":
				    fails(errno.ENOENT, os.lstat, p)
			END
		done
	done
}

@test "a .wh. file in a middle layer hides what is below though a higher layer has the folder again" {
	while fresh_mount; do
		in_python <<-'END'
			for p in "pkg/old", "pkg/doc", "pkg/doc/old":
			    fails(errno.ENOENT, os.lstat, p)
			eq(names("pkg"), ["new"])
			write("pkg/more", b"")
		END
		remount
		assert_equal "$(ls "$MNT/pkg" | xargs)" "more new"
	done
}

@test "rm -r d; mkdir d at the root of the mount leaves an opaque mark" {
	while fresh_mount; do
		rm -r "$MNT/d"
		mkdir "$MNT/d"
		unmount
		getfattr -d -m - --absolute-names "$UPPER/d" | grep -Eq '^(trusted|user)\.overlay\.opaque="y"' ||
			[ -e "$UPPER/d/.wh..wh..opq" ] || fail "no opaque mark on d"
		mount_kind "$KIND"
		assert_equal "$(ls "$MNT/d")" ""
	done
}

@test "hard links of a lower have their link count" {
	while fresh_mount; do
		assert_equal "$(stat -c %h "$MNT/hl1" "$MNT/hl2" "$MNT/d/hl3" | xargs)" "3 3 3"
	done
}

@test "a file that is overwritten by shorter and by longer content has just that, before and after a remount" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("database", os.O_RDONLY)
			eq(len(os.read(fd, 1 << 20)), 100000)
			for size in 10, 300000, 99999, 0, 4097, 1:
			    write("database", b"N" * size)
			    eq(read("database"), b"N" * size)
			    eq(os.pread(fd, 1 << 20, 0), b"N" * size)
			write("tmp", b"short")
			os.rename("tmp", "database")
			eq(read("database"), b"short")
			eq(os.pread(fd, 10, 0), b"N")
		END
		remount
		assert_equal "$(cat "$MNT/database")" short
	done
}

@test "a file copied up while it is open and mapped has no stale pages" {
	while fresh_mount; do
		in_python <<-'END'
			f = open("database", "rb")
			m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
			eq(m[0:1] + m[50000:50001] + m[99999:], b"LLL")
			w = os.open("database", os.O_RDWR)
			for at in 0, 50000, 99999:
			    os.pwrite(w, b"W", at)
			    eq(m[at:at + 1], b"W")
			    eq(os.pread(f.fileno(), 1, at), b"W")
			eq(read("database").count(b"W"), 3)
		END
	done
}

@test "mkfifo and mknod obey the umask" {
	while fresh_mount; do
		(umask 027 && mkfifo "$MNT/f")
		assert_equal "$(stat -c %a "$MNT/f")" 640
	done
}

@test "xattr_permissions=2: a chmod after a chown keeps the owner, and both are in the record" {
	is_root || KINDS="fakeroot fakestore"
	is_root && KINDS=dirs
	while fresh_mount xattr_permissions=2; do
		in_python <<-'END'
			write("new", b"")
			for p in "new", "file", "d":
			    os.chown(p, 123, 456)
			    os.chmod(p, 0o751)
			    st = os.lstat(p)
			    eq((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (123, 456, 0o751), p)
			    os.chown(p, 124, -1)
			    eq((os.lstat(p).st_uid, os.lstat(p).st_gid, mode(p)), (124, 456, 0o751), p)
		END
		[[ $(getfattr -n user.containers.override_stat --only-values --absolute-names "$UPPER/new") == 124:456:*0751* ]] ||
			[[ $(getfattr -n user.containers.override_stat --only-values --absolute-names "$UPPER/new") == 124:456:*751* ]] ||
			fail "$(getfattr -d -m - "$UPPER/new")"
		remount
		assert_equal "$(stat -c '%u %g %a' "$MNT/file" "$MNT/d" "$MNT/new" | sort -u)" "124 456 751"
	done
}

@test "xattr_permissions=1 is the same under the name that only root may set" {
	KINDS=dirs
	if ! is_root; then
		mkdir -p "$UPPER" "$WORK"
		run nacrefs -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK,xattr_permissions=1" "$MNT"
		assert_status 1
		assert_output_has "option xattr_permissions=1: cannot set security.fuseoverlayfs.override_stat"
		return
	fi
	while fresh_mount xattr_permissions=1; do
		touch "$MNT/new"
		chown 123:456 "$MNT/new"
		chmod 4751 "$MNT/new"
		assert_equal "$(getfattr -n security.fuseoverlayfs.override_stat --only-values --absolute-names "$UPPER/new")" \
			"123:456:4751:file"
		assert_equal "$(getfattr -d -m - --absolute-names "$MNT/new")" ""
		remount
		assert_equal "$(stat -c '%u %g %a' "$MNT/new")" "123 456 4751"
		# And without the option, as a layer.
		unmount "$MNT"
		assert_equal "$(stat -c '%u %g' "$UPPER/new")" "0 0"
		nacrefs -o "lowerdir=$UPPER" "$MNT"
		assert_equal "$(stat -c '%u %g %a' "$MNT/new")" "123 456 4751"
	done
}

@test "recorded owners and devices of other writers are shown" {
	local low=$BATS_TEST_TMPDIR/recorded name names="user.containers.override_stat user.fuseoverlayfs.override_stat"
	! is_root || names+=" security.fuseoverlayfs.override_stat"
	for name in $names; do
		rm -rf "$low"
		mkdir -p "$low"
		touch "$low/plain" "$low/null" "$low/block" "$low/pipe" "$low/short"
		printf target >"$low/link"
		setfattr -n "$name" -v 0:0:0755:dir "$low"
		setfattr -n "$name" -v 11:12:4711:file "$low/plain"
		setfattr -n "$name" -v 0:0:0666:char-1-3 "$low/null"
		setfattr -n "$name" -v 0:6:0660:block-259-70000 "$low/block"
		setfattr -n "$name" -v 1:2:0600:pipe "$low/pipe"
		setfattr -n "$name" -v 5:6:0640 "$low/short"
		setfattr -n "$name" -v 7:8:0777:symlink "$low/link"
		nacrefs -o "lowerdir=$low,xattr_permissions=2" "$MNT"
		assert_equal "$(cd "$MNT" && stat -c '%n %F %a %u:%g %t:%T' plain null block pipe short link)" \
			"plain regular empty file 4711 11:12 0:0
null character special file 666 0:0 1:3
block block special file 660 0:6 103:11170
pipe fifo 600 1:2 0:0
short regular empty file 640 5:6 0:0
link symbolic link 777 7:8 0:0"
		assert_equal "$(readlink "$MNT/link")" target
		assert_equal "$(getfattr -d -m - "$MNT/plain")" ""
		unmount "$MNT"
	done
}

@test "every write asks for no xattr" {
	KINDS=$(one_kind)
	while fresh_mount; do
		in_python <<-'END'
			import json
			def asked():
			    text = subprocess.run([os.environ["NACREFS"], "--stats", "--json", "."], check=True, stdout=subprocess.PIPE).stdout
			    return json.loads(text)["RequestsByOpcode"]["GETXATTR"]

			fd = os.open("database", os.O_RDWR)
			os.pwrite(fd, b"x", 0)
			before = asked()
			for i in range(2000):
			    os.pwrite(fd, b"y" * 100, i * 100 % 90000)
			assert asked() - before <= 2, asked() - before
		END
	done
}

@test "files that were deleted do not come back with the next mount, nor the one after" {
	while fresh_mount; do
		find "$MNT" -type f -delete
		for _ in 1 2 3; do
			remount
			assert_equal "$(find "$MNT" -type f)" ""
			assert_equal "$(find "$MNT" -name deep)" "$MNT/d/sub/deep"
		done
	done
}
