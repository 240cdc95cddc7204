#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Inode flags (chattr, lsattr) and birth times.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

flags_of() { lsattr -d "$1" | cut -d ' ' -f 1 | tr -d -- -; }

have_flags() { chattr +d "$BATS_TEST_TMPDIR/home" 2>/dev/null && lsattr -d "$BATS_TEST_TMPDIR/home" >/dev/null 2>&1; }

@test "a flag is read, set and cleared, on lower and new files and folders, and stays" {
	skip_without_kernel "inode flags on the test folder's file system" have_flags
	while fresh_mount; do
		touch "$MNT/new"
		for f in file d new big; do
			refute_flag "$f" d
			chattr +dA "$MNT/$f"
		done
		chattr -A "$MNT/file"
		for _ in 1 2; do
			for f in file d new big; do
				[[ $(flags_of "$MNT/$f") == *d* ]] || fail "$f has not the flag: $(lsattr -d "$MNT/$f")"
			done
			refute_flag file A
			[[ $(flags_of "$MNT/big") == *A* ]]
			refute_flag exec d
			assert_equal "$(cat "$MNT/file")" hello
			assert_equal "$(stat -c %Y "$MNT/file")" "$(date -d '2001-02-03 04:05:06' +%s)"
			remount
		done
		[ ! -e "$UPPER/exec" ] || fail "reading flags copied a file up"
	done
}

refute_flag() {
	[[ $(flags_of "$MNT/$1") != *$2* ]] || fail "$1 has the flag $2"
}

# With the write-back cache the kernel shows a ctime of its own for files.
@test "the ctime shows that a flag has changed" {
	skip_without_kernel "inode flags on the test folder's file system" have_flags
	while fresh_mount writeback=0; do
		for f in file d; do
			before=$(stat -c %z "$MNT/$f")
			sleep 0.01
			chattr +d "$MNT/$f"
			[[ $(stat -c %z "$MNT/$f") > $before ]] || fail "$f has the ctime that it had before"
		done
	done
}

@test "what is no file or folder has no flags, and other ioctls are refused" {
	while fresh_mount; do
		in_python <<-'END'
			fd = os.open("file", os.O_RDONLY)
			for request in 0x5401, 0x1234, 0x80087601:    # TCGETS, nonsense, FS_IOC_GETVERSION
			    fails(errno.ENOTTY, fcntl.ioctl, fd, request, bytes(64))
			eq(os.isatty(fd), False)
			fd = os.open("d", os.O_RDONLY)
			fails(errno.ENOTTY, fcntl.ioctl, fd, 0x5401, bytes(64))
			# FICLONE is never passed on by FUSE; cp goes on with a copy.
			src, dst = os.open("big", os.O_RDONLY), os.open("clone", os.O_RDWR | os.O_CREAT)
			fails(errno.EOPNOTSUPP, fcntl.ioctl, dst, 0x40049409, src)
		END
		cp --reflink=auto "$MNT/big" "$MNT/clone"
		cmp "$MNT/big" "$MNT/clone"
		run cp --reflink=always "$MNT/big" "$MNT/clone2"
		assert_status 1
	done
}

@test "the birth time is the lower's before and after a copy-up, and after a remount" {
	skip_without_kernel "birth times through FUSE" birth_times
	while fresh_mount; do
		in_python <<-'END'
			write("new", b"")
			os.mkdir("newdir")
		END
		births=$(cd "$MNT" && stat -c '%n %W %w' new newdir file d d/a suid link fifo)
		[[ $births != *" 0 -"* ]] || [[ $KIND == *store ]] || fail "$births"
		[[ $(stat -c %W "$MNT/new") -gt 1500000000 ]]
		in_python <<-'END'
			append("file", b"!")
			append("d/a", b"!")
			os.chmod("suid", 0o700)
			os.rename("new", "d/new")
			append("d/new", b"!")
			os.rename("d/new", "new")
		END
		[[ $KIND == *store ]] && births=$(grep new <<<"$births")
		# shellcheck disable=SC2046
		same_births() { assert_equal "$(cd "$MNT" && stat -c '%n %W %w' $(cut -d ' ' -f 1 <<<"$births"))" "$births"; }
		same_births
		remount
		same_births
	done
}

birth_times() {
	mount_dirs "$LOWERS"
	touch "$MNT/probe"
	local birth
	birth=$(stat -c %w "$MNT/probe")
	unmount
	rm -rf "$UPPER" "$WORK"
	[ "$birth" != - ]
}
