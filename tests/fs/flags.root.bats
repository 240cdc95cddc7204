#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The flags that protect a file, immutable and append-only: as kernel overlayfs keeps them.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() {
	setup_store
	skip_without_kernel "inode flags on the test folder's file system" chattr +i "$BATS_TEST_TMPDIR/home"
	chattr -i "$BATS_TEST_TMPDIR/home"
}
teardown() {
	unmount_all
	chattr -R -f -ia "$BATS_TEST_TMPDIR/own" || true
}
teardown_file() { lowers_unchanged; }

flags_of() { lsattr -d "$1" | cut -d ' ' -f 1 | tr -d -- -; }

# What nobody may do to it.
refuses_all() {
	in_python "$MNT" "$1" <<-'END'
		p = sys.argv[1]
		fails(errno.EPERM, os.truncate, p, 0)
		fails(errno.EPERM, os.open, p, os.O_WRONLY | os.O_TRUNC)
		fails(errno.EPERM, os.chmod, p, 0o600)
		fails(errno.EPERM, os.chown, p, 1, 1)
		fails(errno.EPERM, os.unlink, p)
		fails(errno.EPERM, os.link, p, "another")
		fails(errno.EPERM, os.rename, p, "renamed")
		write("other", b"")
		fails(errno.EPERM, os.rename, "other", p)
		fails(errno.EPERM, renameat2, "other", p, RENAME_EXCHANGE)
		fails(errno.EPERM, os.setxattr, p, "user.x", b"1")
	END
}

@test "an immutable file cannot be changed, moved or removed, until it is none any more" {
	KINDS="dirs store"
	while fresh_mount; do
		echo new >"$MNT/new"
		for f in file new; do
			chattr +i "$MNT/$f"
		done
		for _ in 1 2; do
			for f in file new; do
				[[ $(flags_of "$MNT/$f") == *i* ]]
				refuses_all "$f"
				in_python "$MNT" "$f" <<-'END'
					fails(errno.EPERM, os.utime, sys.argv[1])
					before = read(sys.argv[1])
					def written(): # at once where opens are heard of
					    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
					    os.write(fd, b"not for long")
					    os.fsync(fd)
					fails(errno.EPERM, written)
				END
			done
			remount
			assert_equal "$(cat "$MNT/file" "$MNT/new" | xargs)" "hello new"
		done
		# On disk the flag stands beside the file, so that the upper stays removable.
		[[ $(flags_of "$UPPER/file") != *i* ]]
		assert_equal "$(getfattr -n trusted.overlay.protattr --only-values --absolute-names "$UPPER/file")" i
		chattr -i "$MNT/file" "$MNT/new"
		rm "$MNT/file"
		echo more >>"$MNT/new"
		remount
		assert_equal "$(cat "$MNT/new" | xargs)" "new more"
		rm "$MNT/new"
	done
}

@test "an append-only file grows, and that is all" {
	KINDS="dirs store"
	while fresh_mount; do
		chattr +a "$MNT/file"
		for _ in 1 2; do
			[[ $(flags_of "$MNT/file") == *a* ]]
			refuses_all file
			echo more >>"$MNT/file"
			in_python <<-'END'
				def written():
				    fd = os.open("file", os.O_WRONLY)
				    os.pwrite(fd, b"X", 0)
				    os.fsync(fd)
				fails(errno.EPERM, written)
				fails(errno.EPERM, os.open, "file", os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
				fails(errno.EPERM, os.utime, "file", (1, 1))
				os.utime("file")
			END
			remount
		done
		assert_equal "$(cat "$MNT/file" | xargs)" "hello more more"
		chattr -a "$MNT/file"
		rm "$MNT/file"
	done
}

@test "nothing is made or removed in an immutable folder, and nothing removed in an append-only one" {
	KINDS="dirs store"
	while fresh_mount; do
		chattr +i "$MNT/d"
		chattr +a "$MNT/tree"
		for _ in 1 2; do
			in_python <<-'END'
				fails(errno.EPERM, os.mkdir, "d/new")
				fails(errno.EPERM, os.open, "d/new", os.O_CREAT | os.O_WRONLY)
				fails(errno.EPERM, os.unlink, "d/a")
				fails(errno.EPERM, os.rename, "d/a", "a")
				fails(errno.EPERM, os.rename, "file", "d/file")
				fails(errno.EPERM, os.link, "file", "d/file")
				fails(errno.EPERM, os.rename, "d", "e")
				fails(errno.EPERM, os.unlink, "tree/1")
				fails(errno.EPERM, os.rename, "tree/1", "tree/one")
				append("d/a", b"!")
				write("d/sub/new", b"")
			END
			touch "$MNT/tree/new$RANDOM" "$MNT/tree"
			run touch -d @1 "$MNT/tree"
			assert_status 1
			remount
		done
		assert_equal "$(ls "$MNT/d" | xargs)" "a b hl3 sub"
		chattr -i "$MNT/d"
		chattr -a "$MNT/tree"
		rm -r "$MNT/d" "$MNT/tree"
	done
}

@test "what is immutable in a lower is so in the mount, and a copy-up can free it" {
	local own=$BATS_TEST_TMPDIR/own
	mkdir -p "$own/d"
	echo hello >"$own/file"
	echo inside >"$own/d/f"
	chattr +i "$own/file" "$own/d"
	mount_dirs "$own"
	refuses_all file
	in_python <<-'END'
		fails(errno.EPERM, os.unlink, "d/f")
		append("d/f", b"may change")
	END
	remount_dirs "$own"
	in_python <<-'END'
		fails(errno.EPERM, os.unlink, "d/f")
		fails(errno.EPERM, os.mkdir, "d/new")
	END
	chattr -i "$MNT/file" "$MNT/d"
	echo more >>"$MNT/file"
	rm "$MNT/d/f"
	remount_dirs "$own"
	assert_equal "$(cat "$MNT/file" | xargs) $(ls -A "$MNT/d")" "hello more "
	unmount
	[[ $(flags_of "$own/file") == *i* ]]
}

@test "the kernel's overlayfs sees the same protection, and nacrefs what the kernel set" {
	mount_dirs "$LOWERS"
	chattr +i "$MNT/file"
	chattr +a "$MNT/d"
	unmount
	mount_kernel "$MNT" "$LOWERS"
	[[ $(flags_of "$MNT/file") == *i* ]] && [[ $(flags_of "$MNT/d") == *a* ]]
	run rm "$MNT/file"
	assert_output_has "not permitted"
	chattr -i "$MNT/file"
	chattr +i "$MNT/exec"
	umount "$MNT"
	mount_dirs "$LOWERS"
	rm "$MNT/file"
	refuses_all exec
	[[ $(flags_of "$MNT/d") == *a* ]]
	unmount
}
