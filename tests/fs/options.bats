#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Options: those of fuse-overlayfs and of kernel overlayfs do what they say, or are refused.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree above_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# A second layer, whose files have the same numbers as others where it is an image's.
above_tree() {
	mkdir -p tree/x
	echo above >tree/x/above
	touch f{1..20}
}

@test "every option of fuse-overlayfs at once, as 1.16 and 2.0 take them" {
	local NACRE_MOUNT_OPTIONS='' # these ask for the write-back cache
	while fresh_mount "timeout=5,threaded=1,fsync=1,fast_ino=0,writeback=1,noxattrs=0,xattr_permissions=0,redirect_dir=off,\
static_nlink,noacl,xino=off,ino32_t,splice_write,splice_read,splice_move,kernel_cache,max_write=65536,nosuid,nodev,exec,\
noatime,nodiratime,,"; do
		echo more >>"$MNT/file"
		assert_equal "$(stat -c %h "$MNT/tree")" 1
		assert_equal "$(getfattr --only-values --absolute-names -n user.one "$MNT/file")" 1
		remount
		assert_equal "$(xargs <"$MNT/file")" "hello more"
	done
}

@test "every option of kernel overlayfs at once" {
	while fresh_mount default_permissions,redirect_dir=on,index=on,uuid=auto,nfs_export=off,userxattr,xino=auto,metacopy=on,\
verity=off,volatile,override_creds; do
		echo more >>"$MNT/file"
		rm -r "$MNT/tree"
		mkdir "$MNT/tree"
		remount
		assert_equal "$(xargs <"$MNT/file")" "hello more"
		assert_equal "$(ls -A "$MNT/tree")" ""
		is_fake || assert_equal "$(getfattr --only-values --absolute-names -n user.overlay.opaque "$UPPER/tree")" y
	done
}

@test "no request to read is larger than max_read" {
	local bytes requests
	for bytes in 65536 99999999999; do
		KINDS=$(one_kind) KINDS_DONE=0
		while fresh_mount "max_read=$bytes"; do
			cmp "$MNT/big" <(head -c 300000 /dev/zero | tr '\0' x)
			requests=$(nacrefs --stats --json "$MNT" | jq .RequestsByOpcode.READ)
			echo "requests to read: $requests"
			[ "$bytes" != 65536 ] || [ "$requests" -ge 5 ]
		done
	done
	run nacrefs -o "lowerdir=$LOWERS,max_read=0" "$MNT"
	assert_status 2
	[[ $output == *"max_read: not a number"* ]]
}

@test "a driver that is to run only when nobody else wants to" {
	local pid i
	cd "$BATS_TEST_TMPDIR"
	mkdir lower upper work
	echo x >lower/file
	chrt --idle 0 "$NACREFS" -o lowerdir=lower,upperdir=upper,workdir=work "$MNT"
	pid=$(driver_pids "$MNT")
	for i in $(seq 300); do
		echo "$i" >>"$MNT/file"
	done
	[ "$(tail -n 1 "$MNT/file")" = 300 ]
	assert_equal "$(chrt --all-tasks --pid "$pid" | grep -c policy)" "$(chrt --all-tasks --pid "$pid" | grep -c 'policy: SCHED_IDLE')"
}

@test "threads and descriptors as asked for" {
	local options
	for options in threaded=0 max_threads=2 max_threads=8,max_idle_threads=1,clone_fd; do
		KINDS=$(one_kind) KINDS_DONE=0
		while fresh_mount "$options"; do
			in_python <<-'END'
				import threading

				def work(n):
				    for i in range(20):
				        write(f"t{n}.{i}", b"x" * 10000)
				        eq(len(open(f"t{n}.{i}", "rb").read()), 10000)

				threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
				for thread in threads:
				    thread.start()
				for thread in threads:
				    thread.join()
				eq(len([name for name in os.listdir(".") if name.startswith("t") and "." in name]), 80)
			END
		done
	done
}

@test "ino32_t: inode numbers have 32 bits, listed as shown, and stay over a copy-up and a remount" {
	while fresh_mount ino32_t; do
		in_python <<-'END'
			import json

			def numbers():
			    seen = {}
			    for top, dirs, files in os.walk("."):
			        listed = {entry.name: entry.inode() for entry in os.scandir(top)}
			        for name in dirs + files:
			            st = os.lstat(os.path.join(top, name))
			            assert 0 < st.st_ino < 1 << 32, (name, st.st_ino)
			            eq(listed[name], st.st_ino)
			            seen[os.path.join(top, name)] = st.st_ino
			    return seen

			before = numbers()
			assert len(set(before.values())) > len(before) - 5, "few have the same: hard links"
			for name in "file", "tree/x/2", "f1", "hl1":
			    os.chmod(name, 0o640)
			    with open(name, "a") as file:
			        file.write("more")
			eq(numbers(), before)
			os.mkdir("new")
			write("new/file", b"")
			with open(os.path.expanduser("~/numbers"), "w") as file:
			    json.dump(numbers(), file)
		END
		remount
		in_python <<-'END'
			import json

			with open(os.path.expanduser("~/numbers")) as file:
			    before = json.load(file)
			for name, ino in before.items():
			    st = os.lstat(name)
			    # Without xattrs on them, which user.* cannot be, these get a new one.
			    if stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode):
			        eq((name, st.st_ino), (name, ino))
		END
	done
}

@test "redirect_dir=off: a lower's directory is not renamed, and one renamed before is followed" {
	while fresh_mount; do
		mv "$MNT/tree" "$MNT/moved"
		remount redirect_dir=off
		assert_equal "$(xargs <"$MNT/moved/x/y/3")" 3
		in_python <<-'END'
			fails(errno.EXDEV, os.rename, "d", "other")
			fails(errno.EXDEV, os.rename, "moved", "again")
			os.mkdir("mine")
			os.rename("mine", "yours")
			os.rename("file", "filed")
			eq(sorted(os.listdir("d")), ["a", "b", "hl3", "sub"])
		END
		remount redirect_dir=on
		mv "$MNT/d" "$MNT/other"
		assert_equal "$(xargs <"$MNT/other/a")" a
	done
}

@test "redirect_dir=nofollow: a directory that was renamed cannot be entered" {
	KINDS=dirs
	while fresh_mount; do
		mv "$MNT/tree" "$MNT/moved"
		remount redirect_dir=nofollow
		in_python <<-'END'
			fails(errno.EPERM, os.listdir, "moved")
			fails(errno.EXDEV, os.rename, "d", "other")
			eq(sorted(os.listdir("d")), ["a", "b", "hl3", "sub"])
		END
	done
}

@test "a label is left out where the kernel has no SELinux, and the mount is there" {
	[ ! -e /sys/fs/selinux/enforce ] || skip "kernel with SELinux"
	mkdir -p "$UPPER" "$WORK"
	run --separate-stderr nacrefs \
		-o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK,context=\"system_u:object_r:container_file_t:s0:c1,c2\",volatile" "$MNT"
	assert_status 0
	[[ $stderr == *context* && $stderr != *c2* ]] || fail "$stderr"
	[ -e "$MNT/file" ]
}

@test "what is refused says why" {
	local option
	for option in xattr_permissions=3 allow_root nfs_export=on verity=require uuid=on nooverride_creds size=x,inodes=1; do
		run --separate-stderr nacrefs -o "lowerdir=$LOWERS,$option" "$MNT"
		assert_status 2
		[[ $stderr == "nacrefs: option ${option%%,*}: "?* || $stderr == "nacrefs: option ${option%%=*}: "?* ]] || fail "$stderr"
	done
}

# What other drivers cannot read must not be written where they go on: see hand_over in tests/podman/storage.bats.
@test "in the storage of podman nothing is redirected and no file is without its data, unless told" {
	local id=$BATS_TEST_TMPDIR/storage/0123
	mkdir -p "$BATS_TEST_TMPDIR/low/folder"
	head -c 100000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/low/large"
	for case in storage told elsewhere; do
		rm -rf "$id"
		mkdir -p "$id"/{diff,work,merged}
		[ "$case" = elsewhere ] || echo LINK >"$id/link"
		nacrefs -o "lowerdir=$BATS_TEST_TMPDIR/low,upperdir=$id/diff,workdir=$id/work$(
			[ "$case" != told ] || echo ,redirect_dir=on,metacopy=on),volatile" "$id/merged"
		chmod 600 "$id/merged/large"
		in_python "$id/merged" "$case" <<-'END'
			told = sys.argv[1] != "storage"
			os.rename("folder", "renamed") if told else fails(errno.EXDEV, os.rename, "folder", "renamed")
		END
		unmount "$id/merged"
		# On disk, past the mount.
		if [ "$case" = storage ]; then
			cmp "$BATS_TEST_TMPDIR/low/large" "$id/diff/large"
		else
			! cmp -s "$BATS_TEST_TMPDIR/low/large" "$id/diff/large"
		fi
	done
}
