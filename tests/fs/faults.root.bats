#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Faults of other union file systems, those that only root can meet.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "chown under an ID mapping reaches mapped IDs, others are EINVAL" {
	KINDS="dirs store"
	while fresh_mount uidmapping=0:100000:65536,gidmapping=:0:100000:65536; do
		in_python <<-'END'
			eq((os.lstat("file").st_uid, os.lstat("file").st_gid), (100000, 100000))
			eq((os.lstat("suid").st_uid, os.lstat("suid").st_gid), (101234, 105678))
			os.chown("file", 100005, 100006)
			eq((os.lstat("file").st_uid, os.lstat("file").st_gid), (100005, 100006))
			fails(errno.EINVAL, os.chown, "file", 70000, 100000)
			fails(errno.EINVAL, os.chown, "file", 100000, 0)
			os.chmod("suid", 0o755)
			os.lchown("d", 165535, 165535)
		END
		assert_equal "$(stat -c %u:%g "$UPPER/file" "$UPPER/suid" "$UPPER/d" | xargs)" "5:6 1234:5678 65535:65535"
		remount
		assert_equal "$(stat -c %u:%g "$MNT/file" "$MNT/d" | xargs)" "100005:100006 165535:165535"
	done
}

@test "squash_to_uid and squash_to_gid: everything has that owner" {
	KINDS="dirs store"
	while fresh_mount squash_to_uid=1000,squash_to_gid=1001; do
		touch "$MNT/new"
		assert_equal "$(find "$MNT" -printf '%U:%G\n' | sort -u)" 1000:1001
	done
}

@test "a symlink's xattr never reaches what it points to, on the host either" {
	echo host >"$BATS_TEST_TMPDIR/host"
	KINDS=dirs
	while fresh_mount; do
		ln -s "$BATS_TEST_TMPDIR/host" "$MNT/to-host"
		setfattr -h -n trusted.mine -v 1 "$MNT/to-host"
		setfattr -h -n trusted.mine -v 1 "$MNT/link"
		chown -h 5:6 "$MNT/to-host" "$MNT/link"
		touch -h -d @1 "$MNT/to-host" "$MNT/link"
		assert_equal "$(getfattr -d -m - --absolute-names "$BATS_TEST_TMPDIR/host")" ""
		assert_equal "$(stat -c '%u %g' "$BATS_TEST_TMPDIR/host")" "0 0"
		[ "$(stat -c %Y "$BATS_TEST_TMPDIR/host")" -gt 1 ]
		assert_equal "$(stat -c %u "$MNT/file")" 0
		assert_equal "$(getfattr -h --only-values -n trusted.mine --absolute-names "$MNT/to-host")" 1
	done
}

@test "a forgotten inode is not looked for by a path that is gone" {
	KINDS=dirs
	(while :; do
		drop_caches
		sleep 0.01
	done) 3>&- &
	local dropper=$!
	while fresh_mount; do
		in_python <<-'END'
			for i in range(60):
			    write("f%d" % i, b"%d" % i)
			    fd = os.open("f%d" % i, os.O_RDWR)
			    os.link("f%d" % i, "g%d" % i)
			    os.rename("f%d" % i, "d/f%d" % i)
			    eq(os.fstat(fd).st_nlink, 2)
			    os.unlink("g%d" % i)
			    eq(os.fstat(fd).st_nlink, 1)
			    eq(os.lstat("d/f%d" % i).st_nlink, 1)
			    os.unlink("d/f%d" % i)
			    eq(os.fstat(fd).st_nlink, 0)
			    eq(os.pread(fd, 10, 0), b"%d" % i)
			    os.close(fd)
		END
	done
	kill "$dropper"
	wait "$dropper" || true
}
