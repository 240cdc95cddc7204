#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Default ACLs: what is made in the mount gets what it would get in a plain folder, over whiteouts too.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# The same is made in a plain folder and in the mount, there also in the place of what a lower has.
make_all() {
	local dir=$1 how=$2 mask
	for mask in 002 077; do
		(
			umask "$mask"
			cd "$dir"
			in_python . "$how-$mask" <<-'END'
				p = sys.argv[1]
				def made(kind, mode=0):
				    name = p + "-" + kind + oct(mode)
				    if "over" in p and exists(name):
				        os.unlink(name) if not os.path.isdir(name) else shutil.rmtree(name)
				    return name
				for m in 0o777, 0o666, 0o640, 0o600, 0o4755, 0o2750:
				    os.close(os.open(made("file", m), os.O_CREAT | os.O_EXCL | os.O_WRONLY, m))
				for m in 0o777, 0o700, 0o1770:
				    os.mkdir(made("dir", m), m)
				    os.mkdir(p + "-dir" + oct(m) + "/inner")
				    write(p + "-dir" + oct(m) + "/inner/file", b"x")
				os.mkfifo(made("fifo", 0o666), 0o666)
				os.mknod(made("node", 0o662), stat.S_IFREG | 0o662)
				os.symlink("x", made("link"))
				fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o664)
				link_fd(fd, made("tmpfile"))
				os.close(fd)
				s = socket.socket(socket.AF_UNIX)
				s.bind(made("socket"))
			END
		)
	done
}

shown() { (cd "$1" && find . -mindepth 1 ! -type l | sort | xargs getfacl -pn); }

# What the lower has under the names that are made.
names_to_make() {
	local kind mask
	for mask in 002 077; do
		for kind in file0o777 file0o666 file0o640 file0o600 file0o4755 file0o2750 fifo0o666 node0o662 link0o0 tmpfile0o0 socket0o0; do
			echo lower >"over-$mask-$kind"
		done
		mkdir -p over-$mask-dir0o777/x over-$mask-dir0o700/x over-$mask-dir0o1770/x
	done
}

inherit_like_plain() {
	local acl=$1 plain=$BATS_TEST_TMPDIR/plain how
	mkdir -p "$BATS_TEST_TMPDIR/low/d" "$plain"
	(cd "$BATS_TEST_TMPDIR/low/d" && names_to_make)
	(cd "$plain" && names_to_make)
	mount_dirs "$BATS_TEST_TMPDIR/low"
	for dir in "$plain" "$MNT/d"; do
		chmod "$2" "$dir"
		setfacl -d -m "$acl" "$dir"
		make_all "$dir" new
		make_all "$dir" over
	done
	diff <(shown "$plain") <(shown "$MNT/d")
	remount_dirs "$BATS_TEST_TMPDIR/low"
	diff <(shown "$plain") <(shown "$MNT/d")
	assert_equal "$(ls -A "$WORK/work")" "$(cd "$WORK/work" && ls -d whiteout 2>/dev/null || true)"
}

@test "a default ACL of three entries" {
	inherit_like_plain u::rwx,g::r-x,o::--- 755
}

@test "a default ACL with users, groups and a mask" {
	inherit_like_plain u::rwx,u:4711:rwx,g::r-x,g:4712:rw-,m::rwx,o::r-- 755
}

@test "a default ACL that gives less than is asked for, in a setgid folder" {
	inherit_like_plain u::rwx,u:4711:r--,g::r--,m::r--,o::--- 2755
}

@test "without a default ACL the umask counts, and workdir's own ACL does not" {
	local dir plain=$BATS_TEST_TMPDIR/plain
	mkdir -p "$BATS_TEST_TMPDIR/low/d" "$plain" "$WORK"
	(cd "$BATS_TEST_TMPDIR/low/d" && names_to_make)
	(cd "$plain" && names_to_make)
	setfacl -d -m u:4711:rwx,g::rwx,o::rwx "$WORK"
	mount_dirs "$BATS_TEST_TMPDIR/low"
	for dir in "$plain" "$MNT/d"; do
		make_all "$dir" new
		make_all "$dir" over
	done
	diff <(shown "$plain") <(shown "$MNT/d")
}

@test "a default ACL of a lower's folder is inherited at once, and by what is renamed or linked nothing is" {
	mkdir -p "$BATS_TEST_TMPDIR/low/d" "$BATS_TEST_TMPDIR/low/plain"
	setfacl -d -m u:4711:rwx,o::- "$BATS_TEST_TMPDIR/low/d"
	touch "$BATS_TEST_TMPDIR/low/plain/moved" "$BATS_TEST_TMPDIR/low/plain/linked"
	chmod 644 "$BATS_TEST_TMPDIR/low/plain/"*
	mount_dirs "$BATS_TEST_TMPDIR/low"
	touch "$MNT/d/new"
	[[ $(getfacl -cpn "$MNT/d/new" | xargs) == *"user:4711:rwx #effective:rw-"* ]] || fail "$(getfacl -cpn "$MNT/d/new")"
	mv "$MNT/plain/moved" "$MNT/d/moved"
	ln "$MNT/plain/linked" "$MNT/d/linked"
	assert_equal "$(getfacl -cpn "$MNT/d/moved" | xargs)" "user::rw- group::r-- other::r--"
	assert_equal "$(getfacl -cpn "$MNT/d/linked" | xargs)" "user::rw- group::r-- other::r--"
	setfacl -k "$MNT/d"
	(umask 022 && touch "$MNT/d/after")
	assert_equal "$(getfacl -cpn "$MNT/d/after" | xargs)" "user::rw- group::r-- other::r--"
}
