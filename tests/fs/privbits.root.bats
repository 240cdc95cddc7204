#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# setuid and setgid, as whoever changes the file leaves them: a plain folder says what is right.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# stat -c %a asks the kernel for the mode and nothing else; it may answer from what it has, which a write does not make
# it ask for again.
@test "setuid and setgid after a write, allocation or copy by another, to whoever asks for the mode alone" {
	mkdir -m 777 "$BATS_TEST_TMPDIR/plain"
	while fresh_mount; do
		in_python "$MNT" "$BATS_TEST_TMPDIR/plain" <<-'END'
			os.mkdir("w")
			os.chmod("w", 0o777)
			def change(how, path):
			    fd = os.open(path, os.O_RDWR)
			    try:
			        if how == "write":
			            os.pwrite(fd, b"y", 3)
			        elif how == "allocate":
			            fallocate(fd, 0, 0, 20000)
			        elif how == "punch":
			            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)
			        elif how == "copy":
			            os.copy_file_range(fd, fd, 100, 0, 8000)
			        else:
			            os.ftruncate(fd, 17)
			    finally:
			        os.close(fd)
			def after(folder, how, perm, uid, gid):
			    path = folder + "/f"
			    write(path, b"x" * 10000)
			    os.chown(path, 4711, 4712)
			    os.chmod(path, perm)
			    try:
			        as_ids(uid, gid, change, how, path)
			        failed = 0
			    except OSError as e:
			        failed = e.errno
			    shown = subprocess.run(["stat", "-c", "%a", path], capture_output=True, check=True).stdout
			    os.unlink(path)
			    return failed, shown
			for how in "write", "allocate", "punch", "copy", "truncate":
			    for perm in 0o6777, 0o6767, 0o2666, 0o4676, 0o777:
			        for ids in (4711, 4712), (4711, 9), (77, 4712), (77, 9), (0, 0):
			            what = "%s of %o by %s" % (how, perm, ids)
			            eq(after("w", how, perm, *ids), after(sys.argv[1], how, perm, *ids), what)
		END
	done
}

@test "an ACL set by the owner who is not in the group takes setgid away, by root or a member it does not" {
	while fresh_mount; do
		in_python <<-'END'
			for n in "owner", "member", "root":
			    write(n, b"")
			    os.chown(n, 100, 100)
			    os.chmod(n, 0o2755)
			def set_acl(name):
			    subprocess.run(["setfacl", "-m", "u::rwx,g::rwx,o::rwx", name], check=True)
			as_ids(100, 101, set_acl, "owner")
			as_ids(100, 100, set_acl, "member")
			set_acl("root")
			eq([oct(mode(n)) for n in ("owner", "member", "root")], ["0o777", "0o2777", "0o2777"])
		END
	done
}
