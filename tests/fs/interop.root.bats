#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The kernel's overlayfs and nacrefs read what the other has written.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# As a kernel overlayfs leaves its layers: 0:0 devices, xattrs.
lowest() {
	base_tree
	mkdir -p opaque/in gone-dir/in deep/er/est
	printf x >opaque/old
	printf x >opaque/in/old
	printf x >gone
	printf x >gone-dir/in/x
	printf x >deep/er/est/f
}
topmost() {
	mkdir -p opaque d
	printf new >opaque/new
	setfattr -n trusted.overlay.opaque -v y opaque
	mknod gone c 0 0
	mknod gone-dir c 0 0
	mknod d/a c 0 0
	printf B >d/b
}

setup_file() {
	export LOWERS_DIR=$BATS_FILE_TMPDIR/lowers
	mkdir -p "$LOWERS_DIR/1" "$LOWERS_DIR/2"
	(cd "$LOWERS_DIR/1" && lowest)
	(cd "$LOWERS_DIR/2" && topmost)
	export LOWERS=$LOWERS_DIR/2:$LOWERS_DIR/1
	list_tree "$LOWERS_DIR" >"$BATS_FILE_TMPDIR/lowers.before"
}
setup() {
	setup_store
	KERNEL=$BATS_TEST_TMPDIR/kernel
	mkdir -p "$UPPER" "$WORK" "$KERNEL"
}
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

kernel_options=('redirect_dir=on,index=off,metacopy=on' 'redirect_dir=off,index=off,metacopy=off'
	'redirect_dir=on,index=off,metacopy=on,xino=off')

by_kernel() {
	mkdir -p "$UPPER" "$WORK"
	mount_kernel "$KERNEL" -o "${1:-${kernel_options[0]}}" "$LOWERS"
}
by_nacrefs() { mount_dirs "$LOWERS"; }

# Changes of every kind; what one implementation lacks (redirect_dir=off) it may refuse.
changes() {
	in_python "$1" <<-'END'
		append("file", b"changed")
		write("new", b"new")
		os.unlink("exec")
		os.unlink("d/b")
		shutil.rmtree("d/sub")
		shutil.rmtree("replaced")
		os.mkdir("replaced")
		write("replaced/mine", b"")
		shutil.rmtree("empty")
		write("empty", b"a file now")
		os.unlink("secret")
		os.mkdir("secret")
		os.rename("link", "link2")
		os.chmod("big", 0o600)
		os.chown("suid", 1, 2)
		os.setxattr("sparse", "user.x", b"1")
		os.setxattr("opaque", "user.y", b"2")
		os.symlink("target", "newlink")
		os.mkfifo("newfifo")
		os.mknod("newdev", stat.S_IFCHR | 0o600, os.makedev(5, 1))
		write("one", b"1")
		os.link("one", "two")
		try:
		    os.rename("tree", "moved")
		    os.rename("deep/er", "er")
		    os.rename("er/est", "moved/est")
		    os.mkdir("tree")
		except OSError as e:
		    eq(e.errno, errno.EXDEV)
		os.utime("d", ns=(OLD, OLD))
	END
}

@test "the same layers look the same" {
	(
		# shellcheck disable=SC2030
		UPPER=
		mount_kernel "$KERNEL" "$LOWERS"
	)
	mount_dirs_ro "$LOWERS"
	assert_same_tree "$KERNEL" "$MNT"
	in_python <<-'END'
		eq(names("opaque"), ["new"])
		eq([n for n in names() if n.startswith("gone")], [])
	END
	umount "$KERNEL"
}

@test "an upper written by nacrefs looks the same to the kernel" {
	by_nacrefs
	changes "$MNT"
	list_tree "$MNT" >"$BATS_TEST_TMPDIR/nacrefs"
	unmount
	# The kernel holds a redirect to be an attack unless it may follow it.
	by_kernel
	diff "$BATS_TEST_TMPDIR/nacrefs" <(list_tree "$KERNEL")
	umount "$KERNEL"
}

@test "an upper written by the kernel looks the same to nacrefs" {
	local options
	for options in "${kernel_options[@]}"; do
		echo "# $options"
		by_kernel "$options"
		changes "$KERNEL"
		list_tree "$KERNEL" >"$BATS_TEST_TMPDIR/kernel.list"
		umount "$KERNEL"
		by_nacrefs
		diff "$BATS_TEST_TMPDIR/kernel.list" <(list_tree "$MNT")
		unmount
		rm -rf "$UPPER" "$WORK"
	done
}

@test "an upper goes back and forth between the two" {
	by_nacrefs
	changes "$MNT"
	unmount
	by_kernel
	in_python "$KERNEL" <<-'END'
		os.rename("moved", "tree/moved")
		os.unlink("tree/moved/x/2")
		append("hl1", b"kernel")
		shutil.rmtree("opaque")
		os.mkdir("opaque")
		os.rename("replaced", "replaced2")
		os.unlink("one")
	END
	umount "$KERNEL"
	by_nacrefs
	in_python <<-'END'
		eq(names("tree/moved"), ["1", "est", "x"])
		eq(names("tree/moved/x"), ["y"])
		eq(read("tree/moved/est/f"), b"x")
		eq(read("hl1"), b"linkedkernel")
		eq(names("opaque"), [])
		eq(names("replaced2"), ["mine"])
		os.rename("tree", "replaced")
		write("opaque/again", b"")
		os.rename("replaced/moved/x/y", "y")
		append("big", b"nacrefs")
	END
	list_tree "$MNT" >"$BATS_TEST_TMPDIR/nacrefs"
	unmount
	by_kernel
	diff "$BATS_TEST_TMPDIR/nacrefs" <(list_tree "$KERNEL")
	assert_equal "$(cat "$KERNEL/y/3")" 3
	umount "$KERNEL"
}

@test "a whiteout in the upper is a 0:0 device, an opaque folder has the kernel's mark" {
	by_nacrefs
	rm -r "$MNT/replaced" "$MNT/file"
	mkdir "$MNT/replaced"
	unmount
	assert_equal "$(stat -c '%F %t:%T' "$UPPER/file")" "character special file 0:0"
	assert_equal "$(getfattr -n trusted.overlay.opaque --only-values --absolute-names "$UPPER/replaced")" y
	assert_equal "$(find "$UPPER" -name '.wh.*')" ""
}

@test "what was hard linked through nacrefs has its content in the kernel's mount" {
	by_nacrefs
	echo more >>"$MNT/hl1"
	ln "$MNT/file" "$MNT/file2"
	echo more >>"$MNT/file2"
	unmount
	by_kernel
	# The kernel without an index breaks a lower's links: the other names keep their old content there.
	assert_equal "$(cat "$KERNEL/hl1")" linkedmore
	assert_equal "$(cat "$KERNEL/file")" "$(printf 'hello\nmore')"
	assert_equal "$(stat -c %h "$KERNEL/file")" 2
	umount "$KERNEL"
}

@test "an upper of the kernel becomes a lower of nacrefs, redirects and all" {
	by_kernel
	changes "$KERNEL"
	list_tree "$KERNEL" >"$BATS_TEST_TMPDIR/kernel.list"
	umount "$KERNEL"
	mount_dirs_ro "$UPPER" "$LOWERS"
	diff "$BATS_TEST_TMPDIR/kernel.list" <(list_tree "$MNT")
	unmount
	mv "$UPPER" "$UPPER.lower"
	mount_dirs "$UPPER.lower" "$LOWERS"
	diff "$BATS_TEST_TMPDIR/kernel.list" <(list_tree "$MNT")
	mv "$MNT/moved" "$MNT/again"
	[ "$(cat "$MNT/again/x/y/3")" = 3 ]
}

@test "an upper of nacrefs becomes a lower of both" {
	by_nacrefs
	changes "$MNT"
	unmount
	mv "$UPPER" "$UPPER.lower"
	mount -t overlay overlay -o "lowerdir=$UPPER.lower:$LOWERS,redirect_dir=on,metacopy=on" "$KERNEL"
	mount_dirs_ro "$UPPER.lower" "$LOWERS"
	assert_same_tree "$KERNEL" "$MNT"
	umount "$KERNEL"
}

@test ".wh. files of an unpacked archive are whiteouts" {
	local layer=$BATS_TEST_TMPDIR/unpacked
	mkdir -p "$layer/d" "$layer/opaque" "$layer/tree"
	touch "$layer/.wh.file" "$layer/d/.wh.sub" "$layer/opaque/.wh..wh..opq" "$layer/.wh.replaced" \
		"$layer/.wh..wh.plnk" "$layer/tree/new"
	mount_dirs "$layer" "$LOWERS"
	in_python <<-'END'
		for p in "file", "d/sub", "d/sub/deep/f", "replaced", "replaced/old", ".wh.file", ".wh..wh.plnk":
		    fails(errno.ENOENT, os.lstat, p)
		eq(names("opaque"), [])
		eq(names("tree"), ["1", "new", "x"])
		write("file", b"again")
		os.mkdir("replaced")
		eq(names("replaced"), [])
		eq(read("file"), b"again")
	END
	remount_dirs "$layer" "$LOWERS"
	assert_equal "$(cat "$MNT/file")" again
	assert_equal "$(ls -A "$MNT/replaced")" ""
}

@test "every form of opaque mark is read, from a lower and from the upper" {
	local name
	for name in trusted.overlay.opaque user.overlay.opaque user.fuseoverlayfs.opaque; do
		local layer=$BATS_TEST_TMPDIR/$name
		mkdir -p "$layer/tree"
		touch "$layer/tree/new"
		setfattr -n "$name" -v y "$layer/tree"
		mount_dirs_ro "$layer" "$LOWERS"
		assert_equal "$(ls "$MNT/tree")" new
		unmount
		mkdir -p "$layer.work"
		nacrefs -o "lowerdir=$LOWERS,upperdir=$layer,workdir=$layer.work" "$MNT"
		assert_equal "$(ls "$MNT/tree")" new
		[ ! -e "$MNT/tree/x" ]
		unmount
	done
}

@test "the kernel's xattr whiteouts of 6.7 are read" {
	local layer=$BATS_TEST_TMPDIR/xattr
	mkdir -p "$layer/d"
	touch "$layer/d/b"
	setfattr -n trusted.overlay.whiteout -v y "$layer/d/b"
	setfattr -n trusted.overlay.opaque -v x "$layer/d"
	mount_dirs_ro "$layer" "$LOWERS"
	assert_equal "$(ls "$MNT/d" | xargs)" "hl3 sub"
	[ ! -e "$MNT/d/b" ]
	(
		UPPER=
		mount_kernel "$KERNEL" "$layer" "$LOWERS"
	)
	skip_without_kernel "xattr whiteouts" test ! -e "$KERNEL/d/b"
	assert_same_tree "$KERNEL" "$MNT"
	umount "$KERNEL"
}

@test "a file that is no folder in a middle layer ends the merge" {
	local middle=$BATS_TEST_TMPDIR/middle top=$BATS_TEST_TMPDIR/top
	mkdir -p "$middle" "$top/tree"
	touch "$middle/tree" "$top/tree/new"
	mount_dirs_ro "$top" "$middle" "$LOWERS"
	assert_equal "$(ls "$MNT/tree")" new
	(
		UPPER=
		mount_kernel "$KERNEL" "$top" "$middle" "$LOWERS"
	)
	assert_same_tree "$KERNEL" "$MNT"
	umount "$KERNEL"
}

@test "nested: the kernel's overlayfs on top of nacrefs, and nacrefs on top of itself" {
	mount_dirs "$LOWERS"
	mkdir -p "$BATS_TEST_TMPDIR/u2" "$BATS_TEST_TMPDIR/w2"
	mount -t overlay overlay -o "lowerdir=$MNT,upperdir=$BATS_TEST_TMPDIR/u2,workdir=$BATS_TEST_TMPDIR/w2" "$KERNEL"
	in_python "$KERNEL" <<-'END'
		append("file", b"!")
		shutil.rmtree("replaced")
		os.mkdir("replaced")
		eq(read("file"), b"hello\n!")
		eq(names("replaced"), [])
	END
	umount "$KERNEL"
	mkdir -p "$BATS_TEST_TMPDIR/u3" "$BATS_TEST_TMPDIR/w3"
	nacrefs -o "lowerdir=$MNT,upperdir=$BATS_TEST_TMPDIR/u3,workdir=$BATS_TEST_TMPDIR/w3" "$KERNEL"
	in_python "$KERNEL" <<-'END'
		append("hl1", b"!")
		eq(read("d/hl3"), b"linked!")
		os.rename("tree", "moved")
		eq(read("moved/x/2"), b"2")
		os.unlink("file")
	END
	assert_equal "$(cat "$MNT/hl1")" linked
	assert_equal "$(cat "$MNT/file")" hello
	unmount "$KERNEL"
	unmount
}
