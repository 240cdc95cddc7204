#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Metacopies of the kernel's overlayfs, and the kernel's view of ours.
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

lowest() {
	mkdir -p d/sub e
	local n
	for n in 0 1 2 3 4 5; do
		yes "line of file $n" | head -c 131072 >"d/sub/f$n"
	done
	printf small >small
}

setup_file() {
	export LOWERS=$BATS_FILE_TMPDIR/lower
	mkdir "$LOWERS"
	(cd "$LOWERS" && lowest)
}
setup() {
	setup_store
	KERNEL=$BATS_TEST_TMPDIR/kernel
	KERNEL_OPTIONS=metacopy=on,redirect_dir=on,index=off
}
teardown() { unmount_all; }

changes() {
	(
		cd "$1" || exit
		chmod 600 d/sub/f0 small
		chown 12:34 d/sub/f1
		setfattr -n user.x -v "$2" d/sub/f2
		mv d/sub/f3 f3
		mv d moved
		mv moved/sub/f4 moved/f4
		mv f3 e/f3
		touch -d '2001-02-03' moved/sub/f5
		echo more >>moved/sub/f5
	)
}

again() {
	(
		cd "$1" || exit
		mv e/f3 e/f3a
		mv moved e/moved
		chmod 644 e/moved/f4
		echo more >>e/moved/sub/f0
	)
}

@test "what the kernel copied up without data is read, and completed" {
	mount_kernel "$KERNEL" -o "$KERNEL_OPTIONS" "$LOWERS"
	changes "$KERNEL" kernel
	list_tree "$KERNEL" >"$BATS_TEST_TMPDIR/kernel.list"
	umount "$KERNEL"
	mount_dirs "$LOWERS"
	diff "$BATS_TEST_TMPDIR/kernel.list" <(list_tree "$MNT")
	again "$MNT"
	list_tree "$MNT" >"$BATS_TEST_TMPDIR/nacrefs.list"
	unmount
	mount_kernel "$KERNEL" -o "$KERNEL_OPTIONS" "$LOWERS"
	diff "$BATS_TEST_TMPDIR/nacrefs.list" <(list_tree "$KERNEL")
	umount "$KERNEL"
}

@test "the kernel reads, and completes, what nacrefs copied up without data" {
	mount_dirs "$LOWERS"
	changes "$MNT" nacrefs
	list_tree "$MNT" >"$BATS_TEST_TMPDIR/nacrefs.list"
	unmount
	mount_kernel "$KERNEL" -o "$KERNEL_OPTIONS" "$LOWERS"
	diff "$BATS_TEST_TMPDIR/nacrefs.list" <(list_tree "$KERNEL")
	again "$KERNEL"
	list_tree "$KERNEL" >"$BATS_TEST_TMPDIR/kernel.list"
	umount "$KERNEL"
	mount_dirs "$LOWERS"
	diff "$BATS_TEST_TMPDIR/kernel.list" <(list_tree "$MNT")
}

@test "uppers with metacopies, made into lowers one after the other, lead to the data through all of them" {
	local lowers=$LOWERS n
	for n in 1 2 3 4; do
		UPPER=$BATS_TEST_TMPDIR/layer.$n
		rm -rf "$WORK"
		# shellcheck disable=SC2086 # the lowers are words
		if [ $((n % 2)) = 1 ]; then
			mount_kernel "$KERNEL" -o "$KERNEL_OPTIONS" $lowers
			at=$KERNEL
		else
			mount_dirs $lowers
			at=$MNT
		fi
		case $n in
		1) changes "$at" 1 ;;
		2) again "$at" ;;
		*)
			find "$at" -type f -exec touch -d "200$n-01-01" {} +
			mv "$at/e/f3a" "$at/e/f3a$n" 2>/dev/null || mv "$at/e/f3a3" "$at/e/f3a4"
			;;
		esac
		list_tree "$at" >"$BATS_TEST_TMPDIR/list"
		umount "$at"
		lowers="$UPPER $lowers"
	done
	# shellcheck disable=SC2086
	UPPER='' mount_kernel "$KERNEL" -o "$KERNEL_OPTIONS" $lowers
	diff "$BATS_TEST_TMPDIR/list" <(list_tree "$KERNEL")
	# shellcheck disable=SC2086
	mount_dirs_ro $lowers
	diff "$BATS_TEST_TMPDIR/list" <(list_tree "$MNT")
	umount "$KERNEL"
}

@test "completing keeps capabilities, setuid and times where the data does not change" {
	mkdir -p "$BATS_TEST_TMPDIR/low"
	yes | head -c 100000 >"$BATS_TEST_TMPDIR/low/prog"
	chmod 4755 "$BATS_TEST_TMPDIR/low/prog"
	mount_dirs "$BATS_TEST_TMPDIR/low"
	setcap cap_net_raw+ep "$MNT/prog"
	touch -d 2001-01-01 "$MNT/prog"
	ln "$MNT/prog" "$MNT/prog2"
	assert_equal "$(getcap -n "$MNT/prog2" | cut -d' ' -f2)" cap_net_raw=ep
	assert_equal "$(stat -c '%a %Y' "$MNT/prog")" "4755 $(date -d 2001-01-01 +%s)"
	unmount
	assert_equal "$(stat -c '%a %s' "$UPPER/prog2")" "4755 100000"
	cmp "$UPPER/prog" "$BATS_TEST_TMPDIR/low/prog"
	assert_equal "$(getcap -n "$UPPER/prog2" | cut -d' ' -f2)" cap_net_raw=ep
}

@test "capabilities that are set while the data comes in are there afterwards" {
	local low=$BATS_TEST_TMPDIR/low n
	# Then it comes in with the open or the write, for which the kernel locks all others out.
	[[ ${NACRE_MOUNT_OPTIONS:-} != *@(passthrough|writeback=0)* ]] || return 0
	mkdir "$low"
	# A copy that shares the blocks takes no time.
	: >"$low/probe"
	! cp --reflink=always "$low/probe" "$low/probe2" 2>/dev/null || return 0
	for n in 1 2 3; do
		yes | head -c 128M >"$low/prog$n"
	done
	mount_dirs "$low"
	in_python "$MNT" "$UPPER" <<-'END'
		CAPS = bytes.fromhex("0100000200200000000000000000000000000000")
		WRITE, WAIT_AFTER = 2, 4

		def write_pages(fd):
		    # As the kernel writes them by itself some time: whoever has the file is not locked out meanwhile.
		    check(libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), WRITE | WAIT_AFTER))

		meanwhile = 0
		for name in "prog1", "prog2", "prog3":
		    os.chmod(name, 0o755)
		    copy = os.path.join(sys.argv[1], name)
		    assert os.stat(copy).st_blocks <= 8  # its xattrs
		    fd = os.open(name, os.O_RDWR)
		    os.pwrite(fd, b"Y", 0)
		    thread = threading.Thread(target=write_pages, args=(fd,))
		    thread.start()
		    while thread.is_alive() and os.stat(copy).st_blocks <= 8:
		        pass
		    meanwhile += os.stat(copy).st_blocks * 512 < 64 << 20
		    os.setxattr(name, "security.capability", CAPS)
		    thread.join()
		    os.close(fd)
		    eq(os.getxattr(name, "security.capability"), CAPS)
		    eq(os.getxattr(copy, "security.capability"), CAPS)
		assert meanwhile > 0, "the data was there each time before the capabilities were set"
	END
	cmp <(sed 1s/y/Y/ "$low/prog1") "$MNT/prog1"
}

@test "a completion that finds no room leaves the metacopy as it was, and no data" {
	mkdir -p "$BATS_TEST_TMPDIR/low" "$BATS_TEST_TMPDIR/small"
	yes | head -c 600000 >"$BATS_TEST_TMPDIR/low/prog"
	mount -t tmpfs -o size=256k tmpfs "$BATS_TEST_TMPDIR/small"
	UPPER=$BATS_TEST_TMPDIR/small/upper WORK=$BATS_TEST_TMPDIR/small/work
	mount_dirs "$BATS_TEST_TMPDIR/low"
	chmod 4755 "$MNT/prog"
	touch -d 2001-01-01 "$MNT/prog"
	run ! ln "$MNT/prog" "$MNT/prog2"
	assert_equal "$(stat -c '%a %Y %s' "$UPPER/prog")" "4755 $(date -d 2001-01-01 +%s) 600000"
	[ "$(stat -c %b "$UPPER/prog")" = 0 ] || fail "blocks are left"
	cmp "$MNT/prog" "$BATS_TEST_TMPDIR/low/prog"
	unmount
	umount "$BATS_TEST_TMPDIR/small"
}
